package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// Eleven bits in two registers, 1/8 °C.
func TestEMC1413Values(t *testing.T) {
	for _, v := range []struct {
		celsius                float64
		high, low, xhigh, xlow string
	}{
		{25, "19", "00", "59", "00"},
		{60.5, "3c", "80", "7c", "80"},
		{0.125, "00", "20", "40", "20"},
		{85.875, "55", "e0", "95", "e0"},
		{-10, "00", "00", "36", "00"},
		{-64, "00", "00", "00", "00"},
		{150, "7f", "e0", "d6", "00"},
		{300, "7f", "e0", "ff", "e0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewEMC1413(nil, 20, v.celsius)
			get(t, c, "01", v.high)
			get(t, c, "10", v.low)
			put(t, c, "0904")
			get(t, c, "03", "04")
			time.Sleep(time.Second)
			get(t, c, "01", v.xhigh)
			get(t, c, "10", v.xlow)
			get(t, c, "00", "54")
		})
	}
}

func TestEMC1413Identity(t *testing.T) {
	for _, v := range []struct {
		c           *EMC1413
		product     string
		two, three  string
		twoL, thirL string
	}{
		{NewEMC1412(nil, 20, 21.5, 22.5, 23.5), "20", "00", "00", "00", "00"},
		{NewEMC1413(nil, 20, 21.5, 22.5, 23.5), "21", "16", "00", "80", "00"},
		{NewEMC1414(nil, 20, 21.5, 22.5, 23.5), "25", "16", "17", "80", "80"},
	} {
		get(t, v.c, "fd", v.product)
		get(t, v.c, "fe", "5d")
		get(t, v.c, "00", "14")
		get(t, v.c, "29", "00")
		get(t, v.c, "01", "15")
		get(t, v.c, "10", "80")
		get(t, v.c, "23", v.two)
		get(t, v.c, "24", v.twoL)
		get(t, v.c, "2a", v.three)
		get(t, v.c, "2b", v.thirL)
		get(t, v.c, "03", "00")
		get(t, v.c, "04", "06")
		get(t, v.c, "05", "55")
		get(t, v.c, "06", "00")
		get(t, v.c, "01", "15ff") // one byte only
		put(t, v.c, "fd77")
		get(t, v.c, "fd", v.product)
		put(t, v.c, "0b50") // limits are written at other addresses too
		get(t, v.c, "05", "50")
	}
}

// Limits, rate and corrections are memory; the third diode's are there where the diode is; the rest takes no writes.
func TestEMC1413Memory(t *testing.T) {
	two, three := NewEMC1413(nil), NewEMC1414(nil)
	for _, reg := range []string{"04", "05", "06", "07", "08", "13", "18", "1a", "20", "21", "28", "40"} {
		put(t, two, reg+"3c")
		get(t, two, reg, "3c")
	}
	for _, reg := range []string{"1b", "35", "37", "2c", "30", "50", "00"} {
		put(t, two, reg+"3c")
		if v := value(t, two, reg, 1); v == 0x3C {
			t.Errorf("register %s took a write", reg)
		}
	}
	put(t, three, "2c3c")
	get(t, three, "2c", "3c")
	get(t, three, "0a", "06")
	put(t, three, "0a04")
	get(t, three, "04", "04")
	get(t, three, "ff", "04")
}

// The low byte is that of the moment the high byte was read, however long ago.
func TestEMC1413Shadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC1413(nil, 20, 30.875)
		get(t, c, "10", "00") // never read
		get(t, c, "01", "1e")
		c.SetCelsius(1, 31.125)
		time.Sleep(time.Second)
		get(t, c, "10", "e0")
		get(t, c, "00", "14")
		get(t, c, "10", "e0")
		get(t, c, "01", "1f")
		get(t, c, "10", "20")
	})
}

func TestEMC1413Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC1414(nil, 20, 21, 22, 23)
		c.Reset()
		get(t, c, "02", "80")
		get(t, c, "00", "00")
		time.Sleep(83 * time.Millisecond)
		get(t, c, "23", "16")
		get(t, c, "2a", "00")
		time.Sleep(time.Millisecond)
		get(t, c, "2a", "17")
		get(t, c, "02", "00")
		c.SetCelsius(0, 30)
		time.Sleep(186 * time.Millisecond) // four runs a second
		get(t, c, "00", "14")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "1e")

		put(t, c, "0940") // standby after this run
		time.Sleep(time.Second)
		c.SetCelsius(0, 40)
		time.Sleep(time.Minute)
		get(t, c, "00", "1e")
		put(t, c, "0f00")
		time.Sleep(84 * time.Millisecond)
		get(t, c, "00", "28")
		get(t, c, "02", "00")
	})
}

func TestEMC1413Diodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC1414(nil, 20, 21, 22, 23)
		get(t, c, "1b", "00")
		c.SetOpen(2, true)
		c.SetShorted(3, true)
		c.SetOpen(0, true) // there is no wire to the internal one
		time.Sleep(time.Second)
		get(t, c, "02", "84") // at it again, and a fault
		get(t, c, "1b", "0c")
		get(t, c, "1b", "00") // cleared by reading
		get(t, c, "00", "14")
		get(t, c, "01", "15")
		get(t, c, "23", "00") // 0 °C, as the data says
		get(t, c, "2a", "00")
		time.Sleep(time.Second)
		get(t, c, "1b", "0c")
		time.Sleep(time.Second)
		c.SetOpen(2, false)
		c.SetShorted(3, false)
		time.Sleep(time.Second)
		get(t, c, "1b", "0c") // from before it was mended
		get(t, c, "1b", "00")
		get(t, c, "23", "16")
	})
}

func TestEMC1413Limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC1413(nil, 20, 86, 5)
		put(t, c, "160a") // low limit of the second diode: 10 °C
		time.Sleep(time.Second)
		get(t, c, "02", "9a")
		get(t, c, "35", "02")
		get(t, c, "36", "04")
		get(t, c, "37", "02")
		get(t, c, "35", "02") // it still holds
		c.SetCelsius(1, 80)
		time.Sleep(time.Second)
		get(t, c, "35", "02") // until it was read
		get(t, c, "35", "00")
	})
}

// The EMC1412 tells its two channels apart in the status register: internal high and low, external high and low.
func TestEMC1412Status(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC1412(nil, 90, 5)
		put(t, c, "080a")
		put(t, c, "0900")
		time.Sleep(time.Second + 50*time.Millisecond)
		get(t, c, "02", "49")
		get(t, c, "35", "00")
		c.SetCelsius(0, 20)
		c.SetOpen(1, true)
		time.Sleep(time.Second)
		get(t, c, "02", "4d") // the old ones until they were read
		get(t, c, "02", "0c")
		get(t, c, "1b", "02")
	})
}
