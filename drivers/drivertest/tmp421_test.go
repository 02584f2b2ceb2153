package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// Twelve bits, high byte first, 1/16 °C; extended range with an offset of 64 °C (TI SBOS398C, tables 1 and 2).
func TestTMP421Values(t *testing.T) {
	for _, v := range []struct {
		celsius            float64
		standard, extended string
	}{
		{25, "1900", "5900"},
		{60.5, "3c80", "7c80"},
		{0, "0000", "4000"},
		{0.0625, "0010", "4010"},
		{-0.0625, "fff0", "3ff0"},
		{-25, "e700", "2700"},
		{-64, "c000", "0000"},
		{-100, "c000", "0000"},
		{127, "7f00", "bf00"},
		{127.9375, "7ff0", "bff0"},
		{150, "7ff0", "d600"},
		{191.9375, "7ff0", "fff0"},
		{300, "7ff0", "fff0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewTMP421(nil, 20, v.celsius)
			get(t, c, "00", "1400")
			get(t, c, "01", v.standard)
			put(t, c, "0904")
			get(t, c, "01", v.standard) // until a conversion with the new range is complete
			time.Sleep(time.Second)
			get(t, c, "00", "5400")
			get(t, c, "01", v.extended)
		})
	}
}

func TestTMP421Identity(t *testing.T) {
	for _, v := range []struct {
		c                       *TMP421
		device, config2, remote string
	}{
		{NewTMP421(nil, 20, 21, 22, 23), "21", "1c", "1500" + "0000" + "0000"},
		{NewTMP422(nil, 20, 21, 22, 23), "22", "3c", "1500" + "1600" + "0000"},
		{NewTMP423(nil, 20, 21, 22, 23), "23", "7c", "1500" + "1600" + "1700"},
	} {
		get(t, v.c, "fe", "55")
		get(t, v.c, "ff", v.device)
		get(t, v.c, "09", "00")
		get(t, v.c, "0a", v.config2)
		get(t, v.c, "0b", "07")
		for i, reg := range []string{"01", "02", "03"} {
			want := v.remote[4*i : 4*i+4]
			if want == "0000" {
				get(t, v.c, reg, "00") // no such register
				continue
			}
			get(t, v.c, reg, want)
		}
		put(t, v.c, "0aff")
		get(t, v.c, "0a", v.config2) // enables of diodes it does not have stay 0
		put(t, v.c, "fe00")
		get(t, v.c, "fe", "55")
	}
}

// A low byte belongs to the high byte that was read just before it.
func TestTMP421Latch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewTMP421(nil, 20, 30.9375)
		get(t, c, "01", "1e")
		c.SetCelsius(1, 31.125)
		time.Sleep(time.Second)
		get(t, c, "11", "f0") // still that of 30.9375
		get(t, c, "11", "20") // and now the newest
		get(t, c, "01", "1f")
		c.SetCelsius(1, 40.5)
		time.Sleep(time.Second)
		get(t, c, "00", "14") // another register ends it
		get(t, c, "11", "80")
		get(t, c, "01", "2880")
		get(t, c, "01", "2880ff") // and no more bytes than two
	})
}

// One channel takes 115 ms, and between runs the part rests.
func TestTMP421Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewTMP423(nil, 20, 21, 22, 23)
		c.Reset()
		put(t, c, "0b05") // 2 a second: the next run begins 500 ms after this one
		for n, v := range []string{"1400", "1500", "1600", "1700"} {
			time.Sleep(114 * time.Millisecond)
			reg := []string{"00", "01", "02", "03"}[n]
			get(t, c, reg, "0000")
			get(t, c, "08", "80")
			time.Sleep(time.Millisecond)
			get(t, c, reg, v)
		}
		get(t, c, "08", "00")
		c.SetCelsius(0, 25)
		time.Sleep(154 * time.Millisecond)
		get(t, c, "00", "1400")
		time.Sleep(time.Millisecond)
		get(t, c, "00", "1900")
		get(t, c, "08", "80")
		time.Sleep(time.Hour + 370*time.Millisecond)
		get(t, c, "08", "00")
		put(t, c, "0a08") // local only
		c.SetCelsius(0, 30)
		c.SetCelsius(1, 30)
		time.Sleep(2 * time.Second)
		get(t, c, "00", "1e00")
		get(t, c, "01", "1500")
	})
}

func TestTMP421Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewTMP421(nil, 20, 21)
		put(t, c, "0940")
		get(t, c, "09", "40")
		time.Sleep(time.Second)
		c.SetCelsius(1, 30)
		time.Sleep(time.Minute)
		get(t, c, "01", "1500")
		get(t, c, "08", "00")
		put(t, c, "0f00") // one shot
		get(t, c, "08", "80")
		time.Sleep(230 * time.Millisecond)
		get(t, c, "08", "00")
		get(t, c, "01", "1e00")
		c.SetCelsius(1, 40)
		time.Sleep(time.Minute)
		get(t, c, "01", "1e00")
		put(t, c, "0900") // awake again
		time.Sleep(230 * time.Millisecond)
		get(t, c, "01", "2800")
		put(t, c, "fc00") // software reset
		get(t, c, "01", "0000")
	})
}

func TestTMP421Diodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewTMP423(nil, 20, 21, 22, 23)
		c.SetOpen(1, true)
		c.SetShorted(3, true)
		c.SetOpen(0, true) // there is no wire to the local one
		time.Sleep(time.Second)
		get(t, c, "00", "1400")
		get(t, c, "01", "0001")
		get(t, c, "02", "1600")
		get(t, c, "03", "c000") // a short is not flagged
		c.SetOpen(1, false)
		c.SetShorted(3, false)
		time.Sleep(time.Second)
		get(t, c, "01", "1500")
		get(t, c, "03", "1700")
	})
}

func TestTMP421NCorrection(t *testing.T) {
	c := NewTMP422(nil)
	for _, reg := range []string{"21", "22", "23"} {
		get(t, c, reg, "00")
		put(t, c, reg+"f6")
	}
	get(t, c, "21", "f6")
	get(t, c, "22", "f6")
	get(t, c, "23", "00")
}
