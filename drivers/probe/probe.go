// Package probe finds out what answers on an I2C bus that nobody has described yet, by reading alone.
//
// On a bus with relays a byte too many is a switch thrown. A PCF8574 puts every byte on its pins, the number of a register
// of a meter is a write to the latch of a PCA9554A at the same address, a meter's frame opens the channels of a PCA9548, and
// a digital potentiometer, which may set a supply's voltage, takes any byte for its setting (AD5246, AD5241, MCP4017). A
// MAX519 at 0x2a clears its outputs or lets go of them (Maxim MAX517/MAX518/MAX519 data sheet: RST and PD). So
// what may be sent where is one table (rows), and everything passes one place that holds it to the table (question.tx): at
// some addresses nothing, at some a read without any write, at the others the number of an identification register, one
// byte, and a read in the same transfer. No register is written, no channel is connected, and nothing is repeated.
//
// What remains: at the addresses of the third kind sit, on other boards, a few parts that take a lone byte for a command. The
// converter PCF8591 turns its analogue output on or off at 0x48 to 0x4f, and a humidity sensor of the SHT2x kind resets
// itself at 0x40. None of them switches a load, and a board that has one of them in such a role is not to be probed.
//
// The package recognises; it does not configure, proposes nothing, looks behind no mux, and does not find what cannot be
// asked safely: relay expanders, meters, air sensors, fan controllers at 0x2c to 0x2f, beside the potentiometers, and a
// TMP42x at 0x2a.
package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
)

// Limit is what one bus may take. Asking all addresses takes 0.2 s at 100 kHz; the limit is for adapters that need a second
// for each address where nobody answers. Arbitrary.
const Limit = 15 * time.Second

// Confidence says how well a part is known by what it answered.
type Confidence string

// The confidences, best first.
const (
	Identified Confidence = "identified" // its identification registers hold what only this part has
	LooksLike  Confidence = "looks like" // what it answered fits, and would fit other parts
	Answers    Confidence = "answers"    // something is there
	Failed     Confidence = "failed"     // a transfer failed in another way than for want of an answer
)

// The parts that Recognise names besides the names of their drivers.
const (
	PartPMBus  = "pmbus"  // speaks PMBus and is no part with a driver of its own; Ident says who made it
	PartMemory = "memory" // an EEPROM; Ident is that of its board, if it holds one
)

// Found is what is known of one address.
type Found struct {
	Addr       uint16
	Part       string // in lower case, as the drivers and the configuration call it; empty: not known
	Confidence Confidence
	Why        string        // what it answered, in words
	Ident      drivers.Ident // of PartPMBus and PartMemory: what they say of themselves
	Read       byte          // where no byte is ever written: what was read. Of a mux, a bit for each channel that is connected
}

// The addresses that devices may have (I2C-bus specification UM10204, table 4).
const (
	firstAddr = 0x08
	lastAddr  = 0x77
)

// Untouchable tells whether nothing is ever sent to an address: it is reserved, has a meaning of its own (0x08 SMBus host,
// 0x0c alert response, 0x61 default address: SMBus 2.0, appendix C), writes the protection of memory modules (0x30 to 0x37:
// JEDEC EE1004), or is where a PCF8574A or a PCA9554A with relays may sit beside a meter (0x38 to 0x3f).
func Untouchable(addr uint16) bool {
	switch {
	case addr < firstAddr, addr > lastAddr, addr >= 0x30 && addr <= 0x3f:
		return true
	default:
		return addr == 0x08 || addr == 0x0c || addr == 0x61
	}
}

// mostFailed is how many addresses in a row may fail by the bus's fault before the bus is left alone: one device may hold
// a line, two in a row with no acknowledgement in between are the bus.
const mostFailed = 2

// Recognise asks all addresses of a bus in order, but for those that skip names: a kernel driver owns them, or they are
// known already. An error says why it ended early; what was found until then comes with it. It ends with ctx, after Limit,
// when the bus hangs or is fenced off, and when two addresses in a row fail otherwise than by silence.
func Recognise(ctx context.Context, conn i2cbus.Conn, skip func(addr uint16) bool) ([]Found, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Limit, fmt.Errorf("the bus took longer than %s", Limit))
	defer cancel()
	var all []Found
	asked, answered, failed := 0, 0, 0
	for addr := uint16(firstAddr); addr <= lastAddr; addr++ {
		if Untouchable(addr) || skip(addr) || len(at(addr)) == 0 {
			continue
		}
		f, there, err := ask(ctx, conn, addr)
		asked++
		switch says(err) {
		case nothing:
			return all, err
		case aboutTheBus:
			failed++
		default:
			failed = 0
		}
		if err != nil {
			f, there = Found{Addr: addr, Confidence: Failed, Why: err.Error()}, true
		} else if there {
			answered++
		}
		if there {
			all = append(all, f)
		}
		if failed == mostFailed {
			return all, err
		}
	}
	return all, clamped(conn, asked, answered)
}

// evidence is what the outcome of an address says of its bus.
type evidence int

const (
	alive       evidence = iota // lines move, or it is not asked for other reasons than the bus's
	aboutTheBus                 // somebody may hold a line
	nothing                     // nothing was sent, and nothing will be
)

func says(err error) evidence {
	switch drivers.FaultOf(err) {
	case drivers.None, drivers.Corrupt, drivers.Foreign:
		return alive
	case drivers.Timeout, drivers.BusFault, drivers.Arbitration:
		return aboutTheBus
	default:
		return nothing
	}
}

// clamped is the error of a bus on which every address answers: nobody drives it, or something holds the data line.
func clamped(conn i2cbus.Conn, asked, answered int) error {
	const few = 16 // arbitrary: with most addresses skipped the others may well be taken
	if asked < few || answered < asked {
		return nil
	}
	return &drivers.Error{
		Op: "recognise", Device: conn.String(), Fault: drivers.Implausible,
		Err: errors.New("every address answers: the data line is held low, and nothing that was read means anything"),
	}
}

// ask goes through the rows of one address, in one job.
func ask(ctx context.Context, conn i2cbus.Conn, addr uint16) (f Found, there bool, err error) {
	err = conn.Do(ctx, func(tx i2c.Bus) error {
		q := &question{ctx: ctx, bus: tx, addr: addr}
		f, there = q.all()
		return q.err
	})
	return f, there, err
}

// all asks until a row knows the part.
func (q *question) all() (best Found, there bool) {
	for _, r := range at(q.addr) {
		q.row = r
		f, ok := r.ask(q)
		if q.err != nil {
			return Found{}, false
		}
		f.Addr = q.addr
		if ok && f.Confidence == Identified {
			return f, true
		}
		if ok && (best.Confidence == "" || best.Confidence == Answers) {
			best = f
		}
	}
	if best.Confidence == "" && q.answered {
		return Found{Addr: q.addr, Confidence: Answers, Why: "no identification register says what it is"}, true
	}
	return best, best.Confidence != ""
}
