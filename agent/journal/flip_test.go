package journal

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// TestFlippedBytes changes one byte of the journal at a time, anywhere in a page that is in use, to any other value. Opening must never
// panic or fault, and what it says must be the truth, or "damaged", or that the file is unreadable.
func TestFlippedBytes(t *testing.T) {
	dir := filledWith(t, []rack.Record{
		accepted("c-done", rack.OpCut), progressed("c-done"), ended("c-done", rack.StateSucceeded), acked("c-done"),
		accepted("c-open", rack.OpCycle), rejected("c-rej", rack.CodeMinOff),
		orderRecord(rack.RecordOrder, rack.OrderLock, 0), wired(outlet, rack.WiringUnproven, "another outlet fell"), withdrawn(outlet),
	})
	want := mustLook(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, fileJournal), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	used, size := pagesInUse(t, f)
	rnd := rand.New(rand.NewPCG(5, 6))
	var lost, damaged, harmless int
	for range flips {
		at := used[rnd.IntN(len(used))]*size + rnd.Int64N(size)
		flip := byte(1 + rnd.IntN(255))
		xor(t, f, at, flip)
		got, err := look(dir)
		switch {
		case errors.Is(err, errUnreadable):
			lost++
		case err != nil:
			t.Fatalf("byte %d xor %#x: %v", at, flip, err)
		case want.differs(got) != nil:
			t.Fatalf("byte %d xor %#x: %v", at, flip, want.differs(got))
		case got.whole():
			harmless++
		default:
			damaged++
		}
		xor(t, f, at, flip)
	}
	t.Logf("%d pages: %d flips unreadable, %d damaged one entry, %d hit unused bytes", len(used), lost, damaged, harmless)
	if lost < flips/100 || damaged < flips/100 {
		t.Error("the flips did not reach what they should")
	}
	if err := want.differs(mustLook(t, dir)); err != nil {
		t.Errorf("the test did not put back what it changed: %v", err)
	}
}

// pagesInUse lists the pages that the newest meta page leads to, and both meta pages.
func pagesInUse(t *testing.T, f *os.File) (ids []int64, size int64) {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := newestMeta(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	w := &walker{r: f, pageSize: int64(m.pageSize), high: m.high, seen: make([]bool, m.high)}
	if err := w.tree(m.root, nil, nil, w.bucket); err != nil {
		t.Fatal(err)
	}
	ids = []int64{0, 1}
	for id, seen := range w.seen {
		if seen {
			ids = append(ids, int64(id))
		}
	}
	return ids, w.pageSize
}

func xor(t *testing.T, f *os.File, at int64, flip byte) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= flip
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestEveryByteOfTheStructure changes, to several values each, every byte that is structure: both meta pages, all
// page and element headers and all keys. What verify accepts, bbolt's own Check must accept too.
func TestEveryByteOfTheStructure(t *testing.T) {
	dir := filled(t)
	want := mustLook(t, dir)
	path := filepath.Join(dir, fileJournal)
	places := structure(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	accepted := 0
	for i, at := range places {
		flip := []byte{0x01, 0x02, 0x80, 0xff}[i%4]
		xor(t, f, at, flip)
		got, err := look(dir)
		switch {
		case errors.Is(err, errUnreadable):
		case err != nil:
			t.Fatalf("byte %d xor %#x: %v", at, flip, err)
		case want.differs(got) != nil:
			t.Fatalf("byte %d xor %#x: %v", at, flip, want.differs(got))
		default:
			accepted++
			mustCheck(t, path)
		}
		xor(t, f, at, flip)
	}
	t.Logf("%d bytes of structure, %d changes accepted", len(places), accepted)
}

// structure lists the offsets of headers and keys of all pages that are in use.
func structure(t *testing.T, path string) []int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(pageSizeOf(b))
	var out []int64
	span := func(from, n int64) {
		for i := range n {
			out = append(out, from+i)
		}
	}
	span(0, pageHeader+metaSize)
	span(size, pageHeader+metaSize)
	for at := 2 * size; at+size <= int64(len(b)); at += size {
		p, err := parsePage(b[at : at+size : at+size])
		if err != nil {
			continue
		}
		span(at, pageHeader+int64(p.count)*elementHeader)
		elements, err := p.elements()
		if err != nil {
			continue
		}
		for _, e := range elements {
			key := at + size - int64(cap(e.key)) // the key's slice runs to the end of its page
			span(key, int64(len(e.key)))
		}
	}
	if len(out) < 1000 {
		t.Fatalf("only %d bytes of structure found", len(out))
	}
	return out
}

func mustCheck(t *testing.T, path string) {
	t.Helper()
	db, err := openBolt(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		var all error
		for err := range tx.Check() {
			all = errors.Join(all, err)
		}
		return all
	})
	if err != nil {
		t.Fatalf("verify accepts what Check does not: %v", err)
	}
}

// damagedValue is one value to break, and what must follow from it.
type damagedValue struct {
	name, bucket, subject string
	kind                  rack.RecordKind
	check                 func(t *testing.T, j *Journal, f Found)
}

// damagedEntries breaks values of commands.
func damagedEntries() []damagedValue {
	return []damagedValue{
		{"the command of an unfinished entry", bucketCommand, "c-open", rack.RecordAccepted, func(t *testing.T, j *Journal, f Found) {
			endedUnknown(t, j, f, "c-open")
			if len(f.Unfinished) != 0 {
				t.Errorf("nobody can finish %+v", f.Unfinished)
			}
		}},
		{"a fact of an unfinished entry", bucketCommand, "c-open", rack.RecordProgress, func(t *testing.T, j *Journal, f Found) {
			endedUnknown(t, j, f, "c-open")
		}},
		{"the result of an entry", bucketCommand, "c-unacked", rack.RecordEnded, func(t *testing.T, j *Journal, f Found) {
			endedUnknown(t, j, f, "c-unacked")
		}},
		{"the result of an acknowledged entry", bucketCommand, "c-done", rack.RecordEnded, func(t *testing.T, j *Journal, f Found) {
			e, known, err := j.Get("c-done")
			if !known || !errors.Is(err, ErrDamaged) || e.Outcome.State != rack.StateUnknown || !e.Acked {
				t.Errorf("%+v, %v, %v", e, known, err)
			}
			if outcomeOf(f, "c-done") != nil {
				t.Error("published again although acknowledged")
			}
		}},
		{"the command of an ended entry", bucketCommand, "c-done", rack.RecordAccepted, func(t *testing.T, j *Journal, _ Found) {
			e, known, err := j.Get("c-done")
			if !known || !errors.Is(err, ErrDamaged) || e.Command.ID != "c-done" || e.Outcome.State != rack.StateSucceeded {
				t.Errorf("a result that can be read stands: %+v, %v, %v", e, known, err)
			}
		}},
		{"a rejection", bucketCommand, "c-rej", rack.RecordRejected, func(t *testing.T, j *Journal, f Found) {
			endedUnknown(t, j, f, "c-rej")
		}},
	}
}

// damagedFacts breaks what is known about the rack.
func damagedFacts() []damagedValue {
	return []damagedValue{
		{"a lock", bucketOrder, "lock/node/asic-1", rack.RecordOrder, func(t *testing.T, _ *Journal, f Found) {
			if len(f.Orders) != 2 {
				t.Errorf("a damaged lock still locks: %+v", f.Orders)
			}
		}},
		{"a limit", bucketOrder, "limit/node/asic-1", rack.RecordOrder, func(t *testing.T, _ *Journal, f Found) {
			if len(f.Orders) != 1 || f.Orders[0].Kind != rack.OrderLock {
				t.Errorf("a limit without its value says nothing: %+v", f.Orders)
			}
		}},
		{"a released drain", bucketOrder, "drain/node/asic-1", rack.RecordReleased, func(t *testing.T, _ *Journal, f Found) {
			if len(f.Orders) != 2 {
				t.Errorf("orders %+v", f.Orders)
			}
		}},
		{"a wiring", bucketWiring, "pdu-a.3", rack.RecordWiring, func(t *testing.T, _ *Journal, f Found) {
			if f.Wiring[0].Outlet != outlet || f.Wiring[0].Wiring != rack.WiringUnproven {
				t.Errorf("%+v", f.Wiring)
			}
		}},
		{"a withdrawal", bucketWithdraw, "pdu-b.8", rack.RecordWithdraw, func(t *testing.T, _ *Journal, f Found) {
			if len(f.Withdrawn) != 1 || f.Withdrawn[0].Outlet.String() != "pdu-b.8" || f.Withdrawn[0].Reason == "" {
				t.Errorf("%+v", f.Withdrawn)
			}
		}},
	}
}

// TestDamagedValues breaks one value of each kind and follows it through a start.
func TestDamagedValues(t *testing.T) {
	full := filled(t)
	for _, c := range append(damagedEntries(), damagedFacts()...) {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, full)
			edit(t, dir, func(tx *bbolt.Tx) error { return spoilValue(tx, c.bucket, c.subject, c.kind) })
			j, f := open(t, optsAt(dir))
			stop := run(t, j)
			if f.Lost || f.Observing || len(f.Damaged) != 1 || f.Damaged[0].Kind != c.kind || f.Damaged[0].Subject != c.subject {
				t.Fatalf("lost %v, damaged %v", f.Lost, f.Damaged)
			}
			c.check(t, j, f)
			e, known, err := j.Get("c-more-03")
			if err != nil || !known || e.Outcome.State != rack.StatePartial {
				t.Errorf("another entry: %+v, %v", e, err)
			}
			if n := len(j.List(100)); n != 8 {
				t.Errorf("%d entries listed", n)
			}
			stop()
			j, again := open(t, optsAt(dir)) // the second start finds the same and writes nothing more
			defer j.Close()
			again.Last = f.Last
			if text(again) != text(f) {
				t.Errorf("the second start differs\n got %s\nwant %s", text(again), text(f))
			}
		})
	}
}

func outcomeOf(f Found, id string) *rack.Outcome {
	for _, o := range f.Unacked {
		if o.Command == id {
			return &o
		}
	}
	return nil
}

// endedUnknown: the command counts as ended unknown, waits to be published, can be acknowledged and not ended again.
func endedUnknown(t *testing.T, j *Journal, f Found, id string) {
	t.Helper()
	o := outcomeOf(f, id)
	if o == nil || o.State != rack.StateUnknown || o.N != rack.RecoveredN || o.Text == "" {
		t.Fatalf("%s to be published: %+v", id, o)
	}
	e, known, err := j.Get(id)
	var damage *DamageError
	if !known || !errors.As(err, &damage) || damage.Subject != id || !strings.Contains(damage.Error(), " of "+id+": ") || !errors.Is(err, ErrDamaged) || e.Outcome.State != rack.StateUnknown {
		t.Errorf("%+v, %v, %v", e, known, err)
	}
	for _, e := range f.Unfinished {
		if e.Command.ID == id {
			t.Errorf("%s is unfinished as well", id)
		}
	}
	if err := keep(j, ended(id, rack.StateSucceeded)); !errors.Is(err, ErrSecondEnd) && !errors.Is(err, ErrNotAccepted) {
		t.Errorf("a second end: %v", err)
	}
	wantErr(t, "accepted again", keep(j, accepted(id, rack.OpCut)), ErrKnown)
}

// spoilValue changes the last byte of the first value of the kind.
func spoilValue(tx *bbolt.Tx, bucket, subject string, kind rack.RecordKind) error {
	b := tx.Bucket([]byte(bucket))
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		s, _, got, _ := splitKey(k)
		if s != subject || got != kind {
			continue
		}
		bad := append([]byte(nil), v...)
		bad[len(bad)-1] ^= 0x20
		return b.Put(append([]byte(nil), k...), bad)
	}
	return errors.New("no such value")
}
