package drivertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// 1/16 °C, rounded down, below the flags of limits that all stand at 0 °C (Microchip DS25095A, T_A).
func TestMCP9808Values(t *testing.T) {
	for _, v := range []struct {
		celsius float64
		want    string
	}{
		{25.25, "c194"},
		{125, "c7d0"},
		{0.0625, "c001"},
		{0, "8000"},
		{-0.0625, "3fff"},
		{-0.01, "3fff"},
		{-25.25, "3e6c"},
		{-40, "3d80"},
		{1e9, "cfff"},
		{-1e9, "3000"},
	} {
		get(t, NewMCP9808(Constant(v.celsius), nil), "05", v.want)
	}
}

func TestMCP9808Registers(t *testing.T) {
	c := NewMCP9808(Constant(25), nil)
	for _, r := range []struct{ reg, want string }{
		{"01", "0000"}, {"02", "0000"}, {"03", "0000"}, {"04", "0000"}, {"06", "0054"}, {"07", "0400"}, {"08", "03"}, {"00", "0000"}, {"09", "0000"},
	} {
		get(t, c, r.reg, r.want)
	}
	for _, w := range []string{"05ffff", "06ffff", "07ffff", "01ff", "02ff", "08"} { // read-only, or half a word
		put(t, c, w)
	}
	get(t, c, "", "03") // a pointer alone
	get(t, c, "05", "c190")
	get(t, c, "06", "0054")
	get(t, c, "07", "0400")
	get(t, c, "01", "0000")
	put(t, c, "02ffff")
	get(t, c, "02", "1ffc")
	put(t, c, "01ffff")
	get(t, c, "01", "07cf")
	put(t, c, "08fe")
	get(t, c, "08", "0202")
	c.Reset()
	for _, r := range []struct{ reg, want string }{{"01", "0000"}, {"02", "0000"}, {"05", "0000"}, {"08", "03"}} {
		get(t, c, r.reg, r.want)
	}
}

// The flags are those of the last conversion: critical, above, below.
func TestMCP9808Flags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMCP9808(Constant(25), nil)
		put(t, c, "020280") // upper 40 °C
		put(t, c, "031f60") // lower -10 °C
		put(t, c, "0404b0") // critical 75 °C
		get(t, c, "05", "c190")
		for _, v := range []struct {
			celsius float64
			want    string
		}{{25, "0190"}, {0, "0000"}, {40, "0280"}, {40.0625, "4281"}, {75, "c4b0"}, {-10, "1f60"}, {-10.0625, "3f5f"}} {
			c.SetCelsius(v.celsius)
			time.Sleep(250 * time.Millisecond)
			get(t, c, "05", v.want)
		}
	})
}

// A new temperature shows when a conversion ends, and not while shut down.
func TestMCP9808Converts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMCP9808(Constant(20), nil)
		c.Reset()
		time.Sleep(250*time.Millisecond - time.Nanosecond)
		get(t, c, "05", "0000")
		time.Sleep(time.Nanosecond)
		get(t, c, "05", "c140")
		c.SetCelsius(30)
		time.Sleep(250*time.Millisecond - time.Nanosecond)
		get(t, c, "05", "c140")
		time.Sleep(time.Nanosecond)
		get(t, c, "05", "c1e0")
		put(t, c, "010100")
		c.SetCelsius(40)
		time.Sleep(time.Minute)
		get(t, c, "05", "c1e0")
		put(t, c, "010000")
		time.Sleep(250*time.Millisecond - time.Nanosecond)
		get(t, c, "05", "c1e0")
		time.Sleep(time.Nanosecond)
		get(t, c, "05", "c280")
	})
}

func TestMCP9808Resolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMCP9808(Constant(-25.0625), nil)
		get(t, c, "05", "3e6f")
		for _, v := range []struct {
			write, want string
			after       time.Duration
		}{{"0800", "3e68", 30}, {"0803", "3e6f", 250}, {"0801", "3e6c", 65}, {"0803", "3e6f", 250}, {"0802", "3e6e", 130}} {
			put(t, c, v.write)
			before := value(t, c, "05", 2)
			time.Sleep(v.after*time.Millisecond - time.Nanosecond)
			if got := value(t, c, "05", 2); got != before {
				t.Errorf("%s: %04x too soon", v.write, got)
			}
			time.Sleep(time.Nanosecond)
			get(t, c, "05", v.want)
		}
	})
}
