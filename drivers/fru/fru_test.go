package fru

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// vector is a board area at 8 behind the header 01 00 00 01 00 00 00 FE. Its fields show the four encodings.
func vector() []byte {
	return image(map[int][]byte{3: seal(append([]byte{0x01, 0, 0x19, 0x80, 0x97, 0xf8}, // 16,291,712 minutes
		fields(
			text("Acme"),
			[]byte{0x83, 0x29, 0xdc, 0xa6}, // six-bit "IPMI"
			[]byte{0x43, 0x12, 0xa4, 0xbc}, // BCD plus "12 4-."
			[]byte{0x02, 0xca, 0xfe},       // binary
			[]byte{0xc0},                   // empty text
			text("more"),
		)...))})
}

func TestBoard(t *testing.T) {
	mem := vector()
	if !bytes.Equal(mem[:8], []byte{0x01, 0, 0, 0x01, 0, 0, 0, 0xfe}) {
		t.Fatalf("header % x", mem[:8])
	}
	f, err := Parse(mem)
	if err != nil {
		t.Fatal(err)
	}
	want := &Board{
		Language: 0x19, Made: time.Date(1996, 1, 1, 0, 0xf89780, 0, 0, time.UTC),
		Manufacturer: "Acme", Product: "IPMI", Serial: "12 4-.", PartNumber: "cafe", Extra: []string{"more"},
	}
	if !reflect.DeepEqual(f.Board, want) || f.Chassis != nil || f.Product != nil {
		t.Errorf("got  %+v\nwant %+v", f.Board, want)
	}
}

func TestAllAreas(t *testing.T) {
	f, err := Parse(image(map[int][]byte{
		2: seal(append([]byte{0x01, 0, 0x17}, fields(text("CP-1"), text("CS-1"))...)),
		3: seal(append([]byte{0x01, 0, 0, 0, 0, 0}, fields(text("MM"), text("PP"))...)),
		4: seal(append([]byte{0x01, 0, 0}, fields(text("MM"), text("NN"), text("XX"), text("VV"), text("SS"), text("TT"), text("FF"))...)),
	}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Chassis{Type: 0x17, PartNumber: "CP-1", Serial: "CS-1"}); !reflect.DeepEqual(f.Chassis, want) {
		t.Errorf("chassis %+v", f.Chassis)
	}
	if want := (&Board{Manufacturer: "MM", Product: "PP"}); !reflect.DeepEqual(f.Board, want) {
		t.Errorf("board %+v: a list may end early", f.Board)
	}
	want := &Product{Manufacturer: "MM", Name: "NN", Model: "XX", Version: "VV", Serial: "SS", AssetTag: "TT", File: "FF"}
	if !reflect.DeepEqual(f.Product, want) {
		t.Errorf("product %+v", f.Product)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		kind byte
		b    []byte
		want string
	}{
		{typeSixBit, []byte{0x29, 0xdc, 0xa6}, "IPMI"},
		{typeSixBit, []byte{0x29, 0xdc}, "IP"},
		{typeSixBit, nil, ""},
		{typeBCDPlus, []byte{0x90, 0xbc, 0xdf}, "90-.??"},
		{typeBCDPlus, []byte{0x12, 0xaa}, "12"},
		{typeBinary, []byte{0x00, 0xff}, "00ff"},
		{typeLatin1, []byte("  pad\x00\x00 "), "pad"},
		{typeLatin1, []byte{'K', 0xf6, 'l', 'n'}, "Köln"},
		{typeLatin1, []byte("a\x1b[2J\x9b"), "a?[2J?"},
	} {
		if got := decode(c.kind, c.b); got != c.want {
			t.Errorf("type %d % x: %q, want %q", c.kind, c.b, got, c.want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
		part   string
	}{
		"nothing":                    {func([]byte) []byte { return nil }, ErrCorrupt, "no header"},
		"short":                      {func(m []byte) []byte { return m[:7] }, ErrCorrupt, "no header"},
		"empty":                      {func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 256) }, ErrEmpty, ""},
		"zeros":                      {func([]byte) []byte { return make([]byte, 256) }, ErrCorrupt, "version"},
		"one bit of the header":      {func(m []byte) []byte { m[5] ^= 0x10; return m }, ErrCorrupt, "header checksum"},
		"one bit of the area":        {func(m []byte) []byte { m[20] ^= 0x10; return m }, ErrCorrupt, "board area: checksum"},
		"cut":                        {func(m []byte) []byte { return m[:len(m)-1] }, ErrCorrupt, "ends outside"},
		"cut before the area":        {func(m []byte) []byte { return m[:8] }, ErrCorrupt, "begins outside"},
		"length 0":                   {func(m []byte) []byte { m[9] = 0; return m }, ErrCorrupt, "ends outside"},
		"other version of the area":  {func(m []byte) []byte { m[8] = 2; return m }, ErrCorrupt, "format version"},
		"field longer than the area": {func([]byte) []byte { return image(map[int][]byte{3: seal([]byte{1, 0, 0, 0, 0, 0, 0xff})}) }, ErrCorrupt, "longer than the area"},
		"field into the checksum": {func([]byte) []byte {
			return image(map[int][]byte{3: seal([]byte{1, 0, 0, 0, 0, 0, 0xc1 + 1, 'A', 'B', 0xc0 + 6})})
		}, ErrCorrupt, "longer than the area"},
	} {
		f, err := Parse(c.change(vector()))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v", name, err)
		}
		if f != (FRU{}) {
			t.Errorf("%s: gave %+v", name, f)
		}
	}
}

func TestOneBrokenAreaDoesNotHideAnother(t *testing.T) {
	broken := seal(append([]byte{0x01, 0, 0x17}, fields(text("CP"))...))
	broken[4] ^= 1
	f, err := Parse(image(map[int][]byte{
		2: broken,
		3: seal(append([]byte{0x01, 0, 0, 0, 0, 0}, fields(text("MM"))...)),
	}))
	if !errors.Is(err, ErrCorrupt) || f.Chassis != nil || f.Board == nil || f.Board.Manufacturer != "MM" {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(vector())
	f.Fuzz(func(t *testing.T, mem []byte) {
		got, err := Parse(mem)
		if err == nil && len(mem) < headerSize {
			t.Error("no header and no error")
		}
		if got.Board == nil {
			return
		}
		// Four characters at most come from three bytes: what comes out is bounded by what went in.
		if n := len(got.Board.Manufacturer + got.Board.Product + got.Board.Serial); n > 2*len(mem) {
			t.Errorf("%d bytes of text from %d bytes of memory", n, len(mem))
		}
		if len(got.Board.Extra) > len(mem) {
			t.Errorf("%d fields from %d bytes", len(got.Board.Extra), len(mem))
		}
	})
}

// image lays areas out behind a header; keys are places in the header.
func image(areas map[int][]byte) []byte {
	head := []byte{0x01, 0, 0, 0, 0, 0, 0, 0}
	var rest []byte
	for at := 1; at <= 5; at++ {
		if a := areas[at]; a != nil {
			head[at] = byte((headerSize + len(rest)) / unit)
			rest = append(rest, a...)
		}
	}
	head[7] = -sum(head)
	return append(head, rest...)
}

// seal fills in length and checksum.
func seal(b []byte) []byte {
	for len(b)%unit != unit-1 {
		b = append(b, 0)
	}
	b[1] = byte((len(b) + 1) / unit)
	return append(b, -sum(b))
}

func fields(fs ...[]byte) []byte { return append(bytes.Join(fs, nil), endOfList) }

// text is a field of 8-bit text; of two characters at least, since one is the end mark.
func text(s string) []byte { return append([]byte{0xc0 | byte(len(s))}, s...) }
