package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// walk is a desk among a journal that commits when it likes, a broker that acknowledges when it likes, a power loop
// that takes its time, and crashes of all of it. It checks at every publication, start and acknowledgement.
type walk struct {
	*rig
	t        *rapid.T
	tb       testing.TB
	payloads map[string]string // by id and variant: the same bytes every time
	open     []delivery        // messages that the broker has not got an acknowledgement for
	starts   map[string]int    // over all lives
	jobs     map[string]int    // commands that power has under way, and their n
	life     int
	count    int
	terminal map[string]string // by id: what its terminal state was said to be
	freed    map[string]int    // by id: rejections that are no outcome
}

type delivery struct{ label, id, payload string }

func newWalk(t *rapid.T, tb testing.TB) *walk {
	w := &walk{
		t: t, tb: tb, rig: newRig(tb), payloads: map[string]string{}, starts: map[string]int{}, jobs: map[string]int{},
		terminal: map[string]string{}, freed: map[string]int{},
	}
	w.book.manual, w.orders.manual = true, true
	w.broker.onPublish = w.published
	w.runner.onStart = w.started
	return w
}

// members makes each id a command of its own kind.
func members(i, variant int) string {
	other := fmt.Sprintf("c%d", (i+5)%8)
	kinds := []string{
		``, `"op":"outlet.energise"`, `"op":"cmd.get","target":"rack","args":{"id":"` + other + `"}`, `"aud":"ams1/r18"`,
		`"op":"cmd.cancel","target":"rack","args":{"id":"` + other + `"}`, `"op":"identify","target":"node/asic-1"`, `"op":"outlet.cycle","dry":true`, `"op":"outlet.cut"`,
		lockAsic, unlockAsic,
	}
	m := kinds[i%len(kinds)]
	if variant > 0 {
		if m != "" {
			m += ","
		}
		m += `"why":"another"`
	}
	return m
}

func (w *walk) deliver(d delivery) {
	life := w.life
	w.open = append(w.open, d)
	in := w.message(d.label, d.payload)
	in.Ack = func() { w.acknowledged(d, life) }
	w.Offer(in)
}

func (w *walk) acknowledged(d delivery, life int) {
	if life != w.life {
		return // a connection that is gone
	}
	_, kept := w.book.entries[d.id]
	if !kept && w.freed[d.id] == 0 {
		w.t.Fatalf("%s is acknowledged, but neither on disk nor turned away", d.id)
	}
	for i, o := range w.open {
		if o.label == d.label {
			w.open = append(w.open[:i], w.open[i+1:]...)
			return
		}
	}
	w.t.Fatalf("message %s is acknowledged twice", d.label)
}

func (w *walk) published(m message) {
	if m.Command[0] == 'q' {
		w.t.Fatalf("the answer to question %s is published", m.Command)
	}
	if m.N == 0 {
		if m.State != rack.StateRejected || m.Code == "" {
			w.t.Fatalf("n 0: %+v", m.Outcome)
		}
		w.freed[m.Command]++
		return
	}
	e, kept := w.book.entries[m.Command]
	if !kept {
		w.t.Fatalf("%s %s is told and not on disk", m.Command, m.State)
	}
	if !m.State.Terminal() {
		if old := w.terminal[m.Command]; old != "" && !m.dup {
			w.t.Fatalf("%s: %s after %s", m.Command, m.State, old)
		}
		return
	}
	if e.Outcome == nil || e.Outcome.State != m.State || e.Outcome.N != m.N {
		w.t.Fatalf("%s is told to be %s, on disk is %+v", m.Command, m.State, e.Outcome)
	}
	if _, ordered := w.book.orders[m.Command]; ordered && !slices.Contains(w.orders.holds, m.Command) {
		w.t.Fatalf("%s is told to be %s before its order is in force", m.Command, m.State)
	}
	said := fmt.Sprintf("%s %d %s", m.State, m.N, m.Code)
	if old := w.terminal[m.Command]; old != "" && old != said {
		w.t.Fatalf("%s: two terminal results, %s and %s", m.Command, old, said)
	}
	w.terminal[m.Command] = said
}

func (w *walk) started(cmd rack.Command) {
	w.starts[cmd.ID]++
	e, kept := w.book.entries[cmd.ID]
	switch {
	case w.starts[cmd.ID] > 1:
		w.t.Fatalf("%s is started twice", cmd.ID)
	case !kept || e.Outcome != nil || len(e.Plan.Targets) == 0:
		w.t.Fatalf("%s is started without a record: %+v", cmd.ID, e)
	case cmd.StartBy.IsZero():
		w.t.Fatalf("%s may start at any time", cmd.ID)
	}
	w.jobs[cmd.ID] = 1
}

// send delivers a new message, or one that was delivered before.
func (w *walk) send(t *rapid.T) {
	i := rapid.IntRange(0, 23).Draw(t, "command")
	variant := rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "variant")
	id := fmt.Sprintf("c%d", i)
	key := fmt.Sprintf("%s/%d", id, variant)
	if w.payloads[key] == "" {
		w.payloads[key] = w.payload(id, members(i, variant))
	}
	w.count++
	w.deliver(delivery{fmt.Sprintf("m%d", w.count), id, w.payloads[key]})
}

// ask puts a question over the local socket about any command.
func (w *walk) ask(t *rapid.T) {
	w.count++
	id := fmt.Sprintf("q%d", w.count)
	about := fmt.Sprintf("c%d", rapid.IntRange(0, 23).Draw(t, "about"))
	w.Offer(w.local(id, w.payload(id, `"op":"cmd.get","target":"rack","args":{"id":"`+about+`"}`)))
}

func (w *walk) advance(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, 12_000).Draw(t, "ms")) * time.Millisecond)
}

func (w *walk) progress(t *rapid.T) {
	if id, ok := w.anyJob(t); ok {
		w.jobs[id]++
		w.Report(rack.Outcome{Command: id, State: rack.StateRunning, N: w.jobs[id], At: w.now})
	}
}

func (w *walk) anyJob(t *rapid.T) (string, bool) {
	var ids []string
	for i := range 24 {
		if id := fmt.Sprintf("c%d", i); w.jobs[id] > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "", false
	}
	return rapid.SampledFrom(ids).Draw(t, "job"), true
}

// conclude ends a command as power does: first on disk, then told.
func (w *walk) conclude(id string, st rack.State, n int) {
	delete(w.jobs, id)
	life := w.life
	o := rack.Outcome{Command: id, State: st, N: n, At: w.now}
	w.book.Submit([]rack.Record{{Kind: rack.RecordEnded, ID: id, Outcome: &o, Lowers: true}}, func(err error) {
		if life != w.life {
			return
		}
		if err != nil {
			w.t.Fatalf("end of %s: %v", id, err)
		}
		w.Report(o)
	})
}

func (w *walk) finishJob(t *rapid.T) {
	if id, ok := w.anyJob(t); ok {
		w.conclude(id, rapid.SampledFrom([]rack.State{rack.StateSucceeded, rack.StateFailed, rack.StateCancelled, rack.StateExpired}).Draw(t, "end"), w.jobs[id]+1)
	}
}

func (w *walk) identified(*rapid.T) {
	if w.boards.report != nil {
		w.boards.report(map[string]rack.Identity{}, nil)
	}
}

// crash ends this life at any point: what waits for the disk is written up to somewhere, what waits for the broker is
// gone, messages that were not acknowledged come again, and power judges what it finds.
func (w *walk) crash(t *rapid.T) {
	w.life++
	w.book.crash(rapid.IntRange(0, 5).Draw(t, "written"))
	w.book.manual = true
	w.broker.out, w.broker.full = nil, false
	w.boards.report = nil
	w.orders.coming = nil
	for _, id := range w.book.order { // what a start finds is in force before anything is taken
		if o, ok := w.book.orders[id]; ok {
			w.orders.found(id, o, w.book.entries[id].Command.Op == rack.OpUnlock)
		}
	}
	w.jobs = map[string]int{}
	w.restart()
	_, unfinished, _ := w.book.found()
	again := w.open
	w.open = nil
	for _, d := range again {
		w.deliver(d)
	}
	for _, e := range unfinished {
		if e.Command.Op.MovesPower() {
			w.conclude(e.Command.ID, rack.StateUnknown, rack.RecoveredN)
		}
	}
}

// restart hands the new life what a journal would have kept: times without the monotonic clock, and no StartBy.
func (w *walk) restart() {
	for id, e := range w.book.entries {
		b, err := json.Marshal(e.Command)
		if err == nil {
			e.Command = rack.Command{}
			err = json.Unmarshal(b, &e.Command)
		}
		if err != nil {
			w.t.Fatalf("%s: %v", id, err)
		}
	}
	w.start(w.tb)
}

// rest lets everything come to an end and checks S5 for every id.
func (w *walk) rest() {
	w.book.full, w.broker.full = false, false
	for range 40 {
		w.now = w.now.Add(3 * time.Second)
		w.turn(w.now)
		w.book.commit(1 << 20)
		w.turn(w.now)
		for id, n := range w.jobs {
			w.conclude(id, rack.StateSucceeded, n+1)
		}
		w.orders.settle()
		w.broker.acknowledge(1 << 20)
	}
	if len(w.open) != 0 {
		w.t.Fatalf("never acknowledged: %+v", w.open)
	}
	for id, e := range w.book.entries {
		if e.Command.Origin == rack.OriginLocal {
			w.t.Fatalf("the question %s is on disk", id)
		}
		if e.Outcome == nil || !e.Acked || w.terminal[id] == "" {
			w.t.Fatalf("%s has no end that anybody heard of: %+v, said %q", id, e, w.broker.said(id))
		}
	}
	if n := len(w.Desk.open) + len(w.results) + len(w.flight); n != 0 {
		w.t.Fatalf("%d commands are left over", n)
	}
}

func TestWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWalk(rt, t)
		rt.Repeat(map[string]func(*rapid.T){
			"send":     w.send,
			"send too": w.send,
			"turn":     func(*rapid.T) { w.turn(w.now) },
			"turn too": func(*rapid.T) { w.turn(w.now) },
			"ask":      w.ask,
			"time":     w.advance,
			"commit":   func(t *rapid.T) { w.book.commit(rapid.IntRange(1, 4).Draw(t, "n")) },
			"disk":     func(t *rapid.T) { w.book.full = rapid.Bool().Draw(t, "full") },
			"observe":  func(t *rapid.T) { w.observing = rapid.Bool().Draw(t, "observing") },
			"progress": w.progress,
			"finish":   w.finishJob,
			"identify": w.identified,
			"order":    func(*rapid.T) { w.orders.settle() },
			"deliver":  func(t *rapid.T) { w.broker.acknowledge(rapid.IntRange(1, 4).Draw(t, "n")) },
			"room":     func(t *rapid.T) { w.broker.full = rapid.Bool().Draw(t, "full") },
			"resend":   func(*rapid.T) { w.Resend() },
			"crash":    w.crash,
		})
		w.rest()
	})
}
