package command

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// TestMain fixes the seed of random tests, so that a failure is the same for everybody, and looks for goroutines.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{
		"rapid.seed": "20261122", "rapid.nofailfile": "true", "rapid.checks": "500", "rapid.steps": "60",
	} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = cmp.Or(code, 1)
	}
	os.Exit(code)
}

var (
	errDiskFull   = errors.New("disk full")
	errKnown      = errors.New("known already")
	errSecondEnd  = errors.New("has its end")
	errUnknown    = errors.New("never accepted")
	errUnreadable = errors.New("cannot be read") // of no particular kind
)

// book is a journal: what is committed is there for ever, what waits is not. It refuses what would break S5.
type book struct {
	mu      sync.Mutex
	order   []string
	entries map[string]*rack.Entry
	kinds   []rack.RecordKind     // of all records committed, in order
	orders  map[string]rack.Order // by the command that set or released them
	waiting []submission
	manual  bool  // commits wait for commit
	full    bool  // nothing but ends and what lowers is taken
	broken  error // answer of Get and Submit
}

type submission struct {
	recs []rack.Record
	done func(error)
}

func newBook() *book {
	return &book{entries: map[string]*rack.Entry{}, orders: map[string]rack.Order{}}
}

func (b *book) Submit(recs []rack.Record, done func(error)) {
	b.mu.Lock()
	spare := !slices.ContainsFunc(recs, func(r rack.Record) bool {
		return r.Kind != rack.RecordEnded && r.Kind != rack.RecordAcked && !r.Lowers
	})
	refused := b.broken
	if b.full && !spare {
		refused = errDiskFull
	}
	if refused == nil {
		b.waiting = append(b.waiting, submission{slices.Clone(recs), done})
	}
	manual := b.manual
	b.mu.Unlock()
	if refused != nil {
		done(refused)
	} else if !manual {
		b.commit(1 << 20)
	}
}

// commit writes up to n waiting submissions and answers them in order.
func (b *book) commit(n int) {
	b.mu.Lock()
	todo := b.waiting[:min(n, len(b.waiting))]
	b.waiting = b.waiting[len(todo):]
	errs := make([]error, len(todo))
	for i, s := range todo {
		errs[i] = b.write(s.recs)
	}
	b.mu.Unlock()
	for i, s := range todo {
		s.done(errs[i])
	}
}

func (b *book) write(recs []rack.Record) error {
	if err := b.admit(recs); err != nil {
		return err
	}
	for _, r := range recs {
		b.kinds = append(b.kinds, r.Kind)
		switch r.Kind {
		case rack.RecordWaiting:
			b.entries[r.ID] = &rack.Entry{Command: *r.Command, Waiting: true, Until: r.Until}
			b.order = append(b.order, r.ID)
		case rack.RecordAccepted, rack.RecordRejected:
			e := &rack.Entry{Command: *r.Command, Outcome: r.Outcome}
			if r.Plan != nil {
				e.Plan = *r.Plan
			}
			if b.entries[r.ID] == nil {
				b.order = append(b.order, r.ID)
			}
			b.entries[r.ID] = e
		case rack.RecordEnded:
			b.entries[r.ID].Outcome = r.Outcome
		case rack.RecordAcked:
			b.entries[r.ID].Acked = true
		case rack.RecordOrder, rack.RecordReleased:
			b.orders[r.ID] = *r.Order
		}
	}
	return nil
}

func (b *book) admit(recs []rack.Record) error {
	accepted := map[string]bool{}
	for _, r := range recs {
		e := b.entries[r.ID]
		switch r.Kind {
		case rack.RecordWaiting:
			if e != nil {
				return errKnown
			}
		case rack.RecordAccepted, rack.RecordRejected:
			if e != nil && !(e.Waiting && e.Command.Hash == r.Command.Hash) {
				return errKnown
			}
			accepted[r.ID] = true
		case rack.RecordEnded:
			if (e == nil || e.Waiting) && !accepted[r.ID] {
				return errUnknown
			}
			if e != nil && e.Outcome != nil {
				return errSecondEnd
			}
		case rack.RecordAcked:
			if e == nil || e.Outcome == nil {
				return errUnknown
			}
		}
	}
	return nil
}

func (b *book) Get(id string) (rack.Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return rack.Entry{}, false, b.broken
	}
	e, ok := b.entries[id]
	if !ok {
		return rack.Entry{}, false, nil
	}
	return *e, true, nil
}

func (b *book) List(n int) []rack.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []rack.Entry
	for _, id := range slices.Backward(b.order) {
		if len(out) == n {
			break
		}
		out = append(out, *b.entries[id])
	}
	return out
}

// crash loses what waits. Some of it may be on disk all the same, though nobody was told.
func (b *book) crash(written int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.waiting[:min(written, len(b.waiting))] {
		_ = b.write(s.recs) // refused records are refused in any life
	}
	b.waiting, b.manual, b.full, b.broken = nil, false, false, nil
}

// found is what a start finds.
func (b *book) found() (unacked []rack.Outcome, unfinished, waiting []rack.Entry) {
	for _, id := range b.order {
		switch e := b.entries[id]; {
		case e.Waiting:
			waiting = append(waiting, *e)
		case e.Outcome == nil:
			unfinished = append(unfinished, *e)
		case !e.Acked:
			unacked = append(unacked, *e.Outcome)
		}
	}
	return unacked, unfinished, waiting
}

// seqs is how far issuers had counted.
func (b *book) seqs() map[rack.SeqOf]int64 {
	out := map[rack.SeqOf]int64{}
	for _, e := range b.entries {
		c := countOf(&e.Command)
		if c.Key = e.Command.Key; c.Key != "" && !e.Command.Uncounted {
			out[c] = max(out[c], e.Command.Seq)
		}
	}
	return out
}

func (b *book) refusalOf(err error) rack.Code {
	switch {
	case errors.Is(err, errDiskFull):
		return rack.CodeJournalFull
	case errors.Is(err, errKnown):
		return rack.CodeIDConflict
	}
	return rack.CodeNone
}

// message is what a publisher was given.
type message struct {
	rack.Outcome
	dup       bool
	delivered func()
}

// broker keeps what was published until it is acknowledged.
type broker struct {
	mu   sync.Mutex
	sent []message
	out  []message // not acknowledged
	full bool
	// answered is what only the one who asked was told; nobody holds it.
	answered []message
	// onPublish, if set, hears of every message, also where there is no room for it.
	onPublish func(message)
}

func (b *broker) Publish(o rack.Outcome, dup bool, delivered func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := message{o, dup, delivered}
	if b.onPublish != nil {
		b.onPublish(m)
	}
	if b.full {
		return false
	}
	b.sent = append(b.sent, m)
	b.out = append(b.out, m)
	return true
}

func (b *broker) Answer(o rack.Outcome, dup bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = append(b.answered, message{Outcome: o, dup: dup})
}

// acknowledge delivers what is out, up to n.
func (b *broker) acknowledge(n int) {
	b.mu.Lock()
	todo := b.out[:min(n, len(b.out))]
	b.out = b.out[len(todo):]
	b.mu.Unlock()
	for _, m := range todo {
		if m.delivered != nil {
			m.delivered()
		}
	}
}

// said lists what was published about an id, as "accepted 1" or "rejected 1 expired dup".
func (b *broker) said(id string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return words(b.sent, id)
}

// told lists what the one who asked was told about an id.
func (b *broker) told(id string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return words(b.answered, id)
}

func words(sent []message, id string) []string {
	out := []string{}
	for _, m := range sent {
		if m.Command != id {
			continue
		}
		s := fmt.Sprintf("%s %d", m.State, m.N)
		if m.Code != "" {
			s += " " + string(m.Code)
		}
		if m.dup {
			s += " dup"
		}
		out = append(out, s)
	}
	return out
}

func (b *broker) last(id string) message {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range slices.Backward(b.sent) {
		if m.Command == id {
			return m
		}
	}
	return message{}
}

// runner remembers what was started and cancelled.
type runner struct {
	mu        sync.Mutex
	started   []string
	cancelled []string
	startBy   map[string]time.Time
	onStart   func(rack.Command)
}

func (r *runner) Start(cmd rack.Command, _ rack.Plan) {
	r.mu.Lock()
	r.started = append(r.started, cmd.ID)
	r.startBy[cmd.ID] = cmd.StartBy
	r.mu.Unlock()
	if r.onStart != nil {
		r.onStart(cmd)
	}
}

func (r *runner) Cancel(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = append(r.cancelled, id)
}

// planner refuses what it is told to, and plans one step for everything else.
type planner struct{ refusal *rack.Refusal }

func (p *planner) Plan(now time.Time, cmd rack.Command) (rack.Plan, *rack.Refusal) {
	if p.refusal != nil {
		return rack.Plan{}, p.refusal
	}
	return rack.Plan{Command: cmd.ID, Made: now, DeadlineMS: 5000, Targets: []rack.TargetPlan{{
		Target: cmd.Target, Steps: []rack.Step{{Do: rack.DoCut, On: cmd.Target.Outlet, LimitMS: 5000}},
	}}}, nil
}

// boards answers identify when told to.
type boards struct {
	mu     sync.Mutex
	asked  []rack.Target
	report func(map[string]rack.Identity, *rack.Refusal)
}

func (b *boards) Identify(t rack.Target, report func(map[string]rack.Identity, *rack.Refusal)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, t)
	b.report = report
}

// rig is a desk with everything around it, at a time of its own.
type rig struct {
	*Desk
	now       time.Time
	birth     time.Time
	synced    bool
	observing bool
	unsigned  bool
	revoked   string // the key that is, beside those that always are
	book      *book
	broker    *broker
	runner    *runner
	planner   *planner
	boards    *boards
	orders    *orders
	events    []rack.Event
	acked     map[string]int // messages acknowledged, by label
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func rackR17() *rack.Layout {
	out := func(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }
	return &rack.Layout{
		Site: "ams1", Agent: "r17",
		PDUs: []rack.PDU{{Name: "pdu-a", Outlets: []rack.Outlet{{ID: out(1)}, {ID: out(2)}, {ID: out(3)}}}},
		Nodes: []rack.Node{
			{Name: "asic-1", Class: rack.ClassASIC, Outlets: []rack.OutletID{out(1)}},
			{Name: "gpu-1", Class: rack.ClassGPU, Outlets: []rack.OutletID{out(2)}},
		},
	}
}

func newRig(t testing.TB) *rig {
	r := &rig{
		now: noon, birth: noon.Add(-time.Hour), synced: true, unsigned: true, book: newBook(), broker: &broker{},
		runner: &runner{startBy: map[string]time.Time{}}, planner: &planner{}, boards: &boards{}, orders: newOrders(), acked: map[string]int{},
	}
	r.start(t)
	return r
}

// start begins a life of the desk with what the book holds.
func (r *rig) start(t testing.TB) {
	t.Helper()
	unacked, unfinished, waiting := r.book.found()
	ids := people()
	for i := range ids.Keys {
		ids.Keys[i].Revoked = ids.Keys[i].Revoked || ids.Keys[i].ID == r.revoked
	}
	d, err := New(Opts{
		Layout: rackR17(), Boot: "boot-1", Unsigned: r.unsigned,
		Synced: func() bool { return r.synced }, Birth: func() time.Time { return r.birth }, Observing: func() bool { return r.observing },
		Identities: ids, Seqs: r.book.seqs(),
		RefusalOf: r.book.refusalOf, Planner: r.planner, Runner: r.runner, Book: r.book, Publisher: r.broker, Identifier: r.boards, Orders: r.orders,
		Event:   func(e rack.Event) { r.events = append(r.events, e) },
		Unacked: unacked, Unfinished: unfinished, Waiting: waiting,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Desk = d
	d.adopt(r.now)
}

// settle lets the desk turn until nothing waits.
func (r *rig) settle() {
	for range 100 {
		r.turn(r.now)
		r.in.mu.Lock()
		c := r.in.contents
		r.in.mu.Unlock()
		if len(c.messages)+len(c.recorded)+len(c.outcomes)+len(c.found)+len(c.delivered) == 0 {
			return
		}
	}
	panic("the desk does not come to rest")
}

// pass lets time go by in steps of a second.
func (r *rig) pass(d time.Duration) {
	for range int(d / time.Second) {
		r.now = r.now.Add(time.Second)
		r.settle()
	}
}

// payload is a cut of outlet 1 that lives for a minute, with members replaced, added, or taken out ("-").
func (r *rig) payload(id, members string) string {
	m := map[string]json.RawMessage{}
	base := fmt.Sprintf(`{"v":1,"id":%q,"op":"outlet.cut","target":"outlet/pdu-a.1","exp":%d}`, id, r.now.Add(time.Minute).UnixMilli())
	for _, object := range []string{base, "{" + members + "}"} {
		if err := json.Unmarshal([]byte(object), &m); err != nil {
			panic(err)
		}
	}
	maps.DeleteFunc(m, func(_ string, v json.RawMessage) bool { return string(v) == `"-"` })
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// secretOf is the private key of a kid, made up from its name.
func secretOf(kid string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(kid))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(kid string) ed25519.PublicKey {
	public, _ := secretOf(kid).Public().(ed25519.PublicKey)
	return public
}

// people are who the desk of the tests knows.
func people() Identities {
	outlets := []rack.Op{rack.OpEnergise, rack.OpCut, rack.OpCycle, rack.OpIdentify, rack.OpGet, rack.OpList, rack.OpCancel, rack.OpLock}
	return Identities{
		Roles: []Role{
			{Name: "operator", Verbs: append(outlets, rack.OpJournalAccept), Firm: true},
			{Name: "automation", Verbs: outlets, AddsPerS: 1, Life: 30 * time.Second},
			{Name: "narrow", Verbs: outlets, Targets: []rack.Target{rack.NodeTarget("asic-1")}},
			{Name: "approver", Verbs: []rack.Op{rack.OpApprove, rack.OpGet, rack.OpList}, Firm: true},
			{Name: "small", Verbs: []rack.Op{rack.OpApprove, rack.OpCancel}},
			{Name: "read-only", Verbs: []rack.Op{rack.OpGet, rack.OpList}},
		},
		Keys: []Key{
			{ID: "alice-1", Issuer: "alice", Role: "operator", Public: publicOf("alice-1")},
			{ID: "alice-2", Issuer: "alice", Role: "operator", Public: publicOf("alice-2")},
			{ID: "alice-0", Issuer: "alice", Role: "operator", Public: publicOf("alice-0"), Revoked: true},
			{ID: "bob-1", Issuer: "bob", Role: "operator", Public: publicOf("bob-1")},
			{ID: "carol-1", Issuer: "carol", Role: "approver", Public: publicOf("carol-1")},
			{ID: "small-1", Issuer: "small", Role: "small", Public: publicOf("small-1")},
			{ID: "shed-1", Issuer: "shed", Role: "automation", Public: publicOf("shed-1")},
			{ID: "cell-1", Issuer: "cell", Role: "narrow", Public: publicOf("cell-1")},
			{ID: "wall-1", Issuer: "wall", Role: "read-only", Public: publicOf("wall-1")},
		},
		Users: []User{{UID: 1000, Issuer: "alice", Role: "operator"}, {UID: 1001, Issuer: "wall", Role: "read-only"}, {UID: 1003, Issuer: "carol", Role: "approver"}, {UID: 1004, Issuer: "alice", Role: "approver"}},
	}
}

// signed is the payload of a cut of outlet 1, signed, with members replaced, added or taken out.
func (r *rig) signed(id, kid string, seq int64, members string) string {
	issuer, _, _ := strings.Cut(kid, "-")
	base := fmt.Sprintf(`"iss":%q,"iat":%d,"seq":%d,"aud":"ams1/r17"`, issuer, r.now.UnixMilli(), seq)
	if members != "" {
		m := map[string]json.RawMessage{}
		for _, object := range []string{"{" + base + "}", "{" + members + "}"} {
			if err := json.Unmarshal([]byte(object), &m); err != nil {
				panic(err)
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		base = string(b[1 : len(b)-1])
	}
	out, err := wire.Sign([]byte(r.payload(id, base)), kid, secretOf(kid))
	if err != nil {
		panic(err)
	}
	return string(out)
}

// message wraps a payload as the link brings it; label names it in acked.
func (r *rig) message(label, payload string) Inbound {
	return Inbound{Topic: "cmd", Payload: []byte(payload), Received: r.now, Origin: rack.OriginMQTT, Ack: func() { r.acked[label]++ }}
}

func (r *rig) local(label, payload string) Inbound {
	in := r.message(label, payload)
	in.Topic, in.Origin, in.Issuer = "", rack.OriginLocal, "uid:1000"
	return in
}

// send offers one command and lets the desk settle.
func (r *rig) send(id, members string) string {
	p := r.payload(id, members)
	r.Offer(r.message(id, p))
	r.settle()
	return p
}
