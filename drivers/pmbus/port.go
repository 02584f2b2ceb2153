package pmbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// state is what all handles on one part share.
type state struct {
	checking atomic.Bool // transfers carry a packet error code
	// doubt is set while the part may hold unread bytes of an answer that broke off.
	doubt atomic.Bool
	last  atomic.Pointer[time.Time] // end of the last transfer; nil: none, or no delay asked for
	proof atomic.Pointer[Proof]     // nil: the profile's
}

// Port carries commands to one part. It may be used from several goroutines if its bus may.
type Port struct {
	part  chip.Port
	rules *rules
	state *state
}

// New checks the address and the profile and touches nothing. part is the word that errors begin with, name the one
// the configuration gives.
func New(bus i2c.Bus, part, name string, addr uint16, p Profile) (*Port, error) {
	port, err := chip.NewPort(bus, part, name, addr, chip.Strapped())
	if err != nil {
		return nil, err
	}
	r, err := p.rules()
	if err != nil {
		return nil, fmt.Errorf("%s: profile: %w", port, err)
	}
	return &Port{part: port, rules: r, state: new(state)}, nil
}

// On is the same part reached through another handle of its bus. What was learnt of the part is shared.
func (p *Port) On(bus i2c.Bus) *Port {
	return &Port{part: p.part.On(bus), rules: p.rules, state: p.state}
}

// String names the part as its errors do.
func (p *Port) String() string { return p.part.String() }

// Fail is an error of this part. cause may be nil.
func (p *Port) Fail(op string, c Command, f drivers.Fault, cause error) error {
	return p.part.Fail(op, p.name(c), f, cause)
}

func (p *Port) name(c Command) string {
	if name, ok := p.rules.p.Names[c]; ok {
		return name
	}
	return c.String()
}

// Checks tells whether transfers carry a packet error code.
func (p *Port) Checks() bool { return p.state.checking.Load() }

// Negotiate begins an identification: it finds out whether the part can check transfers, and turns that on if so.
// CAPABILITY itself is read without a code; a part that does not acknowledge it, or reads FF there, has none (Linux
// drivers ibm-cffps and delta-ahe50dc-fan). An older answer is done away with without proof, since it may be another part
// that is there now.
func (p *Port) Negotiate(ctx context.Context) error {
	p.state.checking.Store(false)
	if p.state.doubt.Load() {
		if err := p.drain(ctx, "identify"); err != nil {
			return err
		}
	}
	if p.rules.p.Checking == CheckNever || !p.rules.reads[CAPABILITY] {
		return nil
	}
	able, err := p.able(ctx)
	if err != nil {
		return err
	}
	if !able && p.rules.p.Checking == CheckAlways {
		return p.Fail("identify", CAPABILITY, drivers.WrongDevice, errors.New("no packet error checking"))
	}
	p.state.checking.Store(able)
	return nil
}

// CAPABILITY bit 7: the part checks packets.
const capabilityPEC = 0x80

func (p *Port) able(ctx context.Context) (bool, error) {
	b, err := p.Byte(ctx, "identify", CAPABILITY)
	switch {
	case errors.Is(err, drivers.NoAnswer) && p.rules.p.Checking == CheckIfAble:
		return false, nil
	case err != nil:
		return false, err
	case b == 0xff || b&capabilityPEC == 0:
		return false, nil
	}
	w, r := []byte{byte(CAPABILITY)}, make([]byte, 2)
	if err := p.tx(ctx, "identify", CAPABILITY, w, r); err != nil {
		return false, err
	}
	return r[0] == b && r[1] == transferPEC(p.part.Addr(), w, r[:1]), nil
}

// Byte reads a register of one byte.
func (p *Port) Byte(ctx context.Context, op string, c Command) (byte, error) {
	var r [1]byte
	err := p.read(ctx, op, c, []byte{byte(c)}, r[:])
	return r[0], err
}

// Word reads a register of two bytes.
func (p *Port) Word(ctx context.Context, op string, c Command) (uint16, error) {
	var r [2]byte
	err := p.read(ctx, op, c, []byte{byte(c)}, r[:])
	return uint16(r[0]) | uint16(r[1])<<8, err
}

// maxBlock is the longest block (SMBus 2.0, 5.5.7).
const maxBlock = 32

// Block reads a block of exactly n bytes. A part that counts others is drivers.Corrupt: the rest of what it sent is
// unread or was never there. Nothing but ones is drivers.Implausible: nobody drives the line.
func (p *Port) Block(ctx context.Context, op string, c Command, n int) ([]byte, error) {
	if n < 1 || n > maxBlock {
		return nil, p.Fail(op, c, drivers.Unsupported, fmt.Errorf("block of %d bytes", n))
	}
	r := make([]byte, 1+n)
	err := p.read(ctx, op, c, []byte{byte(c)}, r)
	var code *codeError
	switch {
	case err != nil && !errors.As(err, &code):
		return nil, err
	case bytes.Count(r, []byte{0xff}) == len(r):
		return nil, p.part.Ones(op, p.name(c))
	case int(r[0]) != n: // before the code, which then was read from the wrong place
		p.state.doubt.Store(true)
		return nil, p.Fail(op, c, drivers.Corrupt, &lengthError{want: n, got: int(r[0])})
	case err != nil:
		return nil, err
	}
	return r[1:], nil
}

// lengthError is a block whose count is not what was expected.
type lengthError struct{ want, got int }

func (e *lengthError) Error() string {
	return fmt.Sprintf("block of %d bytes instead of %d", e.got, e.want)
}

// codeError is a wrong packet error code.
type codeError struct{ want, got byte }

func (e *codeError) Error() string {
	return fmt.Sprintf("packet error code %02x instead of %02x", e.got, e.want)
}

// AnyBlock reads a block whose length is likely this one, or 0 if nothing is known. Where it is another one the block is
// read again with the length it named, for which emptying a queue takes 33 transfers: this is for identification.
func (p *Port) AnyBlock(ctx context.Context, op string, c Command, likely int) ([]byte, error) {
	if likely == 0 {
		likely = 1
	}
	b, err := p.Block(ctx, op, c, likely)
	var other *lengthError
	if !errors.As(err, &other) || other.got < 1 || other.got > maxBlock {
		return b, err
	}
	if err := p.drain(ctx, op); err != nil {
		return nil, err
	}
	return p.Block(ctx, op, c, other.got)
}

// Remember makes the answer of a part that was just identified the proof that it answers in step.
func (p *Port) Remember(proof Proof) {
	proof.Answer = bytes.Clone(proof.Answer)
	p.state.proof.Store(&proof)
}

// Text reads a block of printable ASCII without the blanks and zeros it is padded with. likely is as for AnyBlock.
func (p *Port) Text(ctx context.Context, op string, c Command, likely int) (string, error) {
	b, err := p.AnyBlock(ctx, op, c, likely)
	if err != nil {
		return "", err
	}
	text, ok := Text(b)
	if !ok {
		return "", p.Fail(op, c, drivers.Corrupt, fmt.Errorf("%x is no text", b))
	}
	return text, nil
}

// Text trims what texts are padded with at their end: blanks and zeros. It is false for what is not printable ASCII.
func Text(b []byte) (string, bool) {
	b = bytes.TrimRight(b, " \x00")
	for _, x := range b {
		if x < ' ' || x > '~' {
			return "", false
		}
	}
	return string(b), true
}

// Coefficients asks the part for the DIRECT coefficients of a command's register.
func (p *Port) Coefficients(ctx context.Context, op string, of Command, writing bool) (Direct, error) {
	direction := byte(1)
	if writing {
		direction = 0
	}
	r := make([]byte, 1+coefficientsLen)
	if err := p.read(ctx, op, COEFFICIENTS, []byte{byte(COEFFICIENTS), 2, byte(of), direction}, r); err != nil {
		return Direct{}, err
	}
	d, ok := ParseCoefficients(r[1:])
	if r[0] != coefficientsLen || !ok {
		p.state.doubt.Store(true)
		return Direct{}, p.Fail(op, COEFFICIENTS, drivers.Corrupt, fmt.Errorf("answer %x", r))
	}
	return d, nil
}

// SetByte writes a register of one byte.
func (p *Port) SetByte(ctx context.Context, c Command, v byte) error {
	return p.write(ctx, c, []byte{byte(c), v})
}

// SetWord writes a register of two bytes.
func (p *Port) SetWord(ctx context.Context, c Command, v uint16) error {
	return p.write(ctx, c, []byte{byte(c), byte(v), byte(v >> 8)})
}

// Send sends a command without data.
func (p *Port) Send(ctx context.Context, c Command) error { return p.write(ctx, c, []byte{byte(c)}) }

// SetByteBack writes a register of one byte and reads it back; chip.Port.WriteBack says what it promises.
func (p *Port) SetByteBack(ctx context.Context, c Command, v byte) (chip.Written, error) {
	return p.part.WriteBack(ctx, p.name(c), uint16(v),
		func(ctx context.Context) error { return p.SetByte(ctx, c, v) },
		func(ctx context.Context) (uint16, error) {
			got, err := p.Byte(ctx, "read back", c)
			return uint16(got), err
		})
}

// SetWordBack is SetByteBack for a register of two bytes.
func (p *Port) SetWordBack(ctx context.Context, c Command, v uint16) (chip.Written, error) {
	return p.part.WriteBack(ctx, p.name(c), v,
		func(ctx context.Context) error { return p.SetWord(ctx, c, v) },
		func(ctx context.Context) (uint16, error) { return p.Word(ctx, "read back", c) })
}

var _ fmt.Stringer = (*Port)(nil)
