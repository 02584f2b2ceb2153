package drivertest

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func twoFans() MAX31785Opts { return MAX31785Opts{MaxRPM: [6]float64{10000, 8000}} }

func TestMAX31785Identity(t *testing.T) {
	c := NewMAX31785(twoFans())
	for _, v := range []struct{ page, reg, want string }{
		{"00", "99", "4d"},
		{"ff", "9a", "53"},
		{"ff", "9b", "3030"},
		{"00", "3a", "90"},
		{"02", "3a", "00"}, // none fitted
		{"00", "3b", "ffff"},
		{"06", "8d", "c409"},
		{"00", "8d", "ffff"},
		{"06", "90", "ffff"},
		{"11", "8b", "0000"},
		{"10", "8d", "c409"},
	} {
		put(t, c, "00"+v.page)
		get(t, c, v.reg, v.want)
	}
	get(t, NewMAX31785(MAX31785Opts{Revision: MAX31785BRevision}), "9b", "6130")
}

func TestMAX31785Duty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := twoFans()
		o.MFRFanConfig = 0x0200 // nobody need renew the command
		c := NewMAX31785(o)
		get(t, c, "90", "0000")
		for _, v := range []struct {
			page, command string
			rpm           string
			pwm           string
		}{
			{"00", "ffff", "a00f", "a00f"}, // automatic: 40 %
			{"00", "8813", "8813", "8813"}, // 50.00 %
			{"01", "8813", "a00f", "8813"},
			{"00", "ff7f", "1027", "1027"}, // full
			{"00", "0000", "0000", "0000"},
			{"00", "0080", "a00f", "a00f"},
		} {
			put(t, c, "00"+v.page)
			put(t, c, "3b"+v.command)
			get(t, c, "f3", v.pwm)
			time.Sleep(time.Minute)
			get(t, c, "90", v.rpm)
		}
		put(t, c, "3ad0") // by speed
		put(t, c, "3be803")
		time.Sleep(time.Minute)
		get(t, c, "90", "e803")
		put(t, c, "3a10") // disabled
		time.Sleep(time.Minute)
		get(t, c, "90", "0000")
	})
}

// A fan has inertia; a command not renewed for 10 s becomes full speed.
func TestMAX31785Time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMAX31785(twoFans())
		time.Sleep(time.Minute) // automatic: nothing to renew
		get(t, c, "90", "a00f")
		put(t, c, "3b8813")
		time.Sleep(time.Second)
		if got := c.RPM(0); math.Abs(got-(5000-1000/math.E)) > 1 {
			t.Errorf("after a second: %.1f rpm", got)
		}
		time.Sleep(8900 * time.Millisecond)
		get(t, c, "90", "8813")
		put(t, c, "3b8813")
		time.Sleep(9 * time.Second)
		get(t, c, "f3", "8813")
		time.Sleep(time.Minute)
		get(t, c, "f3", "1027")
		get(t, c, "90", "1027")
	})
}

func TestMAX31785FanFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMAX31785(twoFans())
		time.Sleep(time.Minute)
		put(t, c, "f5f401") // 500 rpm
		put(t, c, "f6e803") // 1000 rpm
		get(t, c, "81", "00")
		c.SetJammed(0, true)
		get(t, c, "81", "a0")
		get(t, c, "79", "0104")
		get(t, c, "90", "0000")
		c.SetJammed(0, false)
		time.Sleep(time.Minute)
		put(t, c, "03")
		get(t, c, "81", "00")
	})
}

func TestMAX31785SecondRotor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := twoFans()
		o.MFRFanConfig = 0x1000
		c := NewMAX31785(o)
		time.Sleep(time.Minute)
		get(t, c, "90", "a00fffff") // no second tachometer
		o.Revision = MAX31785ARevision
		c = NewMAX31785(o)
		time.Sleep(time.Minute)
		get(t, c, "90", "a00f3011")
	})
}

func TestMAX31785Temperature(t *testing.T) {
	c := NewMAX31785(twoFans())
	put(t, c, "0007")
	c.SetCelsius(7, 45.5)
	get(t, c, "8d", "c611")
	put(t, c, "510010") // 40.96 °C
	get(t, c, "80", "40")
	get(t, c, "79", "0410")
	c.SetCelsius(7, math.NaN())
	get(t, c, "8d", "ff7f")
	c.SetVolts(17, 12.034)
	put(t, c, "0011")
	get(t, c, "8b", "022f")
}
