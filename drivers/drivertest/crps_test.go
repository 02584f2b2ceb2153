package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// crpsAt100A delivers 100 A at 12.0 V with round losses.
func crpsAt100A(o CRPSOpts) *CRPS {
	o.Load, o.VoutSet, o.Efficiency, o.StandbyWatt = ConstantLoad(230, 100), 12, 0.75, 8
	return NewCRPS(o)
}

func TestCRPSReadings(t *testing.T) {
	c := crpsAt100A(CRPSOpts{})
	c.SetCelsius(1, 25.59375)
	for _, v := range []struct{ reg, want string }{
		{"20", "17e4"}, // with its packet error code
		{"19", "90"},
		{"98", "22"},
		{"88", "98f3"}, // 230 V
		{"8b", "0018"}, // 12 V
		{"8c", "20eb"}, // 100 A
		{"96", "580a"}, // 1200 W
		{"97", "240b"}, // 1200 / 0.75 + 8
		{"89", "7fcb"}, // 1608 / 230
		{"8d", "33db"},
		{"79", "0000"},
		{"99", "0853494d504f574552"},
		{"a1", "10fa"}, // 264 V
		{"a7", "e80b"}, // 2000 W
		{"a5", "3319"}, // 12.6 V
		{"c0", "c0e3"}, // 60 °C
		{"1a0188", "01a0"},
		{"1a0186", "01ac"},
		{"1a0199", "01bc"},
		{"1a0101", "01fc"},
		{"1a0155", "0100"},
		{"30028601", "050100000000"},
	} {
		get(t, c, v.reg, v.want)
	}
	get(t, c, "30028801", "ffff") // no coefficients for LINEAR
	get(t, c, "7e", "40")
	c = crpsAt100A(CRPSOpts{VoutMode: 0x16})
	get(t, c, "8b", "0030")
	c = crpsAt100A(CRPSOpts{VoutLinear11: true})
	get(t, c, "8b", "00d3")
	refuses(t, c, NackData, "20", 1)
}

func TestCRPSNotPowered(t *testing.T) {
	c := crpsAt100A(CRPSOpts{})
	c.SetPowered(false)
	refuses(t, c, NackAddress, "99", 1)
	c.SetPowered(true)
	get(t, c, "8c", "20eb")
}

// Mains gone, standby rail alive.
func TestCRPSMainsLost(t *testing.T) {
	c := crpsAt100A(CRPSOpts{})
	c.SetLoad(ConstantLoad(0, 100))
	get(t, c, "79", "4828")
	get(t, c, "7c", "18")
	for _, reg := range []string{"88", "89", "8b", "8c", "90", "96", "97"} {
		get(t, c, reg, "0000")
	}
	c.SetLoad(ConstantLoad(230, 100))
	get(t, c, "79", "0820") // OFF is live, the rest has latched
	put(t, c, "7c18")
	get(t, c, "79", "0000")
}

func TestCRPSSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crpsAt100A(CRPSOpts{SoftOff: 100 * time.Millisecond})
		put(t, c, "0140")
		get(t, c, "8c", "20eb") // still ramping
		time.Sleep(100 * time.Millisecond)
		get(t, c, "79", "4008")
		get(t, c, "97", "00d2") // 8 W
		put(t, c, "0180")
		get(t, c, "79", "0000")
		put(t, c, "0100")
		get(t, c, "8c", "0000")
		put(t, c, "0180")
		c.SetControl(false) // the pin takes the output away
		get(t, c, "79", "4008")
		put(t, c, "0219") // the pin does not count any more
		get(t, c, "79", "0000")
		put(t, c, "0211") // nor OPERATION
		put(t, c, "0100")
		get(t, c, "79", "0000")
		put(t, c, "02ff")
		get(t, c, "02", "11")
		put(t, c, "03") // ON_OFF_CONFIG FF was bad data
		put(t, c, "021d")
		c.SetControl(true)
		c.SetWelded(true) // says OFF and delivers
		get(t, c, "79", "4008")
		get(t, c, "8c", "20eb")
		c.Reset()
		get(t, c, "02", "1d")
	})
}

func TestCRPSFaults(t *testing.T) {
	c := crpsAt100A(CRPSOpts{})
	c.SetFanRPM(2, 0)
	get(t, c, "81", "40")
	get(t, c, "91", "0000")
	c.SetCelsius(2, 120)
	get(t, c, "7d", "40")
	get(t, c, "79", "0404") // the low byte has a bit for temperature, none for fans
	c.SetFanRPM(2, -1)
	c.SetLoad(ConstantLoad(230, 180))
	get(t, c, "7b", "21") // over 164 A and 2000 W
	get(t, c, "7c", "03") // over 2200 W and 12 A
}

// A fan command can only raise.
func TestCRPSFans(t *testing.T) {
	c := crpsAt100A(CRPSOpts{MaxRPM: 10000})
	get(t, c, "90", "bc1a") // 56 %: 700 * 8
	put(t, c, "3b0000")
	get(t, c, "90", "bc1a")
	put(t, c, "3b80ea") // 80 %: 640 * 2^-3
	get(t, c, "90", "e81b")
	put(t, c, "3b00fa") // 256 %
	get(t, c, "91", "7122")
}

func TestCRPSEnergy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crpsAt100A(CRPSOpts{})
		time.Sleep(time.Second)
		get(t, c, "86", "06103a02320000") // 50 samples of 1608 W
		get(t, c, "87", "06606a01320000") // and of 1200 W
		c.SetEnergy(256*0x8000-1608, 256*0x8000-1201, 1<<24-1)
		time.Sleep(20 * time.Millisecond)
		get(t, c, "86", "06000000000000")
		get(t, c, "87", "06ff7fff000000")
		c = crpsAt100A(CRPSOpts{EnergyLinear: true, EnergyExponent: 4})
		time.Sleep(time.Second)
		get(t, c, "86", "06a52304320000") // 5025 steps of 16 W: 4 turns of 1023 and 933
		c = crpsAt100A(CRPSOpts{NoEnergy: true})
		refuses(t, c, NackData, "86", 7)
	})
}

func TestLikeAHE50DC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crpsAt100A(CRPSOpts{LikeAHE50DC: true})
		get(t, c, "19", "ff")
		good := crpsAt100A(CRPSOpts{})
		a, b := make([]byte, 2), make([]byte, 2)
		if err := c.Tx([]byte{0x98}, a); err != nil {
			t.Fatal(err)
		}
		if err := good.Tx([]byte{0x98}, b); err != nil {
			t.Fatal(err)
		}
		if a[0] != b[0] || a[1] == b[1] {
			t.Errorf("% x, want % x with a wrong code", a, b)
		}
		get(t, c, "b5", "ffff")
		put(t, c, "03")
		if c.Output() || c.Glitches() != 1 {
			t.Error("no glitch")
		}
		time.Sleep(300 * time.Millisecond)
		if !c.Output() {
			t.Error("still off")
		}
	})
}
