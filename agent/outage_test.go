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
var outageFor = flag.Duration("outage", 7*time.Hour+12*time.Minute, "length of the outage of TestAnOutageIsBridged, in virtual time")

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

// unflushed is a disk whose flushes take no time: nothing crashes on it.
type unflushed struct{ backlog.Disk }

func (u unflushed) Open(name string) (backlog.File, error) {
	f, err := u.Disk.Open(name)
	return unflushedFile{f}, err
}

type unflushedFile struct{ backlog.File }

func (unflushedFile) Sync() error { return nil }

// collected is what an independent subscriber has: how often each number of each epoch came, and the gaps.
type collected struct {
	got  map[string]map[int64]int
	last map[string]int64
	gaps []gapSeen
	seq  uint64 // of the record's last entry that was looked at
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
	r.collectMore(&c)
	return c
}

// collectMore adds what came since.
func (r *rig) collectMore(c *collected) {
	r.t.Helper()
	entries := r.world.Trace().Since(c.seq)
	if len(entries) == 0 {
		return
	}
	if c.seq != 0 && entries[0].Seq != c.seq+1 {
		r.t.Fatal("the record is too short for this pace")
	}
	c.seq = entries[len(entries)-1].Seq
	for _, m := range sim.Of[sim.Message](entries) {
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
}

// TestAnOutageIsBridged has the broker away for hours, up to 72, with the default budget: every batch arrives, each once,
// and nothing is told to be lost.
func TestAnOutageIsBridged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *sim.Config) { c.TraceLimit = 50_000 })
		r.conf.Poll.OutletPeriodS = 5 // as slow as may be: the outage is about what is stored
		r.change = func(w *agent.World) {
			w.BackfillWait = func() time.Duration { return 30 * time.Second }
			w.BacklogDisk = func(d backlog.Disk) backlog.Disk { return unflushed{d} }
		}
		r.start()
		time.Sleep(time.Minute)
		c := r.collect()
		r.world.Broker().Stop()
		for left := *outageFor; left > 0; left -= time.Minute {
			time.Sleep(min(left, time.Minute))
			r.collectMore(&c)
		}
		if s := r.agent.Status().Backlog; s.State != "ok" || s.Blocks == 0 || s.AgeS == nil {
			t.Errorf("%+v", s)
		}
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		for range 2 + *outageFor/20/time.Minute {
			time.Sleep(time.Minute)
			r.collectMore(&c)
		}
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
