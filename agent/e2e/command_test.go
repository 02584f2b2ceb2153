//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// cut is a cut of an outlet, good for a minute.
func cut(id string, n int) string {
	return envelope(id, "outlet.cut", "outlet/"+out(n).String(), time.Minute, "")
}

func TestACutEndsOnce(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w)
	m.order(cut("c1", 3))
	x := w.expect(t, "c1", "succeeded")
	pass(time.Second) // for a second end, if there is one
	if got := w.states("c1"); got != "accepted, running, succeeded" {
		t.Errorf("heard %s", got)
	}
	if p := x.Targets[0].Steps[0].Proof; p.Before == nil || p.After == nil || *p.Before < 3000 || *p.After > 10 {
		t.Errorf("proof %+v", p)
	}
	if watts := r.world.Rack().Watts(out(3)); watts > 1 {
		t.Errorf("outlet 3 draws %.0f W", watts)
	}
	r.judge(t, 1)
}

// TestARepeatedCommandIsAnsweredAndNotRepeated holds: one id, one action, also after the agent's restart.
func TestARepeatedCommandIsAnsweredAndNotRepeated(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w)
	payload := cut("c1", 3)
	m.order(payload)
	w.expect(t, "c1", "succeeded")
	m.order(payload, payload)
	r.stop()
	m.order(payload)
	r.join(t, w)
	m.order(payload)
	eventually(t, 10*time.Second, "four answers to repeats", func() bool { return strings.Count(w.states("c1"), "succeeded dup") == 4 })
	m.order(cut("c1", 4))
	eventually(t, 10*time.Second, "the refusal of another command under the same id", func() bool {
		return strings.HasSuffix(w.states("c1"), "rejected/id_conflict")
	})
	if n := len(w.ends("c1")); n != 1 {
		t.Errorf("%d different ends: %s", n, w.states("c1"))
	}
	r.judge(t, 1)
}

// TestARetainedCommandHasNoEffect: whoever retains a command would have it carried out at every connection.
func TestARetainedCommandHasNoEffect(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	if err := m.pub(cut("r1", 1), "-s", "-r", "-t", topic.Command()); err != nil {
		t.Fatal(err)
	}
	r := theRack(t, m)
	for start := 1; start <= 2; start++ {
		r.join(t, w)
		eventually(t, 10*time.Second, "the event", func() bool { return w.refused("retained") == start })
		r.stop()
	}
	if got := w.states("r1"); got != "" {
		t.Errorf("it was answered: %s", got)
	}
	r.judge(t, 0)
}

// TestAMessageThatIsTooBig: one over the limit of commands is counted. One over the limit of frames ends the
// connection and comes again on the next, until the agent gives the session up.
func TestAMessageThatIsTooBig(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w)
	why := func(size int) string { return fmt.Sprintf(`,"why":%q`, strings.Repeat("x", size)) }
	m.order(envelope("big", "outlet.cut", "outlet/pdu-a.1", time.Minute, why(9_000)))
	eventually(t, 10*time.Second, "the event", func() bool { return w.refused("too_big") == 1 })
	m.order(cut("c1", 3))
	w.expect(t, "c1", "succeeded")

	for range 5 {
		if err := m.pub(envelope("giant", "outlet.cut", "outlet/pdu-a.1", time.Minute, why(1_000_000)), "-s", "-t", topic.Command()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "the session to be discarded", func() bool { return strings.Contains(r.log.String(), "the session was discarded") })
	births := w.births()
	eventually(t, 20*time.Second, "the agent to be back", func() bool { return w.births() > births || r.agent.Status().Link == "up" })
	m.order(cut("c2", 5))
	w.expect(t, "c2", "succeeded")
	for _, id := range []string{"big", "giant"} {
		if got := w.states(id); got != "" {
			t.Errorf("%s was answered: %s", id, got)
		}
	}
	r.judge(t, 2)
}

// TestACommandForAnAgentThatIsAway: the broker keeps it. When the agent is back it is carried out, unless its time is
// over.
func TestACommandForAnAgentThatIsAway(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w) // the session is there from now on
	r.stop()
	const life = 2 * time.Second
	m.order(envelope("late", "outlet.cut", "outlet/pdu-a.1", life, ""), cut("good", 2))
	pass(life + 100*time.Millisecond)
	r.join(t, w)
	w.expect(t, "late", "rejected/expired")
	w.expect(t, "good", "succeeded")
	if got := w.states("late"); got != "rejected/expired" {
		t.Errorf("heard %s", got)
	}
	r.judge(t, 1)
}
