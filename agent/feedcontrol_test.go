package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/config"
	"rackagent/drivers/drivertest/miners"
)

// overload is a rack of six miners whose owner raises them all at once, so that its feed carries 105 % of its limit.
type overload struct {
	*rig
	herd  *sim.Herd
	limit float64 // A
}

// newOverload measures what the raised miners draw, and has the feed rated so that this is 105 %. They then draw 70 % of it.
func newOverload(t *testing.T) *overload {
	t.Helper()
	var units []sim.Unit
	for n, api := range []string{"luxos", "antminer", "braiins", "whatsminer-v2", "whatsminer-v3", "luxos"} {
		units = append(units, sim.Unit{Node: fmt.Sprintf("asic-%d", n+1), API: api})
	}
	h, err := sim.NewHerd(units, func(n int) miners.Spec {
		s := sim.ThreeModes(n, 3200, 30*time.Second, 100*time.Millisecond)
		for i := range s.Profiles { // the second makes the fewest hashes of its watts, then the fourth; the fifth the most
			s.Profiles[i].THs *= []float64{1, 0.7, 1, 0.9, 1.2, 1.1}[n-1]
		}
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, h.Plug)
	r.join(h)
	o := &overload{rig: r, herd: h}
	o.all(2)
	time.Sleep(time.Second)
	o.limit = o.amps() / 1.05
	o.all(0)
	time.Sleep(time.Second)
	r.conf.Power.FeedControl = config.FeedShed
	r.conf.Feeds[0].RatingA, r.conf.Feeds[0].Continuous = o.limit, 1
	return o
}

// all sets every miner to one of its modes, as their owner would.
func (o *overload) all(mode int) {
	for _, u := range o.herd.Units {
		m := o.herd.Machine(u.Node)
		m.Keep(m.Spec().Profiles[mode])
	}
}

// amps is what the feed really carries.
func (o *overload) amps() float64 {
	a := 0.0
	for n := 1; n <= 8; n++ {
		a += o.world.Rack().Watts(out(n)) / 230
	}
	return a
}

// below waits until the feed carries less than a share of its limit, and gives the time that this took.
func (o *overload) below(share float64) time.Duration {
	began := time.Now()
	for o.amps() >= share*o.limit && time.Since(began) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// own are the ids of the commands that the agent has begun by itself, as they were told.
func (r *rig) own() (ids []string) {
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		_, id, ok := strings.Cut(m.Topic, "/up/cmd/")
		if ok && !m.Out && strings.HasPrefix(id, "own-") && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestAFeedAt105Percent: within 3 s it is back below 90 %, by cuts of the miners with the worst J/TH, whatever the others are.
func TestAFeedAt105Percent(t *testing.T) {
	for _, hung := range []bool{false, true} {
		t.Run(fmt.Sprintf("hung=%v", hung), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOverload(t)
				defer o.herd.Close()
				o.start()
				time.Sleep(30 * time.Second)
				if o.amps() > 0.85*o.limit || len(o.own()) != 0 {
					t.Fatalf("before: %.1f A of %.1f, %v", o.amps(), o.limit, o.own())
				}
				for _, u := range o.herd.Units {
					o.herd.Machine(u.Node).Set(miners.Hangs, hung)
				}
				o.all(2)
				if took := o.below(0.9); took > 3*time.Second {
					t.Errorf("it took %s", took)
				}
				time.Sleep(30 * time.Second)
				var on []string
				for _, id := range o.own() {
					s := o.expect(id, rack.StateSucceeded, "")
					on = append(on, fmt.Sprint(s.Targets[0].Steps[0].Do, " ", s.Targets[0].Target))
				}
				if got := fmt.Sprint(on); got != "[cut node/asic-2 cut node/asic-4]" {
					t.Errorf("it was shed by %s", got)
				}
				if got := o.events("feed_back"); len(got) != 1 || !strings.HasPrefix(got[0], "feed feed-a carries ") {
					t.Errorf("told of the return: %q", got)
				}
				if downs := o.world.Rack().Downs(); len(downs) != 0 {
					t.Errorf("the server went down: %v", downs)
				}
				o.close()
			})
		})
	}
}

// TestAFeedThatIsOnlyTold: without power.feed_control: shed an alarm is all that comes of it.
func TestAFeedThatIsOnlyTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOverload(t)
		defer o.herd.Close()
		o.conf.Power.FeedControl = ""
		o.start()
		time.Sleep(10 * time.Second)
		o.all(2)
		time.Sleep(time.Minute)
		if own, writes := o.own(), o.relayWrites(); len(own) != 0 || len(writes) != 0 {
			t.Errorf("%v, %v", own, writes)
		}
		if got := o.newest("alarm/feed.feed-a"); !strings.Contains(got, "of its continuous limit") {
			t.Errorf("the alarm is %q", got)
		}
		o.close()
	})
}

// TestACrashWhileAFeedIsShed crashes at every write and every commit of it. The next life finds the world as it is, ends what was
// under way by measurement, and sheds what is still too much; each command has one result.
func TestACrashWhileAFeedIsShed(t *testing.T) {
	var writes, commits int
	shed := func(o *overload) {
		time.Sleep(10 * time.Second)
		o.all(2)
		time.Sleep(20 * time.Second)
	}
	synctest.Test(t, func(t *testing.T) {
		o := newOverload(t)
		defer o.herd.Close()
		o.start()
		shed(o)
		writes, commits = o.life.counted("write"), o.life.counted("commit")
		o.close()
	})
	if writes < 2 || commits < 4 {
		t.Fatalf("%d writes and %d commits: there is nothing to interrupt", writes, commits)
	}
	for n, at := range pointsOf(writes, commits) {
		if n%*every != 0 {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d-%s", at.what, at.n, at.phase), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { crashedShed(t, at, shed) })
		})
	}
}

func crashedShed(t *testing.T, at point, shed func(*overload)) {
	t.Helper()
	o := newOverload(t)
	defer o.herd.Close()
	if !o.crashes(at, func() { shed(o) }) {
		o.all(2)
	}
	o.start()
	o.below(0.9)
	time.Sleep(45 * time.Second)  // what was found is judged; nothing comes back yet
	if o.amps() >= 0.95*o.limit { // what the first life left may lie between
		t.Errorf("it carries %.1f A of %.1f", o.amps(), o.limit)
	}
	o.judgeOwn()
	o.close()
}

// judgeOwn holds what must be true of the commands that the agent began by itself.
func (r *rig) judgeOwn() {
	r.t.Helper()
	for _, id := range r.own() {
		ends := map[string]bool{}
		for _, s := range r.statuses(id) {
			if s.State.Terminal() {
				ends[fmt.Sprint(s.State, s.Code, s.N)] = true
			}
		}
		if len(ends) != 1 {
			r.t.Errorf("%s has %d results: %s", id, len(ends), r.states(id))
		}
	}
	if downs := r.world.Rack().Downs(); len(downs) != 0 {
		r.t.Errorf("the server went down: %v", downs)
	}
}

// TestARestartTellsWhatWasShed: the controller of the next life brings nothing back of what the one before has shed, and says so.
func TestARestartTellsWhatWasShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOverload(t)
		defer o.herd.Close()
		o.start()
		time.Sleep(10 * time.Second)
		o.all(2)
		time.Sleep(20 * time.Second)
		o.stop()
		o.rig.start()
		time.Sleep(5 * time.Minute)
		told := o.events("own_command")
		if got := told[len(told)-1]; got != "shed by the feed controller before this start, and brought back by a person alone: asic-2, asic-4" {
			t.Errorf("the last that is told: %q", got)
		}
		if len(o.own()) != 2 {
			t.Errorf("begun by itself: %v", o.own())
		}
		o.close()
	})
}
