package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// Nine bits, high byte first, rounded down to 0.5 °C (TI SNIS153, temperature data format).
func TestLM75Values(t *testing.T) {
	for _, v := range []struct {
		celsius float64
		want    string
	}{
		{25, "1900"},
		{60.5, "3c80"},
		{125, "7d00"},
		{0.5, "0080"},
		{0, "0000"},
		{-0.5, "ff80"},
		{-25, "e700"},
		{-55, "c900"},
		{25.49, "1900"},
		{-0.1, "ff80"},
		{200, "7d00"},
		{-100, "c900"},
	} {
		get(t, NewLM75(LM75Opts{Celsius: v.celsius}), "00", v.want)
	}
}

func TestLM75Registers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewLM75(LM75Opts{Celsius: 25})
		get(t, c, "", "1900") // the pointer is at the temperature
		get(t, c, "01", "0000")
		get(t, c, "02", "4b00")
		get(t, c, "03", "5000")
		put(t, c, "0001ff") // read-only
		put(t, c, "01ff")
		put(t, c, "025aff")
		put(t, c, "03") // a pointer alone
		get(t, c, "", "5000")
		get(t, c, "01", "1f1f")
		get(t, c, "02", "5a80")
		get(t, c, "05", "5a80") // no register: what was read last
		c.Reset()
		get(t, c, "", "0000")
		get(t, c, "01", "00")
		get(t, c, "02", "4b00")
		time.Sleep(99 * time.Millisecond)
		get(t, c, "00", "0000")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "1900")
	})
}

// A new temperature shows when a conversion ends, 100 ms after the one before, and not while shut down.
func TestLM75Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewLM75(LM75Opts{Celsius: 20})
		time.Sleep(130 * time.Millisecond)
		c.SetCelsius(30)
		time.Sleep(69 * time.Millisecond)
		get(t, c, "00", "1400")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "1e00")
		put(t, c, "0101")
		c.SetCelsius(40)
		time.Sleep(time.Minute)
		get(t, c, "00", "1e00")
		put(t, c, "0100")
		time.Sleep(99 * time.Millisecond)
		get(t, c, "00", "1e00")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "2800")
	})
}

// A part whose conversion is interrupted by each transfer shows nothing new to a master in a hurry.
func TestLM75Interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewLM75(LM75Opts{Celsius: 20, Interrupted: true})
		c.SetCelsius(30)
		for range 50 {
			time.Sleep(90 * time.Millisecond)
			get(t, c, "00", "1400")
		}
		time.Sleep(100 * time.Millisecond)
		get(t, c, "00", "1e00")
	})
}

func TestLM75Garbage(t *testing.T) {
	c := NewLM75(LM75Opts{Celsius: -25, Garbage: true})
	seen := map[uint32]bool{}
	for range 20 {
		v := value(t, c, "00", 2)
		if v&0xFF80 != 0xE700 {
			t.Fatalf("%04x is not -25 °C", v)
		}
		seen[v&0x7F] = true
		if v := value(t, c, "03", 2); v&0xFF80 != 0x5000 {
			t.Fatalf("%04x is not 80 °C", v)
		}
	}
	if len(seen) < 5 {
		t.Errorf("the low bits took %d values", len(seen))
	}
	get(t, c, "01", "0000")
}

func TestLM75Follows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := NewLM75(LM75Opts{})
		c.Follow(func(at time.Time) float64 { return 20 + at.Sub(begin).Seconds() })
		time.Sleep(5*time.Second + 50*time.Millisecond)
		get(t, c, "00", "1900") // as of the end of the last conversion: 25.0 °C
	})
}
