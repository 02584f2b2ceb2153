// Package sensirion is what the humidity sensors SHT3x and SHT4x (Sensirion) have in common: they know commands
// instead of registers, need time before they answer one, and guard every word of the answer with a CRC.
//
// It knows no command and no part. The packages sht3x and sht4x say which command, how long, and what the words mean.
package sensirion

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/chip"
)

// A part that is not ready does not acknowledge the read. It is asked again so often, so far apart: that belongs to
// the protocol of the part and repeats no failed transfer. Both figures are arbitrary; the waiting times of the
// drivers are those of the data sheets, so that the first read usually succeeds.
const (
	furtherReads = 2
	between      = time.Millisecond
)

// The range of both families (data sheets SHT3x-DIS and SHT4x, operating range): -40 to +125 degrees.
const (
	coldest = physic.ZeroCelsius - 40*physic.Celsius
	warmest = physic.ZeroCelsius + 125*physic.Celsius
)

// Command is one command of a part.
type Command struct {
	Name string        // for error texts, as the data sheet calls it
	Code []byte        // what is sent
	Time time.Duration // how long the part works before it answers
}

// Ask sends a command, waits, and reads so many words of answer. op is for error texts, as in chip.Port. The bus is
// free while the part works, and the end of ctx ends the waiting. A part forgets its command when another one comes,
// so it is asked by one caller at a time.
func Ask(ctx context.Context, p chip.Port, op string, c Command, words int) ([]uint16, error) {
	if err := p.Tx(ctx, op, c.Name, c.Code, nil); err != nil {
		return nil, err
	}
	wait := c.Time
	answer := make([]byte, 3*words)
	for further := 0; ; further++ {
		if err := pause(ctx, wait); err != nil {
			return nil, p.Fail(op, c.Name, drivers.Cancelled, err)
		}
		err := p.Tx(ctx, op, c.Name, nil, answer)
		if err == nil {
			break
		}
		if drivers.FaultOf(err) != drivers.NoAnswer || further == furtherReads {
			return nil, err
		}
		wait = between
	}
	if allOnes(answer) {
		return nil, p.Ones(op, c.Name)
	}
	got, err := Words(answer)
	if err != nil {
		return nil, p.Fail(op, c.Name, drivers.Corrupt, err)
	}
	return got, nil
}

// Words takes an answer apart: two bytes, high byte first, and their CRC make a word.
func Words(answer []byte) ([]uint16, error) {
	if len(answer)%3 != 0 {
		return nil, fmt.Errorf("%d bytes are no words", len(answer))
	}
	var words []uint16
	for ; len(answer) > 0; answer = answer[3:] {
		if want := CRC(answer[0], answer[1]); answer[2] != want {
			return nil, fmt.Errorf("word %d: CRC of %02x %02x is %02x, not %02x", len(words)+1, answer[0], answer[1], want, answer[2])
		}
		words = append(words, uint16(answer[0])<<8|uint16(answer[1]))
	}
	return words, nil
}

// CRC is the checksum of a word: polynomial 31h, start FFh, not reflected (data sheets, "Checksum Calculation").
func CRC(high, low byte) byte {
	crc := byte(0xff)
	for _, b := range [...]byte{high, low} {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// Temperature converts a temperature word: -45 to +130 degrees over the whole of it. It is false outside the range of
// the parts, so for 0000 and FFFF.
func Temperature(raw uint16) (physic.Temperature, bool) {
	t := physic.ZeroCelsius - 45*physic.Celsius + (175*physic.Celsius*physic.Temperature(raw)+32767)/65535
	return t, t >= coldest && t <= warmest
}

// Serial writes the two words of a serial number as the maker does.
func Serial(words []uint16) string { return fmt.Sprintf("%04x%04x", words[0], words[1]) }

func allOnes(b []byte) bool {
	for _, x := range b {
		if x != 0xff {
			return false
		}
	}
	return true
}

// pause waits. After the end of ctx it gives the reason.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
