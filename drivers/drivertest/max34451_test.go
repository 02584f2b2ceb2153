package drivertest

import (
	"math"
	"testing"
)

func TestMAX34451Readings(t *testing.T) {
	c := NewMAX34451(MAX34451Opts{Config: []uint16{0x20, 0x22, 0x10, 0x21, 0x23, 0x30, 0x00}})
	c.SetChannel(0, 12.034)
	c.SetChannel(1, 12.5)
	c.SetChannel(2, 3.3)
	c.SetChannel(4, 12.5)
	c.SetChannel(5, 1)
	c.SetChannel(6, 12)
	c.SetChannel(16, 45.5)
	c.SetChannel(17, -10)
	c.SetChannel(18, math.NaN())
	for _, v := range []struct{ page, reg, want string }{
		{"00", "99", "4d"},
		{"00", "9a", "59"},
		{"00", "9b", "1000"},
		{"00", "20", "40"},
		{"00", "19", "20"},
		{"00", "8b", "022f"},
		{"00", "8c", "0000"}, // not what the page measures
		{"00", "e4", "2000"},
		{"01", "8c", "e204"},
		{"01", "8b", "0000"},
		{"02", "8b", "e40c"},
		{"03", "8b", "0000"},
		{"04", "8c", "e204"},
		{"05", "8b", "0100"}, // a general input
		{"06", "8b", "0000"}, // off
		{"10", "8d", "c611"},
		{"11", "8d", "18fc"},
		{"12", "8d", "ff7f"}, // failed
		{"14", "8d", "c409"},
		{"10", "8b", "ffff"}, // not on this page
		{"00", "8d", "ffff"},
		{"ff", "8b", "ffff"},
		{"ff", "9b", "1000"},
	} {
		put(t, c, "00"+v.page)
		get(t, c, v.reg, v.want)
	}
	get(t, c, "7e", "80")
	put(t, c, "0015") // page 21
	get(t, c, "00", "ff")
	get(t, c, "7e", "c0")
}

// 46h warns and 4Ah faults on old parts; the other way round from revision 0012 on.
func TestMAX34451CurrentLimits(t *testing.T) {
	for _, v := range []struct {
		revision uint16
		w, want  string
	}{
		{0x0010, "46e803", "20"},
		{0x0010, "4ae803", "80"},
		{0x0012, "46e803", "80"},
		{0x0012, "4ae803", "20"},
	} {
		c := NewMAX34451(MAX34451Opts{Revision: v.revision, Config: []uint16{0x22, 0x23}})
		c.SetChannel(0, 12.5)
		c.SetChannel(1, 12.5)
		put(t, c, "00ff")
		put(t, c, v.w) // 10 A
		put(t, c, "0000")
		get(t, c, "7b", v.want)
		put(t, c, "0001") // only read, not monitored
		get(t, c, "7b", "00")
	}
}

func TestMAX34451Status(t *testing.T) {
	c := NewMAX34451(MAX34451Opts{})
	c.SetChannel(3, 12)
	put(t, c, "0003")
	put(t, c, "40dc2d") // 11.74 V
	get(t, c, "79", "2080")
	put(t, c, "0000")
	get(t, c, "79", "0000")
	put(t, c, "03") // this page's only
	put(t, c, "0003")
	c.SetChannel(3, 11)
	get(t, c, "7a", "80")
	put(t, c, "03")
	get(t, c, "79", "0000")
	put(t, c, "0010")
	put(t, c, "510008") // 20.48 °C
	get(t, c, "79", "0400")
}

func TestMAX34451Extremes(t *testing.T) {
	c := NewMAX34451(MAX34451Opts{})
	get(t, c, "d7", "ff7f")
	c.SetChannel(0, 12.034)
	c.SetChannel(0, 1)
	get(t, c, "d4", "022f")
	get(t, c, "d7", "e803")
	put(t, c, "d40000")
	put(t, c, "d7ff7f")
	get(t, c, "d4", "e803")
	get(t, c, "d7", "e803")
	put(t, c, "0010")
	get(t, c, "d6", "c409")
	c.SetChannel(16, -5)
	put(t, c, "d60080")
	get(t, c, "d6", "0cfe")
	put(t, c, "0000")
	put(t, c, "e42200")
	c.Reset()
	get(t, c, "e4", "2000")
}
