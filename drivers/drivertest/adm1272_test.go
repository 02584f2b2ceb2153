package drivertest

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// steadyCelsius is a temperature that stays.
func steadyCelsius(v float64) func(time.Time) float64 { return func(time.Time) float64 { return v } }

func TestADM127xReadings(t *testing.T) {
	type maker func(ADM1272Opts) *ADM1272
	for _, v := range []struct {
		name           string
		make           maker
		rs, vin, iout  float64
		celsius        float64
		set, reg, want string
	}{
		{"1272 100 V", NewADM1272, 0.5, 51.18, 0, 25, "", "88", "1f08"},
		{"1272 100 V", NewADM1272, 0.5, 11.989, 0, 25, "", "88", "e701"},
		{"1272 60 V", NewADM1272, 0.5, 48, 0, 25, "d41f3f", "88", "b20c"},
		{"1272 30 mV 0.5 mohm", NewADM1272, 0.5, 48, 20, 25, "", "8c", "970a"},
		{"1272 30 mV 1 mohm", NewADM1272, 1, 48, 20, 25, "", "8c", "2e0d"},
		{"1272 no current", NewADM1272, 1, 48, 0, 25, "", "8c", "0008"},
		{"1272 no current, 15 mV", NewADM1272, 1, 48, 0, 25, "d43e3f", "8c", "0008"},
		{"1272 15 mV", NewADM1272, 0.5, 48, 10, 25, "d43e3f", "8c", "970a"}, // twice the slope
		{"1272 1000 W", NewADM1272, 0.5, 50, 20, 25, "", "97", "9414"},
		{"1272 1000 W, 60 V 15 mV", NewADM1272, 0.5, 50, 20, 25, "d41e3f", "97", "9844"},  // 35.12 * 0.5 * 1000
		{"1272 1040 W, 100 V 15 mV", NewADM1272, 0.5, 52, 20, 25, "d43e3f", "97", "cd2a"}, // 21.071 * 0.5 * 1040
		{"1272 1040 W, 60 V 30 mV", NewADM1272, 0.5, 52, 20, 25, "d41f3f", "97", "ac23"},  // 17.561 * 0.5 * 1040
		{"1272 temperature", NewADM1272, 1, 48, 0, 24.98, "d43f3f", "8d", "dc0c"},
		{"1272 full scale", NewADM1272, 1, 200, 1e6, 25, "", "88", "ff0f"},
		{"1272 full scale", NewADM1272, 1, 200, 1e6, 25, "", "97", "ff7f"},
		{"1278", NewADM1278, 0.5, 12, 0, 25, "", "88", "3009"},
		{"1278", NewADM1278, 0.5, 12, 30.0125, 25, "", "8c", "b00c"},
		{"1278 360 W", NewADM1278, 0.5, 12, 30, 25, "", "97", "0d2b"},
		{"1278 temperature", NewADM1278, 0.5, 12, 30, 40, "d43f3f", "8d", "1c0d"},
	} {
		c := v.make(ADM1272Opts{RsMilliohm: v.rs, Load: ConstantLoad(v.vin, v.iout), Celsius: steadyCelsius(v.celsius)})
		if v.set != "" {
			put(t, c, v.set)
		}
		if !t.Run(v.name, func(t *testing.T) { get(t, c, v.reg, v.want) }) {
			t.Logf("%+v", v)
		}
	}
}

// The 1275 samples nothing before it is told to; then VIN or VOUT, and current.
func TestADM1275(t *testing.T) {
	c := NewADM1275(ADM1272Opts{Load: ConstantLoad(12, 10)})
	get(t, c, "d4", "2c")
	get(t, c, "d3", "00")
	for _, reg := range []string{"88", "8b", "8c"} {
		get(t, c, reg, "0000")
	}
	put(t, c, "d301") // a single shot
	get(t, c, "d3", "00")
	get(t, c, "88", "0009")
	get(t, c, "8c", "260b")
	get(t, c, "8b", "0000")
	c.SetLoad(ConstantLoad(6, 0))
	get(t, c, "88", "0009")
	put(t, c, "d4ec") // continuous, VOUT
	put(t, c, "d301")
	get(t, c, "88", "0009")
	get(t, c, "8b", "8004")
	get(t, c, "8c", "0008")
	put(t, c, "d4cc") // 6 V range: 12 bits hold no more
	c.SetLoad(ConstantLoad(7, 0))
	get(t, c, "8b", "ff0f")
	for _, reg := range []string{"20", "7e", "7d", "8d", "97", "86", "dc", "cc"} {
		refuses(t, c, NackData, reg, 2)
	}
}

func TestADM1272Identity(t *testing.T) {
	c := NewADM1272(ADM1272Opts{PMBusOpts: PMBusOpts{Addr: 0x10}})
	get(t, c, "99", "03414449")
	get(t, c, "9a", "0a41444d313237322d4131")
	get(t, c, "19", "b0")
	get(t, c, "98", "22")
	c = NewADM1278(ADM1272Opts{})
	get(t, c, "9a", "0a41444d313237382d4131")
	c = NewADM1275(ADM1272Opts{PMBusOpts: PMBusOpts{PEC: PECNone}})
	get(t, c, "9a", "0941444d313237352d31")
	get(t, c, "19", "30")
	refuses(t, c, NackData, "20", 1)
}

// At power-on VOUT and temperature are not sampled; a part told to stop keeps what it had.
func TestADM1272Configuration(t *testing.T) {
	c := NewADM1272(ADM1272Opts{PMBusOpts: PMBusOpts{Addr: 0x10}, Load: ConstantLoad(51.18, 0)})
	get(t, c, "d4", "353f")
	get(t, c, "8b", "0000")
	get(t, c, "8d", "0000")
	put(t, c, "d43f3f")
	get(t, c, "8b", "1f085b")
	put(t, c, "d353")
	put(t, c, "d300")
	c.SetLoad(ConstantLoad(11.989, 0))
	get(t, c, "8b", "1f08")
	put(t, c, "d301")
	get(t, c, "8b", "e701")
	c.Reset()
	get(t, c, "d4", "353f")
	get(t, c, "8b", "0000")
}

func TestADM1272Switches(t *testing.T) {
	c := NewADM1272(ADM1272Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 20)})
	put(t, c, "d43f3f")
	get(t, c, "79", "0000")
	put(t, c, "0100")
	get(t, c, "01", "00")
	get(t, c, "79", "4008") // OFF, not good
	get(t, c, "8c", "0008")
	get(t, c, "8b", "0000")
	get(t, c, "97", "0000")
	get(t, c, "88", "ef07") // the input is still there
	if c.Output() {
		t.Error("the load is still fed")
	}
	put(t, c, "0140") // not a value this part has
	get(t, c, "01", "00")
	get(t, c, "7e", "40")
	put(t, c, "0180")
	get(t, c, "79", "0000")
	get(t, c, "8c", "970a")
	put(t, c, "0100")
	c.Reset() // comes back on
	get(t, c, "01", "80")
	if !c.Output() || c.Writes(0x01) != 4 {
		t.Errorf("output %v, %d writes", c.Output(), c.Writes(0x01))
	}
}

// Welded, the part says OFF and measures a current, and finds its transistor unwell.
func TestADM1272Welded(t *testing.T) {
	c := NewADM1272(ADM1272Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 20), Welded: true})
	put(t, c, "0100")
	get(t, c, "79", "4018")
	get(t, c, "80", "80")
	get(t, c, "8c", "970a")
	if !c.Output() {
		t.Error("a welded switch opened")
	}
	c.SetWelded(false)
	get(t, c, "8c", "0008")
	get(t, c, "80", "80")
	put(t, c, "03")
	get(t, c, "80", "00")
}

func TestADM1272Fused(t *testing.T) {
	c := NewADM1272(ADM1272Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 20), Fused: true})
	put(t, c, "0100")
	get(t, c, "01", "00")
	get(t, c, "79", "0000")
	get(t, c, "8c", "970a")
	get(t, c, "97", "9414")
	c.SetFused(false)
	get(t, c, "8c", "0008")
}

func TestADM1272PowerCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADM1272(ADM1272Opts{Load: ConstantLoad(48, 1)})
		put(t, c, "d9")
		get(t, c, "01", "80")
		get(t, c, "79", "4008")
		time.Sleep(10099 * time.Millisecond)
		if c.Output() {
			t.Error("on too soon")
		}
		time.Sleep(time.Millisecond)
		if !c.Output() {
			t.Error("still off")
		}
		put(t, c, "cc00")
		put(t, c, "d9")
		time.Sleep(100 * time.Millisecond)
		get(t, c, "79", "0000")
		put(t, c, "0100")
		put(t, c, "d9") // a switch that is off stays off
		time.Sleep(time.Minute)
		if c.Output() || c.PowerCycles() != 3 {
			t.Errorf("output %v after %d cycles", c.Output(), c.PowerCycles())
		}
	})
}

func TestADM1272Trips(t *testing.T) {
	c := NewADM1272(ADM1272Opts{Load: ConstantLoad(48, 1)})
	c.Trip(2)
	get(t, c, "80", "02")
	get(t, c, "79", "4018")
	get(t, c, "01", "80")
	put(t, c, "0180") // on alone does not start it
	put(t, c, "03")
	get(t, c, "79", "4008")
	put(t, c, "0100")
	put(t, c, "0180")
	get(t, c, "79", "0000")
	if !c.Output() {
		t.Error("did not start again")
	}
}

func TestADM1272Limits(t *testing.T) {
	c := NewADM1272(ADM1272Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 20)})
	put(t, c, "4a000a") // 0A00 of 0A97
	get(t, c, "7b", "20")
	put(t, c, "580008") // 0800 of 07EF
	get(t, c, "7c", "20")
	get(t, c, "79", "0160")
	c.SetLoad(ConstantLoad(52, 0))
	put(t, c, "03")
	get(t, c, "79", "0000")
}

func TestADM1272Peaks(t *testing.T) {
	c := NewADM1272(ADM1272Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 20)})
	c.SetLoad(ConstantLoad(40, 0))
	get(t, c, "d0", "970a")
	get(t, c, "d1", "ef07")
	get(t, c, "da", "9414")
	get(t, c, "d2", "0000") // not sampled
	put(t, c, "d00100")     // only 0 clears
	get(t, c, "d0", "970a")
	get(t, c, "7e", "40")
	put(t, c, "d00000")
	get(t, c, "d0", "0008")
}

// Code 0800 at 1,000 samples a second: the short sum wraps every 16 ms, and with its roll-overs every 4.096 s.
func TestADM1272Energy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADM1272(ADM1272Opts{Load: ConstantLoad(50, 2048/10.535/50)})
		get(t, c, "86", "06000000000000")
		get(t, c, "97", "0008")
		get(t, c, "db", "03000008")
		time.Sleep(15 * time.Millisecond)
		get(t, c, "86", "060078000f0000")
		get(t, c, "dc", "0800007800000f0000")
		time.Sleep(time.Millisecond)
		get(t, c, "86", "06000001100000")
		get(t, c, "dc", "080000000100100000")
		time.Sleep(4080 * time.Millisecond)
		get(t, c, "86", "06000000001000")
		get(t, c, "dc", "080000000001001000")
		put(t, c, "0100")
		time.Sleep(time.Second)
		get(t, c, "86", "06000000e81300") // samples go on, energy does not
		c.SetEnergy(1<<39-0x800, 1<<24-1)
		time.Sleep(time.Millisecond)
		put(t, c, "0180")
		time.Sleep(time.Millisecond)
		get(t, c, "dc", "080000000000010000") // 2^39 codes and 2^24 samples are none
		c.Reset()
		get(t, c, "dc", "080000000000000000")
	})
}

// What changes between two reads is counted as it was.
func TestADM1272EnergyFollowsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		half := 2048 / 10.535 / 50
		c := NewADM1272(ADM1272Opts{Load: func(at time.Time, on bool) (float64, float64) {
			if !on || at.Sub(begin) > 2*time.Second {
				return 50, 0
			}
			return 50, half
		}})
		time.Sleep(3 * time.Second)
		get(t, c, "86", "0600007db80b00") // 2,000 samples of 0800 in 3,000: 125 turns
		if p := math.Round(c.pin); p != 0 {
			t.Errorf("power code %v at the end", p)
		}
	})
}

func TestADM1272Gated(t *testing.T) {
	c := NewADM1272(ADM1272Opts{OperationGated: true, Load: ConstantLoad(48, 1)})
	refuses(t, c, NackData, "0100", 0)
	if !c.Output() {
		t.Error("a refused command switched")
	}
	put(t, c, "d82800")
	put(t, c, "0100")
	if c.Output() {
		t.Error("still on")
	}
}

func TestGlitchOnClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewADM1272(ADM1272Opts{PMBusOpts: PMBusOpts{GlitchOnClear: 50 * time.Millisecond}, Load: ConstantLoad(48, 1)})
		put(t, c, "03")
		if c.Output() || c.Glitches() != 1 || c.Clears() != 1 {
			t.Errorf("output %v, %d glitches of %d", c.Output(), c.Glitches(), c.Clears())
		}
		time.Sleep(50 * time.Millisecond)
		if !c.Output() {
			t.Error("still off")
		}
	})
}
