package poll

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// fencedErr is what the owner of a bus says of a job that it refuses: Cancelled, with BusFenced in the chain.
func fencedErr() error {
	return &drivers.Error{Op: "wait for the bus", Device: "/dev/i2c-1", Fault: drivers.Cancelled, Err: drivers.BusFenced}
}

func TestFaultOfRefusals(t *testing.T) {
	wrapped := &drivers.Error{Op: "read", Device: "meter", Reg: "IRMSA", Fault: drivers.Cancelled, Err: fencedErr()}
	for _, c := range []struct {
		err  error
		want drivers.Fault
	}{
		{fencedErr(), drivers.BusFenced},
		{wrapped, drivers.BusFenced},
		{&drivers.Error{Op: "read", Fault: drivers.Cancelled, Err: context.Canceled}, drivers.Cancelled},
	} {
		if got := faultOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// While the bus is fenced or hung its devices grow stale for that reason. Nothing of it counts against them: no
// absence, no identification anew, and the first good sample makes them good.
func TestBadBusIsNoBadDevice(t *testing.T) {
	for f, text := range map[drivers.Fault]string{
		drivers.BusFenced: "", // its owner tells
		drivers.Hung:      "a transfer does not return; nothing on this bus can be read or switched",
	} {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meter{watts: 5}
				p, h := polling(t, m.device("m", "b1", time.Second))
				m.set(func(m *meter) { m.fault = f })
				pass(time.Second)
				quality(t, p, "m", rack.QualitySuspect, f.String())
				pass(5 * time.Minute)
				quality(t, p, "m", rack.QualityStale, f.String())
				m.set(func(m *meter) { m.fault = drivers.None })
				pass(time.Second)
				quality(t, p, "m", rack.QualityOK, "")
				if n := len(m.identifiedAt()); n != 1 {
					t.Errorf("identified %d times", n)
				}
				if s := p.Stats()[0]; s.Errors[f] < 300 || s.Errors[drivers.Cancelled] != 0 || s.Retries != 0 {
					t.Errorf("%+v", s)
				}
				want := []string{
					"info m: new -> ok", "error " + text, "info m: ok -> suspect: " + f.String() + " (meter: read: " + f.String() + ")",
					"warn m: suspect -> stale: " + f.String() + " (meter: read: " + f.String() + ")", "info bus answers again", "info m: stale -> ok",
				}
				if text == "" {
					want = slices.DeleteFunc(want, func(s string) bool { return s == "error " || s == "info bus answers again" })
				}
				if got := h.texts(); !slices.Equal(got, want) {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

// Refusals neither go into the count of unanswered reads nor break it, and neither end a probation nor lengthen an
// absence.
func TestRefusalsLeaveTheMachineAlone(t *testing.T) {
	for _, f := range []drivers.Fault{drivers.BusFenced, drivers.Hung} {
		l := &life{h: NewHealth(time.Second, true), now: zero}
		l.step(0, Identify, drivers.None)
		l.step(time.Second, Read, drivers.None)
		for i := range absentAfter {
			if l.h.state == StateAbsent {
				t.Fatalf("absent after %d unanswered reads", i)
			}
			l.step(time.Second, Read, f)
			l.step(time.Second, Read, drivers.NoAnswer)
		}
		if l.h.state != StateAbsent || l.h.fault != drivers.NoAnswer {
			t.Fatalf("%s, %s", l.h.state, l.h.fault)
		}
		l.step(10*time.Second, Identify, drivers.NoAnswer)
		wait := l.h.wait
		for range 3 {
			l.step(wait, Identify, f)
		}
		if l.h.wait != wait || l.h.fault != drivers.NoAnswer {
			t.Errorf("absent: wait %s, then %s, for %s", wait, l.h.wait, l.h.fault)
		}
		l.step(wait, Identify, drivers.None)
		l.step(time.Second, Read, drivers.None)
		l.step(time.Second, Read, f)
		l.step(time.Second, Read, drivers.None)
		if l.step(time.Second, Read, drivers.None); l.h.state != StateOK {
			t.Errorf("probation: %s\n%s", l.h.state, l.text.String())
		}
	}
}

func TestNewOnAFencedBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{fault: drivers.BusFenced}
		p, _ := polling(t, m.device("m", "b1", time.Second))
		pass(time.Minute)
		quality(t, p, "m", rack.QualityAbsent, "fenced")
		m.set(func(m *meter) { m.fault = drivers.None })
		pass(time.Second)
		quality(t, p, "m", rack.QualityOK, "")
	})
}

// A device whose reads time out again and again while others answer is set apart: each of its reads costs the others a
// second. It comes back with three good samples.
func TestQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := &meter{watts: 5}, &meter{watts: 6}
		p, h := polling(t, m.device("m", "b1", time.Second), other.device("other", "b1", time.Second))
		pass(100 * time.Millisecond) // the bus rests 35 ms after a time-out, and only then is it known
		flaky := func(m *meter) {    // every other read fails, so that the pace of a device that only times out does not apply
			m.fault = drivers.Timeout
		}
		for range 4 {
			m.set(flaky)
			pass(time.Second)
			m.set(func(m *meter) { m.fault = drivers.None })
			pass(time.Second)
			quality(t, p, "m", rack.QualityOK, "")
		}
		m.set(flaky)
		pass(time.Second)
		quality(t, p, "m", rack.QualitySuspect, ReasonQuarantined)
		if s := p.Stats()[0]; s.State != StateQuarantined || s.Reason != ReasonQuarantined {
			t.Errorf("%s %q", s.State, s.Reason)
		}
		start, reads := time.Now(), len(m.readAt())
		p.Sample("m")
		pass(15 * time.Minute)
		quality(t, p, "m", rack.QualityStale, ReasonQuarantined)
		var at []time.Duration
		for _, r := range m.readAt()[reads:] {
			at = append(at, r.Sub(start).Round(time.Second))
		}
		const s = time.Second
		// 10, 20, 40 .. 300 s after each, and then on the device's own grid of 1 s
		if want := []time.Duration{11 * s, 32 * s, 73 * s, 154 * s, 315 * s, 616 * s}; !slices.Equal(at, want) {
			t.Errorf("read at %v, want %v", at, want)
		}
		m.set(func(m *meter) { m.fault = drivers.None })
		pass(17 * s) // 917 s: the next read is due, and works
		quality(t, p, "m", rack.QualitySuspect, ReasonQuarantined)
		pass(time.Second)
		quality(t, p, "m", rack.QualitySuspect, ReasonQuarantined)
		pass(time.Second)
		quality(t, p, "m", rack.QualityOK, "")
		var kinds []string
		h.mu.Lock()
		for _, e := range h.events {
			if e.To == string(StateQuarantined) || e.From == string(StateQuarantined) {
				kinds = append(kinds, string(e.Kind)+" "+string(e.Severity)+" "+e.Device+" "+e.Reason+": "+e.Text)
			}
		}
		h.mu.Unlock()
		want := []string{
			"device_health warn m quarantined: m: ok -> quarantined: timeout (meter: read: timeout)",
			"device_health info m : m: quarantined -> ok",
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("%q", kinds)
		}
		quality(t, p, "other", rack.QualityOK, "")
	})
}

// Where nobody else answers it may be the bus: nobody is set apart.
func TestNoQuarantineOnABadBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &meter{}, &meter{}
		p, _ := polling(t, a.device("a", "b1", time.Second), b.device("b", "b1", time.Second), (&meter{}).device("c", "b2", time.Second))
		for _, m := range []*meter{a, b} {
			m.set(func(m *meter) { m.fault = drivers.BusFault })
		}
		pass(5 * time.Minute)
		for _, s := range p.Stats()[:2] {
			if s.State != StateStale {
				t.Errorf("%s: %s", s.Name, s.State)
			}
		}
	})
}

// In quarantine a device can still turn out to be gone, another one, or restarted; and one failure starts the three good
// samples anew.
func TestWaysOutOfQuarantine(t *testing.T) {
	apart := func(t *testing.T) *life {
		l := &life{h: NewHealth(time.Second, true), now: zero}
		l.step(0, Identify, drivers.None)
		l.step(0, Read, drivers.None)
		l.now = l.now.Add(time.Second)
		_, events := l.h.Step(l.now, Attempt{Act: Read, Began: l.now, Fault: drivers.Timeout, Spoils: true})
		if l.h.state != StateQuarantined || len(events) != 1 {
			t.Fatalf("%s, %v", l.h.state, events)
		}
		return l
	}
	for _, c := range []struct {
		name string
		in   []drivers.Fault
		want State
	}{
		{"gone", times(10, drivers.NoAnswer), StateAbsent},
		{"another part", []drivers.Fault{drivers.WrongDevice}, StateAbsent},
		{"foreign", []drivers.Fault{drivers.Foreign}, StateAbsent},
		{"two good ones", times(2, drivers.None), StateQuarantined},
		{"three good ones", times(3, drivers.None), StateOK},
		{"not in a row", []drivers.Fault{drivers.None, drivers.None, drivers.Corrupt, drivers.None, drivers.None}, StateQuarantined},
		{"a refusal in between", []drivers.Fault{drivers.None, drivers.BusFenced, drivers.None, drivers.Hung, drivers.None}, StateOK},
	} {
		l := apart(t)
		for _, f := range c.in {
			l.step(time.Minute, Read, f)
		}
		if l.h.state != c.want {
			t.Errorf("%s: %s\n%s", c.name, l.h.state, l.text.String())
		}
	}
	l := apart(t)
	if l.step(time.Minute, Read, drivers.Restarted); l.h.Advice().Act != Identify || l.h.state != StateQuarantined {
		t.Errorf("restarted: %+v, %s", l.h.Advice(), l.h.state)
	}
	if a := l.h.Advice(); !a.Once || a.Wait != 20*time.Second {
		t.Errorf("%+v", a)
	}
}

// A device on probation that spoils the bus again is gone, as for any failure; and good samples of an earlier probation
// do not count for a quarantine.
func TestQuarantineAndProbation(t *testing.T) {
	l := &life{h: NewHealth(time.Second, true), now: zero}
	spoil := func() { l.h.Step(l.now, Attempt{Act: Read, Began: l.now, Fault: drivers.Timeout, Spoils: true}) }
	l.step(0, Identify, drivers.None)
	l.step(0, Read, drivers.None)
	l.step(time.Second, Read, drivers.WrongDevice)
	l.step(time.Second, Identify, drivers.None)
	if spoil(); l.h.state != StateAbsent {
		t.Errorf("on probation: %s", l.h.state)
	}
	if spoil(); l.h.state != StateAbsent {
		t.Errorf("absent: %s", l.h.state)
	}
	l.step(time.Second, Identify, drivers.None)
	for range 3 {
		l.step(time.Second, Read, drivers.None)
	}
	spoil()
	if l.step(time.Second, Read, drivers.None); l.h.state != StateQuarantined {
		t.Errorf("after one good sample: %s", l.h.state)
	}
}

// What led to a quarantine is forgotten with its end.
func TestQuarantineEndsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, other := &meter{}, &meter{}
		p, _ := polling(t, m.device("m", "b1", time.Second), other.device("other", "b1", time.Second))
		pass(100 * time.Millisecond)
		fail := func(n int) {
			for range n {
				m.set(func(m *meter) { m.fault = drivers.Timeout })
				pass(time.Second)
				m.set(func(m *meter) { m.fault = drivers.None })
				pass(time.Second)
			}
		}
		fail(5)
		if s := p.Stats()[0].State; s != StateQuarantined {
			t.Fatal(s)
		}
		pass(13 * time.Second)
		quality(t, p, "m", rack.QualityOK, "")
		fail(1)
		quality(t, p, "m", rack.QualityOK, "")
	})
}

// Alone on its bus a device harms nobody.
func TestNoQuarantineWithoutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		p, h := polling(t, m.device("m", "b1", time.Second), (&meter{}).device("other", "b2", time.Second))
		for range 30 {
			m.set(func(m *meter) { m.fault = drivers.Timeout })
			pass(1100 * time.Millisecond)
			m.set(func(m *meter) { m.fault = drivers.None })
			pass(1100 * time.Millisecond)
		}
		h.mu.Lock()
		for _, e := range h.events {
			if e.To == string(StateQuarantined) {
				t.Error(e.Text)
			}
		}
		h.mu.Unlock()
		if s := p.Stats()[0].Errors[drivers.Timeout]; s < 20 {
			t.Errorf("%d errors", s)
		}
	})
}

// A read that was given up, or refused, is no sign that the bus answers again.
func TestCancelledWhileHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{fault: drivers.Hung}
		_, h := polling(t, m.device("m", "b1", time.Second))
		for _, f := range []drivers.Fault{drivers.Hung, drivers.Cancelled, drivers.BusFenced} {
			m.set(func(m *meter) { m.fault = f })
			pass(2 * time.Second)
		}
		if got := h.texts(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// More than one read in a hundred with a wrong checksum is told once, and once when it is over.
func TestErrorRateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		_, h := polling(t, m.device("m", "b1", time.Second))
		m.set(func(m *meter) { m.fault = drivers.Corrupt })
		pass(10 * time.Second) // two tries each
		m.set(func(m *meter) { m.fault = drivers.None })
		pass(2000 * time.Second)
		var got []string
		h.mu.Lock()
		for _, e := range h.events {
			if e.Reason == ReasonErrorRate {
				got = append(got, string(e.Kind)+" "+string(e.Severity)+" "+e.Device+": "+e.Text)
			}
		}
		h.mu.Unlock()
		want := []string{
			"device_health warn m: m: more than 1 % of 1000 reads came with a wrong checksum or format",
			"device_health info m: m: no more than 1 % of 1000 reads came with a wrong checksum or format",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}
