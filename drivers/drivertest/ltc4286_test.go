package drivertest

import "testing"

func TestLTC4286Readings(t *testing.T) {
	c := NewLTC4286(LTC4286Opts{Load: ConstantLoad(48, 100), Celsius: steadyCelsius(45)})
	for _, v := range []struct{ reg, want string }{
		{"99", "034c5443"},
		{"9a", "074c544334323836"},
		{"f2", "7255"},
		{"88", "003c"},
		{"8b", "003c"},
		{"8c", "0078"},
		{"97", "4038"},
		{"8d", "3e01"},
		{"79", "0000"},
	} {
		get(t, c, v.reg, v.want)
	}
	put(t, c, "f27055") // 25.6 V
	c.SetLoad(ConstantLoad(12, 100))
	get(t, c, "88", "003c")
	get(t, c, "8c", "0078")
	get(t, c, "97", "4038") // 1200 W at four times the slope
	c.SetLoad(ConstantLoad(48, 100))
	get(t, c, "88", "ff7f") // beyond the range
}

func TestLTC4286Switches(t *testing.T) {
	c := NewLTC4286(LTC4286Opts{Model: "LTC4287", Load: ConstantLoad(48, 100)})
	get(t, c, "9a", "074c544334323837")
	put(t, c, "0100")
	get(t, c, "79", "4008")
	get(t, c, "8c", "0000")
	get(t, c, "8b", "0000")
	get(t, c, "88", "003c")
	put(t, c, "f27055")
	c.Reset()
	get(t, c, "f2", "7255")
	get(t, c, "01", "80")
	put(t, c, "0140")
	get(t, c, "7e", "40")
	put(t, c, "7e40")
	get(t, c, "7e", "00")
}
