package pmbus

import (
	"math"
	"testing"
)

func TestLinear11(t *testing.T) {
	for _, c := range []struct {
		lo, hi byte
		want   float64
	}{
		{0x1f, 0xfb, 399.5},
		{0xe6, 0xf8, 115},
		{0x33, 0xdb, 25.59375},
		{0xcc, 0xf9, 230},
		{0xe8, 0x03, 1000},
		{0x9c, 0x0b, 1848},
		{0xff, 0xfb, 511.5},
		{0xf0, 0x7f, -524288},
		{0x40, 0xf2, 144},
		{0x00, 0xf8, 0},
		{0x00, 0x00, 0},
	} {
		word := uint16(c.lo) | uint16(c.hi)<<8
		got, ok := Linear11(word)
		if !ok || got != c.want {
			t.Errorf("%02x %02x: %v, %t, want %v", c.lo, c.hi, got, ok, c.want)
		}
		if again, ok := EncodeLinear11(c.want); !ok {
			t.Errorf("%v cannot be encoded", c.want)
		} else if v, _ := Linear11(again); v != c.want {
			t.Errorf("%v comes back as %v", c.want, v)
		}
	}
	if v, ok := Linear11(0xffff); ok {
		t.Errorf("a released bus reads as %v", v)
	}
}

func TestEncodeLinear11(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want uint16
		ok   bool
	}{
		{1000, 0x03e8, true},
		{230, 0xf398, true}, // 920 * 2^-2
		{0, 0, true},
		{1023.6, 0x0a00, true}, // rounds into the next exponent: 512 * 2
		{-1, 0xbe00, true},     // -512 * 2^-9
		{1023 * 32768, 0x7bff, true},
		{1024 * 32768, 0, false},
		{-1024 * 32768, 0, false},
		{math.Ldexp(1, -16), 0x8001, true},
		{math.NaN(), 0, false},
		{math.Inf(-1), 0, false},
	} {
		if got, ok := EncodeLinear11(c.v); got != c.want || ok != c.ok {
			t.Errorf("%v: %04x, %t, want %04x, %t", c.v, got, ok, c.want, c.ok)
		}
	}
}

func TestVoutMode(t *testing.T) {
	for _, c := range []struct {
		mode     VoutMode
		exponent int
		lo, hi   byte
		volts    float64
	}{
		{0x17, -9, 0x00, 0x18, 12.0},
		{0x17, -9, 0x66, 0x18, 12.19922},
		{0x16, -10, 0x00, 0x30, 12.0},
		{0x18, -8, 0x00, 0x0c, 12.0},
		{0x14, -12, 0x00, 0xc0, 12.0},
		{0x1a, -6, 0x00, 0x03, 12.0},
		{0x97, -9, 0x00, 0x18, 12.0}, // limits relative, readings not
		{0x1f, -1, 0x18, 0x00, 12.0},
		{0x00, 0, 0x0c, 0x00, 12.0},
	} {
		decode, ok := c.mode.Decode()
		if !ok || c.mode.Exponent() != c.exponent || c.mode.Format() != VoutLinear {
			t.Errorf("%02x: exponent %d, format %d, %t", c.mode, c.mode.Exponent(), c.mode.Format(), ok)
			continue
		}
		word := uint16(c.lo) | uint16(c.hi)<<8
		if v, ok := decode(word); !ok || math.Abs(v-c.volts) > 5e-6 {
			t.Errorf("%02x, %04x: %v, %t", c.mode, word, v, ok)
		}
		if got, ok := EncodeULinear16(c.volts, c.exponent); !ok || got != word {
			t.Errorf("%v V at %d: %04x, %t", c.volts, c.exponent, got, ok)
		}
	}
	if !VoutMode(0x97).Relative() || VoutMode(0x17).Relative() {
		t.Error("relative bit")
	}
	if m := VoutMode(0x25); m.Format() != VoutVID || m.Table() != 5 {
		t.Errorf("VID: format %d, table %d", m.Format(), m.Table())
	}
	for _, m := range []VoutMode{0x20, 0x40, 0x61, 0xff} {
		if _, ok := m.Decode(); ok {
			t.Errorf("%02x has a decoder", m)
		}
	}
	if d, ok := VoutMode(0x60).Decode(); !ok {
		t.Error("half has no decoder")
	} else if v, ok := d(0x4a00); v != 12 || !ok {
		t.Errorf("half: %v, %t", v, ok)
	}
	for _, v := range []float64{-1, 128, math.NaN()} {
		if got, ok := EncodeULinear16(v, -9); ok {
			t.Errorf("%v became %04x", v, got)
		}
	}
}

func TestHalf(t *testing.T) {
	for _, c := range []struct {
		word uint16
		want float64
		ok   bool
	}{
		{0x0000, 0, true},
		{0x3c00, 1, true},
		{0xc000, -2, true},
		{0x7bff, 65504, true},
		{0x0001, math.Ldexp(1, -24), true},
		{0x03ff, math.Ldexp(1023, -24), true},
		{0x3555, 0.333251953125, true},
		{0x7c00, 0, false},
		{0xfc00, 0, false},
		{0x7e00, 0, false},
		{0xffff, 0, false},
	} {
		if got, ok := Half(c.word); got != c.want || ok != c.ok {
			t.Errorf("%04x: %v, %t", c.word, got, ok)
		}
	}
}

// Every binary16 but those that are no number comes out as the one value that the standard's formula gives.
func TestHalfIsMonotonic(t *testing.T) {
	last := -1.0
	for w := range uint16(0x7c00) {
		v, ok := Half(w)
		if !ok || v <= last {
			t.Fatalf("%04x: %v after %v, %t", w, v, last, ok)
		}
		if neg, _ := Half(w | 0x8000); neg != -v {
			t.Fatalf("%04x: %v and %v", w, v, neg)
		}
		last = v
	}
}

// Worked numbers of the Linux drivers adm1275 and lm25066 for parts that have no driver here.
func TestDirect(t *testing.T) {
	adm1276Power := Direct{M: 6043, R: -2}.Shunt(0.5)
	lm25066V := Direct{M: 22070, B: -1800, R: -2, Width: 12}
	lm25066I := Direct{M: 13661, B: -5200, R: -2, Width: 12}.Shunt(0.5)
	for _, c := range []struct {
		name  string
		d     Direct
		value float64
		word  uint16
	}{
		{"LM25066 12 V", lm25066V, 12, 0x0a46},
		{"LM25066 20 A", lm25066I, 20, 0x0522},
		{"ADM1276 360 W", adm1276Power, 360, 0x2a7d},
		{"millivolts", Direct{M: 1, R: 3}, 12.034, 0x2f02},
		{"below zero", Direct{M: 1, R: 2}, -40, 0xf060},
	} {
		if got, ok := c.d.Encode(c.value); !ok || got != c.word {
			t.Errorf("%s: %04x, %t, want %04x", c.name, got, ok, c.word)
		}
		step := math.Abs(math.Pow10(-c.d.R) / c.d.M)
		if v, ok := c.d.Decode(c.word); !ok || math.Abs(v-c.value) > step/2*(1+1e-9) {
			t.Errorf("%s: %v, %t", c.name, v, ok)
		}
	}
	for _, c := range []struct {
		d Direct
		v float64
	}{
		{lm25066V, 19}, {lm25066V, -1}, {Direct{M: 1, R: 3}, 33}, {Direct{M: 1, R: 3}, -33}, {Direct{}, 0 / math.Inf(1)}, {Direct{M: 1}, math.NaN()},
	} {
		if c.d.M == 0 {
			if v, ok := c.d.Decode(1); ok {
				t.Errorf("no slope: %v", v)
			}
			continue
		}
		if got, ok := c.d.Encode(c.v); ok {
			t.Errorf("%+v: %v became %04x", c.d, c.v, got)
		}
	}
	if v, ok := lm25066V.Decode(0x1000); ok {
		t.Errorf("13 bits of 12: %v", v)
	}
}

func TestCoefficients(t *testing.T) {
	d, ok := ParseCoefficients([]byte{0x97, 0x02, 0x00, 0x50, 0xff})
	if want := (Direct{M: 663, B: 20480, R: -1}); !ok || d != want {
		t.Errorf("%+v, %t", d, ok)
	}
	for _, b := range [][]byte{nil, {1, 0, 0, 0}, {1, 0, 0, 0, 0, 0}, {0, 0, 1, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0xff}} {
		if d, ok := ParseCoefficients(b); ok {
			t.Errorf("%x: %+v", b, d)
		}
	}
}

func TestWithin(t *testing.T) {
	d := Decode(Linear11).Within(0, 1000)
	if _, ok := d(0x03e8); !ok {
		t.Error("1000 was refused")
	}
	for _, w := range []uint16{0x03e9, 0xffff, 0x7ff0} {
		if v, ok := d(w); ok {
			t.Errorf("%04x: %v", w, v)
		}
	}
}

func TestPEC(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want byte
	}{
		{"nothing", nil, 0},
		{"check string", []byte("123456789"), 0xf4},
		{"read word", []byte{0x20, 0x8b, 0x21, 0x1f, 0x08}, 0x5b},
		{"write byte", []byte{0xb0, 0x01, 0x80}, 0x76},
		{"send byte", []byte{0xb0, 0x03}, 0x46},
		{"read byte", []byte{0xb0, 0x20, 0xb1, 0x17}, 0xe4},
		{"block read", []byte{0xb0, 0x99, 0xb1, 0x03, 0x41, 0x42, 0x43}, 0x27},
	} {
		if got := PEC(c.data...); got != c.want {
			t.Errorf("%s: %02x, want %02x", c.name, got, c.want)
		}
	}
	if got := transferPEC(0x58, []byte{0x99}, []byte("\x03ABC")); got != 0x27 {
		t.Errorf("block read: %02x", got)
	}
	if got := transferPEC(0x58, []byte{0x01, 0x80}, nil); got != 0x76 {
		t.Errorf("write byte: %02x", got)
	}
}

func TestCommandNames(t *testing.T) {
	for i := range 256 {
		c := Command(i)
		got, ok := ParseCommand(c.String())
		if !ok || got != c {
			t.Errorf("%02x: %q, %v, %t", i, c.String(), got, ok)
		}
	}
	for _, c := range []struct {
		s    string
		want Command
	}{{"READ_VIN", 0x88}, {"MFR_ID", 0x99}, {"STATUS_WORD", 0x79}, {"RESTORE_DEFAULT_CODE", 0x14}, {"d4h", 0xd4}} {
		if got, ok := ParseCommand(c.s); !ok || got != c.want {
			t.Errorf("%s: %02x, %t", c.s, byte(got), ok)
		}
	}
	for _, s := range []string{"", "88h", "d4", "-4h", "+4h", "d4hh", "read_vin"} {
		if c, ok := ParseCommand(s); ok {
			t.Errorf("%q: %v", s, c)
		}
	}
}

func TestForbidden(t *testing.T) {
	for i := range 256 {
		c := Command(i)
		want := i == 0x03 || i == 0x05 || i >= 0x11 && i <= 0x18
		if c.Forbidden() != want {
			t.Errorf("%v: %t", c, c.Forbidden())
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		word uint16
		want string
	}{
		{0, ""},
		{0x2848, "input power_not_good off vin_uv_fault"},
		{0x8000, "vout"},
		{0x0001, "none_of_the_above"},
		{0x7fff, "iout_pout input mfr power_not_good fans other unknown busy off vout_ov_fault iout_oc_fault vin_uv_fault temperature cml none_of_the_above"},
	} {
		if got := StatusWord(c.word).String(); got != c.want {
			t.Errorf("%04x: %q", c.word, got)
		}
	}
	for _, c := range []struct {
		at   Command
		v    byte
		want []string
	}{
		{STATUS_INPUT, 0x18, []string{"vin_uv_fault", "off_input_low"}},
		{STATUS_VOUT, 0x81, []string{"vout_ov_fault", "vout_tracking_error"}},
		{STATUS_IOUT, 0xa3, []string{"iout_oc_fault", "iout_oc_warning", "pout_op_fault", "pout_op_warning"}},
		{STATUS_TEMPERATURE, 0xff, []string{"ot_fault", "ot_warning", "ut_warning", "ut_fault"}},
		{STATUS_CML, 0xe4, []string{"cml_bad_command", "cml_bad_data", "cml_pec"}},
		{STATUS_FANS_1_2, 0x51, []string{"fan_2_fault", "fan_2_warning", "airflow_warning"}},
		{STATUS_FANS_3_4, 0x83, []string{"fan_3_fault"}},
		{STATUS_MFR_SPECIFIC, 0xff, nil},
		{0xd4, 0xff, nil},
	} {
		got := StatusNames(c.at, c.v)
		if len(got) != len(c.want) {
			t.Errorf("%v %02x: %q", c.at, c.v, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v %02x: %q", c.at, c.v, got)
			}
		}
	}
	d := (StatusInput | StatusOff | StatusTemperature | StatusFans).Details()
	if len(d) != 3 || d[0] != STATUS_INPUT || d[1] != STATUS_TEMPERATURE || d[2] != STATUS_FANS_1_2 {
		t.Errorf("%v", d)
	}
}
