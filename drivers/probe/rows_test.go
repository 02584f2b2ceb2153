package probe

import (
	"context"
	"errors"
	"slices"
	"testing"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
)

// The table itself touches no address that is never to be touched, and writes nothing where relays, muxes or
// potentiometers may be.
func TestTheTable(t *testing.T) {
	for addr := range uint16(0x80) {
		asked := len(at(addr)) > 0
		if asked && Untouchable(addr) {
			t.Errorf("0x%02x is asked", addr)
		}
		byteless := addr >= 0x20 && addr <= 0x27 || addr >= 0x2c && addr <= 0x2f || addr >= 0x60
		for _, r := range at(addr) {
			if byteless && len(r.pointers) > 0 {
				t.Errorf("0x%02x: %s writes %x", addr, r.name, r.pointers)
			}
		}
	}
	for _, addr := range []uint16{0x00, 0x07, 0x08, 0x0c, 0x30, 0x37, 0x38, 0x3f, 0x61, 0x78, 0x7f} {
		if !Untouchable(addr) {
			t.Errorf("0x%02x may be touched", addr)
		}
	}
}

// deafBus counts what reaches it.
type deafBus struct{ n int }

func (b *deafBus) Tx(uint16, []byte, []byte) error { b.n++; return nil }
func (b *deafBus) SetSpeed(physic.Frequency) error { return drivers.Unsupported }
func (b *deafBus) String() string                  { return "deaf" }

// A row that asked for more than it states would be a mistake of this package: it is stopped before the bus.
func TestNothingPassesTheTable(t *testing.T) {
	quiet := row{name: "none", ranges: []uint16{0x20, 0x27}}
	ids := row{name: "ids", ranges: []uint16{0x40, 0x4f}, pointers: []byte{0xfe}}
	for _, c := range []struct {
		addr uint16
		row  row
		w    []byte
		r    int
		ok   bool
	}{
		{0x20, quiet, nil, 1, true},
		{0x20, quiet, []byte{0x00}, 1, false},
		{0x38, quiet, nil, 1, false},
		{0x40, ids, []byte{0xfe}, 2, true},
		{0x40, ids, []byte{0xfe}, 0, false},
		{0x40, ids, []byte{0xff}, 2, false},
		{0x40, ids, []byte{0xfe, 0x00}, 2, false},
		{0x40, ids, nil, 0, false},
	} {
		bus := new(deafBus)
		q := &question{ctx: context.Background(), bus: bus, addr: c.addr, row: c.row}
		ok := q.tx(c.w, make([]byte, c.r))
		if ok != c.ok || (bus.n == 1) != c.ok || (q.err == nil) != c.ok || !c.ok && !errors.Is(q.err, errNotAllowed) {
			t.Errorf("0x%02x %x: %t, %d transfers, %v", c.addr, c.w, ok, bus.n, q.err)
		}
		if q.tx(c.w, make([]byte, c.r)) && !c.ok {
			t.Errorf("0x%02x %x: sent after a refusal", c.addr, c.w)
		}
	}
}

// parrot answers every read of a register with fixed bytes, repeated, and a read without a register with zeros. With nothing
// to say it is not there.
type parrot struct {
	deafBus
	say map[byte][]byte
}

func (p *parrot) Tx(_ uint16, w, r []byte) error {
	if len(p.say) == 0 {
		return drivers.NoAnswer
	}
	if len(w) == 0 {
		clear(r)
		return nil
	}
	said := p.say[w[0]]
	if len(said) == 0 {
		return drivers.NoAnswer
	}
	for i := range r {
		r[i] = said[i%len(said)]
	}
	return nil
}

// What a part may answer, register by register, and what is made of it.
func TestRecognition(t *testing.T) {
	for name, c := range map[string]struct {
		addr uint16
		say  map[byte][]byte
		part string
		is   Confidence // empty: nobody there
	}{
		"nobody":                     {0x4c, nil, "", ""},
		"TMP421":                     {0x4c, map[byte][]byte{0xfe: {0x55}, 0xff: {0x21}}, "tmp421", Identified},
		"TMP442":                     {0x4c, map[byte][]byte{0xfe: {0x55}, 0xff: {0x42}}, "tmp442", Identified},
		"no TMP443":                  {0x4c, map[byte][]byte{0xfe: {0x55}, 0xff: {0x43}}, "", Answers},
		"no TMP424":                  {0x4c, map[byte][]byte{0xfe: {0x55}, 0xff: {0x24}}, "", Answers},
		"another maker":              {0x4c, map[byte][]byte{0xfe: {0x54}, 0xff: {0x21}}, "", Answers},
		"EMC1414":                    {0x4c, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x25}}, "emc1414", Identified},
		"EMC1423, without driver":    {0x4c, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x23}}, "", Answers},
		"EMC2303 among the sensors":  {0x4d, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x35}}, "emc2303", Identified},
		"EMC2303 where none can be":  {0x4e, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x35}}, "", Answers},
		"EMC2305":                    {0x4c, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x34}}, "emc2305", Identified},
		"EMC2305 beside the dials":   {0x2c, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x34}}, "", Answers},
		"EMC1412 beside the dials":   {0x2e, map[byte][]byte{0xfe: {0x5d}, 0xfd: {0x20}}, "", Answers},
		"nobody beside the dials":    {0x2f, nil, "", ""},
		"INA226":                     {0x4f, map[byte][]byte{0xfe: {0x54, 0x49}, 0xff: {0x22, 0x60}}, "ina226", Identified},
		"HDC1080":                    {0x40, map[byte][]byte{0xfe: {0x54, 0x49}, 0xff: {0x10, 0x50}}, "", Answers},
		"INA3221 where none can be":  {0x44, map[byte][]byte{0xfe: {0x54, 0x49}, 0xff: {0x32, 0x20}}, "", Answers},
		"INA228 of any revision":     {0x40, map[byte][]byte{0x3e: {0x54, 0x49}, 0x3f: {0x22, 0x8f}}, "ina228", Identified},
		"INA239":                     {0x40, map[byte][]byte{0x3e: {0x54, 0x49}, 0x3f: {0x23, 0x91}}, "", Answers},
		"TMP75":                      {0x48, map[byte][]byte{0x02: {0x4b, 0x00}, 0x03: {0x50, 0x00}}, "tmp75", LooksLike},
		"TMP75 with limits of ours":  {0x48, map[byte][]byte{0x02: {0x46, 0x00}, 0x03: {0x50, 0x00}}, "", Answers},
		"no TMP75 where none can be": {0x47, map[byte][]byte{0x02: {0x4b, 0x00}, 0x03: {0x50, 0x00}}, "", ""},
		"ADS1115":                    {0x4b, map[byte][]byte{0x02: {0x80, 0x00}, 0x03: {0x7f, 0xff}}, "ads1115", LooksLike},
		"no ADS1115 there":           {0x4c, map[byte][]byte{0x02: {0x80, 0x00}, 0x03: {0x7f, 0xff}}, "", Answers},
		"ones":                       {0x4c, map[byte][]byte{0xfe: {0xff}, 0xff: {0xff}, 0xfd: {0xff}, 0x3e: {0xff}, 0x3f: {0xff}, 2: {0xff}, 3: {0xff}}, "", Answers},
		"PMBus without a name":       {0x58, map[byte][]byte{0x99: {0x00}, 0x9a: {0x00}}, "", Answers},
		"PMBus with binary":          {0x58, map[byte][]byte{0x99: {0x02, 0x01, 0x02}, 0x9a: {0x01, 'A'}}, "", Answers},
		"PMBus without MFR_MODEL":    {0x58, map[byte][]byte{0x99: {0x03, 'A', 'D', 'I'}}, "", Answers},
		"a relative of the ADM1272":  {0x10, map[byte][]byte{0x99: {0x03, 'A', 'D', 'I'}, 0x9a: {0x07, 'A', 'D', 'M', '1', '2', '9', '3'}}, PartPMBus, Identified},
		"LTC4287":                    {0x10, map[byte][]byte{0x99: {0x03, 'L', 'T', 'C'}, 0x9a: {0x07, 'L', 'T', 'C', '4', '2', '8', '7'}}, "ltc4287", Identified},
	} {
		bus := &parrot{say: c.say}
		q := &question{ctx: context.Background(), bus: bus, addr: c.addr}
		f, there := q.all()
		if q.err != nil || there != (c.is != "") || f.Part != c.part || f.Confidence != c.is {
			t.Errorf("%s: %+v, %t, %v", name, f, there, q.err)
		}
	}
}

// Nothing that a part answers makes the asking fail, send what the table does not allow, or call a part identified that
// did not say so.
func FuzzAnswers(f *testing.F) {
	f.Add(uint16(0x4c), []byte{0x55, 0x21})
	f.Add(uint16(0x58), []byte{0x03, 'A', 'D', 'I'})
	f.Add(uint16(0x50), []byte{0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xfe})
	f.Add(uint16(0x1f), []byte{0x20, 0x41})
	f.Fuzz(func(t *testing.T, addr uint16, said []byte) {
		addr %= 0x80
		if len(said) == 0 {
			return
		}
		say := make(map[byte][]byte)
		for i := range 256 {
			k := i % len(said)
			say[byte(i)] = slices.Concat(said[k:], said[:k])
		}
		bus := &tally{parrot: parrot{say: say}}
		q := &question{ctx: context.Background(), bus: bus, addr: addr}
		found, _ := q.all()
		if errors.Is(q.err, errNotAllowed) || bus.longest > 1 || bus.sent > 40 {
			t.Errorf("0x%02x: %v, %d bytes at most, %d transfers", addr, q.err, bus.longest, bus.sent)
		}
		if Untouchable(addr) && bus.sent > 0 {
			t.Errorf("0x%02x was touched", addr)
		}
		if found.Confidence == Identified && found.Part == "" {
			t.Errorf("%+v", found)
		}
	})
}

// tally counts what passes.
type tally struct {
	parrot
	sent, longest int
}

func (b *tally) Tx(addr uint16, w, r []byte) error {
	b.sent++
	b.longest = max(b.longest, len(w))
	return b.parrot.Tx(addr, w, r)
}
