package wire

import "time"

// SelfTest is the payload of up/selftest. Whoever answers sends it to down/selftest as it is.
type SelfTest struct {
	Nonce string
	At    time.Time
}

type selfTestJSON struct {
	V     int    `json:"v"`
	Nonce string `json:"nonce"`
	At    int64  `json:"ts"`
}

// Encode writes the message.
func (s SelfTest) Encode() []byte {
	return encode(selfTestJSON{V: 1, Nonce: s.Nonce, At: millis(s.At)})
}
