package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/sim"
	"rackagent/drivers"
	"rackagent/drivers/board"
)

// looks runs rackagent devices on a machine and proves that nothing that could move a relay was sent.
func (r *rig) looks(t *testing.T, change func(*fakeHardware), args ...string) said {
	t.Helper()
	o := r.outside()
	hw := r.hardware()
	if change != nil {
		change(&hw)
	}
	o.hardware = hardwareOf(hw)
	began, before := time.Now(), len(r.world.Trace().Entries())
	s := in(t.Context(), o, append([]string{"devices", "--config", r.config}, args...)...)
	for _, e := range r.world.Trace().Entries()[before:] {
		switch e := e.Event.(type) {
		case sim.Transfer:
			// The expander takes a register word from two bytes on; the memory and the sensor store from two and three.
			if len(e.W) > 1 || !slices.Contains([]uint16{0x20, 0x50}, e.Addr) {
				t.Errorf("written to 0x%02x: %x", e.Addr, e.W)
			}
		case sim.Contact:
			if e.Commanded.After(began) { // else it was on its way
				t.Errorf("a contact moved: %+v", e)
			}
		}
	}
	return s
}

func TestDevices(t *testing.T) {
	r := newRig(t)
	golden(t, "devices", r.looks(t, func(hw *fakeHardware) {
		hw.adapters = append(hw.adapters, board.Adapter{Path: "/dev/i2c-7", Name: "SMBus I801", Err: errors.New("open /dev/i2c-7: permission denied")})
		hw.lines = []board.Line{
			{Name: "LEAK1", Chip: "/dev/gpiochip0", Offset: 4}, {Chip: "/dev/gpiochip0", Offset: 5, Refused: &drivers.Error{Op: "check", Fault: drivers.Foreign, Err: board.ErrInUse}},
		}
	}))
	var found devicesFound
	s := r.looks(t, nil, "--json")
	if err := json.Unmarshal([]byte(s.out), &found); err != nil || len(found.PDUs) != 1 || len(found.PDUs[0].Relays) != 1 || len(found.PDUs[0].Relays[0].Closed) != 8 {
		t.Errorf("%v\n%s", err, s.out)
	}
}

// What a person sees who looks for the reason why nothing works.
func TestDevicesInTrouble(t *testing.T) {
	r := newRig(t)
	inject := func(fault string) {
		t.Helper()
		f, err := sim.ParseFault(fault)
		if err == nil {
			err = r.world.Inject(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	inject("serial=pdu-a:SIM-0099")
	inject("brownout=pdu-a")
	golden(t, "devices-other-board", r.looks(t, nil))
	inject("nack=pdu-a.fru")
	golden(t, "devices-no-memory", r.looks(t, nil))
	golden(t, "devices-no-bus", r.looks(t, func(hw *fakeHardware) { hw.adapters = nil }))
	golden(t, "devices-kernel", r.looks(t, func(hw *fakeHardware) { hw.adapters[0].Owned = map[uint16]string{0x20: "pca953x", 0x50: "at24"} }))
}

// Without a configuration the list of buses is what one needs to write one.
func TestDevicesBeforeTheConfiguration(t *testing.T) {
	r := newRig(t)
	r.config = filepath.Join(r.dir, "absent", "config.yaml")
	golden(t, "devices-no-configuration", r.looks(t, nil))
}

// While it cannot be told whether an agent owns the bus, it is not touched.
func TestDevicesLeavesTheBusOfAnotherAlone(t *testing.T) {
	r := newRig(t)
	if err := os.Symlink("socket", r.socket); err != nil { // a loop: neither there nor not
		t.Fatal(err)
	}
	before := len(r.world.Trace().Entries())
	s := r.looks(t, nil)
	if s.status != exitOK || !strings.Contains(s.out, "cannot be told") || len(r.world.Trace().Entries()) != before {
		t.Errorf("%+v", s)
	}
}
