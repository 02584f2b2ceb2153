package drivertest

import (
	"fmt"
	"testing"
)

// watch collects what an expander reports, as high/driven.
func watch(into *[]string) func(Pins) {
	return func(p Pins) { *into = append(*into, fmt.Sprintf("%04x/%04x", p.High(), p.Driven)) }
}

func TestPinsOne(t *testing.T) {
	p := Pins{Driven: 0x800F, Level: 0xF00A, Pulsed: 0x0001}
	for k, want := range map[int]PinDrive{
		-1: PinReleased, 0: PinPulsed, 1: PinHigh, 2: PinLow, 3: PinHigh, 4: PinReleased, 14: PinReleased, 15: PinHigh, 16: PinReleased,
	} {
		if got := p.Pin(k); got != want {
			t.Errorf("pin %d is %v, want %v", k, got, want)
		}
	}
	if p.High() != 0x800A || p.Low() != 0x0004 {
		t.Errorf("high %04x low %04x", p.High(), p.Low())
	}
}

func TestTCA9555AnswersForItsPins(t *testing.T) {
	c := NewTCA9555(nil)
	put(t, c, "020100")
	put(t, c, "06fcff")
	if p := c.Pins(); p.Pin(0) != PinHigh || p.Pin(1) != PinLow || p.Pin(2) != PinReleased {
		t.Errorf("%+v", p)
	}
}

func TestExpander8PowerOn(t *testing.T) {
	for _, c := range []struct {
		name string
		chip *Expander8
		want string // 01, 02, 03, 04
	}{
		{"PCA9554", NewPCA9554(nil), "ff00ffff"},
		{"TCA9554", NewTCA9554(nil), "ff00ffff"},
		{"MAX7310", NewMAX7310(nil), "00f0ff01"},
	} {
		for i := range 4 {
			get(t, c.chip, fmt.Sprintf("%02x", i+1), c.want[2*i:2*i+2])
		}
		if p := c.chip.Pins(); p.Driven != 0 {
			t.Errorf("%s drives %04x at power-on", c.name, p.Driven)
		}
		c.chip.Drive(0x35)
		want := "35"
		if c.name == "MAX7310" {
			want = "c5" // the upper half reads inverted
		}
		get(t, c.chip, "00", want)
	}
}

// Bytes that follow stay with the register.
func TestExpander8Registers(t *testing.T) {
	var seen []string
	c := NewPCA9554(watch(&seen))
	put(t, c, "010305") // the last one stays
	get(t, c, "01", "0505")
	put(t, c, "03f0")
	get(t, c, "", "f0")
	c.Drive(0xA0)
	get(t, c, "00", "a5")
	put(t, c, "0200ff")
	get(t, c, "00", "5a")
	put(t, c, "00ffff") // inputs take no writes
	put(t, c, "0411")   // a PCA9554 has no such register
	get(t, c, "04", "ff")
	if c.Output() != 0x05 || c.Direction() != 0xF0 || c.Polarity() != 0xFF {
		t.Errorf("latch %02x direction %02x polarity %02x", c.Output(), c.Direction(), c.Polarity())
	}
	c.Reset()
	c.Load(0x81, 0x7E)
	want := []string{
		"0000/0000", "0000/0000", // two latches, nothing driven
		"0005/000f",              // direction
		"0005/000f", "0005/000f", // polarity, twice
		"0000/0000", // brown-out
		"0081/0081",
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("pins\n got %v\nwant %v", seen, want)
	}
	get(t, c, "02", "00")
}

func TestMAX7310Timeout(t *testing.T) {
	var seen []string
	c := NewMAX7310(watch(&seen))
	put(t, c, "0400")
	get(t, c, "04", "00")
	if len(seen) != 0 {
		t.Errorf("the time-out register moved pins: %v", seen)
	}
	put(t, c, "030f") // outputs low: latch is 00 at power-on
	if p := c.Pins(); p.Low() != 0x00F0 {
		t.Errorf("%+v", p)
	}
	c.Reset()
	get(t, c, "04", "01")
}

// Pins 0 and 3 low, 1 and 2 released: LS0 = 14h.
func TestPCA9552Fields(t *testing.T) {
	var seen []string
	c := NewPCA9552(func(p Pins) { seen = append(seen, fmt.Sprintf("%04x/%04x", p.Low(), p.Pulsed)) })
	get(t, c, "16", "55555555")
	get(t, c, "12", "ff80ff80")
	get(t, c, "10", "ffff")
	put(t, c, "0614")
	if p := c.Pins(); p.Low() != 0x0009 || p.High() != 0 || p.Pin(1) != PinReleased {
		t.Errorf("%+v", p)
	}
	get(t, c, "10", "f6ff")
	put(t, c, "0955aa") // no auto-increment: both go to LS3
	get(t, c, "09", "aaaa")
	if p := c.Pins(); p.Pulsed != 0xF000 || p.Pin(15) != PinPulsed {
		t.Errorf("%+v", p)
	}
	c.Reset()
	if fmt.Sprint(seen) != "[0009/0000 0009/0000 0009/f000 0000/0000]" {
		t.Errorf("pins %v", seen)
	}
}

func TestPCA9552AutoIncrement(t *testing.T) {
	c := NewPCA9552(nil)
	put(t, c, "1600010203")
	get(t, c, "16", "000102031011") // from LS3 on to INPUT0 and INPUT1; pulsed pins are seen released
	if c.LS() != [4]byte{0, 1, 2, 3} {
		t.Errorf("%x", c.LS())
	}
	c.Load([4]byte{0x00, 0x55, 0x55, 0x55})
	get(t, c, "19", "55f0ffff80") // rolls over to 00: four pins low
	get(t, c, "0a", "ff")
	put(t, c, "0a12")
	put(t, c, "00ff") // inputs take no writes
	get(t, c, "00", "f0")
}

func TestPCA9552Duty(t *testing.T) {
	c := NewPCA9552(nil)
	put(t, c, "03c0")       // PWM0: a quarter
	put(t, c, "0500")       // PWM1: always
	put(t, c, "06e4")       // pin 0 low, 1 released, 2 PWM0, 3 PWM1
	c.Drive(0x00F0)         // pull-ups on 4 to 7 alone
	get(t, c, "10", "f000") // 0-3 and 8-15 read low
	for k, want := range map[int]float64{0: 1, 1: 0, 2: 0.25, 3: 1, 4: 0, -1: 0, 16: 0} {
		if got := c.LowShare(k); got != want {
			t.Errorf("pin %d is low %v of the time, want %v", k, got, want)
		}
	}
}

func TestMCP23017PowerOn(t *testing.T) {
	c := NewMCP23017(nil)
	get(t, c, "00", "ffff"+"00000000000000000000000000000000"+"ffff"+"0000") // IODIR, 02-11, GPIO, OLAT
	if p := c.Pins(); p.Driven != 0 {
		t.Errorf("%+v", p)
	}
	put(t, c, "000000") // directions first: the latch is low
	if p := c.Pins(); p.Low() != 0xFFFF {
		t.Errorf("%+v", p)
	}
}

func TestMCP23017Latch(t *testing.T) {
	var seen []string
	c := NewMCP23017(watch(&seen))
	put(t, c, "148100") // OLAT
	put(t, c, "0000ff") // port A drives
	get(t, c, "14", "8100")
	put(t, c, "127e") // a write to GPIO goes to the latch
	get(t, c, "14", "7e")
	c.Drive(0x3CFF)
	get(t, c, "12", "7e3c")
	put(t, c, "02ffff")
	get(t, c, "12", "81c3")
	c.Reset()
	c.Load(0x0102, 0xFE00)
	want := []string{"0000/0000", "0000/0000", "0081/00ff", "0081/00ff", "007e/00ff", "0000/0000", "0102/01ff"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("pins\n got %v\nwant %v", seen, want)
	}
	if c.Output() != 0x0102 || c.Direction() != 0xFE00 {
		t.Errorf("latch %04x direction %04x", c.Output(), c.Direction())
	}
}

// With BANK = 1 the registers of port A are at 00-0A and those of port B at 10-1A; 00 to 05 brings BANK = 0 back.
func TestMCP23017Banks(t *testing.T) {
	c := NewMCP23017(nil)
	put(t, c, "141234")
	put(t, c, "0a80") // IOCON at 0A
	get(t, c, "0a", "12")
	get(t, c, "1a", "34")
	get(t, c, "05", "80")
	get(t, c, "15", "80")
	get(t, c, "0b", "00") // no register
	put(t, c, "0500")
	get(t, c, "14", "1234")
	c.Disturb()
	get(t, c, "1a", "34")
	put(t, c, "0500")
	get(t, c, "05", "00") // GPINTENB again, which was not written
}

func TestMCP23017Sequence(t *testing.T) {
	c := NewMCP23017(nil)
	get(t, c, "15", "00ffff") // rolls over from 15 to 00
	put(t, c, "0a20")         // SEQOP: the pointer swings between the ports
	put(t, c, "14010203")
	get(t, c, "14", "03020302")
	put(t, c, "0aa0") // with BANK = 1 it stays
	get(t, c, "0a", "030303")
	put(t, c, "05ff") // bit 0 does not exist
	get(t, c, "05", "fefe")
}

// A change of an enabled input flags it and catches the port; reading GPIO or INTCAP clears it.
func TestMCP23017Interrupts(t *testing.T) {
	c := NewMCP23017(nil)
	c.Drive(0)
	get(t, c, "12", "0000")
	put(t, c, "040103") // GPINTENA bit 0, GPINTENB bits 0 and 1
	c.Drive(0x0201)
	c.Drive(0x0300) // INTCAP keeps the first
	get(t, c, "0e", "0102")
	get(t, c, "10", "0102") // both captures, both cleared
	get(t, c, "0e", "0000")
	put(t, c, "0701") // DEFVALB
	put(t, c, "0901") // INTCONB bit 0: against DEFVAL
	get(t, c, "0f", "00")
	c.Drive(0x0000) // bit 1 fell, bit 0 differs from 1
	get(t, c, "0f", "03")
	get(t, c, "13", "00")
	get(t, c, "0f", "01") // the condition is still there
}
