//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rackagent/agent"
)

// operator sends commands as a controller does: each again and again, under its id, until its end is heard. He keeps
// below the rate that an agent takes.
type operator struct {
	order    func(payloads ...string) error // publishes commands; nil when the broker has acknowledged them
	w        *witness
	ids      []string
	payloads map[string]string
	sent     map[string]time.Time
}

const (
	pace    = 125 * time.Millisecond // 8 commands a second
	insists = 3 * time.Second        // between two sendings of one command
)

// newOperator makes cuts of outlets 1 to 6 in turn. Their ids begin with prefix.
func newOperator(order func(payloads ...string) error, w *witness, prefix string, n int) *operator {
	o := &operator{order: order, w: w, payloads: map[string]string{}, sent: map[string]time.Time{}}
	for i := range n {
		id := fmt.Sprintf("%s%02d", prefix, i+1)
		o.ids = append(o.ids, id)
		o.payloads[id] = envelope(id, "outlet.cut", "outlet/"+out(i%6+1).String(), 2*time.Minute, "")
	}
	return o
}

// send publishes commands at once. Where there is no broker he hears that, and sends them again later.
func (o *operator) send(ids ...string) {
	var lines []string
	for _, id := range ids {
		lines = append(lines, o.payloads[id])
		o.sent[id] = time.Now()
	}
	_ = o.order(lines...)
}

// next is a command that has not ended and is due to be sent; done: all have ended.
func (o *operator) next() (id string, done bool) {
	done = true
	for _, id := range o.ids {
		if len(o.w.ends(id)) > 0 {
			continue
		}
		done = false
		if time.Since(o.sent[id]) > insists {
			return id, false
		}
	}
	return "", done
}

// insist sends until all commands have ended. between is called before each round.
func (o *operator) insist(t *testing.T, between func(round int)) {
	t.Helper()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for round := range 600 {
		between(round)
		id, done := o.next()
		if done {
			return
		}
		if id != "" {
			o.send(id)
		}
		<-tick.C
	}
	for _, id := range o.ids {
		if len(o.w.ends(id)) == 0 {
			t.Errorf("command %s has no end: %s", id, o.w.states(id))
		}
	}
}

// endOnce checks that each command has exactly one end. Where many commands concern one outlet the first one proves its
// cut, and the others find nothing that a meter could prove.
func (o *operator) endOnce(t *testing.T) {
	t.Helper()
	for _, id := range o.ids {
		ends := o.w.ends(id)
		if len(ends) != 1 {
			t.Errorf("command %s has %d ends: %s", id, len(ends), o.w.states(id))
			continue
		}
		if s := ends[0].State; s != "succeeded" && s != "partial" {
			t.Errorf("command %s ended %s", id, ends[0])
		}
	}
}

// ambiguous is the rule that the observer cannot judge where many commands concern one outlet: a write that leaves a
// relay as it is fits the steps of all of them, and it takes the first. The number of writes tells.
const ambiguous = "S1"

// TestABurstAcrossAKilledBroker: 20 commands at once, then 30 at the pace, and in the middle of them the broker is
// killed, for a second. It forgets everything, or what it had not written yet; commands that it acknowledged are gone,
// and others come again. Their sender insists, and each ends once.
func TestABurstAcrossAKilledBroker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		lines []string
	}{{"without persistence", nil}, {"with persistence", persistent(t)}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMosquitto(t, c.lines...)
			w := m.watch()
			r := theRack(t, m)
			r.join(t, w)
			o := newOperator(m.try, w, "b", 50)
			o.send(o.ids[:20]...)
			o.insist(t, func(round int) {
				switch round {
				case 8:
					o.send(o.ids[30:35]...) // these are on their way when it is killed
					m.kill()
				case 16:
					m.start()
				}
			})
			o.endOnce(t)
			if n := w.accepted(o.ids); n != 50 {
				t.Errorf("%d of 50 commands were heard accepted", n)
			}
			r.judge(t, 50, ambiguous)
		})
	}
}

// TestABrokerThatStandsStill: a stopped process keeps its connections and says nothing.
func TestABrokerThatStandsStill(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w)
	m.order(cut("c1", 3))
	eventually(t, 5*time.Second, "the command to be accepted", func() bool { return w.states("c1") != "" })
	m.signal(syscall.SIGSTOP)
	stopped := time.Now()
	sent := make(chan error, 1)
	go func() { sent <- m.pub(cut("c2", 5)+"\n", "-l", "-t", topic.Command()) }()
	if err := within(10*time.Second, func() bool { return r.agent.Status().Link != "up" }); err != nil {
		t.Errorf("the agent does not notice within 10 s: link %s", r.agent.Status().Link)
	}
	t.Logf("noticed after %s", time.Since(stopped).Round(time.Millisecond))
	pass(15*time.Second - time.Since(stopped))
	m.signal(syscall.SIGCONT)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	eventually(t, 30*time.Second, "the agent to be back", func() bool { return r.agent.Status().Link == "up" })
	w.expect(t, "c1", "succeeded")
	w.expect(t, "c2", "succeeded")
	for _, id := range []string{"c1", "c2"} {
		if len(w.ends(id)) != 1 {
			t.Errorf("command %s: %s", id, w.states(id))
		}
	}
	eventually(t, 10*time.Second, "the readings of the time in between", func() bool { return w.whole() > 16 })
	eventually(t, 20*time.Second, "what is retained to say online", func() bool { return m.retained(topic.Up("state"), `"state":"online"`) })
	r.judge(t, 2)
}

// TestAnAgentKilledInTheFirstMinuteOfAnOutage: the broker dies, half a minute later the agent's process is killed. What it
// had made up to 5 s before that arrives once the next life has a broker, and where it ends is told.
func TestAnAgentKilledInTheFirstMinuteOfAnOutage(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.change = func(w *agent.World) { w.BackfillWait = func() time.Duration { return 0 } }
	p := r.spawn(t, w, "")
	eventually(t, 10*time.Second, "readings", func() bool { return len(w.on(topic.Up("tele"))) > 2 })
	m.kill()
	pass(27 * time.Second)
	p.kill()
	killed := time.Now()
	m.start()
	m.hears(w)
	r.join(t, w)
	var gap struct {
		Epoch string `json:"ep"`
		From  int    `json:"from"`
		To    *int   `json:"to"`
		Why   string `json:"why"`
	}
	eventually(t, 20*time.Second, "the gap to be told", func() bool {
		told := w.on(topic.Up("gap"))
		return len(told) > 0 && json.Unmarshal([]byte(told[0].payload), &gap) == nil
	})
	if gap.Why != "crash" || gap.To != nil {
		t.Errorf("gap %+v", gap)
	}
	came := w.batches(gap.Epoch)
	for n := 1; n < gap.From; n++ {
		if came[n].IsZero() {
			t.Errorf("%d of %d has not come", n, gap.From-1)
		}
	}
	if len(came) != gap.From-1 {
		t.Errorf("%d batches, and what is lost begins with %d", len(came), gap.From)
	}
	// Of a batch a second, what was made in the last 5 s may be lost; a tenth is for the clocks of two processes.
	if lost := killed.Sub(came[gap.From-1]); lost > 6*time.Second+100*time.Millisecond {
		t.Errorf("the last batch is %s older than the kill", lost)
	} else {
		t.Logf("the last batch is %s older than the kill, of %d", lost.Round(time.Millisecond), len(came))
	}
}

// batches are the numbers of an epoch that came, live or later, and when they were made.
func (w *witness) batches(epoch string) map[int]time.Time {
	came := map[int]time.Time{}
	for _, m := range w.all() {
		var b struct {
			Epoch string `json:"ep"`
			Seq   int    `json:"seq"`
			At    int64  `json:"ts"`
		}
		if (m.topic == w.of.Up("tele") || m.topic == w.of.Up("backfill")) && json.Unmarshal([]byte(m.payload), &b) == nil && b.Epoch == epoch {
			came[b.Seq] = time.UnixMilli(b.At)
		}
	}
	return came
}

// whole is the number of batches up to which none is missing.
func (w *witness) whole() (n int) {
	seen := map[int]bool{}
	for _, m := range w.on(w.of.Up("tele")) {
		var b struct {
			Seq int `json:"seq"`
		}
		if json.Unmarshal([]byte(m.payload), &b) == nil {
			seen[b.Seq] = true
		}
	}
	for seen[n+1] {
		n++
	}
	return n
}

// retained asks a new subscriber what the broker has kept on a topic.
func (m *mosquitto) retained(topic, want string) bool {
	args := append(slices.Clone(m.client), "-C", "1", "-W", "2", "--retained-only", "-t", topic, "-F", "%p")
	text, err := exec.Command("mosquitto_sub", args...).Output()
	return err == nil && strings.Contains(string(text), want)
}
