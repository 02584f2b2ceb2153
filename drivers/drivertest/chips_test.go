package drivertest

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestTCA9555PowerOn(t *testing.T) {
	var pins []Pins
	c := NewTCA9555(func(p Pins) { pins = append(pins, p) })
	for _, r := range []struct{ reg, want string }{
		{"00", "ffff"}, {"02", "ffff"}, {"04", "0000"}, {"06", "ffff"},
	} {
		get(t, c, r.reg, r.want)
	}
	if len(pins) != 0 {
		t.Errorf("pins moved at power-on: %v", pins)
	}
}

// The pointer toggles inside a port pair, for writes and for reads, also across transfers.
func TestTCA9555Pairs(t *testing.T) {
	c := NewTCA9555(nil)
	put(t, c, "023f12")
	get(t, c, "02", "3f12")
	get(t, c, "03", "123f")
	get(t, c, "02", "3f123f")
	put(t, c, "03aa")
	get(t, c, "02", "3faa")
	put(t, c, "02010203") // third byte goes to port 0 again
	get(t, c, "02", "0302")
	put(t, c, "0655aa")
	if c.Output() != 0x0203 || c.Direction() != 0xAA55 {
		t.Errorf("latch %04x direction %04x", c.Output(), c.Direction())
	}
	put(t, c, "06") // a pointer alone
	get(t, c, "", "55aa55")
}

func TestTCA9555Inputs(t *testing.T) {
	c := NewTCA9555(nil)
	put(t, c, "020ff0")
	put(t, c, "0600ff") // port 0 drives, port 1 listens
	c.Drive(0x3C00)
	get(t, c, "00", "0f3c")
	put(t, c, "04ffff")
	get(t, c, "00", "f0c3")
	put(t, c, "000000") // inputs take no writes
	get(t, c, "00", "f0c3")
}

func TestTCA9555TellsItsPins(t *testing.T) {
	var got []string
	c := NewTCA9555(func(p Pins) { got = append(got, fmt.Sprintf("%04x/%04x", p.High(), p.Driven)) })
	put(t, c, "023f00")
	put(t, c, "060000")
	c.Reset()
	c.Load(0x0081, 0xFF00)
	want := []string{
		"0000/0000", "0000/0000", // latch of two ports, nothing driven
		"003f/00ff", "003f/ffff", // direction, port by port
		"0000/0000", // brown-out
		"0081/00ff",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("pins\n got %v\nwant %v", got, want)
	}
	get(t, c, "06", "00ff")
}

// The register examples: 16 bits, high byte first, 1/256 °C.
func TestTMP75Values(t *testing.T) {
	for _, v := range []struct {
		celsius float64
		config  string
		want    string
	}{
		{25, "0160", "1900"},
		{60.5, "0160", "3c80"},
		{-25, "0160", "e700"},
		{127.9375, "0160", "7ff0"},
		{200, "0160", "7ff0"},
		{0.0625, "0160", "0010"},
		{-0.0625, "0160", "fff0"},
		{31.3125, "0160", "1f50"},
		{31.3125, "0100", "1f00"}, // 9 bits
		{31.3125, "0120", "1f40"}, // 10 bits
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewTMP75(func(time.Time) float64 { return v.celsius }, nil)
			put(t, c, v.config)
			time.Sleep(250 * time.Millisecond)
			get(t, c, "00", v.want)
		})
	}
}

func TestTMP75Registers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewTMP75(func(time.Time) float64 { return 20 }, nil)
		get(t, c, "01", "00")
		get(t, c, "02", "4b00")
		get(t, c, "03", "5000")
		put(t, c, "025a00")
		put(t, c, "0160")
		get(t, c, "02", "5a00")
		get(t, c, "01", "60")
		c.Reset()
		get(t, c, "02", "4b00")
		get(t, c, "01", "00")
	})
}

// Twelve bits take 220 ms: until then the register holds the old conversion.
func TestTMP75Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := NewTMP75(func(at time.Time) float64 { return 20 + at.Sub(begin).Seconds() }, nil)
		put(t, c, "0160")
		time.Sleep(219 * time.Millisecond)
		get(t, c, "00", "1400")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "1430") // 20.22 °C in steps of 1/16
		put(t, c, "0161")       // shut down
		time.Sleep(10 * time.Second)
		get(t, c, "00", "1430")
		put(t, c, "01e1") // one shot: 30.22 °C
		get(t, c, "00", "1e30")
	})
}

func TestPCA9548(t *testing.T) {
	c := NewPCA9548()
	get(t, c, "", "00")
	put(t, c, "05")
	get(t, c, "", "05")
	get(t, c, "80", "80") // write, repeated START, read
	put(t, c, "0102")     // the last byte counts
	if c.Control() != 2 {
		t.Errorf("control %02x", c.Control())
	}
	c.Reset()
	get(t, c, "", "00")
}

func mustAT24(t *testing.T, o AT24Opts) *AT24 {
	t.Helper()
	c, err := NewAT24(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAT24SmallPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustAT24(t, AT24Opts{Size: 256, PointerBytes: 1, PageSize: 8, Image: []byte{1, 2, 3, 4}})
		get(t, c, "00", "01020304ff")
		get(t, c, "", "ff") // goes on where it was
		get(t, c, "02", "0304")
		get(t, c, "fe", "ffff0102")                                      // rolls over
		put(t, c, "06aabbcc")                                            // wraps inside the page of 8
		if err := c.Tx([]byte{0}, make([]byte, 1)); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("busy part answered: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
		get(t, c, "00", "cc020304ffffaabb")
	})
}

// A two-byte pointer on a part with a one-byte pointer writes: the byte at 0 becomes 10h.
func TestAT24WrongPointerDestroys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustAT24(t, AT24Opts{Size: 256, PointerBytes: 1, PageSize: 8, Image: []byte{1, 2, 3, 4}})
		get(t, c, "0010", "02")
		if m := c.Memory(); !bytes.Equal(m[:4], []byte{0x10, 2, 3, 4}) {
			t.Errorf("memory % x", m[:4])
		}
	})
}

func TestAT24LargePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustAT24(t, AT24Opts{Size: 8192, PointerBytes: 2, PageSize: 32})
		put(t, c, "1000abcd")
		time.Sleep(5 * time.Millisecond)
		get(t, c, "1000", "abcdff")
		get(t, c, "10", "ff") // one pointer byte alone harms nothing
		get(t, c, "1000", "abcd")
		c.Reset()
		get(t, c, "", "ff")
	})
}

func TestAT24Description(t *testing.T) {
	for _, o := range []AT24Opts{
		{Size: 256, PointerBytes: 3, PageSize: 8},
		{Size: 512, PointerBytes: 1, PageSize: 16},
		{Size: 256, PointerBytes: 1, PageSize: 7},
		{Size: 4, PointerBytes: 1, PageSize: 4, Image: make([]byte, 5)},
	} {
		if _, err := NewAT24(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestFRUImage(t *testing.T) {
	f := FRU{
		Manufacturer: "ACME", Product: "AC8", Serial: "SN-0001", Part: "P/N 7", FileID: "v1", Extra: []string{"cal"},
		Made: time.Date(1996, 1, 1, 1, 1, 0, 0, time.UTC),
	}
	b, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{1, 0, 0, 1, 0, 0, 0, 0xFE}; !bytes.Equal(b[:8], want) {
		t.Errorf("header % x, want % x", b[:8], want)
	}
	area := b[8:]
	if len(area) != 8*int(area[1]) {
		t.Errorf("area of %d bytes says %d", len(area), 8*int(area[1]))
	}
	var sum byte
	for _, v := range area {
		sum += v
	}
	if sum != 0 {
		t.Errorf("area sums to %02x", sum)
	}
	if area[0] != 1 || area[3] != 61 || area[4] != 0 || area[5] != 0 {
		t.Errorf("version and time % x, want 61 minutes", area[:6])
	}
	want := "\xC4ACME\xC3AC8\xC7SN-0001\xC5P/N 7\xC2v1\xC3cal\xC1"
	if got := string(area[6 : 6+len(want)]); got != want {
		t.Errorf("fields\n got %q\nwant %q", got, want)
	}
}

func TestSixBitASCII(t *testing.T) {
	b, err := SixBitASCII("IPMI")
	if err != nil || !bytes.Equal(b, []byte{0x29, 0xDC, 0xA6}) {
		t.Errorf("% x, %v", b, err)
	}
	if b, err = SixBitASCII("A"); err != nil || !bytes.Equal(b, []byte{0x21}) {
		t.Errorf("% x, %v", b, err)
	}
	if _, err = SixBitASCII("lower"); err == nil {
		t.Error("lower case has no code")
	}
}

func TestFRUFields(t *testing.T) {
	for _, f := range []FRU{
		{Serial: "x"},                      // would read as the end of the list
		{Serial: string(make([]byte, 64))}, // too long
		{Serial: "abc", SixBit: true},
		{Extra: make([]string, 3000)},
	} {
		if _, err := f.Image(); err == nil {
			t.Errorf("%.40v was accepted", f)
		}
	}
	b, err := FRU{Serial: "IPMI", SixBit: true}.Image()
	if err != nil || !bytes.Contains(b, []byte{0x83, 0x29, 0xDC, 0xA6}) {
		t.Errorf("% x, %v", b, err)
	}
}

func TestNoise(t *testing.T) {
	a, b := Noise(1), Noise(2)
	var sum float64
	for i := range int64(10000) {
		v := a.At(i)
		if v < -1 || v >= 1 {
			t.Fatalf("%v is out of range", v)
		}
		if v == b.At(i) || v == a.Stream(1).At(i) {
			t.Fatalf("slot %d is the same for another source", i)
		}
		sum += v
	}
	if a.At(7) != a.At(7) || sum/10000 > 0.05 || sum/10000 < -0.05 {
		t.Errorf("mean %v", sum/10000)
	}
}
