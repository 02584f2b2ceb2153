package pdu

// Addresses lists the addresses on the PDU's bus itself, sorted.
func (m *Model) Addresses() []uint16 {
	var out []uint16
	for _, p := range m.Places() {
		if p.Behind == "" {
			out = append(out, p.Addr)
		}
	}
	return out
}
