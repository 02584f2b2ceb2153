package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"rackagent/agent/rack"
)

// waiting is a command that waits for a second person.
func waiting(id string) rack.Record {
	c := commandOf(id, rack.OpCut)
	c.Args.Force, c.Signed, c.Issuer, c.Key, c.Seq = true, true, "alice", "alice-1", 7
	c.Hash = rack.HashOf([]byte(id))
	return rack.Record{Kind: rack.RecordWaiting, At: t0, ID: id, Command: &c, Until: t0.Add(time.Minute), Lowers: true}
}

// approved is the same command, accepted.
func approved(id string) rack.Record {
	r := accepted(id, rack.OpCut)
	*r.Command = *waiting(id).Command
	r.Command.Approval = &rack.Approval{By: "carol", Key: "carol-1", Command: "a1", Sha256: r.Command.Hash, At: t0}
	return r
}

// refused is the same command, ended without having begun.
func refused(id string, st rack.State, code rack.Code) rack.Record {
	r := rejected(id, code)
	r.Command = waiting(id).Command
	r.Outcome.State, r.Outcome.N = st, 2
	return r
}

func TestWaiting(t *testing.T) {
	dir := filledWith(t, []rack.Record{
		waiting("w1"),
		waiting("w2"), approved("w2"),
		waiting("w3"), approved("w3"), ended("w3", rack.StateSucceeded), acked("w3"),
		waiting("w4"), refused("w4", rack.StateExpired, rack.CodeExpired),
		waiting("w5"), refused("w5", rack.StateRejected, rack.CodeCancelled), acked("w5"),
	})
	j, f := open(t, optsAt(dir))
	defer run(t, j)()
	ids := func(list []rack.Entry) (out []string) {
		for _, e := range list {
			out = append(out, e.Command.ID)
		}
		return out
	}
	if got := fmt.Sprint(ids(f.Waiting), ids(f.Unfinished), len(f.Unacked), f.Unacked[0].Command); got != "[w1] [w2] 1w4" {
		t.Error(got)
	}
	for id, want := range map[string]bool{"w1": true, "w2": false, "w3": false, "w4": false} {
		e, known, err := j.Get(id)
		if err != nil || !known || e.Waiting != want || !e.Until.Equal(t0.Add(time.Minute)) {
			t.Errorf("%s: %v %v %s", id, known, err, text(e))
		}
	}
	if e, _, _ := j.Get("w2"); e.Command.Approval == nil || e.Command.Approval.By != "carol" {
		t.Errorf("%s", text(e))
	}
	if got := fmt.Sprint(ids(j.List(10))); got != "[w5 w4 w3 w2 w1]" {
		t.Error(got)
	}
}

// TestWhatMayFollowWaiting: one acceptance or one rejection, of the very command that waits.
func TestWhatMayFollowWaiting(t *testing.T) {
	other := approved("w1")
	other.Command.Hash[0]++
	otherRefused := refused("w1", rack.StateExpired, rack.CodeExpired)
	c := *otherRefused.Command
	c.Hash[0]++
	otherRefused.Command = &c
	noUntil := waiting("w9")
	noUntil.Until = time.Time{}
	noCommand := waiting("w9")
	noCommand.Command = nil
	adds := waiting("w9")
	adds.Command.Op = rack.OpCycle
	for _, c := range []struct {
		name   string
		before []rack.Record
		r      rack.Record
		want   error
	}{
		{"twice", []rack.Record{waiting("w1")}, waiting("w1"), ErrKnown},
		{"after acceptance", []rack.Record{approved("w1")}, waiting("w1"), ErrKnown},
		{"after rejection", []rack.Record{rejected("w1", rack.CodeMinOff)}, waiting("w1"), ErrKnown},
		{"another command accepted", []rack.Record{waiting("w1")}, other, ErrOtherCommand},
		{"another command rejected", []rack.Record{waiting("w1")}, otherRefused, ErrOtherCommand},
		{"an end", []rack.Record{waiting("w1")}, ended("w1", rack.StateSucceeded), ErrNotAccepted},
		{"progress", []rack.Record{waiting("w1")}, progressed("w1"), ErrNotAccepted},
		{"an acknowledgement", []rack.Record{waiting("w1")}, acked("w1"), ErrNotAccepted},
		{"no moment", nil, noUntil, ErrInvalid},
		{"no command", nil, noCommand, ErrInvalid},
		{"said to lower, and adds", nil, adds, ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, _ := open(t, optsAt(memoryDir(t)))
			defer run(t, j)()
			for _, r := range c.before {
				mustKeep(t, j, r)
			}
			wantErr(t, c.name, keep(j, c.r), c.want)
		})
	}
	j, _ := open(t, optsAt(memoryDir(t)))
	defer run(t, j)()
	mustKeep(t, j, waiting("w1"), approved("w1")) // in one set
	bad := approved("w2")
	bad.Command.Hash[0]++
	wantErr(t, "in one set", keep(j, waiting("w2"), bad), ErrOtherCommand)
}

// TestAWaitingCommandThatCannotBeRead waits no longer.
func TestAWaitingCommandThatCannotBeRead(t *testing.T) {
	dir := filledWith(t, []rack.Record{waiting("w1")})
	edit(t, dir, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketCommand))
		k, v := b.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return b.Put(k, v)
	})
	for range 2 {
		j, f := open(t, optsAt(dir))
		if len(f.Waiting) != 0 || len(f.Unfinished) != 0 || len(f.Unacked) != 1 || f.Unacked[0].State != rack.StateExpired || len(f.Damaged) != 1 {
			t.Errorf("%s", text(f))
		}
		run(t, j)()
	}
}

// TestAWaitingCommandIsNotPruned, however old.
func TestAWaitingCommandIsNotPruned(t *testing.T) {
	o := optsAt(memoryDir(t))
	c := &clock{now: t0}
	o.Now, o.Keep, o.KeepFor = c.Now, 1, time.Second
	j, _ := open(t, o)
	defer run(t, j)()
	mustKeep(t, j, waiting("w1"))
	c.pass(1000 * time.Hour)
	for n := range 20 {
		id := fmt.Sprintf("c%d", n)
		mustKeep(t, j, rejected(id, rack.CodeMinOff), acked(id))
	}
	if e, known, err := j.Get("w1"); !known || err != nil || !e.Waiting {
		t.Errorf("%v %v %s", known, err, text(e))
	}
}

// signedBy is a rejected command with a number.
func signedBy(id, issuer, boot string, seq int64) rack.Record {
	r := rejected(id, rack.CodeMinOff)
	r.Command.Issuer, r.Command.Key, r.Command.Signed, r.Command.AudBoot, r.Command.Seq = issuer, issuer+"-1", true, boot, seq
	return r
}

// TestNumbersOutliveTheirCommands: pruning takes the command, not how far its issuer had counted.
func TestNumbersOutliveTheirCommands(t *testing.T) {
	o := optsAt(memoryDir(t))
	c := &clock{now: t0}
	o.Now, o.Keep, o.KeepFor = c.Now, 2, time.Second
	j, f := open(t, o)
	if len(f.Seqs) != 0 {
		t.Errorf("%v", f.Seqs)
	}
	stop := run(t, j)
	mustKeep(t, j, signedBy("a9", "alice", "", 9), acked("a9"))
	mustKeep(t, j, signedBy("a8", "alice", "", 8), acked("a8"))
	mustKeep(t, j, signedBy("b3", "bob", "boot-1", 3), acked("b3"))
	mustKeep(t, j, signedBy("c5", "carol", "boot-0", 5), acked("c5"))
	mustKeep(t, j, rejected("x", rack.CodeMinOff), acked("x")) // unsigned: whatever it says of itself
	c.pass(1000 * time.Hour)
	for n := range 40 {
		id := fmt.Sprintf("n%d", n)
		mustKeep(t, j, rejected(id, rack.CodeMinOff), acked(id))
	}
	stop()
	j, f = open(t, o)
	if _, known, _ := j.Get("a9"); known {
		t.Fatal("nothing was pruned")
	}
	want := map[rack.SeqOf]int64{{Issuer: "alice", Key: "alice-1"}: 9, {Issuer: "bob", Key: "bob-1", AudBoot: "boot-1"}: 3}
	if text(f.Seqs) != text(want) {
		t.Errorf("%s, want %s", text(f.Seqs), text(want))
	}
	stop = run(t, j)
	mustKeep(t, j, signedBy("a10", "alice", "", 10))
	stop()
	_, f = open(t, o)
	if f.Seqs[rack.SeqOf{Issuer: "alice", Key: "alice-1"}] != 10 {
		t.Errorf("%s", text(f.Seqs))
	}
}

func TestMarksAreBounded(t *testing.T) {
	m := marks{}
	for n := range maxMarks + 10 {
		m.see(mark{of: rack.SeqOf{Issuer: fmt.Sprintf("i%03d", n)}, seq: int64(n)})
	}
	got := m.bounded("boot-1")
	if len(got) != maxMarks || got[rack.SeqOf{Issuer: "i265"}] != 265 || len(m) != maxMarks+10 {
		t.Errorf("%d", len(got))
	}
	if _, kept := got[rack.SeqOf{Issuer: "i009"}]; kept {
		t.Error("the lowest is kept")
	}
}

// older is a directory with the frozen journal of schema 1.
func older(t *testing.T) string {
	t.Helper()
	dir := memoryDir(t)
	put(t, dir, fileJournal, gunzip(t, "testdata/v1/journal.db.gz"))
	put(t, dir, fileMarker, get(t, "testdata/v1", fileMarker))
	return dir
}

const keptV1 = fileOlder + "1"

// TestAnOlderJournalIsBroughtForward, every record of it, and the old file is kept byte for byte.
func TestAnOlderJournalIsBroughtForward(t *testing.T) {
	dir := older(t)
	before := get(t, dir, fileJournal)
	j, f := open(t, optsAt(dir))
	if !f.Migrated || f.Kept != keptV1 || f.First || f.Lost || f.Observing || f.Newer || len(f.Damaged) > 0 {
		t.Errorf("%s", text(f))
	}
	want := loadedOf(everything())
	for _, e := range j.List(100) {
		if text(e) != text(want[e.Command.ID]) {
			t.Errorf("got  %s\nwant %s", text(e), text(want[e.Command.ID]))
		}
	}
	stop := run(t, j)
	mustKeep(t, j, waiting("w1"))
	stop()
	if !bytes.Equal(get(t, dir, keptV1), before) {
		t.Error("the old file is not kept as it was")
	}
	if m := string(get(t, dir, fileMarker)); !strings.Contains(m, `"schema":2`) {
		t.Error(m)
	}
	_, f = open(t, optsAt(dir))
	if f.Migrated || len(f.Waiting) != 1 {
		t.Errorf("%s", text(f))
	}
}

// TestACrashWhileBringingForward leaves the journal in the old form or in the new one, whole, at each point.
func TestACrashWhileBringingForward(t *testing.T) {
	errCrash := errors.New("the power is gone")
	whole := gunzip(t, "testdata/v1/journal.db.gz")
	for name, spoil := range map[string]func(dir string, o *Opts){
		"the copy is empty":    func(dir string, _ *Opts) { put(t, dir, keptV1+fileNew, nil) },
		"the copy is torn":     func(dir string, _ *Opts) { put(t, dir, keptV1+fileNew, whole[:5000]) },
		"the copy is whole":    func(dir string, _ *Opts) { put(t, dir, keptV1+fileNew, whole) },
		"the copy is in place": func(dir string, _ *Opts) { put(t, dir, keptV1, whole) },
		"before the transaction": func(_ string, o *Opts) {
			o.Commit = func(func() error) error { return errCrash }
		},
		"after the transaction": func(_ string, o *Opts) {
			o.Commit = func(update func() error) error { return errors.Join(update(), errCrash) }
		},
		"before the marker": func(dir string, _ *Opts) {
			j, _ := open(t, optsAt(dir))
			run(t, j)()
			put(t, dir, fileMarker, get(t, "testdata/v1", fileMarker))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := older(t)
			o := optsAt(dir)
			spoil(dir, &o)
			if o.Commit != nil {
				j, f, err := Open(o)
				if err != nil || f.Lost || !f.Observing || j.State().Disk != DiskFailed { // whoever sees it meanwhile is refused
					t.Errorf("%v %s", err, text(f))
				}
				run(t, j)()
			}
			j, f := open(t, optsAt(dir))
			defer run(t, j)()
			if f.Lost || f.Observing || f.First || len(f.Unfinished) != 1 || len(f.Unacked) != 6 || len(j.List(100)) != len(loadedOf(everything())) {
				t.Errorf("%s", text(f))
			}
			if !bytes.Equal(get(t, dir, keptV1), whole) {
				t.Error("the old file is not kept")
			}
			mustKeep(t, j, waiting("w1"))
		})
	}
}

// TestPowerCutWhileBringingForward plays the transaction that gives the file its new number, cut anywhere: any prefix of
// its page writes, any subset, each page torn, with and without the meta page. The next start finds every record.
func TestPowerCutWhileBringingForward(t *testing.T) {
	dir := older(t)
	path := filepath.Join(dir, fileJournal)
	var c commitBytes
	o := optsAt(dir)
	o.Commit = func(update func() error) error {
		c.before, _ = os.ReadFile(path)
		err := update()
		c.after, _ = os.ReadFile(path)
		return err
	}
	j, _ := open(t, o)
	run(t, j)()
	want := mustLook(t, older(t))
	begin := func(image []byte, migrates bool, what string) {
		t.Helper()
		dir := older(t)
		put(t, dir, keptV1, get(t, dir, fileJournal)) // it was in place before
		put(t, dir, fileJournal, image)
		j, f := open(t, optsAt(dir))
		run(t, j)()
		if f.Lost || f.Observing || f.First || f.Migrated != migrates || len(f.Damaged) > 0 {
			t.Errorf("%s: %s", what, text(f))
		}
		for _, name := range []string{fileJournal, keptV1} {
			put(t, dir, fileJournal, get(t, dir, name))
			if err := want.differs(mustLook(t, dir)); err != nil {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
	data, metaAt := c.writes(t)
	size := pageSizeOf(c.after)
	file := c.grown()
	begin(file, true, "grown")
	for i, at := range data {
		alone := c.grown()
		for cut := sector; cut <= size; cut += sector {
			copy(file[at:at+cut], c.after[at:at+cut])
			copy(alone[at:at+cut], c.after[at:at+cut])
			begin(file, true, fmt.Sprintf("%d pages and %d bytes", i, cut))
			begin(alone, true, fmt.Sprintf("%d bytes of page %d alone", cut, i))
		}
	}
	for cut := sector; cut <= size; cut += sector {
		copy(file[metaAt:metaAt+cut], c.after[metaAt:metaAt+cut])
		begin(file, false, fmt.Sprintf("%d bytes of the meta page", cut))
	}
	if !bytes.Equal(file, c.after) {
		t.Fatal("the replay is not the transaction")
	}
}

// TestALockThatComesAgain is in force as it was given last.
func TestALockThatComesAgain(t *testing.T) {
	lock := func(kind rack.RecordKind, by string) rack.Record {
		r := orderRecord(kind, rack.OrderLock, 0)
		r.Order.Command = by
		return r
	}
	dir := memoryDir(t)
	for _, s := range []struct {
		rec  rack.Record
		want string
	}{
		{lock(rack.RecordOrder, "l1"), "l1"},
		{lock(rack.RecordReleased, "l1"), ""},
		{lock(rack.RecordOrder, "l3"), "l3"},
	} {
		j, _ := open(t, optsAt(dir))
		stop := run(t, j)
		mustKeep(t, j, s.rec)
		stop()
		j, f := open(t, optsAt(dir))
		run(t, j)()
		got := ""
		for _, o := range f.Orders {
			got += o.Command
		}
		if got != s.want {
			t.Errorf("in force: %q, want %q", got, s.want)
		}
	}
}

// TestNoRoomForTheOldFile: without a copy there is no new form; the old journal stays as it is.
func TestNoRoomForTheOldFile(t *testing.T) {
	dir := older(t)
	before := get(t, dir, fileJournal)
	if err := os.Mkdir(filepath.Join(dir, keptV1+fileNew), 0o700); err != nil { // no file can be made there
		t.Fatal(err)
	}
	j, f := open(t, optsAt(dir))
	if !f.Observing || f.Lost || j.State().Disk != DiskFailed || !strings.Contains(f.Reason, "schema 1") {
		t.Errorf("%s %+v", text(f), j.State())
	}
	run(t, j)()
	if !bytes.Equal(get(t, dir, fileJournal), before) {
		t.Error("the journal was changed")
	}
}
