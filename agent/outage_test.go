package agent_test

import (
	"encoding/json"
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/backlog"
	"rackagent/agent/sim"
)

// outageFor is how long the broker is away in virtual time.
var outageFor = flag.Duration("outage", 2*time.Hour, "length of the outage of TestAnOutageIsBridged, in virtual time")

// mortal is a disk that takes nothing from a life that is over.
type mortal struct {
	backlog.Disk
	life *life
}

func (m mortal) Create(name string, size int64) error {
	if m.life.isOver() {
		return errOver
	}
	return m.Disk.Create(name, size)
}

func (m mortal) Remove(name string) error {
	if m.life.isOver() {
		return errOver
	}
	return m.Disk.Remove(name)
}

func (m mortal) Open(name string) (backlog.File, error) {
	f, err := m.Disk.Open(name)
	if err != nil {
		return nil, err
	}
	return mortalFile{f, m.life}, nil
}

type mortalFile struct {
	backlog.File
	life *life
}

func (m mortalFile) WriteAt(p []byte, at int64) (int, error) {
	if m.life.isOver() {
		return 0, errOver
	}
	return m.File.WriteAt(p, at)
}

// collected is what an independent subscriber has: how often each number of each epoch came, and the gaps.
type collected struct {
	got  map[string]map[int64]int
	last map[string]int64
	gaps []gapSeen
}

type gapSeen struct {
	Epoch string `json:"ep"`
	From  int64  `json:"from"`
	To    *int64 `json:"to"`
	Count int64  `json:"n"`
	Why   string `json:"why"`
}

func (r *rig) collect() collected {
	r.t.Helper()
	c := collected{got: map[string]map[int64]int{}, last: map[string]int64{}}
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		switch {
		case m.Out:
		case m.Topic == topic.Up("tele"), m.Topic == topic.Up("backfill"):
			var b struct {
				Epoch string `json:"ep"`
				Seq   int64  `json:"seq"`
			}
			if err := json.Unmarshal(m.Payload, &b); err != nil {
				r.t.Fatal(err)
			}
			if c.got[b.Epoch] == nil {
				c.got[b.Epoch] = map[int64]int{}
			}
			c.got[b.Epoch][b.Seq]++
			c.last[b.Epoch] = max(c.last[b.Epoch], b.Seq)
		case m.Topic == topic.Up("gap"):
			var g gapSeen
			if err := json.Unmarshal(m.Payload, &g); err != nil {
				r.t.Fatal(err)
			}
			c.gaps = append(c.gaps, g)
		}
	}
	return c
}

// TestAnOutageIsBridged has the broker away for hours: every batch arrives, each once, and nothing is told to be lost.
func TestAnOutageIsBridged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.change = func(w *agent.World) { w.BackfillWait = func() time.Duration { return 30 * time.Second } }
		r.start()
		time.Sleep(time.Minute)
		r.world.Broker().Stop()
		time.Sleep(*outageFor)
		if s := r.agent.Status().Backlog; s.State != "ok" || s.Blocks == 0 || s.AgeS == nil {
			t.Errorf("%+v", s)
		}
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + *outageFor/20)
		c := r.collect()
		for epoch, got := range c.got {
			if c.last[epoch] < int64(*outageFor/(5*time.Second)) {
				t.Errorf("epoch %s ends at %d", epoch, c.last[epoch])
			}
			for n := int64(1); n <= c.last[epoch]; n++ {
				if got[n] != 1 {
					t.Errorf("%s/%d came %d times", epoch, n, got[n])
				}
			}
		}
		if len(c.got) != 1 || len(c.gaps) != 0 {
			t.Errorf("%d epochs, %+v", len(c.got), c.gaps)
		}
		if s := r.agent.Status().Backlog; s.Blocks != 0 || s.AgeS != nil {
			t.Errorf("%+v", s)
		}
		r.stop()
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestACrashInTheFirstMinuteOfAnOutage loses what was made in the last 5 s, and says from where on.
func TestACrashInTheFirstMinuteOfAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.change = func(w *agent.World) { w.BackfillWait = func() time.Duration { return 0 } }
		r.start()
		time.Sleep(time.Minute)
		r.world.Broker().Stop()
		time.Sleep(43 * time.Second)
		r.life.end()
		r.end()
		<-r.done
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		r.start()
		time.Sleep(time.Minute)
		c := r.collect()
		if len(c.got) != 2 || len(c.gaps) != 1 || c.gaps[0].Why != "crash" || c.gaps[0].To != nil {
			t.Fatalf("%d epochs, gaps %+v", len(c.got), c.gaps)
		}
		old := c.gaps[0].Epoch
		if c.gaps[0].From != c.last[old]+1 || c.last[old] < 19 {
			t.Errorf("%+v, the last that came is %d", c.gaps[0], c.last[old])
		}
		for n := int64(1); n <= c.last[old]; n++ {
			if c.got[old][n] == 0 {
				t.Errorf("%d is missing", n)
			}
		}
		r.stop()
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	})
}
