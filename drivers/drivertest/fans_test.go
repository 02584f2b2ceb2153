package drivertest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// turning is a fan of so many rpm at any duty but 0.
func turning(rpm float64) FanFunc {
	return func(_ int, duty float64, _ time.Time) float64 {
		if duty == 0 {
			return 0
		}
		return rpm
	}
}

// proportional turns with so many rpm at full duty.
func proportional(rpm float64) FanFunc {
	return func(_ int, duty float64, _ time.Time) float64 { return rpm * duty }
}

func TestEMC2305PowerOn(t *testing.T) {
	c := NewEMC2305(EMC2305Opts{})
	for _, r := range []struct{ reg, want string }{
		{"fd", "345d80"},
		{"20", "40"},
		{"24", "00000000"},
		{"30", "00012b28"},
		{"38", "66f5"},
		{"3c", "f8ff"},
		{"3e", "fff8"}, // nothing turns
		{"7e", "fff8"},
		{"80", "00"},
	} {
		get(t, c, r.reg, r.want)
	}
	for fans, id := range map[int]string{3: "35", 2: "36", 1: "37"} {
		small := NewEMC2305(EMC2305Opts{Fans: fans})
		get(t, small, "fd", id)
		get(t, small, fmt.Sprintf("%x2", 3+fans), "00") // one fan more than it has
	}
	if len(c.Writes()) != 0 {
		t.Errorf("reading wrote %v", c.Writes())
	}
}

// The vector: 2EE0 is a count of 1500, 5242.88 rpm.
func TestEMC2305Tach(t *testing.T) {
	for _, v := range []struct {
		rpm    float64
		config string
		want   string
	}{
		{5242.88, "2b", "2ee0"},
		{5242.88, "0b", "1770"}, // range 1: half the count
		{5242.88, "6b", "bb80"}, // range 8
		{5242.88, "23", "1770"}, // 3 edges
		{0, "2b", "fff8"},
		{900, "2b", "fff8"}, // below the range
		{-5, "2b", "fff8"},
	} {
		c := NewEMC2305(EMC2305Opts{Fan: turning(v.rpm)})
		put(t, c, "5080") // fan 2
		put(t, c, "52"+v.config)
		get(t, c, "5e", v.want)
		get(t, c, "3e", "fff8") // fan 0 is not driven
	}
}

// Every byte is recorded, also where it has no effect; what ran before is not.
func TestEMC2305RecordsWrites(t *testing.T) {
	c := NewEMC2305(EMC2305Opts{})
	c.Load(0x30, 0x99)
	put(t, c, "30")
	put(t, c, "40ff")
	put(t, c, "3e1234")
	put(t, c, "fd00")
	want := "[{64 255} {62 18} {63 52} {253 0}]"
	if got := fmt.Sprint(c.Writes()); got != want {
		t.Errorf("writes %s, want %s", got, want)
	}
	get(t, c, "fd", "34")
	if c.Duty(0) != 0.6 || c.Duty(1) != 1 {
		t.Errorf("duties %v and %v", c.Duty(0), c.Duty(1))
	}
	if rpm := c.RPM(1); rpm != 4000 {
		t.Errorf("%v rpm", rpm)
	}
	c.Reset()
	get(t, c, "30", "00")
}

// Bit 5 of the configuration: four seconds without a write drive all fans to full.
func TestEMC2305Watchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewEMC2305(EMC2305Opts{})
		put(t, c, "3080")
		time.Sleep(time.Hour)
		get(t, c, "30", "80") // off at power-on
		put(t, c, "2060")
		for range 3 {
			time.Sleep(3999 * time.Millisecond)
			get(t, c, "24", "00") // reading does not feed it
			put(t, c, "3080")
		}
		time.Sleep(4 * time.Second)
		if c.Duty(0) != 1 || c.Duty(4) != 1 {
			t.Errorf("duties %v and %v", c.Duty(0), c.Duty(4))
		}
		get(t, c, "30", "ff")
		get(t, c, "24", "80")
		put(t, c, "3080")
		get(t, c, "24", "80") // what happened between the two
		get(t, c, "24", "00")
		get(t, c, "30", "80")
	})
}

func TestEMC2305Stall(t *testing.T) {
	c := NewEMC2305(EMC2305Opts{})
	c.SetFan(func(fan int, duty float64, _ time.Time) float64 {
		if fan == 3 {
			return 0
		}
		return 4000 * duty
	})
	get(t, c, "24", "0000") // a fan that is not driven does not stall
	for _, reg := range []string{"30", "40", "50", "60"} {
		put(t, c, reg+"80")
	}
	get(t, c, "24", "0108")
	get(t, c, "25", "08")
	c.SetFan(turning(2000))
	get(t, c, "25", "00") // cleared when it was read, and the cause is gone
}

// A closed loop: target count 3932 is 2000 rpm, half duty of a 4000 rpm fan.
func TestEMC2305ClosedLoop(t *testing.T) {
	c := NewEMC2305(EMC2305Opts{Fan: proportional(4000)})
	put(t, c, "3ce07a")
	put(t, c, "32ab")
	get(t, c, "30", "80")
	if rpm := c.RPM(0); rpm < 2000 || rpm > 2016 {
		t.Errorf("%v rpm", rpm)
	}
	c.SetFan(turning(0))
	get(t, c, "30", "ff") // gives all it can
	get(t, c, "24", "01")
}

func TestMAX31790PowerOn(t *testing.T) {
	c := NewMAX31790(MAX31790Opts{StartDuty: 0.5})
	for _, r := range []struct{ reg, want string }{
		{"00", "0044"},
		{"02", "000000000000"},
		{"08", "4c4c4c4c4c4c"},
		{"10", "0000"},
		{"18", "ffe0"}, // tachometers are not enabled
		{"2e", "ffe0"},
		{"30", "8000"},
		{"4a", "8000"},
		{"50", "3c00"},
		{"70", "00"},
	} {
		get(t, c, r.reg, r.want)
	}
	if d := c.Duty(5); d != 256.0/511 {
		t.Errorf("duty %v", d)
	}
}

// The vector: SR 4, NP 2, 2000 is a count of 256, 3840 rpm.
func TestMAX31790Tach(t *testing.T) {
	for _, v := range []struct {
		rpm      float64
		dynamics string
		pulses   int
		want     string
	}{
		{3840, "4c", 0, "2000"},
		{3840, "0c", 0, "0800"},
		{3840, "ac", 0, "ffe0"}, // SR 32: 2048 clocks do not fit
		{3840, "ec", 0, "ffe0"}, // no such SR; the largest
		{3840, "4c", 4, "1000"},
		{0, "4c", 0, "ffe0"},
		{480, "4c", 0, "ffe0"},
		{481, "4c", 0, "ff80"},
	} {
		c := NewMAX31790(MAX31790Opts{Fan: turning(v.rpm), Pulses: v.pulses, StartDuty: 1})
		put(t, c, "0308") // fan 1: tachometer on
		put(t, c, "09"+v.dynamics)
		get(t, c, "1a", v.want)
		get(t, c, "18", "ffe0")
	}
}

func TestMAX31790DutyAndRecord(t *testing.T) {
	c := NewMAX31790(MAX31790Opts{Fan: proportional(5110)})
	c.Load(0x40, 0xFF)
	put(t, c, "42807f") // nine bits
	get(t, c, "42", "8000")
	get(t, c, "32", "8000")
	get(t, c, "30", "ff00")
	put(t, c, "30ffff") // read only
	get(t, c, "30", "ff00")
	if got := fmt.Sprint(c.Writes()); got != "[{66 128} {67 127} {48 255} {49 255}]" {
		t.Errorf("writes %s", got)
	}
	if rpm := c.RPM(1); rpm < 2559.9 || rpm > 2560.1 {
		t.Errorf("%v rpm", rpm)
	}
	put(t, c, "0080") // standby
	get(t, c, "30", "0000")
	put(t, c, "0040") // reset
	get(t, c, "00", "00")
	get(t, c, "42", "0000")
}

// Rpm mode: target 2000 is 3840 rpm of a fan that reaches 5110.
func TestMAX31790ClosedLoop(t *testing.T) {
	c := NewMAX31790(MAX31790Opts{Fan: proportional(5110)})
	put(t, c, "502000")
	put(t, c, "0288")
	if rpm := c.RPM(0); rpm < 3830 || rpm > 3850 {
		t.Errorf("%v rpm", rpm)
	}
	get(t, c, "18", "2000")
	get(t, c, "11", "00")
	c.SetFan(turning(0))
	get(t, c, "30", "ff80")
	get(t, c, "11", "01")
	c.Reset()
	get(t, c, "02", "00")
}

// Bits 2:1 of the global configuration: 5, 10, 30 s without a transfer.
func TestMAX31790Watchdog(t *testing.T) {
	for _, hold := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := NewMAX31790(MAX31790Opts{Hold: hold, StartDuty: 0.5})
			time.Sleep(time.Hour)
			get(t, c, "00", "00")
			for config, limit := range map[string]time.Duration{"02": 5 * time.Second, "04": 10 * time.Second, "06": 30 * time.Second} {
				put(t, c, "00"+config)
				put(t, c, "408000")
				time.Sleep(limit - time.Millisecond)
				get(t, c, "00", config)
				time.Sleep(limit)
				full := c.Duty(0) == 1
				if full == hold {
					t.Errorf("%v: full %v, hold %v", limit, full, hold)
				}
				get(t, c, "00", fmt.Sprintf("0%d", config[1]-'0'+1))
				put(t, c, "00"+config)
				get(t, c, "00", config)
			}
		})
	}
}
