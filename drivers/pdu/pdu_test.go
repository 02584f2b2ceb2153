package pdu

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
)

func TestNewTouchesNothing(t *testing.T) {
	b := newBoard()
	p := ac8(t, b)
	if b.count != 0 {
		t.Errorf("%d transfers", b.count)
	}
	if p.Meters() != 4 || p.Sensors() != 1 || p.Model().Name != "ac8" {
		t.Errorf("%d meters, %d sensors, model %s", p.Meters(), p.Sensors(), p.Model().Name)
	}
	for _, o := range []Opts{{Name: "x"}, {}} {
		if _, err := New(b, b, o); err == nil {
			t.Error("no model was taken")
		}
	}
	if _, err := New(nil, b, Opts{Model: p.Model()}); err == nil {
		t.Error("no handle was taken")
	}
}

func TestIdentify(t *testing.T) {
	whole := identity("Rackagent", "AC8", "PA-0001")
	for name, c := range map[string]struct {
		memory []byte
		before func(int, uint16, []byte) error
		fault  drivers.Fault
		serial string
	}{
		"ours":            {memory: whole, serial: "PA-0001"},
		"another serial":  {memory: identity("Rackagent", "AC8", "PA-0002"), serial: "PA-0002"},
		"another product": {memory: identity("Rackagent", "AC16", "PA-0001"), fault: drivers.WrongDevice, serial: "PA-0001"},
		"another maker":   {memory: identity("Somebody", "AC8", "PA-0001"), fault: drivers.WrongDevice, serial: "PA-0001"},
		"empty":           {memory: bytes.Repeat([]byte{0xff}, 256), fault: drivers.Implausible},
		"no board area":   {memory: append([]byte{1, 0, 0, 0, 0, 0, 0, 0xff}, make([]byte, 248)...), fault: drivers.Corrupt},
		"one bit":         {memory: append(append([]byte{}, whole[:20]...), append([]byte{whole[20] ^ 4}, whole[21:]...)...), fault: drivers.Corrupt},
		"no answer":       {memory: whole, before: func(int, uint16, []byte) error { return drivers.NoAnswer }, fault: drivers.NoAnswer},
	} {
		b := newBoard()
		b.eeprom, b.before = c.memory, c.before
		p := ac8(t, b)
		id, err := p.Identify(t.Context())
		if drivers.FaultOf(err) != c.fault || id.Serial != c.serial {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		b.before = nil
		// Only a board that says it is something else is refused; silence is judged elsewhere.
		_, err = p.Cut(t.Context(), 1)
		if refused := errors.Is(err, drivers.WrongDevice); refused != (c.fault == drivers.WrongDevice) || refused != (len(b.writes) == 0) {
			t.Errorf("%s: cut: %v, %d writes", name, err, len(b.writes))
		}
	}
}

func TestIdentifyAgain(t *testing.T) {
	b := newBoard()
	p := ac8(t, b)
	b.eeprom = identity("Rackagent", "AC16", "PA-0001")
	if _, err := p.Identify(t.Context()); !errors.Is(err, drivers.WrongDevice) {
		t.Fatal(err)
	}
	b.eeprom = identity("Rackagent", "AC8", "PA-0001")
	if id, err := p.Identify(t.Context()); err != nil || id != (drivers.Ident{Manufacturer: "Rackagent", Product: "AC8", Part: "RA-100-8", Serial: "PA-0001"}) {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := p.Energise(t.Context(), 4); err != nil {
		t.Error(err)
	}
}

func TestNoMemory(t *testing.T) {
	data := strings.Replace(string(modelData(t, "models/ac8.yaml")), "  fru: {address: 0x50, part: at24c02}\n", "", 1)
	m, err := ParseModel("x.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(newBoard(), newBoard(), Opts{Name: "x", Model: m})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Identify(t.Context()); !errors.Is(err, drivers.Unsupported) {
		t.Errorf("%v", err)
	}
}

func TestTemps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		p := ac8(t, b)
		s, err := p.Temps(t.Context())
		if drivers.FaultOf(err) != drivers.Settling || !errors.Is(s[0].Err, drivers.Restarted) || b.config != 0x60 {
			t.Fatalf("first: %+v, %v, configuration %02x", s, err, b.config)
		}
		time.Sleep(219 * time.Millisecond)
		if _, err = p.Temps(t.Context()); drivers.FaultOf(err) != drivers.Settling {
			t.Errorf("within the first conversion: %v", err)
		}
		time.Sleep(time.Millisecond)
		s, err = p.Temps(t.Context())
		if err != nil || s[0].C != 25 || s[0].Raw != 0x1900 || !s[0].At.Equal(time.Now()) {
			t.Errorf("%+v, %v", s, err)
		}
		b.config = 0 // lost its supply: 9 bits again
		if _, err = p.Temps(t.Context()); !errors.Is(err, drivers.Restarted) {
			t.Errorf("%v", err)
		}
		b.before = func(_ int, addr uint16, _ []byte) error {
			if addr == 0x48 {
				return drivers.NoAnswer
			}
			return nil
		}
		time.Sleep(time.Second)
		if s, err = p.Temps(t.Context()); drivers.FaultOf(err) != drivers.NoAnswer || s[0].C != 0 || !s[0].At.IsZero() {
			t.Errorf("absent: %+v, %v", s, err)
		}
	})
}
