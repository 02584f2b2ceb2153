package drivertest

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// outlet is a chip on a steady line, with 230.1 V at 50.021 Hz as in the worked examples.
func outlet(watts, vars float64) MCP39F521Opts {
	va := math.Hypot(watts, vars)
	return MCP39F521Opts{Line: Steady{VoltsRMS: 230.1, Hertz: 50.021, Channel: [2]Flow{{AmpsRMS: va / 230.1, Watts: watts, Vars: vars, VA: va}}}}
}

// framed makes the frame for some commands.
func framed(t *testing.T, commands string) []byte {
	t.Helper()
	b := unhex(t, commands)
	b = append([]byte{0xA5, byte(len(b) + 3)}, b...)
	var sum byte
	for _, v := range b {
		sum += v
	}
	return append(b, sum)
}

// ask sends commands and compares the first bytes of the answer.
func ask(t *testing.T, c Chip, commands, want string) {
	t.Helper()
	if err := c.Tx(framed(t, commands), nil); err != nil {
		t.Fatal(err)
	}
	get(t, c, "", want)
}

// counter reads an energy counter.
func counter(t *testing.T, c Chip, reg byte) uint64 {
	t.Helper()
	r := make([]byte, 11)
	if err := c.Tx(framed(t, fmt.Sprintf("4100%02x4e08", reg)), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Tx(nil, r); err != nil || r[0] != 6 || r[1] != 11 {
		t.Fatalf("% x, %v", r, err)
	}
	var v uint64
	for i := range 8 {
		v |= uint64(r[2+i]) << (8 * i)
	}
	return v
}

func TestMCP39F521Vectors(t *testing.T) {
	c := NewMCP39F521(outlet(2300, 0))
	put(t, c, "a5084100084e0246") // two bytes at 0008
	get(t, c, "", "060565c333")
	ask(t, c, "4100064e02", "0605fd0810")
	ask(t, c, "4100044e02", "0605216a96") // 21st of October
}

// The frames as the libraries send them.
func TestMCP39F521Frames(t *testing.T) {
	c := NewMCP39F521(outlet(2300, 0))
	put(t, c, "a5084100024e1c5a")
	r := make([]byte, 32)
	if err := c.Tx(nil, r); err != nil {
		t.Fatal(err)
	}
	// status, version, V, f, analog input, PF, I, P, Q, S
	want := unhex(t, "061f"+"3000"+"216a"+"fd08"+"65c3"+"0000"+"ff7f"+"75860100"+"70820300"+"00000000"+"70820300")
	var sum byte
	for _, b := range want {
		sum += b
	}
	want = append(want, sum, 0xFF) // FF after the end
	if !bytes.Equal(r, want) {
		t.Errorf("block\n got % x\nwant % x", r, want)
	}
	put(t, c, "a50841001e4e207a")
	get(t, c, "", "0623")
	if c.Counting() {
		t.Error("counting before it was switched on")
	}
	put(t, c, "a50a4100dc4d0201001c")
	get(t, c, "", "06ff")
	if !c.Counting() {
		t.Error("not counting")
	}
	ask(t, c, "4100dc4e02", "06050100"+"0c")
}

// The sum cannot see swapped bytes; the value 0100 has bit 0 clear.
func TestMCP39F521SwappedBytes(t *testing.T) {
	c := NewMCP39F521(outlet(2300, 0))
	put(t, c, "a50a4100dc4d0200011c")
	get(t, c, "", "06")
	if c.Counting() {
		t.Error("counting after the bytes came in the wrong order")
	}
}

func TestMCP39F521IsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outlet(2300, 0)
		o.Delay = 10 * time.Millisecond
		c := NewMCP39F521(o)
		put(t, c, "a508410008"+"4e0246")
		get(t, c, "", "ffffffffff")
		time.Sleep(9 * time.Millisecond)
		get(t, c, "", "ff")
		time.Sleep(time.Millisecond)
		get(t, c, "", "060565c333")
		get(t, c, "", "060565c333") // can be read again
		c.SetDelay(100 * time.Millisecond)
		put(t, c, "a508410006"+"4e0244")
		time.Sleep(99 * time.Millisecond)
		get(t, c, "", "ff") // the old answer is gone
		time.Sleep(time.Millisecond)
		get(t, c, "", "0605fd0810")
	})
}

func TestMCP39F521Refuses(t *testing.T) {
	c := NewMCP39F521(outlet(2300, 0))
	for _, f := range []struct{ frame, want string }{
		{"a508410008" + "4e0247", "51"}, // wrong sum
		{"a508410008" + "4e02", "ff"},   // a byte short
		{"a408410008" + "4e0245", "ff"}, // no header
		{"a5", "ff"},
		{"a503a8", "ff"},                // too short to be a frame
		{"a508410002" + "4e215f", "15"}, // more than 32 bytes
		{"a5084100e2" + "4e011f", "15"}, // beyond the registers
		{"a50499" + "42", "15"},         // no such command
		{"a50541" + "00eb", "15"},       // half a pointer
		{"a504" + "53fc", "15"},
	} {
		put(t, c, f.frame)
		get(t, c, "", f.want)
	}
	c.Deny(1)
	ask(t, c, "4100084e02", "15")
	c.Mishear(2)
	ask(t, c, "4100dc4d020100", "51")
	ask(t, c, "4100084e02", "51")
	if c.Counting() {
		t.Error("a frame it did not hear had an effect")
	}
	c.SpoilSums(1)
	ask(t, c, "4100084e02", "060565c334")
	ask(t, c, "4100084e02", "060565c333")
}

func TestMCP39F521RecordsWhatIsForbidden(t *testing.T) {
	c := NewMCP39F521(outlet(2300, 0))
	if len(c.Forbidden()) != 0 || len(c.Writes()) != 0 {
		t.Error("something is recorded before anything was sent")
	}
	for _, command := range []string{"53", "5a", "7a", "76", "4f"} {
		ask(t, c, command, "15")
	}
	ask(t, c, "41005e4d02a5a5"+"53", "15") // the way to a factory reset
	if got := fmt.Sprintf("%x", c.Forbidden()); got != "535a7a764f53" {
		t.Errorf("forbidden %s", got)
	}
	ask(t, c, "4100dc4d020100", "06")
	ask(t, c, "41fff04d020100", "15")
	ask(t, c, "5003"+"000102030405060708090a0b0c0d0e0f", "06")
	ask(t, c, "4100304d0101", "06") // acknowledged, but results take no writes
	want := "[{77 94 [165 165]} {77 220 [1 0]} {77 65520 [1 0]} {80 3 [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]} {77 48 [1]}]"
	if got := fmt.Sprint(c.Writes()); got != want {
		t.Errorf("writes\n got %s\nwant %s", got, want)
	}
	ask(t, c, "4203", "0613"+"000102030405060708090a0b0c0d0e0f"+"91")
	ask(t, c, "4220", "15")
}

func TestMCP39F521EEPROM(t *testing.T) {
	o := outlet(0, 0)
	o.EEPROM = []byte("PDU-7")
	c := NewMCP39F521(o)
	ask(t, c, "4200", "0613"+"5044552d37"+"ffffffffffffffffffffff")
	c.Reset()
	ask(t, c, "4200", "06135044552d37")
}

// 2300 W for an hour is 2.3 kWh; nothing is counted before the register says so, nor below the no-load level.
func TestMCP39F521Energy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMCP39F521(outlet(2300, -900))
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e != 0 {
			t.Errorf("%d mWh before counting was on", e)
		}
		ask(t, c, "4100dc4d020100", "06")
		time.Sleep(time.Hour)
		for reg, want := range map[byte]uint64{0x1E: 2_300_000, 0x26: 0, 0x2E: 0, 0x36: 900_000} {
			if e := counter(t, c, reg); e+1 < want || e > want {
				t.Errorf("%02x: %d mWh, want %d", reg, e, want)
			}
		}
		ask(t, c, "4100dc4d020000", "06")
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e != 2_300_000 {
			t.Errorf("%d mWh while counting was off", e)
		}
		ask(t, c, "4100dc4d020100", "06")
		if e := counter(t, c, 0x1E); e != 0 {
			t.Errorf("%d mWh after counting was switched on again", e)
		}
		c.SetEnergy([4]uint64{1 << 40, 7, 0, 0})
		if a, b := counter(t, c, 0x1E), counter(t, c, 0x26); a != 1<<40 || b != 7 {
			t.Errorf("%d, %d", a, b)
		}
		c.Reset()
		if e := counter(t, c, 0x1E); e != 0 || c.Counting() {
			t.Errorf("after a restart %d mWh, counting %v", e, c.Counting())
		}
	})
}

func TestMCP39F521NoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outlet(0.99, 0)
		o.FloorAmps = 0.02
		c := NewMCP39F521(o)
		ask(t, c, "4100dc4d020100", "06")
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e != 0 {
			t.Errorf("%d mWh below 1 W", e)
		}
		ask(t, c, "41000e4e04", "0607"+"cd000000"+"da") // 20.5 mA: floor and load
		ask(t, c, "4100124e04", "0607"+"63000000"+"70")
		ask(t, c, "4100e04d023200", "06") // half a watt
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e < 988 || e > 990 {
			t.Errorf("%d mWh, want 990", e)
		}
	})
}

// Power is a magnitude with its sign in the status; energy has a counter for each direction.
func TestMCP39F521Reversed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outlet(2300, 900)
		o.Reversed = true
		c := NewMCP39F521(o)
		ask(t, c, "4100124e04", "0607"+"70820300"+"02")
		ask(t, c, "4100024e02", "0605"+"0000"+"0b")
		ask(t, c, "4100dc4d020100", "06")
		time.Sleep(time.Hour)
		if in, out := counter(t, c, 0x1E), counter(t, c, 0x26); in != 0 || out < 2_299_999 {
			t.Errorf("in %d, out %d mWh", in, out)
		}
	})
}

// Counters are wrong by 2^(2-N): with N = 5 an eighth.
func TestMCP39F521Erratum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[uint16]uint64{0: 2_300_000, 1: 4_600_000, 5: 287_500} {
			o := outlet(2300, 0)
			o.EnergyErratum, o.Cycles = true, n
			c := NewMCP39F521(o)
			ask(t, c, "4100dc4d020100", "06")
			time.Sleep(time.Hour)
			if e := counter(t, c, 0x1E); e+1 < want || e > want {
				t.Errorf("N = %d: %d mWh, want %d", n, e, want)
			}
		}
	})
}

// Windows of 80 ms at N = 2; the power changes when one has ended.
func TestMCP39F521Windows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := NewMCP39F521(MCP39F521Opts{Line: stepLine{begin.Add(120 * time.Millisecond), load(230, 0, 0, 0), load(230, 10, 2300, 0)}})
		c.Reset() // the first window begins now
		for _, w := range []struct {
			after time.Duration
			want  string
		}{
			{79 * time.Millisecond, "00000000"},
			{159 * time.Millisecond, "00000000"},
			{160 * time.Millisecond, "38c10100"}, // half of the window
			{239 * time.Millisecond, "38c10100"},
			{240 * time.Millisecond, "70820300"},
		} {
			time.Sleep(time.Until(begin.Add(w.after)))
			ask(t, c, "4100124e04", "0607"+w.want)
		}
		ask(t, c, "41009e4d020500", "06") // 640 ms
		time.Sleep(time.Until(begin.Add(639 * time.Millisecond)))
		ask(t, c, "4100124e04", "0607"+"00000000")
	})
}

func TestMCP39F521Faults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewMCP39F521(outlet(2300, 0))
		ask(t, c, "4100dc4d020100", "06")
		c.SetScale(0)
		ask(t, c, "4100124e04", "060700000000")
		ask(t, c, "4100064e02", "06050000")
		c.SetScale(1)
		c.Freeze(true)
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e != 0 {
			t.Errorf("a frozen chip counted %d mWh", e)
		}
		c.Freeze(false)
		time.Sleep(time.Hour)
		if e := counter(t, c, 0x1E); e < 2_299_999 || e > 2_300_000 {
			t.Errorf("%d mWh", e)
		}
		c.SetPowered(false)
		if err := c.Tx(framed(t, "4100084e02"), nil); err != NackAddress { //nolint:errorlint // bare by contract
			t.Errorf("without a feed: %v", err)
		}
		c.SetPowered(true)
		if c.Counting() {
			t.Error("counting after the feed came back")
		}
		ask(t, c, "4100604d020040", "06") // half the current gain
		time.Sleep(time.Second)
		ask(t, c, "41000e4e04", "0607"+"3ac30000")
	})
}

func TestMCP39F521Limits(t *testing.T) {
	c := NewMCP39F521(outlet(2300, -1))
	ask(t, c, "4100024e02", "06051000")
	ask(t, c, "4100a04d02fe08", "06") // sag below 230.2 V
	ask(t, c, "4100a24d02fc08", "06") // surge above 230.0 V
	ask(t, c, "4100a44d0410270000", "06")
	ask(t, c, "4100a84d04a0860100", "06")
	ask(t, c, "4100024e02", "06051f00")
}
