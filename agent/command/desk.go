package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// Planner makes plans. It is asked on the desk's goroutine and must not wait for anything.
type Planner interface {
	Plan(now time.Time, cmd rack.Command) (rack.Plan, *rack.Refusal)
}

// Runner carries plans out. Neither call waits.
type Runner interface {
	// Start takes over a command whose plan is on disk. It is called at most once for an id, in this or any other
	// life of the agent.
	Start(cmd rack.Command, plan rack.Plan)
	// Cancel asks that a command takes no further step. It may have ended meanwhile.
	Cancel(id string)
}

// Book is the journal.
type Book interface {
	// Get gives all that is known about an id. false with an error: nothing can be said about it.
	Get(id string) (rack.Entry, bool, error)
	// List gives the last n entries, the newest first.
	List(n int) []rack.Entry
	// Submit writes a set of records, all or none, and calls done once, from any goroutine, also before it returns.
	Submit(recs []rack.Record, done func(error))
}

// Publisher sends states to whoever listens. It is called from several goroutines and must not wait.
type Publisher interface {
	// Publish takes an outcome, or has no room and says false. dup marks an answer that is no news. delivered, if it
	// is not nil, is called when the broker has acknowledged the whole message: at most once, from any goroutine.
	Publish(o rack.Outcome, dup bool, delivered func()) bool
	// Answer tells an outcome to whoever waits for it within this process, and to nobody else: it is not sent to the
	// broker, and nothing of it is held when the call returns. dup is as for Publish.
	Answer(o rack.Outcome, dup bool)
}

// Identifier asks boards who they are, by reading alone.
type Identifier interface {
	// Identify returns at once and calls report once, from any goroutine. What comes after identifyLimit is too late.
	Identify(target rack.Target, report func(boards map[string]rack.Identity, bad *rack.Refusal))
}

// Inbound is one message as it came in.
type Inbound struct {
	Topic    string // below down/: "cmd"; without meaning for OriginLocal
	Payload  []byte // the desk's to keep
	Retained bool   // delivered with the flag set
	Received time.Time
	Origin   rack.Origin
	Issuer   string // the identity that the way in has proven: "uid:N" of a local peer; empty over MQTT
	// Ack releases the message. It may be nil, must not wait, and is called once, when the command is on disk or has
	// been turned away for good.
	Ack func()
}

// Opts are the desk's partners and settings. All are required, but for Unsigned, Identities, Refused and what the journal held.
type Opts struct {
	Layout     *rack.Layout
	Boot       string // of this life of the agent
	Unsigned   bool   // commands.unsigned: commands over MQTT are taken without a signature
	Identities Identities
	Seqs       map[rack.SeqOf]int64 // how far issuers had counted, from the journal

	Synced    func() bool           // the clock is synchronised
	Birth     func() time.Time      // the ts of the newest birth, or the agent's start before the first; with monotonic clock
	Observing func() bool           // a lost journal has not been accepted: nothing may move
	RefusalOf func(error) rack.Code // code for an error of Book.Submit

	Planner    Planner
	Runner     Runner
	Book       Book
	Publisher  Publisher
	Identifier Identifier
	Orders     Orders
	Event      func(rack.Event) // hears of what was refused without an answer; must not block

	// Refused hears of every command that is turned away without a record, on any goroutine; nil: nobody does. It must not
	// block.
	Refused func(rack.Command, rack.Outcome)

	// What the journal held at the start. Of Unfinished the desk ends its own verbs; the power verbs among them are
	// the Runner's to judge and report.
	Unacked    []rack.Outcome
	Unfinished []rack.Entry
	Waiting    []rack.Entry // for a second person; a start ends them
}

// ErrOpts is returned by New for options that a desk cannot work with.
var ErrOpts = errors.New("command: bad options")

func (o Opts) check() error {
	for name, missing := range map[string]bool{
		"Layout": o.Layout == nil, "Boot": o.Boot == "", "Synced": o.Synced == nil, "Birth": o.Birth == nil,
		"Observing": o.Observing == nil, "RefusalOf": o.RefusalOf == nil, "Planner": o.Planner == nil, "Runner": o.Runner == nil,
		"Book": o.Book == nil, "Publisher": o.Publisher == nil, "Identifier": o.Identifier == nil, "Orders": o.Orders == nil, "Event": o.Event == nil,
	} {
		if missing {
			return fmt.Errorf("%w: %s is missing", ErrOpts, name)
		}
	}
	return nil
}

// Desk takes commands and tells their states. Offer, Report and Resend may be called from any goroutine.
type Desk struct {
	o  Opts
	in *inbox

	ring *ring // its identities are read by any goroutine, its rates by Run alone

	// The rest belongs to Run.
	seqs     *seqs
	verifies bucket
	answers  bucket
	gates    gates
	events   bucket
	untold   int                    // refused messages that no event told yet
	flight   map[string]*pending    // submitted to the journal as new, by id
	open     map[string]*unfinished // accepted, by id
	// seconds are the commands that wait for a second person, by id.
	seconds map[string]*second
	// results are the ids of terminal results that the broker has not acknowledged; true: the publisher has it. The
	// results themselves are in the journal: without a broker they may be many.
	results map[string]bool
	retryAt time.Time // when beat offers again what found no room; zero: nothing waits
}

// Rates, lives and bounds.
const (
	ratePerS = 10 // commands per second and way in, on average
	burst    = 20

	// What every issuer has beside that rate, so that nobody's flood shuts out another. Arbitrary: what a person types.
	ownPerS  = 1
	ownBurst = 5

	// verifyPerS bounds what forgeries under a known kid can cost: a signature takes 40 us on an x86 core and 1 ms on a
	// small ARM, so a flood takes a tenth of one. It is above ratePerS, which honest senders keep to.
	verifyPerS  = 100
	verifyBurst = 200

	// answerPerS bounds what a flood of commands makes the agent say, where each would be told that it came too soon.
	// Arbitrary: as many as signatures.
	answerPerS  = verifyPerS
	answerBurst = verifyBurst

	addsBurst = 5 // seconds of Role.AddsPerS that may come at once (arbitrary: what a person types)

	eventRate  = 1 // events per second about refused messages, on average; the rest is counted into the next one
	eventBurst = 20

	life     = 300 * time.Second // exp after receipt, at most
	firmLife = 600 * time.Second // the same for firm targets
	skew     = 5 * time.Second   // how far iat may lie ahead: two synchronised clocks are never that far apart

	maxFlight = 256 // commands being recorded at once: what one commit takes in one piece (arbitrary)
	maxOpen   = 256 // unfinished commands that add power (arbitrary: the largest rack has 256 miners)
	maxLowers = 512 // unfinished commands in all, from which on those that only lower power are turned away too
)

// Limits are the figures that senders must keep to, for up/info.
func Limits() wire.Limits {
	return wire.Limits{
		CommandBytes: wire.MaxCommandBytes, LifeS: int(life.Seconds()), FirmLifeS: int(firmLife.Seconds()),
		RatePerS: ratePerS, Burst: burst, StatusBytes: wire.MaxPartBytes,
	}
}

// New builds a desk. It does nothing until Run, but collects what comes.
func New(o Opts) (*Desk, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ring, err := newRing(o.Identities)
	if err != nil {
		return nil, err
	}
	return &Desk{
		o: o, in: newInbox(), ring: ring, seqs: newSeqs(o.Boot, o.Seqs, ring.takes), verifies: newBucket(verifyPerS, verifyBurst),
		answers: newBucket(answerPerS, answerBurst),
		gates:   newGates(o.Identities),
		events:  newBucket(eventRate, eventBurst),
		flight:  map[string]*pending{},
		open:    map[string]*unfinished{},
		seconds: map[string]*second{},
		results: map[string]bool{},
	}, nil
}

// Offer brings a message and returns at once. false: there was no room; the message has been answered busy if it
// could be answered at all and not too many were, and acknowledged. After the end of Run messages are neither answered nor acknowledged, so
// that the broker delivers them to the next life.
func (d *Desk) Offer(in Inbound) bool {
	if in.Received.IsZero() {
		in.Received = time.Now()
	}
	room, over := d.in.offer(in)
	if room {
		return true
	}
	if over > answerBurst { // a flood is not answered by another one
		release(in.Ack)
		return false
	}
	// A signed one would have to be verified first, and that is the desk's own work: it is only counted.
	if screen(in) == nil && !wire.IsSigned(in.Payload) {
		if cmd, bad := d.unsigned(in); bad == nil || bad.Answerable {
			d.say(cmd, turnedAway(time.Now(), cmd.ID, rack.CodeBusy, "too many commands are waiting"))
		}
	}
	release(in.Ack)
	return false
}

// Report brings the present or final word on a command; a terminal one is on disk already. It returns at once.
func (d *Desk) Report(o rack.Outcome) { d.in.outcome(o) }

// Resend has all terminal results that the broker has not acknowledged published again. It is for a link that has
// lost what it was given.
func (d *Desk) Resend() { d.in.bring(func(c *contents) { c.resend = true }) }

// Run is the desk's goroutine. It ends with ctx, without an error; what is being recorded then stays
// unacknowledged, and the broker delivers it again.
func (d *Desk) Run(ctx context.Context) error {
	d.adopt(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			d.end(time.Now())
			return nil
		case <-d.in.wake:
		case <-timer.C:
		}
		timer.Reset(d.turn(time.Now()))
	}
}

// turn works on all that waits and tells after which time there is something to do even if nothing comes. Answers
// of the journal come first: what waits behind may refer to commands that they are about.
func (d *Desk) turn(now time.Time) time.Duration {
	c := d.in.take()
	for _, a := range c.recorded {
		d.recorded(now, a)
	}
	for _, o := range c.outcomes {
		d.report(now, o)
	}
	for _, f := range c.found {
		d.found(now, f)
	}
	for _, id := range c.delivered {
		d.delivered(now, id)
	}
	if c.resend {
		d.resend()
	}
	if c.overrun > 0 {
		d.tell(now, c.overrun, rack.CodeBusy, "the queue was full")
	}
	for _, in := range c.messages {
		d.message(now, in)
	}
	return d.beat(now)
}

// end tells the last results and takes nothing more.
func (d *Desk) end(now time.Time) {
	for _, o := range d.in.close().outcomes {
		d.report(now, o)
	}
}
