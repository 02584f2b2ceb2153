package sim

import (
	"sync"
	"time"

	"rackagent/drivers/drivertest"
)

// Commands and bits of the ADM1272 that the slot looks at (PMBus 1.2 part II; Linux driver adm1275 for the maker's own).
const (
	pmOperation   = 0x01 // 80 on, 00 off
	pmStatusWord  = 0x79
	pmReadEIN     = 0x86
	pmReadVIN     = 0x88
	pmReadVOUT    = 0x8B
	pmReadIOUT    = 0x8C
	pmReadTemp    = 0x8D
	pmReadPIN     = 0x97
	admRestart    = 0xCC // RESTART_TIME: (n+1) x 0.1 s
	admReadPINExt = 0xDB
	admReadEINExt = 0xDC

	pmOff = 0x40 // low byte of STATUS_WORD: the output is off
)

// slotSample is how often a slot's controller converts: arbitrary, fast enough for every step of a load.
const slotSample = 10 * time.Millisecond

// Slot is a hot-swap controller with the outlet it feeds: it measures the outlet, and its output is the outlet's
// contact. The chip does not tell when its output moves, so the slot looks after each transfer.
type Slot struct {
	*drivertest.ADM1272
	rack   *Rack
	outlet *outlet

	mu    sync.Mutex // held over a change of the chip and what it makes of the contact; goes before the chip's lock
	back  time.Time  // a POWER_CYCLE is over then; zero: none is under way
	scale float64    // guarded by the rack's lock
}

func newSlot(r *Rack, o *outlet, p MeterPart) *Slot {
	s := &Slot{rack: r, outlet: o, scale: 1}
	s.ADM1272 = drivertest.NewADM1272(drivertest.ADM1272Opts{
		PMBusOpts:  drivertest.PMBusOpts{Addr: p.Addr, Now: r.now},
		RsMilliohm: p.ShuntOhm * 1000, Load: s.draws, SamplePeriod: slotSample,
	})
	s.follow()
	return s
}

// draws is the feed's voltage and the outlet's current at a moment. The contact, not the chip, decides what flows.
func (s *Slot) draws(at time.Time, _ bool) (vin, iout float64) {
	r := s.rack
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(at)
	f := s.outlet.feed
	vin = f.volts.At(at) * (1 + voltNoise*unrest(f.noise, at, at))
	if vin <= 0 {
		return 0, 0
	}
	return vin * s.scale, s.outlet.watts.At(at) * s.outlet.wander(at, at) / vin * s.scale
}

// Tx carries out a transfer and lets the contact follow.
func (s *Slot) Tx(w, r []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cycles := s.PowerCycles()
	err := s.ADM1272.Tx(w, r)
	if s.PowerCycles() > cycles {
		s.back = s.rack.now().Add(time.Duration(int(s.Register(0, admRestart)[0])+1) * 100 * time.Millisecond)
	}
	s.follow()
	return err
}

// Reset is a brown-out of the controller: it starts with its output on, and PMON_CONFIG at its default.
func (s *Slot) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ADM1272.Reset()
	s.back = time.Time{}
	s.follow()
}

// SetPowered takes away or gives back the 54 V that the controller lives on. With them it starts with its output on.
func (s *Slot) SetPowered(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ADM1272.SetPowered(on)
	if on {
		s.back = time.Time{}
		s.follow()
	}
}

// follow takes what the controller makes of its output for the contact; the caller holds the slot's lock.
func (s *Slot) follow() {
	on := s.Register(0, pmStatusWord)[0]&pmOff == 0
	if on || s.Register(0, pmOperation)[0] == 0 {
		s.back = time.Time{}
	}
	s.rack.output(s.outlet.own, on, s.back)
}

// Freeze makes the readings stay as they are, energy and its count of samples included, or lets them go.
func (s *Slot) Freeze(on bool) {
	for _, code := range []byte{pmReadEIN, pmReadVIN, pmReadVOUT, pmReadIOUT, pmReadTemp, pmReadPIN, admReadPINExt, admReadEINExt} {
		var stays []byte
		if on {
			stays = s.Register(0, code)
		}
		s.Force(0, code, stays...)
	}
}

// SetScale makes voltage and current wrong by a factor: 0 is a monitor that sees nothing.
func (s *Slot) SetScale(f float64) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.scale = f
}

// weld shorts the transistor, or makes it a good one again: the chip sees current in an output that it switched off.
func (s *Slot) weld(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetWelded(on)
}

// breakOff interrupts the transistor: there is no voltage behind it any more.
func (s *Slot) breakOff(on bool) {
	var dead []byte
	if on {
		dead = []byte{0, 0}
	}
	s.Force(0, pmReadVOUT, dead...)
}
