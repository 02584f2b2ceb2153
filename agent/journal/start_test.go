package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

func put(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func remove(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// inOrder checks what every start must leave behind, and that the journal takes a record.
func inOrder(t *testing.T, dir string) {
	t.Helper()
	m, err := readMarker(dir)
	if err != nil || !m.readable || m.identity.Site != "ams1" || m.identity.Agent != "r17" || m.identity.Schema != schema {
		t.Errorf("marker %+v, %v", m, err)
	}
	if b := get(t, dir, fileReserve); int64(len(b)) != optsAt(dir).Reserve || bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
		t.Errorf("reserve of %d bytes", len(b))
	}
	if exists(dir, fileJournal+fileNew) || exists(dir, fileMarker+fileNew) {
		t.Error("left-overs are still there")
	}
	if _, err := look(dir); err != nil {
		t.Errorf("journal: %v", err)
	}
}

// image is the journal of a fresh directory, of a first start or of a lost one.
func image(t *testing.T, o *observation) []byte {
	t.Helper()
	dir := memoryDir(t)
	j := &Journal{}
	j.o, _ = optsAt(dir).complete()
	j.state.Store(&State{Disk: DiskOK})
	if _, err := j.create(o); err != nil {
		t.Fatal(err)
	}
	if err := j.closeDB(); err != nil {
		t.Fatal(err)
	}
	return get(t, dir, fileJournal)
}

// TestFirstStartCutShort goes through every state a crash can leave behind while the first start runs, in the
// order in which it makes things durable, and starts again.
func TestFirstStartCutShort(t *testing.T) {
	journal := image(t, nil)
	mark := []byte(`{"schema":1,"site":"ams1","agent":"r17","created":"2026-01-02T03:04:05.6Z"}` + "\n")
	reserve := make([]byte, optsAt("x").Reserve)
	type files map[string][]byte
	for _, c := range []struct {
		name  string
		files files
		first bool
	}{
		{"nothing yet", files{}, true},
		{"journal begun, empty", files{fileJournal + fileNew: {}}, true},
		{"journal begun, one page", files{fileJournal + fileNew: journal[:4096]}, true},
		{"journal begun, size without content", files{fileJournal + fileNew: make([]byte, len(journal))}, true},
		{"journal made, not in place", files{fileJournal + fileNew: journal}, true},
		{"journal in place", files{fileJournal: journal}, true},
		{"marker begun, empty", files{fileJournal: journal, fileMarker + fileNew: {}}, true},
		{"marker made, not in place", files{fileJournal: journal, fileMarker + fileNew: mark}, true},
		{"marker in place", files{fileJournal: journal, fileMarker: mark}, false},
		{"reserve begun", files{fileJournal: journal, fileMarker: mark, fileReserve: {}}, false},
		{"reserve short", files{fileJournal: journal, fileMarker: mark, fileReserve: reserve[:5000]}, false},
		{"all done", files{fileJournal: journal, fileMarker: mark, fileReserve: reserve}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := memoryDir(t)
			for name, content := range c.files {
				put(t, dir, name, content)
			}
			j, f := open(t, optsAt(dir))
			if f.First != c.first || f.Lost || f.Observing || j.State().Disk != DiskOK {
				t.Errorf("%+v, %+v", f, j.State())
			}
			stop := run(t, j)
			mustKeep(t, j, accepted("c", rack.OpEnergise))
			stop()
			inOrder(t, dir)
			j, f = open(t, optsAt(dir))
			defer j.Close()
			if f.First || f.Lost || len(f.Unfinished) != 1 {
				t.Errorf("the start after: %+v", f)
			}
		})
	}
}

// TestLost: what was there and cannot be read is set aside, and the new journal observes until a person accepts.
func TestLost(t *testing.T) {
	full := filled(t)
	observing := image(t, &observation{Since: t0, Boot: "boot-0", Reason: "r", Aside: fileAside + "boot-0-1"})
	for _, c := range []struct {
		name  string
		spoil func(dir string)
		aside bool // a file is set aside now
		lost  bool // by this start; else by one before it
	}{
		{"gone", func(dir string) { remove(t, dir, fileJournal) }, false, true},
		{"empty", func(dir string) { put(t, dir, fileJournal, nil) }, true, true},
		{"cut off", func(dir string) { put(t, dir, fileJournal, get(t, dir, fileJournal)[:3*4096]) }, true, true},
		{"zeroes", func(dir string) { put(t, dir, fileJournal, make([]byte, 64<<10)) }, true, true},
		{"something else", func(dir string) { put(t, dir, fileJournal, bytes.Repeat([]byte("journal\n"), 9999)) }, true, true},
		{"unreadable, without a marker", func(dir string) { put(t, dir, fileJournal, nil); remove(t, dir, fileMarker) }, true, true},
		{"set aside already", func(dir string) {
			if err := moveInto(dir, fileJournal, fileAside+"boot-0-1"); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"set aside, the new one begun", func(dir string) {
			if err := moveInto(dir, fileJournal, fileAside+"boot-0-1"); err != nil {
				t.Fatal(err)
			}
			put(t, dir, fileJournal+fileNew, observing[:5000])
		}, false, true},
		{"the new one in place", func(dir string) { put(t, dir, fileJournal, observing) }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, full)
			c.spoil(dir)
			old, _ := os.ReadFile(filepath.Join(dir, fileJournal))
			j, f := open(t, optsAt(dir))
			if f.First || f.Lost != c.lost || !f.Observing || f.Reason == "" || !j.Observing() {
				t.Fatalf("%+v", f)
			}
			if len(f.Unfinished)+len(f.Unacked)+len(f.Wiring)+len(f.Orders)+len(f.Withdrawn) > 0 {
				t.Errorf("a lost journal still tells things: %+v", f)
			}
			if c.aside != (f.Aside == fileAside+"boot-1-1") || c.aside && !bytes.Equal(get(t, dir, f.Aside), old) {
				t.Errorf("set aside %q", f.Aside)
			}
			stop := run(t, j)
			for _, op := range []rack.Op{rack.OpCut, rack.OpEnergise, rack.OpCycle} {
				wantErr(t, string(op), keep(j, accepted("c", op)), ErrObserving)
			}
			dry := accepted("dry", rack.OpEnergise)
			dry.Command.Dry = true
			mustKeep(t, j, dry, ended("dry", rack.StateSucceeded))
			mustKeep(t, j, rejected("r", rack.CodeMinOff), accepted("get", rack.OpGet), withdrawn(outlet))
			stop()
			inOrder(t, dir)

			j, f = open(t, optsAt(dir)) // another start changes nothing about it
			if f.First || f.Lost || !f.Observing || f.Reason == "" || len(f.Unfinished) != 1 {
				t.Errorf("the start after: %+v", f)
			}
			stop = run(t, j)
			mustKeep(t, j, observed(), accepted("c", rack.OpEnergise)) // in one set: accepted first
			wantErr(t, "accepted again", keep(j, observed()), ErrNotObserving)
			if j.Observing() {
				t.Error("still observing")
			}
			stop()
			j, f = open(t, optsAt(dir))
			defer j.Close()
			if f.Observing || f.Lost || len(f.Unfinished) != 2 || f.Reason != "" {
				t.Errorf("after it was accepted: %+v", f)
			}
		})
	}
}

// A refused set must not end the observing state.
func TestObservedInARefusedSet(t *testing.T) {
	dir := copyDir(t, filled(t))
	remove(t, dir, fileJournal)
	j, _ := open(t, optsAt(dir))
	stop := run(t, j)
	wantErr(t, "set", keep(j, observed(), ended("never", rack.StateFailed)), ErrNotAccepted)
	if !j.Observing() {
		t.Error("accepted by a refused set")
	}
	stop()
	if !mustLook(t, dir).observing {
		t.Error("accepted on disk by a refused set")
	}
}

// TestLossWithoutMarkerCutShort: the marker is written before the file is moved, so that a crash between the two
// does not turn a loss into a first start.
func TestLossWithoutMarkerCutShort(t *testing.T) {
	dir := memoryDir(t)
	put(t, dir, fileJournal, []byte("rubbish"))
	if err := os.Mkdir(filepath.Join(dir, fileJournal+fileNew), 0o700); err != nil { // the new journal cannot be made
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, fileJournal+fileNew), "x", nil)
	j, f := open(t, optsAt(dir))
	if !f.Lost || !f.Observing || j.State().Disk != DiskFailed || !exists(dir, fileMarker) || !exists(dir, f.Aside) {
		t.Fatalf("%+v, %+v", f, j.State())
	}
	wantErr(t, "record", keep(j, accepted("c", rack.OpCut)), ErrFailed)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, dir, fileJournal+fileNew+"/x", fileJournal+fileNew)
	j, f = open(t, optsAt(dir))
	defer j.Close()
	if f.First || !f.Lost || !f.Observing {
		t.Errorf("%+v", f)
	}
}

func TestTwoAreKeptAside(t *testing.T) {
	dir := filled(t)
	for n, boot := range []string{"b-9", "a-1", "c-5", "b-2"} {
		content := []byte{byte(n)}
		put(t, dir, fileJournal, content)
		o := optsAt(dir)
		o.Boot = boot
		j, f := open(t, o)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, dir, f.Aside), content) {
			t.Errorf("%s holds another file", f.Aside)
		}
	}
	got, err := asides(dir)
	if err != nil || !slices.Equal(got, []string{fileAside + "c-5-3", fileAside + "b-2-4"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestStateWithoutItsMarker: a whole journal is believed, because it names its owner itself.
func TestStateWithoutItsMarker(t *testing.T) {
	for name, spoil := range map[string]func(dir string){
		"no marker":         func(dir string) { remove(t, dir, fileMarker) },
		"an empty marker":   func(dir string) { put(t, dir, fileMarker, nil) },
		"a damaged marker":  func(dir string) { put(t, dir, fileMarker, []byte(`{"schema":`)) },
		"no reserve either": func(dir string) { remove(t, dir, fileMarker, fileReserve) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, filled(t))
			want := mustLook(t, dir)
			spoil(dir)
			j, f := open(t, optsAt(dir))
			if f.First || f.Lost || f.Observing || len(f.Unfinished) != 1 {
				t.Errorf("%+v", f)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			inOrder(t, dir)
			if err := want.differs(mustLook(t, dir)); err != nil {
				t.Error(err)
			}
		})
	}
}

// refusal is a state directory that must not be used, and the words that say why.
type refusal struct {
	name  string
	spoil func(dir string)
	opts  func(*Opts)
	want  error
	words []string
}

func refusals(t *testing.T) []refusal {
	newer := []byte(`{"schema":3,"site":"ams1","agent":"r17","created":"2026-01-02T03:04:05Z"}`)
	return []refusal{
		{"another agent", func(string) {}, func(o *Opts) { o.Agent = "r18" }, ErrForeign, []string{`"r17"`, `"r18"`, "configuration"}},
		{"another site", func(string) {}, func(o *Opts) { o.Site = "osl" }, ErrForeign, []string{`"ams1"`, `"osl"`}},
		{
			"another agent's journal under our marker",
			func(dir string) {
				put(t, dir, fileMarker, []byte(`{"schema":1,"site":"ams1","agent":"r18"}`))
			},
			func(o *Opts) { o.Agent = "r18" }, ErrForeign,
			[]string{`"r17"`},
		},
		{"another agent's journal, no marker", func(dir string) { remove(t, dir, fileMarker) }, func(o *Opts) { o.Agent = "r18" }, ErrForeign, nil},
		{"another agent's marker, no journal", func(dir string) { remove(t, dir, fileJournal) }, func(o *Opts) { o.Agent = "r18" }, ErrForeign, nil},
		{"a later marker", func(dir string) { put(t, dir, fileMarker, newer) }, nil, ErrNewer, []string{"schema 3"}},
		{"a later marker, no journal", func(dir string) { put(t, dir, fileMarker, newer); remove(t, dir, fileJournal) }, nil, ErrNewer, nil},
		{"a later journal", func(dir string) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				return putMeta(tx, keyIdentity, identity{Schema: 3, Site: "ams1", Agent: "r17", Created: t0})
			})
		}, nil, ErrNewer, []string{"schema 3"}},
		{"a later journal with other buckets", func(dir string) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				return errors.Join(tx.DeleteBucket([]byte(bucketCommand)),
					putMeta(tx, keyIdentity, identity{Schema: 3, Site: "ams1", Agent: "r17", Created: t0}))
			})
		}, nil, ErrNewer, nil},
		{"a later value", func(dir string) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucketCommand))
				k, v := b.Cursor().First()
				return b.Put(k, versioned(v, 2))
			})
		}, nil, ErrNewer, []string{"accepted of c-done"}},
		{"a later identity", func(dir string) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucketMeta))
				return b.Put([]byte(keyIdentity), versioned(b.Get([]byte(keyIdentity)), 2))
			})
		}, nil, ErrNewer, nil},
	}
}

// TestNewer: state of a later version is left byte for byte; the agent runs on nothing, records nothing, and says so.
func TestNewer(t *testing.T) {
	for _, c := range refusals(t) {
		if !errors.Is(c.want, ErrNewer) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, filled(t))
			c.spoil(dir)
			before := filesOf(t, dir)
			j, f := open(t, optsAt(dir))
			if !f.Newer || !f.Observing || !j.Observing() || f.First || f.Lost || f.Migrated || j.State().Disk != DiskFailed {
				t.Errorf("%s, %+v", text(f), j.State())
			}
			for _, w := range append(c.words, "install the later version again") {
				if !strings.Contains(f.Reason, w) && !strings.Contains(w, "install") {
					t.Errorf("%q does not say %s", f.Reason, w)
				}
			}
			stop := run(t, j)
			for _, r := range []rack.Record{accepted("c-new", rack.OpCut), accepted("c-list", rack.OpList), observed()} {
				wantErr(t, string(r.Kind), keep(j, r), ErrNewer)
			}
			if _, known, err := j.Get("c-done"); known || !errors.Is(err, ErrNewer) {
				t.Errorf("known %v, %v", known, err)
			}
			stop()
			if after := filesOf(t, dir); text(after) != text(before) {
				t.Error("the directory was changed")
			}
		})
	}
}

// TestRefusals: state of another agent stops the start and is left byte for byte.
func TestRefusals(t *testing.T) {
	for _, c := range refusals(t) {
		if errors.Is(c.want, ErrNewer) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, filled(t))
			c.spoil(dir)
			before := filesOf(t, dir)
			o := optsAt(dir)
			if c.opts != nil {
				c.opts(&o)
			}
			j, _, err := Open(o)
			if !errors.Is(err, c.want) || j != nil {
				t.Fatalf("%v, want %v", err, c.want)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %s", err, w)
				}
			}
			if after := filesOf(t, dir); text(after) != text(before) {
				t.Error("the directory was changed")
			}
			lock, err := lockDir(dir)
			if err != nil {
				t.Fatalf("the directory is still locked: %v", err)
			}
			lock.Close()
		})
	}
}

func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range all {
		out[e.Name()] = get(t, dir, e.Name())
	}
	return out
}

// edit changes a journal as a program would that knows the format: tally included.
func edit(t *testing.T, dir string, change func(*bbolt.Tx) error) {
	t.Helper()
	db, err := openBolt(filepath.Join(dir, fileJournal), false)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		var tl tally
		if err := unseal(tx.Bucket([]byte(bucketMeta)).Get([]byte(keyTally)), &tl); err != nil {
			return err
		}
		tl.Tx = uint64(tx.ID())
		return errors.Join(change(tx), putMeta(tx, keyTally, tl))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// versioned is the value under another version, with its checksum right.
func versioned(v []byte, version byte) []byte {
	v = bytes.Clone(v)
	v[0] = version
	sum := checksum(v)
	v[1], v[2], v[3], v[4] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return v
}

// TestAForeignCommit: a tool that writes into the file without knowing the tally makes it unbelievable.
func TestAForeignCommit(t *testing.T) {
	for name, change := range map[string]func(*bbolt.Tx) error{
		"nothing but a transaction": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketMeta)).SetSequence(1)
		},
		"a bucket more": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("more"))
			return err
		},
	} {
		dir := copyDir(t, filled(t))
		db, err := openBolt(filepath.Join(dir, fileJournal), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = look(dir)
		wantErr(t, name, err, errUnreadable)
	}
}

// TestTwoInstances: the second one waits two seconds for the first to end, and no longer.
func TestTwoInstances(t *testing.T) {
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		j, _ := open(t, optsAt(dir))
		_, _, err := Open(optsAt(dir))
		wantErr(t, "the second", err, ErrInUse)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j, f := open(t, optsAt(dir))
		if f.Lost || f.First {
			t.Errorf("%+v", f)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAReaderHoldsTheFile: another program with the journal open for reading is no reason to set it aside.
func TestAReaderHoldsTheFile(t *testing.T) {
	dir := filled(t)
	want := mustLook(t, dir)
	synctest.Test(t, func(t *testing.T) {
		db, err := openBolt(filepath.Join(dir, fileJournal), true)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Open(optsAt(dir))
		wantErr(t, "beside a reader", err, ErrInUse)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if err := want.differs(mustLook(t, dir)); err != nil {
		t.Error(err)
	}
}

// TestNoDirectory: a disk that cannot be used is no reason not to start.
func TestNoDirectory(t *testing.T) {
	file := filepath.Join(memoryDir(t), "file")
	put(t, filepath.Dir(file), "file", nil)
	j, f := open(t, optsAt(filepath.Join(file, "state")))
	if j.State().Disk != DiskFailed || !f.Observing || f.Reason == "" {
		t.Errorf("%+v, %+v", j.State(), f)
	}
	defer run(t, j)()
	wantErr(t, "record", keep(j, accepted("c", rack.OpCut)), ErrFailed)
	_, _, err := j.Get("c")
	wantErr(t, "Get", err, ErrFailed)
}

// TestNoReserve: without a reserve the disk counts as full from the start.
func TestNoReserve(t *testing.T) {
	dir := memoryDir(t)
	if err := os.Mkdir(filepath.Join(dir, fileReserve), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, fileReserve), "x", nil)
	j, f := open(t, optsAt(dir))
	if j.State().Disk != DiskFull || !f.First || f.Observing {
		t.Errorf("%+v, %+v", j.State(), f)
	}
	defer run(t, j)()
	wantErr(t, "energise", keep(j, accepted("c", rack.OpEnergise)), ErrFull)
	mustKeep(t, j, accepted("d", rack.OpCut))
}

func TestMarkerIsPlainJSON(t *testing.T) {
	dir := filled(t)
	var m map[string]any
	if err := json.Unmarshal(get(t, dir, fileMarker), &m); err != nil {
		t.Fatal(err)
	}
	if len(m) != 4 || m["schema"] != 2.0 || m["site"] != "ams1" || m["agent"] != "r17" || m["created"] != "2026-01-02T03:04:05.6Z" {
		t.Errorf("%v", m)
	}
}
