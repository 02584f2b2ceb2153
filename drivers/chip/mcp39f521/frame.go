package mcp39f521

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/drivers"
)

// Pause lies between a frame and the first attempt to fetch its answer, and between attempts. The libraries wait
// 100 ms, 10 ms or not at all.
const Pause = 10 * time.Millisecond

// repeats is how often an answer that is not there is fetched again. Arbitrary.
const repeats = 5

// Bytes of the protocol. There are more commands; none of them is in this package.
const (
	header     = 0xa5 // begins a frame to the meter
	setAddress = 0x41 // followed by the register, high byte first
	readBytes  = 0x4e // followed by how many
	writeBytes = 0x4d // followed by how many and the bytes

	done     = 0x06 // begins an answer
	refused  = 0x15
	refused2 = 0x07 // in drwattson
	badSum   = 0x51 // the meter found our checksum wrong
)

// overhead is what an answer holds besides data: first byte, length, checksum.
const overhead = 3

// readFrame asks for n bytes from a register on.
func readFrame(r register, n int) []byte {
	return seal([]byte{header, 0, setAddress, byte(r >> 8), byte(r), readBytes, byte(n)})
}

// startCounting is the only write this package knows: energy counting on, low byte first as all registers. The
// checksum cannot tell the order of the two bytes.
func startCounting() []byte {
	const r = energyControl
	return seal([]byte{header, 0, setAddress, byte(r >> 8), byte(r & 0xff), writeBytes, 2, byte(counting & 0xff), counting >> 8})
}

// seal puts the length of the whole frame in its place and the checksum at its end.
func seal(frame []byte) []byte {
	frame[1] = byte(len(frame) + 1)
	return append(frame, sum(frame))
}

// sum adds bytes modulo 256.
func sum(b []byte) byte {
	var s byte
	for _, x := range b {
		s += x
	}
	return s
}

// open gives the data of an answer to a read.
func open(answer []byte) ([]byte, error) {
	switch last := len(answer) - 1; {
	case len(answer) < overhead || answer[0] != done:
		return nil, errors.New("no answer to a read")
	case int(answer[1]) != len(answer):
		return nil, fmt.Errorf("length %d instead of %d", answer[1], len(answer))
	case sum(answer[:last]) != answer[last]:
		return nil, fmt.Errorf("checksum %02x instead of %02x", answer[last], sum(answer[:last]))
	default:
		return answer[2:last], nil
	}
}

// read fetches n bytes from a register on.
func (d *Dev) read(ctx context.Context, op string, r register, n int) ([]byte, error) {
	answer, err := d.exchange(ctx, op, r, readFrame(r, n), n+overhead)
	if err != nil {
		return nil, err
	}
	data, err := open(answer)
	if err != nil {
		return nil, d.port.Fail(op, r.String(), drivers.Corrupt, err)
	}
	return data, nil
}

// word fetches a register of two bytes, low byte first, that never reads all ones.
func (d *Dev) word(ctx context.Context, op string, r register) (uint16, error) {
	data, err := d.read(ctx, op, r, 2)
	if err != nil {
		return 0, err
	}
	v := uint16(data[1])<<8 | uint16(data[0])
	if v == 0xffff {
		return 0, d.port.Ones(op, r.String())
	}
	return v, nil
}

// exchange writes a frame once and fetches n bytes of answer until they are one. A meter that is not ready answers
// with another first byte or does not acknowledge; any other fault ends it.
func (d *Dev) exchange(ctx context.Context, op string, r register, frame []byte, n int) ([]byte, error) {
	if err := d.port.Tx(ctx, op, r.String(), frame, nil); err != nil {
		return nil, err
	}
	answer := make([]byte, n)
	var err error
	for range 1 + repeats {
		if err := d.pause(ctx, op, r); err != nil {
			return nil, err
		}
		err = d.port.Tx(ctx, op, r.String(), nil, answer)
		if err == nil {
			if err = d.accepted(op, r, answer[0]); err == nil {
				return answer, nil
			}
		} else if drivers.FaultOf(err) != drivers.NoAnswer {
			return nil, err
		}
	}
	return nil, err
}

// accepted judges the first byte of an answer.
func (d *Dev) accepted(op string, r register, first byte) error {
	fault, why := drivers.Corrupt, fmt.Errorf("the answer begins with %02x", first)
	switch first {
	case done:
		return nil
	case badSum:
		why = errors.New("the meter found our checksum wrong")
	case refused, refused2:
		fault, why = drivers.Unsupported, errors.New("the meter refuses")
	case 0xff:
		return d.port.Ones(op, r.String())
	}
	return d.port.Fail(op, r.String(), fault, why)
}

// pause waits, or until the context ends.
func (d *Dev) pause(ctx context.Context, op string, r register) error {
	timer := time.NewTimer(Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return d.port.Fail(op, r.String(), drivers.Cancelled, context.Cause(ctx))
	}
}
