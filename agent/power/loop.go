package power

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rackagent/agent/rack"
)

// Journal keeps records. done is called once, from any goroutine, when they are on disk or will not be.
type Journal interface {
	Submit(recs []rack.Record, done func(error))
}

// Opts are the loop's partners. None of these calls may block.
type Opts struct {
	Layout  *rack.Layout
	Words   Words
	Relays  map[string]Relays // by PDU
	Miners  map[string]Miner  // by node
	Journal Journal
	Report  func(rack.Outcome) // to the desk
	Sample  func(pdu string)   // to poll: its outlets
	Ask     func(pdu string)   // to poll: its identity
	Event   func(rack.Event)
	Alarm   func(rack.Alarm)
	Learnt  func() // the wiring of some outlet is believed more or less than before

	// What the journal held at the start.
	Orders     []rack.Order
	Records    []rack.Record // withdrawals and wiring
	Unfinished []rack.Entry
	Standing   map[rack.OutletID]bool // where relays were left (LastSwitched)

	// What the agent may begin by itself, and whether a lost journal keeps it from that now.
	Own       Own
	Observing func() bool
}

// Loop owns the Machine. It takes inputs one by one, hands the actions out and never waits for any of them.
type Loop struct {
	o        Opts
	machine  *Machine
	lanes    map[string]*lane // by bus
	buses    map[string]string
	miners   map[string]*lane // by node
	snapshot atomic.Pointer[Snapshot]
	born     time.Time
	turned   atomic.Int64 // of the last turn, nanoseconds since born on the monotonic clock

	mu    sync.Mutex
	inbox []Input
	kept  map[uint64]func() // by token: who waits for an order to be in force
	token uint64            // of the last order
	wake  chan struct{}     // 1: a wake-up that is not yet taken is enough
}

// Times of the loop.
const (
	busyTick = 20 * time.Millisecond // while a command is under way; a tenth of the shortest wait
	idleTick = time.Second           // shows the watchdog that the loop turns
	slowTurn = 50 * time.Millisecond // a longer turn is an event
)

// NewLoop builds the loop and its lanes, one per bus. Nothing runs until Run.
func NewLoop(o Opts) *Loop {
	now := time.Now()
	l := &Loop{
		o: o, machine: New(now, o.Layout, o.Words, o.Orders, o.Records), lanes: make(map[string]*lane),
		buses: make(map[string]string), miners: make(map[string]*lane), born: now, kept: make(map[uint64]func()), wake: make(chan struct{}, 1),
	}
	l.machine.LeftStanding(o.Standing)
	l.machine.MayAct(o.Own)
	l.snapshot.Store(l.machine.Snapshot(now))
	for _, p := range o.Layout.PDUs {
		if l.lanes[p.Bus] == nil {
			l.lanes[p.Bus] = newLane(relayLane{relays: o.Relays, snapshot: l.Snapshot}.carry, l.Tell)
		}
		l.buses[p.Name] = p.Bus
	}
	for node, m := range o.Miners {
		l.miners[node] = newLane(minerLane{miner: m, snapshot: l.Snapshot}.carry, l.Tell)
	}
	if len(o.Unfinished) > 0 {
		l.Tell(Unfinished(o.Unfinished))
	}
	return l
}

// Tell gives the loop an input and returns at once. The inbox has no bound of its own: its writers have (each poller
// and lane has one answer outstanding, the desk a bounded queue).
func (l *Loop) Tell(in Input) {
	l.mu.Lock()
	l.inbox = append(l.inbox, in)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Snapshot is what the loop knew after its last turn, with the present as its moment.
func (l *Loop) Snapshot() *Snapshot {
	s := *l.snapshot.Load()
	s.At = time.Now()
	return &s
}

// Plan judges a command from the newest snapshot.
func (l *Loop) Plan(now time.Time, c rack.Command) (rack.Plan, *rack.Refusal) {
	s := *l.snapshot.Load()
	s.At = now
	return Plan(now, &s, c)
}

// Start hands over an accepted command whose plan is on disk.
func (l *Loop) Start(c rack.Command, p rack.Plan) { l.Tell(Accepted{Command: c, Plan: p}) }

// Cancel asks that a command stops before its next step.
func (l *Loop) Cancel(id string) { l.Tell(Cancel{ID: id}) }

// Lock judges a lock or an unlock from the newest snapshot.
func (l *Loop) Lock(now time.Time, c rack.Command) (order rack.Order, stands bool, bad *rack.Refusal) {
	s := *l.snapshot.Load()
	s.At = now
	return s.Lock(now, c)
}

// Keep takes over an order that is on disk, or its release by the command c. done is called once, from the loop's
// goroutine, when it is in force.
func (l *Loop) Keep(c rack.Command, o rack.Order, released bool, done func()) {
	l.mu.Lock()
	l.token++
	token := l.token
	l.kept[token] = done
	l.mu.Unlock()
	l.Tell(Ordered{Token: token, Order: o, Released: released, Command: c.ID, By: issuerOf(c), Why: c.Why})
}

// inForce tells who waits for an order that it holds.
func (l *Loop) inForce(token uint64) {
	l.mu.Lock()
	done := l.kept[token]
	delete(l.kept, token)
	l.mu.Unlock()
	if done != nil {
		done()
	}
}

// Turned is when the loop last turned, for the watchdog.
func (l *Loop) Turned() time.Time { return l.born.Add(time.Duration(l.turned.Load())) }

// Run turns until ctx ends. The writes in flight are finished; nothing further is begun, and no outlet is moved on
// the way out.
func (l *Loop) Run(ctx context.Context) error {
	var lanes sync.WaitGroup
	for _, set := range []map[string]*lane{l.lanes, l.miners} {
		for _, ln := range set {
			lanes.Go(func() { ln.run(ctx) })
		}
	}
	defer func() { // what the lanes answered last is booked; nothing is begun any more
		lanes.Wait()
		l.turn()
	}()
	timer := time.NewTimer(idleTick)
	defer timer.Stop()
	for {
		timer.Reset(l.tick())
		select {
		case <-ctx.Done():
			l.Tell(Closing{})
			l.turn()
			return nil
		case <-l.wake:
		case <-timer.C:
			l.Tell(Tick{})
		}
		l.turn()
	}
}

func (l *Loop) tick() time.Duration {
	if l.machine.Busy() {
		return busyTick
	}
	return idleTick
}

// turn works off what is in the inbox now.
func (l *Loop) turn() {
	began := time.Now()
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	if l.o.Observing != nil {
		l.machine.observing = l.o.Observing()
	}
	for _, in := range inbox {
		now := time.Now()
		actions := l.machine.Step(now, in)
		if slices.ContainsFunc(actions, asksSnapshot) {
			l.snapshot.Store(l.machine.Snapshot(now))
		}
		for _, a := range actions {
			l.hand(a)
		}
	}
	now := time.Now()
	if len(inbox) > 0 {
		l.snapshot.Store(l.machine.Snapshot(now))
	}
	l.turned.Store(int64(now.Sub(l.born)))
	if d := now.Sub(began); d > slowTurn {
		l.o.Event(rack.Event{Kind: rack.EventSlowTurn, Severity: rack.Warn, At: now, Reason: d.String(), Text: "a turn of the power loop took " + d.String()})
	}
}

// asksSnapshot tells whether whoever gets the action will look at the snapshot: the guard in the lane, the inventory.
func asksSnapshot(a Action) bool {
	switch a.(type) {
	case Switch, TakeOver, Tell, Learnt, InForce:
		return true
	default:
		return false
	}
}

// laneOf is where the actions of a step go.
func (l *Loop) laneOf(on rack.Target) *lane {
	if on.Kind == rack.TargetNode {
		return l.miners[on.Name]
	}
	return l.lanes[l.buses[on.Outlet.PDU]]
}

// hand gives an action to its owner.
func (l *Loop) hand(a Action) {
	switch a := a.(type) {
	case Switch:
		l.lanes[l.buses[a.Outlet.PDU]].put(a)
	case TakeOver:
		l.lanes[l.buses[a.Bank.PDU]].put(a)
	case Inquire:
		l.miners[a.Node].put(a)
	case Tell:
		l.miners[a.Node].put(a)
	case Abort:
		l.laneOf(a.On).abort(a.Token)
	case Keep:
		l.o.Journal.Submit([]rack.Record{a.Record}, func(err error) { l.Tell(Recorded{Token: a.Token, Err: err}) })
	case Report:
		l.o.Report(a.Outcome)
	case Sample:
		l.o.Sample(a.PDU)
	case Ask:
		l.o.Ask(a.PDU)
	case Emit:
		l.o.Event(a.Event)
	case Raise:
		l.o.Alarm(a.Alarm)
	case Learnt:
		l.o.Learnt()
	case InForce:
		l.inForce(a.Token)
	}
}
