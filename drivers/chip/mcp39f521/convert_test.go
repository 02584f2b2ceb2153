package mcp39f521

import (
	"bytes"
	"math"
	"testing"

	"periph.io/x/conn/v3/physic"
)

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"28 bytes at 0002", readFrame(systemStatus, 28), []byte{0xa5, 0x08, 0x41, 0x00, 0x02, 0x4e, 0x1c, 0x5a}},
		{"32 bytes at 001E", readFrame(importActive, 32), []byte{0xa5, 0x08, 0x41, 0x00, 0x1e, 0x4e, 0x20, 0x7a}},
		{"2 bytes at 0004", readFrame(systemVersion, 2), []byte{0xa5, 0x08, 0x41, 0x00, 0x04, 0x4e, 0x02, 0x42}},
		{"counting on", startCounting(), []byte{0xa5, 0x0a, 0x41, 0x00, 0xdc, 0x4d, 0x02, 0x01, 0x00, 0x1c}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x", c.name, c.got)
		}
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		answer []byte
		want   []byte
	}{
		{[]byte{0x06, 0x05, 0x65, 0xc3, 0x33}, []byte{0x65, 0xc3}},
		{[]byte{0x06, 0x05, 0xfd, 0x08, 0x10}, []byte{0xfd, 0x08}},
		{[]byte{0x06, 0x05, 0x65, 0xc3, 0x34}, nil},
		{[]byte{0x06, 0x06, 0x65, 0xc3, 0x34}, nil},
		{[]byte{0x51, 0x05, 0x65, 0xc3, 0x7e}, nil},
		{[]byte{0x06, 0x03, 0x09}, []byte{}},
		{[]byte{0x06}, nil},
		{nil, nil},
	} {
		got, err := open(c.answer)
		if (err == nil) != (c.want != nil) || !bytes.Equal(got, c.want) {
			t.Errorf("% x: % x, %v", c.answer, got, err)
		}
	}
}

func TestScale(t *testing.T) {
	s := DefaultScale()
	if f := s.Frequency(0xc365); f != 50021*physic.MilliHertz {
		t.Errorf("%v", f)
	}
	if v := s.Voltage(0x08fd); v != 230100*physic.MilliVolt {
		t.Errorf("%v", v)
	}
	if p := s.Power(104627, false); p != -1046270*physic.MilliWatt {
		t.Errorf("%v", p)
	}
	if i := s.Current(math.MaxUint32); i != 429496729500*physic.MicroAmpere {
		t.Errorf("%v", i)
	}
	whole := Scale{WattHour: 9}
	if i := whole.Current(math.MaxUint32); i != math.MaxUint32*physic.Ampere {
		t.Errorf("%v", i)
	}
	if p := (Scale{Watt: 9}).Power(1, true); p != physic.NanoWatt {
		t.Errorf("%v", p)
	}
	if s.EnergyCount() != 3.6 || whole.EnergyCount() != 3.6e-6 {
		t.Errorf("%g, %g", s.EnergyCount(), whole.EnergyCount())
	}
}

func TestPowerFactor(t *testing.T) {
	for code, want := range map[uint16]float64{0x7fff: 32767.0 / 32768, 0x4000: 0.5, 0xc000: -0.5, 0x8000: -1, 0: 0, 0xffff: -1.0 / 32768} {
		if got := PowerFactor(code); got != want {
			t.Errorf("%04x: %g", code, got)
		}
	}
}

// Whatever answers, it is opened only if its checksum fits, and what is in it is decoded without leaving physic's range.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0x06, 0x05, 0x65, 0xc3, 0x33}, uint8(3))
	f.Add(bytes.Repeat([]byte{0xff}, 35), uint8(0))
	f.Add(answer(bytes.Repeat([]byte{0x7f}, outputBytes)...), uint8(9))
	f.Add(answer(bytes.Repeat([]byte{0x55}, energyBytes)...), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, places uint8) {
		data, err := open(b)
		if err != nil {
			return
		}
		if b[0] != 0x06 || len(b) > 255 || len(data) != len(b)-3 || !bytes.Equal(answer(data...), b) {
			t.Fatalf("% x was opened as % x", b, data)
		}
		p := int(places) % 10
		s := Scale{Volt: p, Hertz: min(p, 6), Ampere: p, Watt: p, WattHour: p}
		if len(data) >= outputBytes {
			m, ok := decode(data, s)
			if !ok && m != (Measurement{}) {
				t.Fatalf("%+v of all ones", m)
			}
			if m.Voltage < 0 || m.Current < 0 || m.Apparent < 0 || m.Frequency < 0 || m.PowerFactor < -1 || m.PowerFactor >= 1 {
				t.Errorf("%+v", m)
			}
			if m.Power > 0 && m.Status&ActivePositive == 0 || m.Reactive < 0 && m.Status&ReactivePositive != 0 {
				t.Errorf("sign of %+v", m)
			}
		}
		if len(data) >= energyBytes {
			if e := decodeEnergy(data); e.ImportActive&0xff != uint64(data[0]) || e.ExportReactive>>56 != uint64(data[31]) {
				t.Errorf("%+v of % x", e, data)
			}
		}
	})
}
