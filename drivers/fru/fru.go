// Package fru parses the identity memory of a board: IPMI Platform Management FRU Information Storage Definition,
// version 1.0, revision 1.3. It is pure: bytes in, words out, bounded by the bytes it was given.
//
// It reads the chassis, board and product areas. It does not read the internal use and multi-record areas, does
// not write FRU images, and takes 8-bit text for Latin-1 whatever the area's language code says.
package fru

import (
	"errors"
	"fmt"
	"time"
)

// MaxSize is where the last area can end at the latest: offsets and lengths are one byte each and count 8 bytes.
const MaxSize = 255*8 + 255*8

// ErrEmpty means that the memory was never written: all ones.
var ErrEmpty = errors.New("fru: the memory is empty")

// ErrCorrupt means that a checksum, a length or a format version is wrong.
var ErrCorrupt = errors.New("fru: corrupt")

// FRU holds the areas that were present and whole; the others are nil.
type FRU struct {
	Chassis *Chassis
	Board   *Board
	Product *Product
}

// Chassis is the chassis info area.
type Chassis struct {
	Type       byte // SMBIOS chassis type
	PartNumber string
	Serial     string
	Extra      []string
}

// Board is the board info area.
type Board struct {
	Language     byte
	Made         time.Time // zero: unknown
	Manufacturer string
	Product      string
	Serial       string
	PartNumber   string
	File         string
	Extra        []string
}

// Product is the product info area.
type Product struct {
	Language     byte
	Manufacturer string
	Name         string
	Model        string
	Version      string
	Serial       string
	AssetTag     string
	File         string
	Extra        []string
}

const (
	unit          = 8 // bytes per step of offsets and lengths
	headerSize    = 8
	formatVersion = 0x01
)

// Parse reads an image. The areas are judged one by one: an error comes together with the areas that are whole.
// A broken common header gives no area at all.
func Parse(mem []byte) (FRU, error) {
	var f FRU
	if err := header(mem); err != nil {
		return f, err
	}
	err := errors.Join(
		area(mem, "chassis", 2, func(b []byte) (err error) { f.Chassis, err = chassis(b); return err }),
		area(mem, "board", 3, func(b []byte) (err error) { f.Board, err = board(b); return err }),
		area(mem, "product", 4, func(b []byte) (err error) { f.Product, err = product(b); return err }),
	)
	return f, err
}

// header checks the common header: version, and a sum of 0 modulo 256.
func header(mem []byte) error {
	if len(mem) < headerSize {
		return fmt.Errorf("%w: %d bytes are no header", ErrCorrupt, len(mem))
	}
	head := mem[:headerSize]
	switch {
	case blank(head):
		return ErrEmpty
	case head[0]&0x0f != formatVersion:
		return fmt.Errorf("%w: header has format version %d", ErrCorrupt, head[0]&0x0f)
	case sum(head) != 0:
		return fmt.Errorf("%w: header checksum", ErrCorrupt)
	}
	return nil
}

// area cuts out the area whose offset is at byte `at` of the header, checks it and gives its bytes without the
// checksum to parse. An absent area is no error.
func area(mem []byte, name string, at int, parse func([]byte) error) error {
	start := int(mem[at]) * unit
	if start == 0 {
		return nil
	}
	bad := func(what string) error { return fmt.Errorf("%w: %s area: %s", ErrCorrupt, name, what) }
	if start < headerSize || start+2 > len(mem) {
		return bad("begins outside the memory")
	}
	end := start + int(mem[start+1])*unit
	switch {
	case end == start || end > len(mem):
		return bad("ends outside the memory")
	case mem[start]&0x0f != formatVersion:
		return bad("format version")
	case sum(mem[start:end]) != 0:
		return bad("checksum")
	}
	if err := parse(mem[start : end-1 : end-1]); err != nil {
		return bad(err.Error())
	}
	return nil
}

func chassis(b []byte) (*Chassis, error) {
	fields, err := list(b[3:])
	if err != nil {
		return nil, err
	}
	c := &Chassis{Type: b[2]}
	c.Extra = assign(fields, &c.PartNumber, &c.Serial)
	return c, nil
}

func board(b []byte) (*Board, error) {
	fields, err := list(b[6:])
	if err != nil {
		return nil, err
	}
	d := &Board{Language: b[2], Made: made(b[3:6])}
	d.Extra = assign(fields, &d.Manufacturer, &d.Product, &d.Serial, &d.PartNumber, &d.File)
	return d, nil
}

func product(b []byte) (*Product, error) {
	fields, err := list(b[3:])
	if err != nil {
		return nil, err
	}
	p := &Product{Language: b[2]}
	p.Extra = assign(fields, &p.Manufacturer, &p.Name, &p.Model, &p.Version, &p.Serial, &p.AssetTag, &p.File)
	return p, nil
}

// made decodes minutes since 1996, low byte first.
func made(b []byte) time.Time {
	minutes := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if minutes == 0 {
		return time.Time{}
	}
	return time.Date(1996, time.January, 1, 0, minutes, 0, 0, time.UTC)
}

// assign puts fields in their places and returns what is left. A list may end early; the rest stays empty.
func assign(fields []string, to ...*string) (extra []string) {
	for i, f := range fields {
		if i < len(to) {
			*to[i] = f
		} else {
			extra = append(extra, f)
		}
	}
	return extra
}

func sum(b []byte) byte {
	var s byte
	for _, x := range b {
		s += x
	}
	return s
}

func blank(b []byte) bool {
	for _, x := range b {
		if x != 0xff {
			return false
		}
	}
	return true
}
