package observer

import (
	"slices"
)

// Pairs of registers of a 16-bit expander, by their even number (TI SCPS200 TCA9555, table 3; NXP PCA9555 the same).
const (
	pairInput     = 0
	pairLatch     = 2
	pairPolarity  = 4
	pairDirection = 6
)

// expander is one state a relay expander can be in. A direction bit of 1 is an input.
type expander struct {
	latch, polarity, direction uint16
	pointer                    byte
}

// powerOn is the state after a power-on or a brown-out: every pin an input, the latch all ones.
func powerOn() expander { return expander{latch: 0xFFFF, direction: 0xFFFF} }

// word is the register pair at an even number; nil for the inputs, which take no writes.
func (x *expander) word(pair byte) *uint16 {
	switch pair {
	case pairLatch:
		return &x.latch
	case pairPolarity:
		return &x.polarity
	case pairDirection:
		return &x.direction
	default:
		return nil
	}
}

// take is the state after a write: the command byte sets the pointer, and after each data byte the pointer moves to
// the other port of its pair and back (SCPS200, 8.5).
func (x expander) take(w []byte) expander {
	if len(w) == 0 {
		return x
	}
	x.pointer = w[0] & 7
	for _, b := range w[1:] {
		if word := x.word(x.pointer &^ 1); word != nil {
			shift := 8 * (x.pointer & 1)
			*word = *word&^(0xFF<<shift) | uint16(b)<<shift
		}
		x.pointer ^= 1
	}
	return x
}

// tells gives the state after n bytes were read, and whether the bytes are what this state would have answered. What
// the input registers say depends on the pins and is believed.
func (x expander) tells(r []byte) (expander, bool) {
	for _, b := range r {
		if word := x.word(x.pointer &^ 1); word != nil && byte(*word>>(8*(x.pointer&1))) != b {
			return x, false
		}
		x.pointer ^= 1
	}
	return x, true
}

// coil tells whether the expander drives an outlet's relay. A pin that is an input drives nothing.
func (x expander) coil(o *outlet) bool {
	return x.direction&o.bit == 0 && (x.latch&o.bit != 0) == o.activeHigh
}

// closed is what the registers make of an outlet's relay: a sound contact follows its coil.
func (x expander) closed(o *outlet) bool { return x.coil(o) != o.normallyClosed }

// drive is the state in which an outlet's coil is as given.
func (x expander) drive(o *outlet, coil bool) expander {
	if coil {
		x.direction &^= o.bit
	}
	if coil == o.activeHigh {
		x.latch |= o.bit
	} else {
		x.latch &^= o.bit
	}
	return x
}

// distinct drops what is there twice.
func distinct(states []expander) []expander {
	var out []expander
	for _, s := range states {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// each maps states.
func each(states []expander, f func(expander) expander) []expander {
	out := make([]expander, 0, len(states))
	for _, s := range states {
		out = append(out, f(s))
	}
	return out
}
