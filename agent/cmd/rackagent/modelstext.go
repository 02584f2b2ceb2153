package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"rackagent/drivers/pdu"
	"rackagent/drivers/pmbus"
	"rackagent/drivers/psu"
)

// pduSummary is what an operator wants to know of a PDU model.
type pduSummary struct {
	Name         string           `json:"name"`
	Manufacturer string           `json:"manufacturer"`
	Product      string           `json:"product"`
	Current      string           `json:"current"` // "AC", "DC"
	NominalV     float64          `json:"nominal_v"`
	SettlingMS   int64            `json:"settling_ms"`
	Banks        []bankSummary    `json:"banks"`
	Segments     []segmentSummary `json:"segments"`
	Outlets      []outletSummary  `json:"outlets"`
}

// bankSummary is a group of outlets that hangs on one feed.
type bankSummary struct {
	Bank    string `json:"bank"`
	Outlets []int  `json:"outlets"`
	Metered bool   `json:"metered"` // by a meter for all of them together
}

// segmentSummary is a stretch of bus with what sits on it.
type segmentSummary struct {
	Where string        `json:"where"`
	Parts []partSummary `json:"parts"`
}

// partSummary is one part.
type partSummary struct {
	Address string   `json:"address"`
	Part    string   `json:"part"`
	Role    pdu.Role `json:"role"`
	Outlets []int    `json:"outlets,omitempty"`
	Banks   []string `json:"banks,omitempty"`
}

// outletSummary is one outlet.
type outletSummary struct {
	N          int        `json:"outlet"`
	Bank       string     `json:"bank"`
	RatingA    float64    `json:"rating_a"`
	LongA      float64    `json:"continuous_a"`
	AtRest     pdu.AtRest `json:"without_controller_supply"`
	Proof      pdu.Proof  `json:"proof"`
	SwitchedBy string     `json:"switched_by"`
}

// like tells whether two outlets differ in nothing but their number.
func (o outletSummary) like(p outletSummary) bool { p.N = o.N; return o == p }

func summarisePDU(m *pdu.Model, data []byte) (pduSummary, error) {
	parts, err := pdu.Parts(data)
	if err != nil {
		return pduSummary{}, err
	}
	s := pduSummary{
		Name: m.Name, Manufacturer: m.Manufacturer, Product: m.Product, Current: "AC", NominalV: m.NominalV,
		SettlingMS: m.Settling.Milliseconds(), Segments: segments(parts),
	}
	if m.DC {
		s.Current = "DC"
	}
	for _, name := range m.Banks() {
		b := bankSummary{Bank: name, Metered: slices.ContainsFunc(m.Supplies, func(x pdu.Supply) bool { return x.Bank == name })}
		for _, o := range m.Outlets {
			if o.Bank == name {
				b.Outlets = append(b.Outlets, o.N)
			}
		}
		s.Banks = append(s.Banks, b)
	}
	for _, o := range m.Outlets {
		s.Outlets = append(s.Outlets, outletSummary{
			N: o.N, Bank: o.Bank, RatingA: o.RatingA, LongA: o.RatingA * o.Continuous, AtRest: o.AtRest(), Proof: m.Proof(o),
			SwitchedBy: switchOf(parts, o.N),
		})
	}
	return s, nil
}

// switchOf names the part that switches an outlet: the relays' part, or the meter where that is its own switch.
func switchOf(parts []pdu.Part, outlet int) string {
	for _, role := range []pdu.Role{pdu.RoleRelays, pdu.RoleMeter} {
		for _, p := range parts {
			if p.Role == role && slices.Contains(p.Outlets, outlet) {
				return p.Name
			}
		}
	}
	return ""
}

// segments groups parts by where they hang, the PDU's own bus first.
func segments(parts []pdu.Part) []segmentSummary {
	var muxes []pdu.Part
	for _, p := range parts {
		if p.Role == pdu.RoleMux {
			muxes = append(muxes, p)
		}
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b pdu.Part) int {
		return cmp.Or(cmp.Compare(a.Mux, b.Mux), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Addr, b.Addr))
	})
	var out []segmentSummary
	for _, p := range parts {
		where := "on its bus"
		if p.Mux >= 0 && p.Mux < len(muxes) {
			where = fmt.Sprintf("behind 0x%02x, channel %d", muxes[p.Mux].Addr, p.Channel)
		}
		if len(out) == 0 || out[len(out)-1].Where != where {
			out = append(out, segmentSummary{Where: where})
		}
		on := &out[len(out)-1]
		on.Parts = append(on.Parts, partSummary{Address: fmt.Sprintf("0x%02x", p.Addr), Part: p.Name, Role: p.Role, Outlets: p.Outlets, Banks: p.Banks})
	}
	return out
}

func (s pduSummary) print(a *app) {
	a.printf("%s: board %s %s, %s %s V, %s in %s\n", s.Name, s.Manufacturer, s.Product, s.Current, plain(s.NominalV), plural(len(s.Outlets), "outlet"), plural(len(s.Banks), "bank"))
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "  BANK\tOUTLETS\tMETER FOR ALL OF THEM\n")
	for _, b := range s.Banks {
		say(w, "  %s\t%s\t%s\n", b.Bank, runs(b.Outlets), yesNo(b.Metered))
	}
	_ = w.Flush()
	say(w, "  PARTS\tADDRESS\tPART\tWHAT IT DOES\n")
	for _, g := range s.Segments {
		where := g.Where
		for _, p := range g.Parts {
			say(w, "  %s\t%s\t%s\t%s\n", where, p.Address, p.Part, p.does(s))
			where = ""
		}
	}
	_ = w.Flush()
	say(w, "  OUTLETS\tBANK\tRATING\tFOR LONG\tSWITCHED BY\tWITHOUT THE CONTROLLER'S SUPPLY\tA SWITCH IS PROVEN BY\n")
	for i := 0; i < len(s.Outlets); {
		first := s.Outlets[i]
		var same []int
		for ; i < len(s.Outlets) && first.like(s.Outlets[i]); i++ {
			same = append(same, s.Outlets[i].N)
		}
		say(w, "  %s\t%s\t%s A\t%s A\t%s\t%s\t%s\n", runs(same), first.Bank, plain(first.RatingA), plain(first.LongA), first.SwitchedBy, first.AtRest, first.Proof)
	}
	_ = w.Flush()
	a.printf("  meters are believed %d ms after a change of load\n", s.SettlingMS)
}

// does says what a part is there for.
func (p partSummary) does(s pduSummary) string {
	on := func() string {
		switch {
		case len(p.Banks) > 0:
			return "bank " + strings.Join(p.Banks, " and bank ")
		case len(p.Outlets) > 0:
			return strings.TrimPrefix(plural(len(p.Outlets), "outlet"), strconv.Itoa(len(p.Outlets))+" ") + " " + runs(p.Outlets)
		default:
			return "nothing"
		}
	}
	switch p.Role {
	case pdu.RoleMux:
		return "switches the bus to what hangs behind it"
	case pdu.RoleRelays:
		return "drives the relays of " + on()
	case pdu.RoleMemory:
		return "tells which board it is"
	case pdu.RoleTemperature:
		return "measures the board's temperature"
	case pdu.RoleMeter:
		if slices.ContainsFunc(s.Outlets, func(o outletSummary) bool { return slices.Contains(p.Outlets, o.N) && o.SwitchedBy == p.Part }) {
			return "meters and switches " + on()
		}
		return "meters " + on()
	default:
		return string(p.Role)
	}
}

// runs writes numbers in order: 1 to 6, 9.
func runs(numbers []int) string {
	var words []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		switch {
		case k == i:
			words = append(words, strconv.Itoa(numbers[i]))
		case k == i+1:
			words = append(words, strconv.Itoa(numbers[i]), strconv.Itoa(numbers[k]))
		default:
			words = append(words, fmt.Sprintf("%d to %d", numbers[i], numbers[k]))
		}
		i = k + 1
	}
	return strings.Join(words, ", ")
}

// plain writes a number of a model file as a person would.
func plain(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// psuSummary is what an operator wants to know of a PSU profile.
type psuSummary struct {
	Name         string    `json:"name"`
	Manufacturer string    `json:"manufacturer,omitempty"` // empty: any
	Products     []string  `json:"products,omitempty"`     // what MFR_MODEL begins with; none: any
	Nameplate    nameplate `json:"nameplate"`
	Temperatures []string  `json:"temperatures"`
	Energy       bool      `json:"energy"` // the supply counts it
	Page         *int      `json:"page,omitempty"`
	PEC          string    `json:"pec"`
	Reads        []string  `json:"reads"`
	Writes       []string  `json:"writes"`
}

// nameplate is what a supply is rated for.
type nameplate struct {
	VinV         float64 `json:"vin_v"`
	IinA         float64 `json:"iin_a"`
	PinW         float64 `json:"pin_w"`
	VoutV        float64 `json:"vout_v"`
	IoutA        float64 `json:"iout_a"`
	PoutW        float64 `json:"pout_w"`
	TemperatureC float64 `json:"temperature_c"`
	FanRPM       float64 `json:"fan_rpm"`
}

func summarisePSU(m *psu.Model) psuSummary {
	s := psuSummary{
		Name: m.Name, Manufacturer: m.Manufacturer, Products: m.Products, Nameplate: nameplate(m.Nameplate), Temperatures: m.Temperatures,
		Reads: commandNames(m.Reads()), Writes: commandNames(m.Writes()),
	}
	_, s.Energy = m.Accumulator()
	if m.Page >= 0 {
		s.Page = &m.Page
	}
	switch m.Checking() {
	case pmbus.CheckIfAble:
		s.PEC = "if the supply can"
	case pmbus.CheckAlways:
		s.PEC = "always"
	default:
		s.PEC = "never"
	}
	return s
}

func commandNames(list []pmbus.Command) []string {
	out := make([]string, 0, len(list))
	for _, c := range list {
		out = append(out, c.String())
	}
	return out
}

func (s psuSummary) print(a *app) {
	n := s.Nameplate
	a.printf("%s: %s\n", s.Name, s.whose())
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "  RATED\tVOLTS\tAMPERES\tWATTS\n")
	say(w, "  input\t%s\t%s\t%s\n", plain(n.VinV), plain(n.IinA), plain(n.PinW))
	say(w, "  output\t%s\t%s\t%s\n", plain(n.VoutV), plain(n.IoutA), plain(n.PoutW))
	_ = w.Flush()
	say(w, "  temperatures\t%s; none above %s °C\n", cmp.Or(strings.Join(s.Temperatures, ", "), "none"), plain(n.TemperatureC))
	say(w, "  fans\tup to %s rpm\n", plain(n.FanRPM))
	say(w, "  energy\t%s\n", map[bool]string{true: "counted by the supply", false: "not counted by the supply"}[s.Energy])
	if s.Page != nil {
		say(w, "  page\t%d\n", *s.Page)
	}
	say(w, "  packet error codes\t%s\n", s.PEC)
	say(w, "  writes\t%s\n", cmp.Or(strings.Join(s.Writes, " "), "nothing"))
	for i, part := range slices.Collect(slices.Chunk(s.Reads, readsInLine)) {
		say(w, "  %s\t%s\n", map[bool]string{true: "reads"}[i == 0], strings.Join(part, " "))
	}
	_ = w.Flush()
}

// readsInLine keeps a line of commands below 100 columns.
const readsInLine = 4

func (s psuSummary) whose() string {
	switch {
	case s.Manufacturer == "" && len(s.Products) == 0:
		return "power supplies of any maker"
	case len(s.Products) == 0:
		return "all power supplies of " + s.Manufacturer
	default:
		return fmt.Sprintf("power supplies of %s whose MFR_MODEL begins with %s", cmp.Or(s.Manufacturer, "any maker"), strings.Join(s.Products, " or "))
	}
}

func listPDUs(a *app, all []pduSummary) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "PDU MODEL\tBOARD\tSUPPLY\tOUTLETS\tBANKS\tMETERS\tA SWITCH IS PROVEN BY\n")
	for _, s := range all {
		var banks []string
		for _, b := range s.Banks {
			banks = append(banks, b.Bank)
		}
		say(w, "%s\t%s %s\t%s %s V\t%d\t%s\t%s\t%s\n", s.Name, s.Manufacturer, s.Product, s.Current, plain(s.NominalV), len(s.Outlets), strings.Join(banks, " "), s.meters(), s.proofs())
	}
	_ = w.Flush()
}

// meters counts the meters by part.
func (s pduSummary) meters() string {
	count := map[string]int{}
	var order []string
	for _, g := range s.Segments {
		for _, p := range g.Parts {
			if p.Role != pdu.RoleMeter {
				continue
			}
			if count[p.Part] == 0 {
				order = append(order, p.Part)
			}
			count[p.Part]++
		}
	}
	for i, part := range order {
		order[i] = fmt.Sprintf("%d %s", count[part], part)
	}
	return cmp.Or(strings.Join(order, ", "), "none")
}

// proofs lists what proves a switch, over all outlets.
func (s pduSummary) proofs() string {
	var out []string
	for _, o := range s.Outlets {
		if !slices.Contains(out, string(o.Proof)) {
			out = append(out, string(o.Proof))
		}
	}
	return strings.Join(out, ", or ")
}

func listPSUs(a *app, all []psuSummary) {
	a.printf("\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "PSU PROFILE\tRATED OUTPUT\tFOR\n")
	for _, s := range all {
		say(w, "%s\t%s V, %s kW\t%s\n", s.Name, plain(s.Nameplate.VoutV), plain(s.Nameplate.PoutW/1000), s.whose())
	}
	_ = w.Flush()
}
