package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
)

// TestABrokenLogIsLeftAndTold: nothing is set right; a new file says where the break is, and the next start does not say
// it again. Another change later is told again.
func TestABrokenLogIsLeftAndTold(t *testing.T) {
	p := newPaper()
	story(t, p, func(l *life) { l.o.KeepBytes = 1 << 20 })
	forge := func(name, from, to string) {
		s := p.names[name]
		changed := bytes.Replace(s.text, []byte(from), []byte(to), 1)
		if bytes.Equal(changed, s.text) {
			t.Fatalf("%s holds no %s", name, from)
		}
		s.text, s.flushed = changed, changed
	}
	forge(nameOf(1), `"cmd":"c0-0-a"`, `"cmd":"c0-0-x"`)
	forged := bytes.Clone(p.names[nameOf(1)].text)
	start := func() *life {
		l := begin(t, p, func(o *Opts) { o.KeepBytes = 1 << 20 })
		l.say("later")
		l.finish(l.now)
		return l
	}
	l := start()
	if len(l.events) != 1 || !l.alarms[AlarmBroken] || !strings.Contains(l.events[0].Reason, nameOf(1)+", line 3") {
		t.Errorf("%+v", l.events)
	}
	if !bytes.Equal(p.names[nameOf(1)].text, forged) {
		t.Error("the broken file was touched")
	}
	r, err := Verify(p.Read())
	if err != nil || r.NBreaks != 2 || r.Breaks[0].Line != 3 || !strings.Contains(r.Breaks[1].Text, nameOf(1)+", line 3") {
		t.Errorf("%v, %v", err, r.Breaks)
	}
	if l = start(); len(l.events) != 0 || len(l.alarms) != 0 {
		t.Errorf("told again: %+v", l.events)
	}
	forge(l.newest().name, `"cmd":"later"`, `"cmd":"latex"`)
	if l = start(); len(l.events) != 1 || !strings.Contains(l.events[0].Reason, "was changed") {
		t.Errorf("%+v", l.events)
	}
	forge(nameOf(1), `"cmd":"c0-0-b"`, `"cmd":"c0-0-y"`)
	if l = start(); len(l.events) != 1 {
		t.Errorf("one more change in what is broken already: %+v", l.events)
	}
	if l = start(); len(l.events) != 0 {
		t.Errorf("told again: %+v", l.events)
	}
}

// TestWhatABrokenLogMayBe: whatever lies there, a start goes on and what it writes is whole in itself.
func TestWhatABrokenLogMayBe(t *testing.T) {
	whole := map[string][]byte{}
	q := newPaper()
	story(t, q, func(*life) {})
	for name, s := range q.names {
		whole[name] = s.text
	}
	newest := slices.Sorted(keys(whole))[len(whole)-1]
	for what, change := range map[string]func(m map[string][]byte){
		"empty newest":     func(m map[string][]byte) { m[newest] = nil },
		"newest of zeroes": func(m map[string][]byte) { m[newest] = make([]byte, 4096) },
		"newest a letter":  func(m map[string][]byte) { m[newest] = []byte("x\n") },
		"newest a tear":    func(m map[string][]byte) { m[newest] = m[newest][:100] },
		"only empty":       func(m map[string][]byte) { clear(m); m[nameOf(7)] = nil },
		"oldest gone":      func(m map[string][]byte) { delete(m, slices.Sorted(keys(m))[0]) },
		"the end gone":     func(m map[string][]byte) { m[newest] = m[newest][:bytes.IndexByte(m[newest], '\n')+1] },
	} {
		m := map[string][]byte{}
		for name, text := range whole {
			m[name] = text
		}
		change(m)
		p := newPaper()
		for name, text := range m {
			p.names[name] = &sheet{text: text, flushed: text}
		}
		l := begin(t, p)
		l.say("later")
		l.finish(l.now)
		if what != "the end gone" && len(l.events) != 1 {
			t.Errorf("%s: %+v", what, l.events)
		}
		if got := said(t, p.Read()); !slices.Contains(got, "later") {
			t.Errorf("%s: %v", what, got)
		}
		for name, text := range m {
			if s := p.names[name]; s != nil && !bytes.HasPrefix(s.text, text) {
				t.Errorf("%s: %s was touched", what, name)
			}
		}
		if l = begin(t, p); true {
			l.say("again")
		}
		if len(l.events) != 0 {
			t.Errorf("%s: told again: %+v", what, l.events)
		}
	}
}

func keys(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestWhatIsDroppedIsNamed: old files go for room, the newest one says from where on the log is kept, and an anchor of a
// line that is gone is no break.
func TestWhatIsDroppedIsNamed(t *testing.T) {
	p := newPaper()
	l := begin(t, p)
	for n := range 40 {
		l.say(fmt.Sprintf("c%02d", n))
	}
	l.finish(l.now)
	r, err := Verify(p.Read(), l.anchors...)
	if err != nil || !r.Whole() || len(r.Older) == 0 || len(r.Met)+len(r.Older) != len(l.anchors) || r.First == 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	total := 0
	for _, s := range p.names {
		total += len(s.text)
	}
	if total > 6000 || len(p.names) < 3 {
		t.Errorf("%d files of %d bytes", len(p.names), total)
	}
	left := files(t, p.Read())
	oldest := slices.Sorted(keys(left))[0]
	delete(left, oldest)
	if r, err := Verify(asDisk(left)); err != nil || r.Whole() {
		t.Errorf("the oldest file is gone and nobody notices: %v", err)
	}
}

// TestAFloodIsCounted: what has no effect has a rate, what has one is entered all the same.
func TestAFloodIsCounted(t *testing.T) {
	p := newPaper()
	l := begin(t, p, func(o *Opts) { o.FileBytes, o.KeepBytes = 1<<20, 1<<24 })
	for n := range 10_000 {
		l.Enter(Entry{Kind: KindCommand, Command: "flood", State: rack.StateRejected, Code: rack.Code(fmt.Sprint("code", n%40)), Loose: true})
		if n%100 == 0 {
			l.Enter(Entry{Kind: KindCommand, Command: fmt.Sprintf("c%04d", n), State: rack.StateAccepted})
		}
	}
	l.pass(time.Minute)
	l.finish(l.now)
	flood, counted, real := 0, 0, 0
	read(t, p, func(b body) {
		switch {
		case b.Kind == KindCounted:
			counted += b.N
			if strings.Count(b.Text, ",") > maxReasons {
				t.Errorf("%s", b.Text)
			}
		case b.Command == "flood":
			flood++
		case b.Kind == KindCommand:
			real++
		}
	})
	if flood < looseBurst || flood > looseBurst+5 || flood+counted != 10_000 || real != 100 {
		t.Errorf("%d entered, %d counted, %d with effect", flood, counted, real)
	}
}

// read gives every line of the log.
func read(t *testing.T, p *paper, visit func(body)) {
	t.Helper()
	err := Show(p.Read(), func(raw []byte, _ Subject) error {
		var b body
		if err := json.Unmarshal(raw, &b); err != nil {
			return err
		}
		visit(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestADeadDiskLosesWhatHasNoRoomAndSaysSo.
func TestADeadDiskLosesWhatHasNoRoomAndSaysSo(t *testing.T) {
	p := newPaper()
	l := begin(t, p, func(o *Opts) { o.FileBytes, o.KeepBytes = 1<<20, 1<<24 })
	l.say("first")
	p.sick = true
	for n := range maxWaiting + 50 {
		l.Enter(Entry{Kind: KindCommand, Command: fmt.Sprintf("c%04d", n), State: rack.StateAccepted})
	}
	before := len(p.ops)
	l.pass(time.Hour)
	if tries := len(p.ops) - before; tries > 20 {
		t.Errorf("a dead disk was asked %d times in an hour", tries)
	}
	if s := l.Stats(); !s.Failing || s.Lost != 50 || !l.alarms[AlarmKey] || len(l.events) != 1 {
		t.Errorf("%+v, %v, %+v", s, l.alarms, l.events)
	}
	p.sick = false
	l.pass(retryLast + time.Second)
	l.finish(l.now)
	if s := l.Stats(); s.Failing || l.alarms[AlarmKey] || len(l.events) != 2 {
		t.Errorf("%+v, %v, %+v", s, l.alarms, l.events)
	}
	gap := 0
	read(t, p, func(b body) {
		if b.Kind == KindGap {
			gap += b.N
		}
	})
	if got := said(t, p.Read()); gap != 50 || len(got) != maxWaiting+1 || !slices.IsSorted(got[1:]) {
		t.Errorf("gap %d, %d commands", gap, len(got))
	}
	whole(t, p.Read(), l.anchors...)
}

// TestCommitsAreRare: an entry a second for an hour costs few flushes, and a lone entry is on disk at once.
func TestCommitsAreRare(t *testing.T) {
	p := newPaper()
	l := begin(t, p, func(o *Opts) { o.FileBytes, o.KeepBytes = 1<<24, 1<<28 })
	l.Enter(Entry{Kind: KindStart})
	l.turn(l.now)
	if l.waiting() {
		t.Error("a lone entry waits")
	}
	flushes := func() (n int) {
		for _, op := range p.ops {
			if op == "flush" {
				n++
			}
		}
		return n
	}
	before := flushes()
	for range 3600 {
		l.Enter(Entry{Kind: KindEvent, What: "relay_moved"})
		l.pass(time.Second)
	}
	if n := flushes() - before; n < 360 || n > 360+commitBurst {
		t.Errorf("%d flushes an hour", n)
	}
	if n := len(l.anchors); n < 6 || n > 8 {
		t.Errorf("%d anchors an hour", n)
	}
}

// TestWhatTheJournalKnowsIsCaughtUp: a crash between journal and audit log leaves no command out.
func TestWhatTheJournalKnowsIsCaughtUp(t *testing.T) {
	p := newPaper()
	l := begin(t, p)
	l.say("c1", "c2")
	known := []Entry{
		{Kind: KindCommand, Command: "ancient", State: rack.StateAccepted, At: noon.Add(-time.Hour)},
		{Kind: KindCommand, Command: "c1", State: rack.StateAccepted, At: noon},
		{Kind: KindCommand, Command: "c1", State: rack.StateSucceeded, At: noon.Add(time.Second)},
		{Kind: KindCommand, Command: "c3", State: rack.StateAccepted, At: noon.Add(2 * time.Second)},
		{Kind: KindCommand, Command: "q", State: rack.StateAccepted, At: noon.Add(2 * time.Second), Loose: true},
	}
	for range 2 {
		l = begin(t, p, func(o *Opts) { o.Recent = slices.Clone(known) })
		l.say()
	}
	var late []string
	read(t, p, func(b body) {
		if b.Late {
			late = append(late, b.Command+" "+string(b.State))
		}
	})
	if want := []string{"c1 succeeded", "c3 accepted"}; !slices.Equal(late, want) {
		t.Errorf("%v, want %v", late, want)
	}
	fresh := newPaper()
	l = begin(t, fresh, func(o *Opts) { o.Recent, o.History = known, true })
	if l.say("c9"); len(l.events) != 1 || l.events[0].Severity != rack.Warn {
		t.Errorf("a log that is not there: %+v", l.events)
	}
	if got := said(t, fresh.Read()); !slices.Equal(got, []string{"c9"}) {
		t.Errorf("a log that begins today: %v", got)
	}
}

// TestTheClockIsTold: each line says when the clock was not synchronised, and a change is a line of its own.
func TestTheClockIsTold(t *testing.T) {
	p := newPaper()
	synced := true
	l := begin(t, p, func(o *Opts) { o.Synced = func() bool { return synced } })
	var got []string
	for _, synced = range []bool{true, false, false, true} {
		l.say("c")
	}
	read(t, p, func(b body) {
		if b.Kind != KindAnchor {
			got = append(got, fmt.Sprint(b.Kind, " ", b.Unsynced))
		}
	})
	want := []string{"command false", "clock true", "command true", "command true", "clock false", "command false"}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestRunOnADirectory lets the log run as the agent does, on a directory, with many goroutines entering and others walking
// it.
func TestRunOnADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "audit")
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Opts{Disk: Dir(path), Boot: "b", FileBytes: 20_000})
		if err != nil {
			t.Fatal(err)
		}
		ctx, done := t.Context(), make(chan struct{})
		stop := make(chan struct{})
		runs := cancelled(ctx, stop)
		go func() { defer close(done); _ = l.Run(runs) }()
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for n := range 50 {
					l.Enter(Entry{Kind: KindCommand, Command: fmt.Sprintf("g%d-%02d", g, n), State: rack.StateAccepted})
					time.Sleep(time.Duration(g+1) * 100 * time.Millisecond)
				}
			})
		}
		all.Go(func() {
			for range 20 {
				time.Sleep(1700 * time.Millisecond)
				if r, err := Verify(os.DirFS(path)); err != nil || !r.Whole() {
					t.Errorf("while it is written: %v, %v", err, r.Breaks)
				}
			}
		})
		all.Wait()
		close(stop)
		<-done
		a, ok := l.Head()
		if !ok {
			t.Error("nothing was published")
		}
		whole(t, os.DirFS(path), a)
		if got := said(t, os.DirFS(path)); len(got) != 400 || l.Stats().Lost != 0 {
			t.Errorf("%d entries, %+v", len(got), l.Stats())
		}
	})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Opts{{}, {Disk: newPaper()}, {Disk: newPaper(), Boot: "no boot"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestALineHasABound: the longest words that can come stay below what is read as a line.
func TestALineHasABound(t *testing.T) {
	long := strings.Repeat("\x01", 5000)
	text, _ := bodyOf(Entry{
		Kind: KindRecord, Origin: rack.Origin(long), Issuer: long, Key: long, Role: long, Approver: long, Command: long, Op: rack.Op(long), Target: long,
		Payload: rack.HashOf(nil), State: rack.State(long), Code: rack.Code(long), What: long, From: long, To: long, Why: long, Text: long, Software: long, Config: long,
	}).encode()
	if len(text) >= maxLine {
		t.Errorf("%d bytes", len(text))
	}
}
