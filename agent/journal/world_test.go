package journal

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.seed"); f.Value.String() == "0" {
		if err := f.Value.Set("20260102"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// memoryDir is a directory whose fsync costs nothing where the system has one: what is tested here is what the
// journal does, not what the disk does.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// clock is a wall clock that moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func optsAt(dir string) Opts {
	return Opts{Dir: dir, Site: "ams1", Agent: "r17", Boot: "boot-1", Now: func() time.Time { return t0 }, Reserve: 64 << 10}
}

// open opens a journal that must open.
func open(t testing.TB, o Opts) (*Journal, Found) {
	t.Helper()
	j, f, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return j, f
}

// run starts the writer; stop ends it and waits.
func run(t testing.TB, j *Journal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// keep submits a record set and waits for the answer.
func keep(j *Journal, recs ...rack.Record) error {
	answer := make(chan error, 1)
	j.Submit(recs, func(err error) { answer <- err })
	return <-answer
}

func mustKeep(t testing.TB, j *Journal, recs ...rack.Record) {
	t.Helper()
	if err := keep(j, recs...); err != nil {
		t.Fatalf("%s: %v", recs[0].Kind, err)
	}
}

// The commands of the tests. outlet is pdu-a.3.
var outlet = rack.OutletID{PDU: "pdu-a", N: 3}

func commandOf(id string, op rack.Op) rack.Command {
	return rack.Command{
		ID: id, Op: op, Target: rack.OutletTarget(outlet), Exp: t0.Add(time.Minute), Issuer: "ctl-1",
		Origin: rack.OriginMQTT, Hash: rack.HashOf([]byte(id)), Received: t0,
	}
}

func accepted(id string, op rack.Op) rack.Record {
	c := commandOf(id, op)
	return rack.Record{
		Kind: rack.RecordAccepted, At: t0, ID: id, Command: &c, Lowers: op.OnlyLowers(),
		Plan: &rack.Plan{Command: id, Made: t0, DeadlineMS: 5000, Targets: []rack.TargetPlan{{
			Target: c.Target, Node: "asic-1", Steps: []rack.Step{{Do: rack.DoCut, On: outlet, Proof: "below 62 W", LimitMS: 5000}},
		}}},
	}
}

func rejected(id string, code rack.Code) rack.Record {
	c := commandOf(id, rack.OpEnergise)
	return rack.Record{
		Kind: rack.RecordRejected, At: t0, ID: id, Command: &c,
		Outcome: &rack.Outcome{Command: id, State: rack.StateRejected, N: 1, Code: code, At: t0},
	}
}

func progressed(id string) rack.Record {
	return rack.Record{
		Kind: rack.RecordProgress, At: t0, ID: id,
		Progress: &rack.Progress{Target: rack.OutletTarget(outlet), Step: 1, Fact: rack.FactCycleOpen},
	}
}

func ended(id string, st rack.State) rack.Record {
	taken := t0.UnixMilli()
	return rack.Record{
		Kind: rack.RecordEnded, At: t0, ID: id,
		Outcome: &rack.Outcome{Command: id, State: st, N: 3, At: t0, Targets: []rack.TargetResult{{
			Target: rack.OutletTarget(outlet), State: st, Steps: []rack.StepResult{{Do: rack.DoCut, On: rack.OutletTarget(outlet), Taken: &taken}},
		}}},
	}
}

func acked(id string) rack.Record { return rack.Record{Kind: rack.RecordAcked, At: t0, ID: id} }

func orderRecord(kind rack.RecordKind, k rack.OrderKind, value float64) rack.Record {
	return rack.Record{
		Kind: kind, At: t0,
		Order: &rack.Order{Kind: k, Target: rack.NodeTarget("asic-1"), Value: value, Command: "c-order"},
	}
}

func wired(o rack.OutletID, w rack.Wiring, reason string) rack.Record {
	return rack.Record{Kind: rack.RecordWiring, At: t0, Outlet: o, Wiring: w, Serial: "SN-1", Reason: reason}
}

func withdrawn(o rack.OutletID) rack.Record {
	return rack.Record{Kind: rack.RecordWithdraw, At: t0, Outlet: o, Reason: "welded"}
}

func observed() rack.Record {
	return rack.Record{Kind: rack.RecordObserved, At: t0, By: "uid:1000", Reason: "walked the rack"}
}

// everything is a record of each kind and more, in an order the journal takes. testdata/v1/journal.db.gz was made of
// it: it is as frozen as that.
func everything() []rack.Record {
	recs := []rack.Record{
		accepted("c-done", rack.OpCut), progressed("c-done"), ended("c-done", rack.StateSucceeded), acked("c-done"),
		accepted("c-unacked", rack.OpCut), ended("c-unacked", rack.StateFailed),
		accepted("c-open", rack.OpCycle), progressed("c-open"), progressed("c-open"),
		rejected("c-rej", rack.CodeMinOff),
		orderRecord(rack.RecordOrder, rack.OrderLock, 0), orderRecord(rack.RecordOrder, rack.OrderLimit, 2400),
		orderRecord(rack.RecordOrder, rack.OrderDrain, 0), orderRecord(rack.RecordReleased, rack.OrderDrain, 0),
		wired(outlet, rack.WiringProven, ""), wired(rack.OutletID{PDU: "pdu-a", N: 4}, rack.WiringUnproven, "another outlet fell"),
		withdrawn(rack.OutletID{PDU: "pdu-b", N: 8}),
	}
	for n := range 4 {
		id := fmt.Sprintf("c-more-%02d", n)
		recs = append(recs, accepted(id, rack.OpEnergise), ended(id, rack.StatePartial))
	}
	return recs
}

// facts is what a journal says, in a form that compares. Of what is damaged it says damagedFact.
type facts struct {
	entries   map[string]any // id to loaded, its seq and err left out
	order     []string       // ids, in order of receipt
	rack      map[string]any // what is known about orders, wiring and withdrawn outlets
	observing bool
}

const damagedFact = "damaged"

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func factsOf(c *contents) facts {
	f := facts{entries: map[string]any{}, rack: map[string]any{}, observing: c.observing != nil}
	for _, l := range c.entries {
		id := l.entry.Command.ID
		f.order = append(f.order, id)
		f.entries[id] = loaded{entry: l.entry, standing: l.standing}
		if l.err != nil {
			f.entries[id] = damagedFact
		}
	}
	for _, o := range c.orders {
		f.rack[orderSubject(o)] = o
	}
	for _, r := range slices.Concat(c.wiring, c.withdrawn) {
		f.rack[string(r.Kind)+" "+r.Outlet.String()] = r
	}
	for _, d := range c.damaged {
		f.rack[d.Subject] = damagedFact
		f.rack[string(d.Kind)+" "+d.Subject] = damagedFact
	}
	return f
}

// differs says where got tells anything but the truth, or that it is damaged.
func (want facts) differs(got facts) error {
	if !slices.Equal(got.order, want.order) {
		return fmt.Errorf("ids %v, want %v", got.order, want.order)
	}
	for id, e := range got.entries {
		if e != any(damagedFact) && !reflect.DeepEqual(e, want.entries[id]) {
			return fmt.Errorf("entry %s\n got %+v\nwant %+v", id, e, want.entries[id])
		}
	}
	for k, v := range got.rack {
		if v != any(damagedFact) && !reflect.DeepEqual(v, want.rack[k]) {
			return fmt.Errorf("%s: got %+v, want %+v", k, v, want.rack[k])
		}
	}
	for k, v := range want.rack {
		if got.rack[k] == nil {
			return fmt.Errorf("%s: nothing, want %+v", k, v)
		}
	}
	if got.observing != want.observing {
		return fmt.Errorf("observing %v, want %v", got.observing, want.observing)
	}
	return nil
}

// whole tells whether nothing is damaged.
func (want facts) whole() bool {
	for _, m := range []map[string]any{want.entries, want.rack} {
		for _, v := range m {
			if v == any(damagedFact) {
				return false
			}
		}
	}
	return true
}

// look reads the journal in dir as a start would, and leaves the directory as it is.
func look(dir string) (facts, error) {
	j := &Journal{o: optsAt(dir)}
	j.state.Store(&State{Disk: DiskOK})
	j.o, _ = j.o.complete()
	c, err := j.openDB()
	if err != nil {
		return facts{}, err
	}
	return factsOf(c), j.closeDB()
}

func mustLook(t testing.TB, dir string) facts {
	t.Helper()
	f, err := look(dir)
	if err != nil {
		t.Fatalf("reading the journal: %v", err)
	}
	return f
}

// filled is a directory with a journal that holds everything, written in several commits and closed.
func filled(t testing.TB) string {
	t.Helper()
	return filledWith(t, everything())
}

// filledWith is a directory with a journal that holds recs, one commit each, closed.
func filledWith(t testing.TB, recs []rack.Record) string {
	t.Helper()
	dir := memoryDir(t)
	j, _ := open(t, optsAt(dir))
	stop := run(t, j)
	for _, r := range recs {
		mustKeep(t, j, r)
	}
	stop()
	return dir
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := memoryDir(t)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
