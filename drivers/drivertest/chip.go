package drivertest

import "time"

// Chip is one simulated device. Its methods may be called from any goroutine.
type Chip interface {
	// Tx carries out one transfer that was addressed to the chip: w is what the master sends; r is what it reads,
	// after a repeated START where both are given. The error is nil or a Nack: what came before the refused byte
	// has taken effect.
	Tx(w, r []byte) error
	// Reset puts the registers at their power-on values, as a brown-out of the chip alone does. Memories keep their
	// contents.
	Reset()
}

// Nack says which byte a chip did not acknowledge.
type Nack uint8

// The two kinds of refusal a master can see.
const (
	NackAddress Nack = iota + 1 // nobody answers at this address
	NackData                    // the address was answered, a later byte was not
)

// Error makes a Nack the error of Chip.Tx.
func (n Nack) Error() string {
	if n == NackData {
		return "data byte not acknowledged"
	}
	return "address not acknowledged"
}

// Noise is a source of numbers that look random and depend on nothing but the seed and the slot asked for, so that a
// run can be repeated whatever the order of the questions.
type Noise uint64

// At gives a number in [-1, 1) for a slot.
func (n Noise) At(slot int64) float64 {
	return float64(n.mix(uint64(slot))>>11)/(1<<52) - 1
}

// Stream gives an independent source.
func (n Noise) Stream(i uint64) Noise { return Noise(n.mix(i ^ 0xA5A5A5A5)) }

// mix is the output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
func (n Noise) mix(x uint64) uint64 {
	z := uint64(n) + (x+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// clock gives the time source to use where the caller named none.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}
