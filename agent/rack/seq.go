package rack

// SeqOf names one count of commands: seq rises within it, so that an older command cannot be taken after a newer one.
// An issuer has one for its commands at large, and one for those bound to a boot of the agent. Key is the key that brought it
// there, so that what a revoked one did can be told apart; empty: not known, or all of them.
type SeqOf struct{ Issuer, Key, AudBoot string }

// MarshalText lets a SeqOf be a key in JSON.
func (s SeqOf) MarshalText() ([]byte, error) {
	return []byte(s.Issuer + " " + s.Key + " " + s.AudBoot), nil
}
