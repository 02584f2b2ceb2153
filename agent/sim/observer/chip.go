package observer

import "slices"

// kind is a kind of part that drives relays.
type kind uint8

// The kinds. A hot-swap controller counts as one relay: bit 7 of OPERATION.
const (
	expander16 kind = iota // TI SCPS200 TCA9555, table 3; NXP PCA9555 the same
	expander8              // NXP PCA9554 and PCA9554A; TI TCA9554 and TCA9554A the same
	operation              // PMBus OPERATION of an Analog Devices ADM1272
)

// kindOf knows the parts that a model file may name for relays; an empty name is what the file's schema makes of it.
func kindOf(part string) (kind, bool) {
	switch part {
	case "", "tca9555":
		return expander16, true
	case "pca9554", "pca9554a", "tca9554", "tca9554a":
		return expander8, true
	default:
		return 0, false
	}
}

// register is a register that counts, by what people call it.
type register string

// The registers of expanders, and the commands of a controller that move its output (PMBus 1.2 part II; POWER_CYCLE:
// Linux driver adm1275).
const (
	regLatch      register = "latch"
	regPolarity   register = "polarity"
	regDirection  register = "direction"
	regOperation  register = "OPERATION"
	regOnOff      register = "ON_OFF_CONFIG"
	regPowerCycle register = "POWER_CYCLE"
)

// Commands of a controller.
const (
	cmdOperation  = 0x01
	cmdOnOff      = 0x02
	cmdPowerCycle = 0xD9
)

// The values of OPERATION; anything else is somebody else's.
const (
	operationOn  = 0x80
	operationOff = 0x00
)

// register is what a command byte stands for; empty: nothing that counts.
func (k kind) register(command byte) register {
	at := command
	if k == expander16 { // bits above the lowest three do not count, and the lowest is the port
		at = command & 7 >> 1
	}
	if k == operation {
		return map[byte]register{cmdOperation: regOperation, cmdOnOff: regOnOff, cmdPowerCycle: regPowerCycle}[command]
	}
	return map[byte]register{1: regLatch, 2: regPolarity, 3: regDirection}[at]
}

// width is how many bytes of data a command takes before it begins anew.
func (k kind) width() int {
	if k == expander16 {
		return 2
	}
	return 1
}

// pins are the bits of the words that the part has.
func (k kind) pins() uint16 {
	switch k {
	case expander16:
		return 0xFFFF
	case expander8:
		return 0x00FF
	default:
		return operationOn
	}
}

// chip is one state that a part which drives relays can be in. A direction bit of 1 is an input; a controller has
// none. Its latch is OPERATION.
type chip struct {
	kind                       kind
	latch, polarity, direction uint16
	pointer                    byte
}

// powerOn is the state after a power-on or a brown-out: every pin an input, the latch all ones; the output on.
func powerOn(k kind) chip {
	x := chip{kind: k, latch: k.pins()}
	if k != operation {
		x.direction = k.pins()
	}
	return x
}

// word is a register's word; nil for what takes no writes.
func (x *chip) word(r register) *uint16 {
	switch r {
	case regLatch, regOperation:
		return &x.latch
	case regPolarity:
		return &x.polarity
	case regDirection:
		return &x.direction
	default:
		return nil
	}
}

// take is the state after a write. The command byte sets the pointer. In a 16-bit expander the pointer moves after each
// data byte to the other port of its pair and back (SCPS200, 8.5), in an 8-bit one it stays. A controller takes the two
// values of OPERATION and no other.
func (x chip) take(w []byte) chip {
	if len(w) == 0 {
		return x
	}
	x.pointer = w[0]
	if x.kind == expander16 {
		x.pointer &= 7
	}
	for _, b := range w[1:] {
		word := x.word(x.kind.register(x.pointer))
		switch {
		case word == nil || x.kind == operation && b != operationOn && b != operationOff:
		case x.kind == expander16:
			shift := 8 * (x.pointer & 1)
			*word = *word&^(0xFF<<shift) | uint16(b)<<shift
		default:
			*word = uint16(b)
		}
		x.next(1)
	}
	return x
}

// next moves the pointer on by some bytes.
func (x *chip) next(bytes int) {
	if x.kind == expander16 {
		x.pointer ^= byte(bytes & 1)
	}
}

// tells gives the state after bytes were read, and whether they are what this state would have answered. What the input
// registers say depends on the pins and is believed, and so is what follows a controller's one byte.
func (x chip) tells(r []byte) (chip, bool) {
	for i, b := range r {
		word := x.word(x.kind.register(x.pointer))
		shift := byte(0)
		if x.kind == expander16 {
			shift = 8 * (x.pointer & 1)
		}
		if word != nil && byte(*word>>shift) != b && (x.kind != operation || i == 0) {
			return x, false
		}
		x.next(1)
	}
	return x, true
}

// coil tells whether the part drives an outlet's relay. A pin that is an input drives nothing.
func (x chip) coil(o *outlet) bool {
	return x.direction&o.bit == 0 && (x.latch&o.bit != 0) == o.activeHigh
}

// closed is what the registers make of an outlet's relay: a sound contact follows its coil.
func (x chip) closed(o *outlet) bool { return x.coil(o) != o.normallyClosed }

// drive is the state in which an outlet's coil is as given.
func (x chip) drive(o *outlet, coil bool) chip {
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

// heard is what a part makes of the bytes of a transfer to it. An expander takes all of them. A controller takes a
// command with one byte of data, or none, and a packet error code behind it if that is right; what does not have this
// shape sets its pointer and nothing else.
func (k kind) heard(addr uint16, w []byte, reads int) []byte {
	if k != operation || len(w) < 2 {
		return w
	}
	data := 1
	if k.register(w[0]) == regPowerCycle {
		data = 0
	}
	switch {
	case reads > 0:
	case len(w) == 1+data:
		return w
	case len(w) == 2+data && w[len(w)-1] == packetCode(addr, w[:len(w)-1]):
		return w[:len(w)-1]
	}
	return w[:1]
}

// packetCode is the packet error code of a write: CRC-8, polynomial x^8 + x^2 + x + 1, over the address byte and what
// follows it (SMBus 3.2, 6.4).
func packetCode(addr uint16, w []byte) byte {
	var crc byte
	for _, b := range slices.Concat([]byte{byte(addr << 1)}, w) {
		crc ^= b
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= 0x07
			}
		}
	}
	return crc
}

// distinct drops what is there twice.
func distinct(states []chip) []chip {
	var out []chip
	for _, s := range states {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// each maps states.
func each(states []chip, f func(chip) chip) []chip {
	out := make([]chip, 0, len(states))
	for _, s := range states {
		out = append(out, f(s))
	}
	return out
}
