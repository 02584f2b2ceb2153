package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLM5066Readings(t *testing.T) {
	for _, v := range []struct {
		name       string
		make       func(LM5066Opts) *LM5066
		rs, vin, i float64
		low        bool // CL strapped to VDD
		set        string
		reg, want  string
	}{
		{"5066I VIN", NewLM5066I, 0.5, 48, 0, false, "", "88", "a708"},
		{"5066I VOUT", NewLM5066I, 0.5, 48, 0, false, "", "8b", "a608"},
		{"5066I I", NewLM5066I, 0.5, 48, 9.993, false, "", "d1", "7f01"},
		{"5066I I, low", NewLM5066I, 0.5, 48, 9.993, true, "", "d1", "ec02"},           // (15076/2 * 9.993 - 504) / 100
		{"5066I bit 4 alone", NewLM5066I, 0.5, 48, 9.993, false, "d910", "d1", "7f01"}, // the pin counts
		{"5066I bits 4 and 2", NewLM5066I, 0.5, 48, 9.993, false, "d914", "d1", "ec02"},
		{"5066I bit 2", NewLM5066I, 0.5, 48, 9.993, true, "d904", "d1", "7f01"},
		{"5066I P", NewLM5066I, 0.5, 50, 9.615, false, "", "d2", "ce00"}, // 480.75 W
		{"5066I P", NewLM5066I, 0.5, 50, 9.615, false, "", "97", "ce00"},
		{"5066I IIN", NewLM5066I, 0.5, 48, 9.993, false, "", "89", "7f01"},
		{"5066I T", NewLM5066I, 0.5, 48, 0, false, "", "8d", "e001"},
		{"5066I VAUX", NewLM5066I, 0.5, 48, 0, false, "", "d0", "6905"}, // 1 V: 1384.7
		{"5066I no power", NewLM5066I, 0.5, 48, 0, false, "", "d2", "0000"},
		{"5066I average", NewLM5066I, 0.5, 48, 9.993, false, "", "de", "7f01"},
		{"5066 VIN", NewLM5066, 1, 48, 0, false, "", "88", "8e08"},  // (4587 * 48 - 1200) / 100
		{"5066 VOUT", NewLM5066, 1, 48, 0, false, "", "8b", "8208"}, // (4587 * 48 - 2400) / 100
		{"5066 I", NewLM5066, 1, 48, 8, false, "", "d1", "aa01"},    // (5405 * 8 - 600) / 100
		{"5066 I, low", NewLM5066, 1, 48, 8, true, "", "d1", "5003"},
		{"5066 P", NewLM5066, 1, 48, 10, false, "", "d2", "1a01"}, // (605 * 480 - 8000) / 1000
		{"5066 P, low", NewLM5066, 1, 48, 10, true, "", "d2", "3c02"},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := v.make(LM5066Opts{RsMilliohm: v.rs, CLToVDD: v.low, Load: ConstantLoad(v.vin, v.i), Celsius: steadyCelsius(30), VAUX: 1})
			if v.set != "" {
				put(t, c, v.set)
			}
			get(t, c, v.reg, v.want)
		})
	}
}

func TestLM5066Identity(t *testing.T) {
	c := NewLM5066(LM5066Opts{})
	get(t, c, "99", "034e5343")
	get(t, c, "9a", "084c4d353036360000")
	get(t, c, "19", "b0")
	refuses(t, c, NackData, "20", 1)
	get(t, c, "7e", "80") // no VOUT_MODE, and that is flagged
	refuses(t, c, NackData, "86", 7)
	c = NewLM5066I(LM5066Opts{})
	get(t, c, "9a", "084c4d353036364900")
}

func TestLM5066Block(t *testing.T) {
	c := NewLM5066I(LM5066Opts{RsMilliohm: 0.5, Load: ConstantLoad(48, 9.993), Celsius: steadyCelsius(30)})
	get(t, c, "da", "0c"+"8008"+"7f01"+"a608"+"a708"+"ce00"+"e001") // good, defaults loaded
	get(t, c, "79", "0110")
	put(t, c, "03")
	get(t, c, "79", "0000")
	get(t, c, "e1", "0008")
	put(t, c, "d31001") // current warning at 0110
	get(t, c, "e1", "0048")
	put(t, c, "0100")
	get(t, c, "79", "4028")
	put(t, c, "0180") // off and on clears
	c = NewLM5066(LM5066Opts{GoodIsHigh: true})
	get(t, c, "79", "0118")
	put(t, c, "0100")
	get(t, c, "79", "4010")
}

func TestLM5066TwelveBits(t *testing.T) {
	c := NewLM5066I(LM5066Opts{})
	put(t, c, "57ff0f")
	put(t, c, "570010")
	get(t, c, "57", "ff0f")
	get(t, c, "7e", "40")
	put(t, c, "db0c")
	put(t, c, "db0d")
	get(t, c, "db", "0c")
}

func TestLM5066PeakAndWelded(t *testing.T) {
	c := NewLM5066I(LM5066Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 9.615)})
	put(t, c, "0100")
	get(t, c, "d2", "0000")
	get(t, c, "d5", "ce00")
	put(t, c, "d6")
	get(t, c, "d5", "0000")
	c.SetWelded(true)
	get(t, c, "d2", "ce00")
	get(t, c, "80", "50")
}

// 206 codes a millisecond.
func TestLM5066Energy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewLM5066I(LM5066Opts{RsMilliohm: 0.5, Load: ConstantLoad(50, 9.615)})
		time.Sleep(time.Second)
		get(t, c, "86", "06b02406e80300")
		c.SetEnergy(256*0x8000-206, 1<<24-1)
		time.Sleep(time.Millisecond)
		get(t, c, "86", "06000000000000")
		time.Sleep(time.Millisecond)
		c.Reset()
		get(t, c, "86", "06000000000000")
	})
}
