package drivertest

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// refused wants a transfer to be refused in a way.
func refused(t *testing.T, c Chip, w string, reads int, want Nack) {
	t.Helper()
	if err := c.Tx(unhex(t, w), make([]byte, reads)); !errors.Is(err, want) {
		t.Errorf("transfer %s with %d to read: %v, want %v", w, reads, err, want)
	}
}

func TestSHTChecksum(t *testing.T) {
	for data, want := range map[string]string{"beef": "92", "6666": "93", "8000": "a2", "ffff": "ac", "0000": "81"} {
		if got := fmt.Sprintf("%02x", shtCRC(unhex(t, data))); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
}

func TestSHTValues(t *testing.T) {
	for _, v := range []struct {
		celsius, three, four float64 // humidity that gives the same code
		want                 string
	}{
		{25, 40, 44, "666693666693"},
		{42.5, 50, 56.5, "8000a28000a2"},
		{-45, 0, -6, "000081000081"},
		{130, 100, 119, "ffffacffffac"},
		{-80, -10, -20, "000081000081"},
		{300, 120, 200, "ffffacffffac"},
	} {
		synctest.Test(t, func(t *testing.T) {
			three, four := NewSHT3x(1, nil), NewSHT4x(1, nil)
			three.SetAir(v.celsius, v.three)
			four.SetAir(v.celsius, v.four)
			put(t, three, "2400")
			put(t, four, "fd")
			time.Sleep(20 * time.Millisecond)
			get(t, three, "", v.want)
			get(t, four, "", v.want)
		})
	}
}

// A read before the end of the measurement is not acknowledged, nor is a second one after it.
func TestSHTTakesItsTime(t *testing.T) {
	for _, v := range []struct {
		chip    Chip
		command string
		takes   time.Duration
	}{
		{NewSHT3x(1, nil), "2400", 15 * time.Millisecond},
		{NewSHT3x(1, nil), "240b", 6 * time.Millisecond},
		{NewSHT3x(1, nil), "2416", 4 * time.Millisecond},
		{NewSHT4x(1, nil), "fd", 8300 * time.Microsecond},
		{NewSHT4x(1, nil), "f6", 4500 * time.Microsecond},
		{NewSHT4x(1, nil), "e0", 1600 * time.Microsecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			refused(t, v.chip, "", 6, NackAddress) // nothing was asked for
			refused(t, v.chip, v.command, 6, NackAddress)
			time.Sleep(v.takes - time.Microsecond)
			refused(t, v.chip, "", 6, NackAddress)
			refused(t, v.chip, v.command, 0, NackAddress)
			time.Sleep(time.Microsecond)
			r := make([]byte, 7)
			if err := v.chip.Tx(nil, r); err != nil || r[0] != 0x66 || r[6] != 0xFF {
				t.Errorf("%s: % x, %v", v.command, r, err)
			}
			refused(t, v.chip, "", 6, NackAddress)
		})
	}
}

// A measurement takes the air as it was when it ended, and the temperature alone can be fetched.
func TestSHTSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewSHT4x(1, nil)
		put(t, c, "fd")
		time.Sleep(9 * time.Millisecond)
		c.SetAir(42.5, 44)
		get(t, c, "", "6666")
		refused(t, c, "", 1, NackAddress)
		put(t, c, "fd")
		time.Sleep(9 * time.Millisecond)
		get(t, c, "", "8000a2666693")
	})
}

func TestSHTSerial(t *testing.T) {
	three, four := NewSHT3x(0xBEEF8000, nil), NewSHT4x(0xBEEF8000, nil)
	get(t, three, "3780", "beef928000a2")
	get(t, three, "3682", "beef928000a2")
	get(t, four, "89", "beef928000a2")
	put(t, four, "89")
	get(t, four, "", "beef928000a2")
}

func TestSHTCorrupt(t *testing.T) {
	c := NewSHT3x(0xBEEF8000, nil)
	c.CorruptCRC(1)
	get(t, c, "3780", "beef938000a2")
	c.CorruptCRC(2)
	get(t, c, "3780", "beef928000a3")
	get(t, c, "f32d", "8010e1") // one word only
	c.CorruptCRC(0)
	get(t, c, "3780", "beef928000a2")
}

func TestSHTReset(t *testing.T) {
	for _, v := range []struct {
		chip                   Chip
		measure, reset, serial string
		deaf                   time.Duration
	}{
		{NewSHT3x(1, nil), "2400", "30a2", "3780", 1500 * time.Microsecond},
		{NewSHT4x(1, nil), "fd", "94", "89", time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, reset := range []func(){func() { put(t, v.chip, v.reset) }, func() { put(t, v.chip, v.measure); v.chip.Reset() }} {
				reset()
				refused(t, v.chip, v.serial, 6, NackAddress)
				time.Sleep(v.deaf)
				refused(t, v.chip, "", 6, NackAddress)
				get(t, v.chip, v.serial, "0000810001b0")
				time.Sleep(time.Second)
				refused(t, v.chip, "", 6, NackAddress) // the measurement was lost
			}
		})
	}
}

func TestSHT3xStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewSHT3x(1, nil)
		get(t, c, "f32d", "8010e1")
		put(t, c, "3041")
		get(t, c, "f32d", "000081")
		put(t, c, "306d")
		get(t, c, "f32d", "20005d")
		put(t, c, "3066")
		refused(t, c, "2c06", 6, NackData) // clock stretching
		refused(t, c, "ffff", 0, NackData)
		get(t, c, "f32d", "0002e3")
		get(t, c, "f32d", "000081")
		put(t, c, "30") // half a command
		c.Reset()
		time.Sleep(2 * time.Millisecond)
		get(t, c, "f32d", "8010e1")
	})
}

func TestSHT4xRefuses(t *testing.T) {
	refused(t, NewSHT4x(1, nil), "39", 0, NackData) // heater
	refused(t, NewSHT4x(1, nil), "00", 6, NackData)
}
