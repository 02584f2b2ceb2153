package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/inventory"
	"rackagent/agent/rack"
	"rackagent/config"
)

// wetRack is a rack with a float in a tray and a stop button, both on GPIO lines.
type wetRack struct {
	*rig
	wet, pressed, broken atomic.Bool
}

func newWetRack(t *testing.T) *wetRack {
	t.Helper()
	w := &wetRack{rig: newRig(t)}
	w.conf.Sensors = append(w.conf.Sensors,
		config.Sensor{Name: "tray", Part: "leak-float", Line: "LEAK1", Active: "high", PeriodS: 0.5},
		config.Sensor{Name: "button", Part: "contact-line", Line: "STOP1", Active: "high", PeriodS: 0.2})
	w.conf.Interlocks = append(w.conf.Interlocks,
		config.Interlock{Name: "tray-leak", Kind: "leak", Sensor: "tray", Target: "rack", ASIC: config.InterlockCut},
		config.Interlock{Name: "front-stop", Kind: "stop", Sensor: "button", Target: "group/miners", ASIC: config.InterlockCut})
	w.change = func(o *agent.World) {
		o.Line = func(name string) (inventory.Line, error) {
			switch name {
			case "LEAK1":
				return lineOf{&w.wet, &w.broken}, nil
			case "STOP1":
				return lineOf{&w.pressed, new(atomic.Bool)}, nil
			}
			return nil, errors.New("no such line")
		}
	}
	return w
}

type lineOf struct{ high, broken *atomic.Bool }

func (l lineOf) High() (bool, error) {
	if l.broken.Load() {
		return false, errors.New("the line is lost")
	}
	return l.high.Load(), nil
}
func (lineOf) Close() error { return nil }

// off waits until all six miners are without power, and gives the time that this took.
func (w *wetRack) off(within time.Duration) time.Duration {
	began := time.Now()
	for time.Since(began) < within {
		closed := 0
		for n := 1; n <= 6; n++ {
			if w.world.Rack().Closed(out(n)) {
				closed++
			}
		}
		if closed == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// TestALeakAndAStop: every miner is cut without a broker and under a lock, the server stays up, and nothing is started before the
// tray is dry and a person has unlocked it.
func TestALeakAndAStop(t *testing.T) {
	for name, c := range map[string]struct {
		trip func(*wetRack)
		most time.Duration // two readings of the float in 100 ms each, half a second apart; one of the button in 25 ms, five a second
		name string
	}{
		"leak": {func(w *wetRack) { w.wet.Store(true) }, 1200*time.Millisecond + 250*time.Millisecond, "tray-leak"},
		"stop": {func(w *wetRack) { w.pressed.Store(true) }, 225*time.Millisecond + 250*time.Millisecond, "front-stop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWetRack(t)
				w.start()
				time.Sleep(5 * time.Second)
				w.send("l1", "lock", "node/asic-1")
				w.expect("l1", rack.StateSucceeded, "")
				w.world.Broker().Cut()
				c.trip(w)
				if took := w.off(10 * time.Second); took > c.most {
					t.Errorf("it took %s", took)
				}
				time.Sleep(time.Minute)
				if got := w.events("interlock"); len(got) != 1 || !strings.HasPrefix(got[0], "interlock "+c.name+": ") {
					t.Errorf("told: %q", got)
				}
				w.judgeOwn()
				if own := w.own(); len(own) != 1 || w.story(own[0]) == "" {
					t.Errorf("own commands %v", own)
				}
				w.send("e1", "outlet.energise", "outlet/pdu-a.2")
				w.expect("e1", rack.StateRejected, rack.CodeMaintenanceLock)
				w.send("u1", "unlock", "node/asic-2")
				w.expect("u1", rack.StateSucceeded, "")
				w.send("e2", "outlet.energise", "outlet/pdu-a.2")
				w.expect("e2", rack.StateRejected, rack.CodeInterlock)
				w.wet.Store(false)
				w.pressed.Store(false)
				time.Sleep(2 * time.Minute)
				w.send("e3", "outlet.energise", "outlet/pdu-a.2")
				w.expect("e3", rack.StateSucceeded, "")
				w.close()
			})
		})
	}
}

// TestALostLineIsNoLeak: a sensor that fails is told, and moves nothing.
func TestALostLineIsNoLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWetRack(t)
		w.start()
		time.Sleep(5 * time.Second)
		w.broken.Store(true)
		time.Sleep(time.Minute)
		if writes := w.relayWrites(); len(writes) != 0 {
			t.Errorf("%v", writes)
		}
		if got := w.newest("alarm/interlock.tray-leak"); !strings.Contains(got, "neither clear nor tripped") {
			t.Errorf("the alarm is %q", got)
		}
		w.broken.Store(false)
		time.Sleep(time.Minute)
		if got := w.newest("alarm/interlock.tray-leak"); got != "" {
			t.Errorf("the alarm stays: %q", got)
		}
		w.close()
	})
}

// TestACrashInALeak crashes at every write and every commit of it. The next life finds the tray wet and cuts what is left.
func TestACrashInALeak(t *testing.T) {
	leak := func(w *wetRack) {
		time.Sleep(5 * time.Second)
		w.wet.Store(true)
		time.Sleep(20 * time.Second)
	}
	var writes, commits int
	synctest.Test(t, func(t *testing.T) {
		w := newWetRack(t)
		w.start()
		leak(w)
		writes, commits = w.life.counted("write"), w.life.counted("commit")
		w.close()
	})
	if writes < 6 || commits < 4 {
		t.Fatalf("%d writes and %d commits: there is nothing to interrupt", writes, commits)
	}
	for n, at := range pointsOf(writes, commits) {
		if n%*every != 0 {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d-%s", at.what, at.n, at.phase), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWetRack(t)
				w.crashes(at, func() { leak(w) })
				w.wet.Store(true) // also where the crash came before it
				w.start()
				if took := w.off(time.Minute); took > 20*time.Second {
					t.Errorf("the next life took %s", took)
				}
				time.Sleep(20 * time.Second)
				w.judgeOwn()
				w.close()
			})
		})
	}
}

// TestAnInterlockThatItsSensorCannotTripIsRefused: it would be believed in.
func TestAnInterlockThatItsSensorCannotTripIsRefused(t *testing.T) {
	w := newWetRack(t)
	w.conf.Interlocks[0].Kind, w.conf.Interlocks[0].Above = "over_temperature", 40
	w.launch()
	err := <-w.done
	if err == nil || !strings.Contains(err.Error(), "interlock tray-leak: sensor tray: temp_c") {
		t.Errorf("%v", err)
	}
}
