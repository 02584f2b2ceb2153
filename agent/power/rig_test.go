package power

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// judge is what testing.T and rapid.T share.
type judge interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig is a small world of its own around a Machine: relays that remember, loads behind them, a meter that needs
// time, a lane that answers late, a journal that answers late. It keeps the trace by which tests judge; it never
// looks at the machine's own state.
type rig struct {
	t      judge
	now    time.Time
	m      *Machine
	layout *rack.Layout
	queue  events
	seq    int
	rng    *rand.Rand

	closed  map[rack.OutletID]bool
	loadW   map[rack.OutletID]float64
	welded  map[rack.OutletID]bool
	frozen  map[rack.OutletID]bool
	deaf    map[rack.OutletID]bool // meter does not answer
	glitch  map[rack.OutletID]int  // that many samples after a write read zero
	crossed map[rack.OutletID]rack.OutletID
	lost    bool // bank out of control
	serial  string

	laneTakes    time.Duration
	hang         map[rack.OutletID]bool // an energise stays with the device until aborted
	oneByOne     bool                   // a lane does one write of a bus at a time, as it does
	takenEarly   bool                   // the relay moves at the beginning of the write and not at its end
	idle         map[string]time.Time   // by PDU: when its lane has done what it was given
	slowest      time.Duration          // wall time of the slowest step
	journalTakes time.Duration
	journalErr   error
	running      map[uint64]Switch

	units map[string]*unit // by node: miners with an interface
	tells []tell

	orders    uint64
	writes    []write
	records   []rack.Record
	reports   []rack.Outcome
	emitted   []rack.Event
	inForce   []uint64 // tokens of orders that hold
	onInForce func(uint64)
	alarms    []rack.Alarm
	onReport  func(rack.Outcome)
}

// write is one line of the trace.
type write struct {
	at  time.Time
	do  string
	on  rack.OutletID
	rec int // records on disk when it was handed over
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || (e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func outlet(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }

// demoLayout is one PDU of eight outlets: six miners, and one server on a redundant pair.
func demoLayout() *rack.Layout {
	l := &rack.Layout{
		Site: "test", Agent: "r1", Stagger: 250 * time.Millisecond,
		Feeds: []rack.Feed{
			{Name: "row", Lines: []string{"L1", "L2", "L3"}, VoltsV: 400, RatingA: 250, Continuous: 0.8},
			{Name: "bank", Parent: "row", Lines: []string{"L1"}, VoltsV: 230, RatingA: 160, Continuous: 0.8},
		},
	}
	p := rack.PDU{Name: "pdu-a", Model: "ac8", Serial: "PA-1", Bus: "main", Settling: 300 * time.Millisecond, Period: time.Second}
	for n := range 8 {
		p.Outlets = append(p.Outlets, rack.Outlet{ID: outlet(n + 1), Feed: "bank", RatingA: 20, Continuous: 1, Metered: true, NoiseW: 1})
	}
	l.PDUs = []rack.PDU{p}
	for n := range 6 {
		l.Nodes = append(l.Nodes, rack.Node{
			Name: fmt.Sprintf("asic-%d", n+1), Class: rack.ClassASIC, Outlets: []rack.OutletID{outlet(n + 1)},
			MaxW: 3400, SurgeW: 200, SurgeFor: 5 * time.Second, MinOff: 30 * time.Second, Wiring: rack.WiringDeclared,
		})
	}
	l.Nodes = append(l.Nodes, rack.Node{
		Name: "gpu-1", Class: rack.ClassGPU, Outlets: []rack.OutletID{outlet(7), outlet(8)}, MaxW: 3000, MinOff: time.Minute, Wiring: rack.WiringDeclared,
	})
	return l
}

func newRig(t judge) *rig { return newRigWith(t, demoLayout(), nil) }

func newRigWith(t judge, l *rack.Layout, unfinished []rack.Entry) *rig {
	r := &rig{
		t: t, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), layout: l, rng: rand.New(rand.NewPCG(1, 2)),
		closed: make(map[rack.OutletID]bool), loadW: make(map[rack.OutletID]float64), welded: make(map[rack.OutletID]bool),
		frozen: make(map[rack.OutletID]bool), deaf: make(map[rack.OutletID]bool), glitch: make(map[rack.OutletID]int), crossed: make(map[rack.OutletID]rack.OutletID),
		hang: make(map[rack.OutletID]bool), running: make(map[uint64]Switch), idle: make(map[string]time.Time),
		laneTakes: 5 * time.Millisecond, journalTakes: time.Millisecond, serial: "PA-1",
	}
	for _, p := range l.PDUs {
		for _, o := range p.Outlets {
			r.closed[o.ID], r.loadW[o.ID] = true, 3200
			if o.ID.N > 6 {
				r.loadW[o.ID] = 1400
			}
		}
	}
	r.m = New(r.now, l, words, nil, nil)
	r.step(Identified{PDU: "pdu-a", Ident: drivers.Ident{Serial: r.serial}})
	if len(unfinished) > 0 {
		r.step(Unfinished(unfinished))
	}
	r.after(0, r.pollForEver)
	return r
}

// words is the register model of the rig: outlet n on bit n-1, closed = 1.
func words(_ rack.BankID, closed []bool) (latch, direction uint16, err error) {
	for i, c := range closed {
		if c {
			latch |= 1 << i
		}
	}
	return latch, 0, nil
}

func (r *rig) after(d time.Duration, do func()) {
	r.seq++
	heap.Push(&r.queue, event{r.now.Add(d), r.seq, do})
}

// run lets the world go on for d, stepping the machine every 10 ms at least.
func (r *rig) run(d time.Duration) {
	end := r.now.Add(d)
	for next := r.now; !next.After(end); next = next.Add(10 * time.Millisecond) {
		for len(r.queue) > 0 && !r.queue[0].at.After(next) {
			e := heap.Pop(&r.queue).(event)
			r.now = e.at
			e.do()
		}
		r.now = next
		if r.m.Busy() {
			r.step(Tick{})
		}
	}
}

func (r *rig) pollForEver() {
	r.poll()
	r.after(time.Second, r.pollForEver)
}

func (r *rig) watts(o rack.OutletID) float64 {
	by := o
	for a, b := range r.crossed { // relay a moves outlet b
		if b == o {
			by = a
		}
	}
	if !r.closed[by] && !r.welded[o] {
		return 0
	}
	if r.lost && o.N <= 6 {
		return 0
	}
	if node, ok := r.layout.NodeOf(o); ok && r.units[node.Name] != nil {
		return r.units[node.Name].watts(r.now, r.loadW[o])
	}
	return r.loadW[o]
}

// poll measures everything now and reports it 2 ms later.
func (r *rig) poll() {
	batch := r.measure()
	r.after(2*time.Millisecond, func() { r.step(batch) })
}

func (r *rig) measure() Readings {
	var batch Readings
	for _, p := range r.layout.PDUs {
		ctl := 1.0
		if r.lost {
			ctl = 0
		}
		batch = append(batch, r.reading(rack.Point{Device: p.Name, Quantity: rack.Control, Index: 1}, ctl, 0))
		for _, o := range p.Outlets {
			closed := r.closed[o.ID]
			if r.lost {
				closed = o.ID.N > 6
			}
			batch = append(batch, r.reading(rack.OutletPoint(o.ID, rack.Relay), boolean(closed), 0))
			if r.deaf[o.ID] || !o.Metered {
				continue
			}
			w := r.watts(o.ID)
			raw := uint32(w*10) + uint32(r.rng.IntN(3))
			if r.glitch[o.ID] > 0 && len(r.writes) > 0 && r.now.Sub(r.writes[0].at) > 300*time.Millisecond {
				r.glitch[o.ID]--
				w = 0
			}
			if r.frozen[o.ID] {
				w, raw = r.loadW[o.ID], 4711
			}
			batch = append(batch, r.reading(rack.OutletPoint(o.ID, rack.PowerW), w, raw), r.reading(rack.OutletPoint(o.ID, rack.ApparentV), w, raw))
		}
		for _, supply := range p.Supplies {
			sum := r.rng.Float64() * 4 // noise
			for _, o := range p.Outlets {
				if o.Supply == supply.ID.N {
					sum += r.watts(o.ID)
				}
			}
			batch = append(batch, r.reading(rack.Point{Device: p.Name, Quantity: rack.SupplyW, Index: supply.ID.N}, sum, uint32(sum)))
		}
	}
	return batch
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (r *rig) reading(p rack.Point, v float64, raw uint32) rack.Reading {
	return rack.Reading{Point: p, Value: v, Raw: raw, At: r.now, Quality: rack.QualityOK}
}

// step gives the machine an input and carries its actions out as loop, lane and journal would.
func (r *rig) step(in Input) {
	began := time.Now()
	actions := r.m.Step(r.now, in)
	r.slowest = max(r.slowest, time.Since(began))
	for _, a := range actions {
		switch a := a.(type) {
		case Switch:
			r.lane(a)
		case InForce:
			r.inForce = append(r.inForce, a.Token)
			if r.onInForce != nil {
				r.onInForce(a.Token)
			}
		case TakeOver:
			if refusal := guardBank(r.m.Snapshot(r.now), a.Bank); refusal != nil {
				r.after(0, func() { r.step(Switched{Token: a.Token, Err: &GuardError{Refusal: refusal}}) })
				continue
			}
			r.writes = append(r.writes, write{r.now, fmt.Sprintf("takeover latch=%08b", a.Latch), rack.OutletID{PDU: a.Bank.PDU}, len(r.records)})
			r.after(r.laneTakes, func() {
				for i := range 8 {
					r.closed[outlet(i+1)] = a.Latch&(1<<i) != 0
				}
				r.lost = false
				r.step(Switched{Token: a.Token, Taken: r.now, Confirmed: r.now})
			})
		case Abort:
			if a.On.Kind == rack.TargetNode {
				r.after(time.Millisecond, func() { r.step(Said{Token: a.Token, Err: errAborted}) })
			} else if sw, ok := r.running[a.Token]; ok {
				delete(r.running, a.Token)
				r.after(time.Millisecond, func() {
					r.step(Switched{Token: sw.Token, Err: &drivers.Error{Op: "write", Fault: drivers.Cancelled}})
				})
			}
		case Inquire:
			r.inquire(a)
		case Tell:
			r.tell(a)
		case Keep:
			r.keep(a)
		case Report:
			r.reports = append(r.reports, a.Outcome)
			if r.onReport != nil {
				r.onReport(a.Outcome)
			}
		case Sample:
			r.after(3*time.Millisecond, r.poll)
		case Emit:
			r.emitted = append(r.emitted, a.Event)
		case Raise:
			r.alarms = append(r.alarms, a.Alarm)
		}
	}
}

// lane is the machine's lane with the real guard in it.
func (r *rig) lane(a Switch) {
	if err := permitted(r.m.Snapshot(r.now), a); err != nil {
		r.after(0, func() { r.step(Switched{Token: a.Token, Err: err}) })
		return
	}
	r.writes = append(r.writes, write{r.now, string(a.Do), a.Outlet, len(r.records)})
	r.running[a.Token] = a
	if a.Do == rack.DoEnergise && r.hang[a.Outlet] {
		began := r.now
		r.after(writeLimit, func() {
			if _, ok := r.running[a.Token]; ok {
				delete(r.running, a.Token)
				r.step(Switched{Token: a.Token, Taken: began, Err: &drivers.Error{Op: "write", Fault: drivers.Timeout}})
			}
		})
		return
	}
	wait := r.laneTakes
	if r.oneByOne {
		begin := r.now
		if idle := r.idle[a.Outlet.PDU]; idle.After(begin) {
			begin = idle
		}
		r.idle[a.Outlet.PDU] = begin.Add(r.laneTakes)
		wait = r.idle[a.Outlet.PDU].Sub(r.now)
	}
	if r.takenEarly {
		r.after(wait-r.laneTakes, func() { r.closed[a.Outlet] = a.Do == rack.DoEnergise })
	}
	r.after(wait, func() {
		if _, ok := r.running[a.Token]; !ok {
			return // aborted
		}
		delete(r.running, a.Token)
		if on := a.Do == rack.DoEnergise; on != r.closed[a.Outlet] {
			r.power(a.Outlet, on)
		}
		r.closed[a.Outlet] = a.Do == rack.DoEnergise
		r.step(Switched{Token: a.Token, Taken: r.now, Confirmed: r.now})
	})
}

func (r *rig) keep(a Keep) {
	if r.journalErr != nil {
		r.after(r.journalTakes, func() { r.step(Recorded{Token: a.Token, Err: r.journalErr}) })
		return
	}
	r.after(r.journalTakes, func() {
		r.records = append(r.records, a.Record)
		r.step(Recorded{Token: a.Token})
	})
}

// command plans and starts a command; a refusal is given back.
func (r *rig) command(id string, op rack.Op, target string, change ...func(*rack.Command)) *rack.Refusal {
	tg, err := rack.ParseTarget(target)
	if err != nil {
		r.t.Fatal(err)
	}
	c := rack.Command{ID: id, Op: op, Target: tg, Origin: rack.OriginMQTT, Received: r.now, StartBy: r.now.Add(time.Minute)}
	for _, f := range change {
		f(&c)
	}
	p, refusal := Plan(r.now, r.m.Snapshot(r.now), c)
	if refusal != nil {
		return refusal
	}
	r.records = append(r.records, rack.Record{Kind: rack.RecordAccepted, ID: id, Command: &c, Plan: &p})
	r.step(Accepted{Command: c, Plan: p})
	return nil
}

// lock sets or releases a lock as the desk does; the token stands in inForce once it holds.
func (r *rig) lock(id string, op rack.Op, target string, change ...func(*rack.Command)) (token uint64, refusal *rack.Refusal) {
	tg, err := rack.ParseTarget(target)
	if err != nil {
		r.t.Fatal(err)
	}
	c := rack.Command{ID: id, Op: op, Target: tg, Signed: true, Firm: true, Issuer: "uid:1000"}
	for _, f := range change {
		f(&c)
	}
	o, stands, refusal := r.m.Snapshot(r.now).Lock(r.now, c)
	if refusal != nil || stands && op == rack.OpLock {
		return 0, refusal
	}
	r.orders++
	token = r.orders
	kind := rack.RecordOrder
	if op == rack.OpUnlock {
		kind = rack.RecordReleased
	}
	r.records = append(r.records, rack.Record{Kind: kind, ID: id, Order: &o})
	r.step(Ordered{Token: token, Order: o, Released: op == rack.OpUnlock, Command: id, By: issuerOf(c), Why: c.Why})
	return token, nil
}

// must starts a command that may not be refused.
func (r *rig) must(id string, op rack.Op, target string, change ...func(*rack.Command)) {
	r.t.Helper()
	if refusal := r.command(id, op, target, change...); refusal != nil {
		r.t.Fatalf("%s %s refused: %v", op, target, refusal)
	}
}

// result is the one terminal report of a command.
func (r *rig) result(id string) rack.Outcome {
	r.t.Helper()
	var found []rack.Outcome
	for _, o := range r.reports {
		if o.Command == id && o.State.Terminal() {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("command %s has %d terminal results: %+v", id, len(found), found)
	}
	return found[0]
}

func (r *rig) expect(id string, st rack.State, code rack.Code) rack.Outcome {
	r.t.Helper()
	o := r.result(id)
	if o.State != st || o.Code != code {
		r.t.Fatalf("command %s ended %s %q (%s), want %s %q", id, o.State, o.Code, o.Text, st, code)
	}
	return o
}

// trace writes the writes in one line: "cut 3, energise 3".
func (r *rig) trace() string {
	var out []string
	for _, w := range r.writes {
		if w.on.N == 0 {
			out = append(out, w.do)
			continue
		}
		out = append(out, fmt.Sprintf("%s %d", w.do, w.on.N))
	}
	return strings.Join(out, ", ")
}

var errDiskFull = errors.New("no space left on device")
