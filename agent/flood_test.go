package agent_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// flood is how many commands somebody sends within one second: a thousand times what is taken.
const flood = 10_000

// TestAFloodOfCommandsHasNoEffect floods the desk by way of the broker, with and without unsigned commands being taken,
// and looks at everything that must not care.
func TestAFloodOfCommandsHasNoEffect(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		t.Run(fmt.Sprintf("unsigned %t", unsigned), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigIn(t, keyed(t, eight(), unsigned))
				r.start()
				known := write("known", "alice-1", 1, map[string]any{"dry": true}).String()
				r.publish(known, false)
				time.Sleep(20 * time.Second)
				before, began, said := heap(), time.Now(), len(r.answers())
				r.flood(known)
				time.Sleep(10 * time.Second)
				grown := heap() - before
				r.judgeFlood(began, r.answers()[said:], grown)

				sent := time.Now()
				r.publish(write("honest", "alice-1", 2, nil).String(), false)
				r.expect("honest", rack.StateSucceeded, "")
				if took := time.Since(sent); took > 5*time.Second {
					t.Errorf("an honest cut afterwards took %s", took)
				}
				if n := len(r.relayWrites()); n != 1 {
					t.Errorf("%d writes to the relays", n)
				}
				r.close()
			})
		})
	}
}

// flood sends unsigned commands, forgeries under a known key, rubbish and repeats by turns, evenly over a second.
func (r *rig) flood(known string) {
	r.t.Helper()
	forged := write("forged", "alice-1", 1, nil).by("mallory")
	unsigned := envelope("ID", "outlet.cut", "node/gpu-1", "")
	for i := range flood {
		switch i % 4 {
		case 0:
			r.publish(strings.Replace(unsigned, "ID", fmt.Sprintf("f%d", i), 1), false)
		case 1:
			r.publish(forged, false)
		case 2:
			r.publish(known, false)
		default:
			r.publish(`{"v":1,"id":"`, false)
		}
		time.Sleep(time.Second / flood)
	}
}

// judgeFlood looks at what went on since the flood began, and at what was said about it.
func (r *rig) judgeFlood(began time.Time, said []string, grown int64) {
	r.t.Helper()
	delivered, events, statuses := 0, 0, 0
	var tele, reads []time.Time
	for _, e := range r.world.Trace().Entries() {
		if e.At.Before(began) {
			continue
		}
		switch x := e.Event.(type) {
		case sim.Message:
			if x.Out && x.Topic == topic.Command() {
				delivered++
			}
			if !x.Out && x.Topic == topic.Up("tele") {
				tele = append(tele, e.At)
			}
		case sim.Transfer:
			if x.Addr != 0x20 && len(x.R) > 0 {
				reads = append(reads, x.Handed)
			}
		}
	}
	for _, s := range said {
		if strings.HasPrefix(s, "event ") {
			events++
		} else {
			statuses++
		}
	}
	r.t.Logf("%d delivered, %d events, %d states, heap %+d KiB, %d batches, %d readings", delivered, events, statuses, grown>>10, len(tele), len(reads))
	if delivered < flood {
		r.t.Errorf("%d of %d commands reached the agent", delivered, flood)
	}
	if gap := widest(tele); gap > 5100*time.Millisecond || len(tele) < 2 {
		r.t.Errorf("%d batches, %s between two of them", len(tele), gap)
	}
	if gap := widest(reads); gap > 1100*time.Millisecond || len(reads) < 10 {
		r.t.Errorf("%d readings of meters, %s between two of them", len(reads), gap)
	}
	if events > 31 || statuses > 350 { // 20 events at once and one a second; 200 answers at once and 100 a second, and what was taken
		r.t.Errorf("%d events and %d states", events, statuses)
	}
	if grown > 64<<20 { // most of it is the record of the world, which holds every message twice
		r.t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}

// widest is the longest time between two moments that follow each other.
func widest(at []time.Time) time.Duration {
	var gap time.Duration
	for i := 1; i < len(at); i++ {
		gap = max(gap, at[i].Sub(at[i-1]))
	}
	return gap
}

// heap is what is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
