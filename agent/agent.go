package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"

	"rackagent/agent/audit"
	"rackagent/agent/backlog"
	"rackagent/agent/command"
	"rackagent/agent/interlock"
	"rackagent/agent/inventory"
	"rackagent/agent/journal"
	"rackagent/agent/link"
	"rackagent/agent/poll"
	"rackagent/agent/power"
	"rackagent/agent/rack"
	"rackagent/agent/telemetry"
	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/firmware"
)

// Agent is one agent, ready to run once.
type Agent struct {
	conf  *config.Config
	world World
	log   *slog.Logger
	boot  string
	born  time.Time
	build firmware.Build
	self  firmware.Item

	out     *fanout
	numbers *numbers
	buses   map[string]*i2cbus.Bus
	inv     *inventory.Inventory
	journal *journal.Journal
	trail   atomic.Pointer[trail] // nil until the rooms are built
	poller  *poll.Poller
	loop    *power.Loop
	desk    *command.Desk
	tele    *telemetry.Telemetry
	backlog *backlog.Log // nil: an outage is bridged from memory only
	link    *link.Link   // nil: no broker
	core    *layer       // power and poll

	infoDue  chan struct{} // 1: up/info is to be told again
	stateDue chan struct{} // 1: up/state is to be told again

	guards sync.Mutex // of locks
	locks  *interlock.Machine

	mu     sync.Mutex
	birth  time.Time // of the newest connection
	conn   int       // its number
	idents map[string]ident
	pulses map[string]time.Time // by bus: its owner's last turn
	closed map[string]string    // by bus: why it is not open
	taking bool                 // the desk takes messages from the broker
	early  []link.Inbound       // what came before that
}

// ident is what a board last said of itself.
type ident struct {
	drivers.Ident
	at  time.Time
	err error
}

// New prepares an agent. It opens nothing and starts nothing.
func New(c *config.Config, w World) (*Agent, error) {
	if w.Bus == nil || w.Clock == nil {
		return nil, errors.New("agent: a world needs buses and a clock")
	}
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.Boot == "" {
		w.Boot = randomWord(13)
	}
	build, self, err := firmware.Self(time.Now())
	if err != nil {
		w.Log.Warn("the agent's own digest is not known", "err", err)
	}
	a := &Agent{conf: c, world: w, log: w.Log, boot: w.Boot, build: build, self: self, idents: make(map[string]ident), pulses: make(map[string]time.Time), closed: make(map[string]string), buses: make(map[string]*i2cbus.Bus), infoDue: make(chan struct{}, 1), stateDue: make(chan struct{}, 1)}
	a.numbers = newNumbers(a)
	a.out = newFanout(w.Log, w.Boot, a.happened, a.numbers.event)
	return a, nil
}

// Run starts everything and blocks until ctx ends, then ends it backwards: commands are taken no more, the write in
// flight is finished and recorded, the broker hears of the end, buses close last. No outlet is moved on the way.
func (a *Agent) Run(ctx context.Context) error {
	a.born = time.Now()
	a.birth = a.born
	for _, b := range a.conf.Buses {
		a.pulses[b.Name] = a.born
	}
	j, found, err := journal.Open(journal.Opts{
		Dir: a.conf.StateDir, Site: a.conf.Site, Agent: a.conf.Agent, Boot: a.boot, Log: a.log,
		Commit: a.numbers.commit(a.world.Commit), OnState: a.diskChanged,
	})
	if err != nil {
		return err
	}
	a.journal = j
	defer a.closeBuses()
	if err := a.openBuses(ctx); err != nil {
		return errors.Join(err, j.Close())
	}
	if err := a.wire(found); err != nil {
		return errors.Join(err, j.Close())
	}
	a.announce(found)
	return a.live(ctx)
}

// wire builds the rooms on top of the journal and the buses.
func (a *Agent) wire(found journal.Found) error {
	var err error
	buses := make(map[string]inventory.Bus, len(a.buses))
	for name, b := range a.buses {
		buses[name] = inventory.Bus{Poll: b.Poll(), Act: b.Act()}
	}
	models, bad := inventory.ReadModels(a.conf.ModelFiles)
	if len(bad) > 0 {
		return bad[0]
	}
	if a.inv, err = inventory.Build(inventory.Opts{Config: a.conf, Models: models, Buses: buses, Identified: a.identified, Sysfs: a.world.Sysfs, Line: a.world.Line, Counter: a.world.Counter, DialMiner: a.world.DialMiner, DialSensor: a.world.DialMiner, Password: a.world.MinerPassword}); err != nil {
		return err
	}
	if a.poller, err = poll.New(poll.Opts{Sink: a.measured, Events: a.polled}, a.inv.Devices); err != nil {
		return err
	}
	if err = a.openAudit(found); err != nil {
		return err
	}
	rules, err := a.interlockRules()
	if err != nil {
		return err
	}
	a.locks = interlock.New(rules)
	kept := book{a.journal, a.trail.Load()}
	a.loop = power.NewLoop(power.Opts{
		Layout: a.inv.Layout, Words: a.inv.Words, Relays: a.inv.Relays, Miners: a.inv.Miners, Journal: kept,
		Report: func(o rack.Outcome) { a.desk.Report(o) },
		Sample: func(name string) { a.poller.Sample(a.inv.SampledBy(name)...) },
		Ask:    func(name string) { a.poller.Sample(a.inv.IdentifiedBy(name)) },
		Event:  a.out.event, Alarm: a.out.alarm, Learnt: a.infoChanged,
		Orders: found.Orders, Records: append(append([]rack.Record(nil), found.Withdrawn...), found.Wiring...),
		Unfinished: movesPower(found.Unfinished), Standing: power.LastSwitched(a.inv.Layout, a.journal.List(lookBack)),
		Own: a.mayBegin(), Observing: a.journal.Observing,
	})
	ids, err := identities(a.conf.Site, a.conf.Commands)
	if err != nil {
		return err
	}
	if a.desk, err = command.New(a.deskOpts(found, kept, ids)); err != nil {
		return err
	}
	o := a.telemetryOpts()
	if err := a.newBacklog(o.Epoch); err != nil {
		return err
	}
	if a.backlog != nil {
		o.Store, o.Stored = a.store, a.backlog.Delivered
	}
	if a.tele, err = telemetry.New(o); err != nil {
		return err
	}
	return a.dialBroker()
}

// mayBegin is what the configuration lets the agent begin by itself.
func (a *Agent) mayBegin() power.Own {
	random := a.world.Random
	if random == nil {
		random = rand.Uint32
	}
	return power.Own{
		Boot: a.boot, Config: fmt.Sprintf("%x", a.conf.Hash()), Feeds: a.conf.Power.FeedControl == config.FeedShed, Interlocks: len(a.conf.Interlocks) > 0, Jitter: random,
	}
}

// lookBack is how many of the newest commands tell where relays were left. Arbitrary: some per outlet of a large rack.
const lookBack = 500

// movesPower picks the unfinished commands that the power loop judges; the desk ends its own.
func movesPower(entries []rack.Entry) []rack.Entry {
	var out []rack.Entry
	for _, e := range entries {
		if e.Command.Op.MovesPower() {
			out = append(out, e)
		}
	}
	return out
}

func (a *Agent) deskOpts(found journal.Found, kept book, ids command.Identities) command.Opts {
	return command.Opts{
		Layout: a.inv.Layout, Boot: a.boot, Unsigned: a.conf.Commands.Unsigned, Identities: ids,
		Synced: func() bool { return a.world.Clock().OK }, Birth: a.newestBirth, Observing: a.journal.Observing, RefusalOf: refusalOf,
		Planner: a.loop, Runner: a.loop, Book: kept, Publisher: a.out, Identifier: identifier{a}, Orders: a.loop,
		Event: a.out.event, Refused: kept.t.refused, Unacked: found.Unacked, Unfinished: found.Unfinished, Waiting: found.Waiting, Seqs: found.Seqs,
	}
}

// live runs the rooms in layers. A lower layer ends only when the layers above it have ended: what the link has taken
// reaches the desk, what the desk has started reaches the journal.
func (a *Agent) live(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	edges := newLayer(gctx) // link, local socket, metrics
	desk := newLayer(context.WithoutCancel(ctx))
	core := newLayer(context.WithoutCancel(ctx))
	a.core = core
	disk := newLayer(context.WithoutCancel(ctx))
	trail := newLayer(context.WithoutCancel(ctx)) // hears of what the others do to their end

	trail.run(group, "audit log", a.trail.Load().Run)
	disk.run(group, "journal", a.journal.Run)
	disk.run(group, "log", a.out.run)
	if a.backlog != nil {
		disk.run(group, "backlog", a.backlog.Run)
	}
	core.run(group, "power", a.loop.Run)
	core.run(group, "poll", a.poller.Run)
	core.run(group, "interlocks", a.watchSilence)
	desk.run(group, "desk", a.desk.Run)
	desk.run(group, "telemetry", a.tele.Run)
	if a.link != nil {
		edges.run(group, "link", a.link.Run)
		edges.run(group, "early commands", a.takeCommands)
		edges.run(group, "info", a.tellInfo)
		edges.run(group, "state", a.tellState)
	}
	if err := a.listen(edges, group); err != nil {
		group.Go(func() error { return err })
	}
	core.run(group, "pulse", a.pulse)
	group.Go(func() error { return a.firstSweep(gctx) })

	<-gctx.Done()
	a.out.event(rack.Event{Kind: rack.EventStopping, Severity: rack.Info, At: time.Now(), Text: "the agent stops; no outlet is moved"})
	for _, l := range []*layer{edges, desk, core, disk, trail} {
		l.end(context.Cause(gctx))
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// layer is a set of goroutines that end together.
type layer struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newLayer(ctx context.Context) *layer {
	l := new(layer)
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	return l
}

func (l *layer) run(g *errgroup.Group, name string, f func(context.Context) error) {
	l.wg.Add(1)
	g.Go(func() error {
		defer l.wg.Done()
		if err := f(l.ctx); err != nil && l.ctx.Err() == nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// end stops the layer and waits for it.
func (l *layer) end(cause error) {
	l.cancel(cause)
	l.wg.Wait()
}

// measured takes a batch of readings to the interlocks first, and to the loop.
func (a *Agent) measured(batch []rack.Reading) {
	a.watch(batch)
	a.loop.Tell(power.Readings(batch))
}

// identified takes over what a board said of itself.
func (a *Agent) identified(name string, id drivers.Ident, err error) {
	a.mu.Lock()
	old, seen := a.idents[name]
	a.idents[name] = ident{Ident: id, at: time.Now(), err: err}
	a.mu.Unlock()
	a.loop.Tell(power.Identified{PDU: name, Ident: id, Err: err})
	if !seen || old.Ident != id || (old.err == nil) != (err == nil) {
		a.infoChanged()
	}
}

// polled passes on what poll has to say, but for hung buses: their owners report those themselves, with an alarm.
func (a *Agent) polled(e rack.Event) {
	if e.Kind == rack.EventHealth && a.unpowered(e.Device) {
		e.Severity = rack.Info
	}
	if e.Kind != rack.EventBusHung && e.Kind != rack.EventBusBack {
		a.out.event(e)
	}
}

// diskChanged reports what the journal's disk can still take.
func (a *Agent) diskChanged(s journal.State) {
	e := rack.Event{Kind: rack.EventJournal, Severity: rack.Critical, At: time.Now(), To: string(s.Disk), Reason: s.Reason, Text: "the journal's disk: " + string(s.Disk)}
	if s.Disk == journal.DiskOK {
		e.Severity = rack.Info
	}
	a.out.event(e)
	a.out.alarm(rack.Alarm{Key: "journal", Since: e.At, Severity: e.Severity, Text: e.Text + " " + s.Reason, Cleared: s.Disk == journal.DiskOK})
	a.makeRoom()
}

// announce says what was found at the start.
func (a *Agent) announce(found journal.Found) {
	now := time.Now()
	text := "the agent has started and moved nothing"
	if found.First {
		text = "first start: there is no history; " + text
	}
	a.out.event(rack.Event{Kind: rack.EventStarted, Severity: rack.Info, At: now, Reason: a.build.Version, Text: text})
	if found.Migrated {
		a.out.event(rack.Event{Kind: rack.EventJournal, Severity: rack.Info, At: now, Reason: "migrated", Text: "the journal was of an older schema and is brought forward; the old file is kept as " + found.Kept})
	}
	if left := power.LeftShed(a.journal.List(lookBack)); len(left) > 0 {
		a.out.event(rack.Event{
			Kind: rack.EventOwn, Severity: rack.Warn, At: now, Reason: "left shed",
			Text: "shed by the feed controller before this start, and brought back by a person alone: " + strings.Join(left, ", "),
		})
	}
	switch {
	case found.Newer:
		text := "a later program wrote the journal: the agent observes, records nothing and switches nothing; install the later program again"
		a.out.event(rack.Event{Kind: rack.EventJournal, Severity: rack.Critical, At: now, Reason: found.Reason, Text: text})
		a.out.alarm(rack.Alarm{Key: "observing", Since: now, Severity: rack.Critical, Text: text})
	case found.Observing && !found.Lost && a.journal.State().Disk == journal.DiskFailed:
		text := "the journal cannot be opened: the agent observes, records nothing and switches nothing; put its disk right and restart the service"
		a.out.event(rack.Event{Kind: rack.EventJournal, Severity: rack.Critical, At: now, Reason: found.Reason, Text: text})
		a.out.alarm(rack.Alarm{Key: "observing", Since: now, Severity: rack.Critical, Text: text})
	case found.Lost || found.Observing:
		a.out.event(rack.Event{
			Kind: rack.EventJournal, Severity: rack.Critical, At: now, Reason: found.Reason,
			Text: "the journal was lost: the agent observes and switches nothing until a person accepts it (journal.accept)",
		})
		a.out.alarm(rack.Alarm{Key: "observing", Since: now, Severity: rack.Critical, Text: "the journal was lost; the agent only observes"})
	}
	for _, w := range found.Withdrawn {
		a.out.alarm(rack.Alarm{Key: "welded." + w.Outlet.String(), Since: w.At, Severity: rack.Error, Text: "outlet " + w.Outlet.String() + " is withdrawn from switching: " + w.Reason})
	}
	for _, d := range found.Damaged {
		a.out.event(rack.Event{Kind: rack.EventJournal, Severity: rack.Error, At: now, Reason: d.Error(), Text: "a record of the journal cannot be read; the reading that allows less is taken"})
	}
}

// sweepLimit is how long the start waits for devices before it counts as ready without them, arbitrary; a rack with a
// dead bus must still become ready.
const sweepLimit = 20 * time.Second

// firstSweep calls Ready once every device was read or the limit has passed.
func (a *Agent) firstSweep(ctx context.Context) error {
	deadline := time.Now().Add(sweepLimit)
	for time.Now().Before(deadline) && !a.swept() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	a.out.clearOthers(a.alarmKeys())
	if a.world.Ready != nil {
		a.world.Ready()
	}
	return nil
}

// alarmKeys are all alarms that this agent can raise.
func (a *Agent) alarmKeys() []string {
	keys := append([]string{"journal", "backlog", "observing", audit.AlarmKey, audit.AlarmBroken}, link.AlarmKeys()...)
	if a.inv == nil {
		return keys
	}
	for _, b := range a.conf.Buses {
		keys = append(keys, "bus."+b.Name)
	}
	for _, f := range a.inv.Layout.Feeds {
		keys = append(keys, "limit."+f.Name)
	}
	for _, p := range a.inv.Layout.PDUs {
		keys = append(keys, "bank."+p.Name, "foreign."+p.Name, "serial."+p.Name)
		for _, o := range p.Outlets {
			keys = append(keys, "welded."+o.ID.String())
		}
	}
	return keys
}

// accepted takes the observing alarm back once a person has accepted that the journal was lost.
func (a *Agent) accepted() {
	a.out.alarm(rack.Alarm{Key: "observing", Since: time.Now(), Severity: rack.Info, Cleared: true})
	a.stateChanged()
}

// swept tells whether every device of the rack was read. Miners' interfaces are not waited for: each is away when its miner
// has no power.
func (a *Agent) swept() bool {
	for _, s := range a.poller.Stats() {
		if s.LastGood.IsZero() && !inventory.OfMiner(s.Bus) {
			return false
		}
	}
	return true
}

// Bounds of a sign of life. The power loop ticks once a second; a bus has at most one transfer and its grace before it
// counts as hung.
const (
	turnLimit  = 5 * time.Second
	pulseEvery = 2 * time.Second
	pulseLimit = 15 * time.Second
)

// pulse asks every bus owner for a turn that moves nothing, so that one that stands still is noticed.
func (a *Agent) pulse(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for name, b := range a.buses {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := b.Poll().Do(ctx, func(i2c.Bus) error { return nil }); err == nil || errors.Is(err, drivers.BusFenced) { // who is turned away was answered
					a.mu.Lock()
					a.pulses[name] = time.Now()
					a.mu.Unlock()
				}
				select {
				case <-ctx.Done():
				case <-time.After(pulseEvery):
				}
			}
		})
	}
	return nil
}

// Alive tells whether the power loop turns and every bus owner either turns or is fenced off as hung: what the watchdog
// and /healthz report.
func (a *Agent) Alive() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loop == nil || time.Since(a.loop.Turned()) >= turnLimit {
		return false
	}
	for name, b := range a.buses {
		if b.Stats().HungSince.IsZero() && time.Since(a.pulses[name]) >= pulseLimit {
			return false
		}
	}
	return true
}
