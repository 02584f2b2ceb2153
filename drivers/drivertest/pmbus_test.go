package drivertest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// bareDevice is a device with one of each shape of command.
func bareDevice(o PMBusOpts) *PMBus {
	return NewPMBus(o, nil, append(
		NamePMBus(true, nil, 0x03, 0x10, 0x78, 0x79, 0x7A, 0x7C, 0x7E),
		PMBusCommand{Code: 0x01, Kind: PMBusByte, Writable: true, Value: []byte{0x80}},
		PMBusCommand{Code: 0x19, Kind: PMBusByte, Value: []byte{0xB0}},
		PMBusCommand{Code: 0x20, Kind: PMBusByte, Value: []byte{0x17}},
		PMBusCommand{Code: 0x21, Kind: PMBusWord, Writable: true, Value: []byte{0x00, 0x18}},
		PMBusCommand{Code: 0x8B, Kind: PMBusWord, Value: []byte{0x1F, 0x08}},
		PMBusCommand{Code: 0x99, Kind: PMBusBlock, Value: []byte("ABC")},
		PMBusCommand{Code: 0xB0, Kind: PMBusBlock, Writable: true},
		PMBusCommand{Code: 0x30, Kind: PMBusCall, Call: func(in []byte) ([]byte, bool) {
			return []byte{in[0], 0x34, 0x12}, len(in) == 2
		}},
	)...)
}

// refuses wants a refusal.
func refuses(t *testing.T, c Chip, want Nack, w string, reads int) {
	t.Helper()
	if err := c.Tx(unhex(t, w), make([]byte, reads)); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", w, err, want)
	}
}

func TestLinear11(t *testing.T) {
	for _, v := range []struct {
		value float64
		code  uint16
	}{
		{399.5, 0xFB1F},
		{25.59375, 0xDB33},
		{1000, 0x03E8},
		{1848, 0x0B9C},
		{511.5, 0xFBFF},
		{144, 0xF240},
		{0, 0x0000},
		{-0.5, 0xB600},               // -512 * 2^-10
		{12, 0xD300},                 // 768 * 2^-6
		{1023.5, 0x0A00},             // rounds up to 1024, which needs the next exponent
		{1e9, 0x7BFF},                // clamped
		{-1e9, 0x7C00},               // clamped
		{0.0000152587890625, 0x8001}, // 2^-16
	} {
		if got := pmLinear11(v.value); got != v.code {
			t.Errorf("%v: %04x, want %04x", v.value, got, v.code)
		}
	}
}

func TestULinear16(t *testing.T) {
	for _, v := range []struct {
		volts    float64
		exponent int
		code     uint16
	}{
		{12, -9, 0x1800},
		{12.19922, -9, 0x1866},
		{12, -10, 0x3000},
		{12, -8, 0x0C00},
		{12, -12, 0xC000},
		{12, -6, 0x0300},
		{-1, -9, 0},
		{200, -12, 0xFFFF},
	} {
		if got := pmULinear16(v.volts, v.exponent); got != v.code {
			t.Errorf("%v V, 2^%d: %04x, want %04x", v.volts, v.exponent, got, v.code)
		}
	}
}

func TestPEC(t *testing.T) {
	if got := pmPEC([]byte("123456789")); got != 0xF4 {
		t.Errorf("check string: %02x", got)
	}
	c := bareDevice(PMBusOpts{Addr: 0x10, PEC: PECGood})
	get(t, c, "8b", "1f085b")
	get(t, c, "8b", "1f08") // nobody must ask for it
	get(t, c, "8b", "1f085bffff")
	c = bareDevice(PMBusOpts{Addr: 0x58, PEC: PECGood})
	get(t, c, "20", "17e4")
	get(t, c, "99", "0341424327")
	put(t, c, "018076")
	put(t, c, "0346")
	if c.Clears() != 1 {
		t.Errorf("%d CLEAR_FAULTS", c.Clears())
	}
	c.CorruptPEC(1)
	get(t, c, "20", "171b")
	get(t, c, "20", "17e4")
}

// A write with a wrong code is refused, changes nothing and is flagged; one without a code is taken.
func TestPECOnWrites(t *testing.T) {
	c := bareDevice(PMBusOpts{Addr: 0x58, PEC: PECGood})
	refuses(t, c, NackData, "010077", 0)
	get(t, c, "01", "80")
	get(t, c, "7e", "20")
	put(t, c, "0100")
	get(t, c, "01", "00")
	refuses(t, c, NackData, "0347", 0)
	if c.Clears() != 1 {
		t.Errorf("%d CLEAR_FAULTS, want the refused one", c.Clears())
	}
	get(t, c, "7e", "20")
	put(t, c, "b00141a7") // a block of one byte: B0 B0 01 41
	if got := c.Register(0, 0xB0); string(got) != "A" {
		t.Errorf("block %x", got)
	}
}

// Without packet error codes the extra byte is one too many.
func TestNoPEC(t *testing.T) {
	c := bareDevice(PMBusOpts{Addr: 0x58})
	get(t, c, "20", "17ff")
	put(t, c, "010076")
	get(t, c, "01", "80")
	get(t, c, "7e", "40")
	c = bareDevice(PMBusOpts{Addr: 0x58, PEC: PECWrong})
	get(t, c, "20", "171b")
}

func TestUnsupported(t *testing.T) {
	c := bareDevice(PMBusOpts{})
	refuses(t, c, NackData, "88", 2)
	refuses(t, c, NackData, "4a0000", 0)
	get(t, c, "7e", "80")
	get(t, c, "79", "0200")
	c = bareDevice(PMBusOpts{Unsupported: UnsupportedOnes})
	get(t, c, "88", "ffff")
	get(t, c, "7e", "80")
	put(t, c, "4a0000")
	c = bareDevice(PMBusOpts{Unsupported: UnsupportedOnes, NoBadCommand: true})
	get(t, c, "88", "ffff")
	get(t, c, "7e", "00")
	c = bareDevice(PMBusOpts{FalseBadCommand: []byte{0x20}})
	get(t, c, "20", "17")
	get(t, c, "7e", "80")
}

// What was not read comes first at the next read of anything, and the end repeats the answer.
func TestQueuesUnread(t *testing.T) {
	c := NewPMBus(PMBusOpts{QueuesUnread: true, Unsupported: UnsupportedOnes}, nil,
		PMBusCommand{Code: 0x99, Kind: PMBusBlock, Value: []byte("ADI")},
		PMBusCommand{Code: 0x88, Kind: PMBusWord, Value: []byte{0x1F, 0x08}},
		PMBusCommand{Code: 0x98, Kind: PMBusByte, Value: []byte{0x22}})
	get(t, c, "99", "03414449")
	get(t, c, "99", "03")
	get(t, c, "88", "4144") // letters as a voltage
	get(t, c, "88", "491f") // shifted
	get(t, c, "88", "081f")
	get(t, c, "98", "08")
	get(t, c, "98", "22")
	get(t, c, "98", "222222")
	get(t, c, "88", "1f081f")
	c.Reset()
	get(t, c, "88", "1f08")
}

func TestSplitRead(t *testing.T) {
	c := bareDevice(PMBusOpts{Addr: 0x58, PEC: PECGood})
	put(t, c, "8b") // points, orders nothing
	get(t, c, "", "1f08")
	if c.Writes(0x8B) != 0 {
		t.Error("a pointer was counted as a write")
	}
	get(t, c, "7e", "00")
}

func TestBadWrites(t *testing.T) {
	for _, v := range []struct{ w, cml string }{
		{"8b0000", "80"},   // read-only
		{"2100", "02"},     // too short
		{"21000000", "40"}, // too long
		{"1001", "40"},     // no such protection
		{"30028601", "02"}, // a process call without its read
	} {
		c := bareDevice(PMBusOpts{})
		put(t, c, v.w)
		get(t, c, "7e", v.cml)
		get(t, c, "21", "0018")
	}
}

func TestProcessCall(t *testing.T) {
	c := bareDevice(PMBusOpts{Addr: 0x58, PEC: PECGood})
	get(t, c, "30028601", "03863412")
	get(t, c, "30018601", "ffff") // the count is wrong
	get(t, c, "7e", "40")
	get(t, c, "8b00", "ffff") // data before a read of a word
	get(t, c, "7e", "42")
}

func TestStatusLatches(t *testing.T) {
	c := bareDevice(PMBusOpts{})
	c.SetFault(0, 0x7C, 0x18) // under-voltage, off
	get(t, c, "79", "0820")
	get(t, c, "78", "08")
	get(t, c, "7c", "18")
	put(t, c, "03")
	get(t, c, "7c", "18") // still so
	c.SetFault(0, 0x7C, 0)
	get(t, c, "7c", "18") // has been so
	put(t, c, "7c08")     // 1 clears
	get(t, c, "7c", "10")
	put(t, c, "03")
	get(t, c, "7c", "00")
	get(t, c, "79", "0000")
	c.SetFault(0, 0x7A, 0x20) // a warning that the low byte has no bit for
	get(t, c, "79", "0180")
	c.SetFault(0, 0x7A, 0x80)
	get(t, c, "79", "2080")
	if c.Clears() != 2 {
		t.Errorf("%d CLEAR_FAULTS", c.Clears())
	}
	c.SetFault(0, 0x7A, 0)
	c.Reset()
	get(t, c, "79", "0000")
	c = NewPMBus(PMBusOpts{}, nil, NamePMBus(false, nil, 0x7A, 0x7E)...)
	c.SetFault(0, 0x7A, 0x40)
	c.SetFault(0, 0x7A, 0)
	put(t, c, "7a40") // this one takes no such write
	get(t, c, "7a", "40")
	get(t, c, "7e", "80")
}

func TestWriteProtect(t *testing.T) {
	for _, v := range []struct{ level, operation, vout, block string }{
		{"00", "00", "3412", "41"},
		{"20", "00", "3412", ""},
		{"40", "00", "0018", ""},
		{"80", "80", "0018", ""},
	} {
		c := bareDevice(PMBusOpts{})
		put(t, c, "10"+v.level)
		put(t, c, "0100")
		put(t, c, "213412")
		put(t, c, "b00141")
		get(t, c, "01", v.operation)
		get(t, c, "21", v.vout)
		if got := c.Register(0, 0xB0); string(got) != string(unhex(t, v.block)) {
			t.Errorf("protection %s: block %x", v.level, got)
		}
		get(t, c, "7e", "00")
		put(t, c, "1000")
		put(t, c, "0140")
		get(t, c, "01", "40")
	}
	c := bareDevice(PMBusOpts{})
	c.SetFault(0, 0x7C, 0x10)
	c.SetFault(0, 0x7C, 0)
	put(t, c, "1080")
	put(t, c, "03")
	get(t, c, "7c", "10")
	if c.Clears() != 1 {
		t.Error("a CLEAR_FAULTS without effect was not counted")
	}
}

func TestFalseCounts(t *testing.T) {
	c := bareDevice(PMBusOpts{})
	c.SetCounts(0x99, 0, 33, 2)
	get(t, c, "99", "00ff")
	get(t, c, "99", "21414243ff")
	get(t, c, "99", "024142ff")
	get(t, c, "99", "00")
	c.SetCounts(0x99)
	get(t, c, "99", "03414243")
	c.Store(0, 0x99, 'X', 'Y')
	get(t, c, "99", "025859")
	c.Force(0, 0x8B, 0xFF, 0xFF)
	get(t, c, "8b", "ffff")
	c.Force(0, 0x8B)
	get(t, c, "8b", "1f08")
}

// pagedDevice is a device with the pages of the FSP YM-2151E; each page's word is its number.
func pagedDevice(o PMBusOpts) *PMBus {
	pages := []byte{0x00, 0x10, 0x20}
	rows := append(NamePMBus(false, pages, 0x79, 0x7A), NamePMBus(false, nil, 0x00, 0x03, 0x7E)...)
	return NewPMBus(o, pages, append(
		rows,
		PMBusCommand{Code: 0x8B, Kind: PMBusWord, Pages: pages, Get: func(p byte) []byte { return []byte{p, 0} }},
		PMBusCommand{Code: 0x21, Kind: PMBusWord, Pages: pages[1:], Writable: true, Value: []byte{0, 0}},
		PMBusCommand{Code: 0x98, Kind: PMBusByte, Value: []byte{0x22}},
	)...)
}

func TestPages(t *testing.T) {
	c := pagedDevice(PMBusOpts{})
	get(t, c, "8b", "0000")
	put(t, c, "0020")
	get(t, c, "00", "20")
	get(t, c, "8b", "2000")
	put(t, c, "210101")
	put(t, c, "0010")
	get(t, c, "21", "0000")
	get(t, c, "98", "22")
	put(t, c, "0001") // no such page
	get(t, c, "00", "10")
	get(t, c, "7e", "40")
	put(t, c, "0000")
	refuses(t, c, NackData, "21", 2) // not on this page
	put(t, c, "00ff")
	refuses(t, c, NackData, "8b", 2) // all pages are for writes
	put(t, c, "210707")
	for _, p := range []byte{0x10, 0x20} {
		if got := c.Register(p, 0x21); got[0] != 7 {
			t.Errorf("page %02x: %x", p, got)
		}
	}
	c.Reset()
	get(t, c, "00", "00")
}

// Status is per page, what went wrong on the wire is not.
func TestPagedStatus(t *testing.T) {
	c := pagedDevice(PMBusOpts{})
	c.SetFault(0x10, 0x7A, 0x10)
	c.SetFault(0x20, 0x7A, 0x10)
	c.SetFault(0x10, 0x7A, 0)
	c.SetFault(0x20, 0x7A, 0)
	get(t, c, "79", "0000")
	put(t, c, "0010")
	get(t, c, "79", "0180")
	refuses(t, c, NackData, "88", 2)
	get(t, c, "79", "0280")
	put(t, c, "03")
	get(t, c, "79", "0000")
	put(t, c, "0020")
	get(t, c, "79", "0180")
	put(t, c, "00ff")
	put(t, c, "03")
	put(t, c, "0020")
	get(t, c, "79", "0000")
}

func TestPageDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pagedDevice(PMBusOpts{PageDelay: 20 * time.Millisecond})
		put(t, c, "0020")
		time.Sleep(15 * time.Millisecond)
		refuses(t, c, NackAddress, "8b", 2)
		time.Sleep(5 * time.Millisecond)
		get(t, c, "8b", "2000")

		c = pagedDevice(PMBusOpts{PageDelay: 20 * time.Millisecond, StaleAfterPage: true})
		put(t, c, "0020")
		get(t, c, "00", "20")
		get(t, c, "8b", "0000") // of the page before
		time.Sleep(20 * time.Millisecond)
		get(t, c, "8b", "2000")
	})
}

func TestUnpowered(t *testing.T) {
	c := bareDevice(PMBusOpts{})
	put(t, c, "0100")
	c.SetPowered(false)
	refuses(t, c, NackAddress, "01", 1)
	c.SetPowered(true)
	get(t, c, "01", "80")
}

// The worked example: old 10 7F FE 00 00 01, new 20 01 01 00 04 01 is 66,064 codes in 1,024 samples.
func TestEnergyWraps(t *testing.T) {
	var a pmAccumulator
	a.sum, a.samples = 8355600<<8, 0x010000
	if got := a.einDirect(0x8000); string(got) != string(unhex(t, "107ffe000001")) {
		t.Errorf("old %x", got)
	}
	a.sum += 66064 << 8
	a.samples += 1024
	if got := a.einDirect(0x8000); string(got) != string(unhex(t, "200101000401")) {
		t.Errorf("new %x", got)
	}
	a = pmAccumulator{}
	a.add(2000, 3) // 6000 W: 5 whole turns of 1023 and 885
	if got := a.einLinear(0); string(got) != string(unhex(t, "750305030000")) {
		t.Errorf("linear %x", got)
	}
	if got := a.einLinear(4); string(got) != string(unhex(t, "772100030000")) { // 375 steps of 16 W
		t.Errorf("linear, 16 W: %x", got)
	}
	a = pmAccumulator{sum: 0x800000*65536 + 0x123456, samples: 1 << 24}
	if got := a.einExt(); string(got) != string(unhex(t, "5634120000000000")) {
		t.Errorf("extended %x", got)
	}
}

// A long gap is looked at in a bounded number of moments, and no conversion is lost.
func TestSamplerCountsAll(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, total := range []int{0, 1, 999, 4096, 4097, 1234567} {
		s := pmSampler{period: time.Millisecond, last: begin}
		var n uint64
		calls, before := 0, begin
		s.run(begin.Add(time.Duration(total)*time.Millisecond+999*time.Microsecond), func(at time.Time, k uint64) {
			n += k
			calls++
			if !at.After(before) || at.After(begin.Add(time.Duration(total)*time.Millisecond)) {
				t.Fatalf("%d: moment %v after %v", total, at.Sub(begin), before.Sub(begin))
			}
			before = at
		})
		if n != uint64(total) || calls > 4096 {
			t.Errorf("%d conversions: counted %d in %d calls", total, n, calls)
		}
		s.run(begin, func(time.Time, uint64) { t.Error("time went backwards") })
	}
}
