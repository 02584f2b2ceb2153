package observer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// Evidence is what a run left behind.
type Evidence struct {
	// World is the world of the run. Its record must be whole: sim.Config.TraceLimit 0.
	World *sim.World
	// Config is the agent's configuration file.
	Config []byte
	// Models are the model files of the PDUs that the configuration names, by model.
	Models map[string][]byte
	// States are copies of the agent's state directory, the oldest first; the last one may be the directory itself
	// after the agent's end. Without one that is marked Final, commands without a result are not reported.
	States []State
	// From and To bound what is reported; zero: no bound. The start that reports count from is From, or the first
	// entry of the world's record.
	From, To time.Time
}

// State is a state directory at a moment.
type State struct {
	Path string
	Seq  uint64 // newest entry of the world's record when the copy was begun; Final: the run was over
}

// Final marks the state directory after the end of the run.
const Final = math.MaxUint64

// Violation is one breach of a rule.
type Violation struct {
	Rule string // as in Rules
	At   time.Time
	Text string // a sentence; times count from the start, numbers in brackets are entries of the world's record
}

// String reads "S4: 12.345 s after the start ...".
func (v Violation) String() string { return v.Rule + ": " + v.Text }

// Rules that are not in the list of Rules: without sound evidence nothing is proven.
const (
	ruleEvidence = "evidence"
	ruleJournal  = "journal"
)

// Observe judges a run by all rules; no violation means that none could be proven. Evidence that cannot be read is
// reported as a violation of the rule "evidence", so that it never passes for a clean run.
func Observe(e Evidence) []Violation {
	r, err := newRun(e)
	if err != nil {
		return []Violation{{Rule: ruleEvidence, Text: err.Error()}}
	}
	out := r.unread()
	for _, rule := range Rules() {
		for _, v := range rule.check(r) {
			v.Rule = rule.Name
			out = append(out, v)
		}
	}
	out = slices.DeleteFunc(out, func(v Violation) bool {
		return !v.At.IsZero() && (v.At.Before(e.From) || !e.To.IsZero() && v.At.After(e.To))
	})
	slices.SortStableFunc(out, func(a, b Violation) int { return a.At.Compare(b.At) })
	return out
}

// run is a run decoded once, for all rules.
type run struct {
	start   time.Time
	entries []sim.Entry
	layout  *layout
	truth   *truth
	banks   []*bank
	writes  []*write
	// What the writes do to relays, in order.
	closings, openings []move
	copies             []copied
	book               *book
	mail               *mail
	reasons            []reason // why each write was allowed, in the order of writes
	boots              []boot
}

// copied is a state directory with what it holds.
type copied struct {
	State
	journal journal
	err     error
}

func newRun(e Evidence) (*run, error) {
	if e.World == nil {
		return nil, errors.New("there is no world")
	}
	l, err := readLayout(e.Config, e.Models)
	if err != nil {
		return nil, err
	}
	r := &run{entries: e.World.Trace().Entries(), layout: l, truth: newTruth(e.World), start: e.From}
	if len(r.entries) > 0 {
		if r.start.IsZero() {
			r.start = r.entries[0].At
		}
		if first := r.entries[0].Seq; first != 1 {
			return nil, fmt.Errorf("the world's record begins with entry %d: its older part was dropped", first)
		}
	}
	for _, p := range l.pdus {
		if _, err := e.World.Bus(p.bus); err != nil {
			return nil, fmt.Errorf("pdu %s: %w", p.name, err)
		}
		for _, u := range p.banks {
			r.banks = append(r.banks, newBank(u, r.truth.first))
		}
	}
	for _, s := range e.States {
		c := copied{State: s}
		if c.journal, c.err = readJournal(s.Path); c.err != nil {
			c.journal = journal{} // half a journal explains nothing
		}
		r.copies = append(r.copies, c)
	}
	r.follow()
	r.book = newBook(r.copies)
	r.mail = newMail(l, r.entries)
	r.boots = bootsOf(r.book, r.mail)
	r.reasons = explain(r)
	return r, nil
}

// follow walks the banks through the record.
func (r *run) follow() {
	for _, e := range r.entries {
		for _, b := range r.banks {
			if w := b.follow(e); w != nil {
				r.writes = append(r.writes, w)
			}
		}
	}
	for _, w := range r.writes {
		for _, m := range w.moves {
			if m.closed {
				r.closings = append(r.closings, m)
			} else {
				r.openings = append(r.openings, m)
			}
		}
	}
}

// unread reports copies and values that cannot be believed.
func (r *run) unread() []Violation {
	var out []Violation
	for _, c := range r.copies {
		at := r.start
		if c.Seq > 0 && c.Seq <= uint64(len(r.entries)) {
			at = r.entries[c.Seq-1].At
		}
		if c.err != nil {
			out = append(out, Violation{ruleJournal, at, fmt.Sprintf("the journal in %s cannot be read: %v", c.Path, c.err)})
		}
		for _, d := range c.journal.damaged {
			out = append(out, Violation{ruleJournal, at, fmt.Sprintf("the journal in %s: %s", c.Path, d)})
		}
	}
	return out
}

// firstReading is the moment of the first transfer of all.
func (r *run) firstReading() time.Time {
	for _, e := range r.entries {
		if t, ok := e.Event.(sim.Transfer); ok {
			return t.Handed
		}
	}
	return r.start
}

// when tells a moment as people read it in a report: "12.345 s after the start (record 512)".
func (r *run) when(at time.Time, seq uint64) string {
	text := fmt.Sprintf("%.3f s after the start", at.Sub(r.start).Seconds())
	if seq != 0 {
		text += fmt.Sprintf(" (record %d)", seq)
	}
	return text
}

// report makes a violation whose text begins with its moment.
func (r *run) report(at time.Time, seq uint64, format string, args ...any) Violation {
	return Violation{At: at, Text: r.when(at, seq) + ": " + fmt.Sprintf(format, args...)}
}

// boot is one life of the agent, from its first sign on.
type boot struct {
	id    string
	first time.Time
}

// bootsOf lists the lives in order of their first sign: a record or a message.
func bootsOf(b *book, m *mail) []boot {
	first := map[string]time.Time{}
	see := func(id string, at time.Time) {
		if old, ok := first[id]; id != "" && (!ok || at.Before(old)) {
			first[id] = at
		}
	}
	for _, r := range b.records {
		see(r.Boot, r.At)
	}
	for _, s := range m.births {
		see(s.Boot, s.at)
	}
	var out []boot
	for id, at := range first {
		out = append(out, boot{id, at})
	}
	slices.SortFunc(out, func(a, b boot) int { return cmp.Or(a.first.Compare(b.first), cmp.Compare(a.id, b.id)) })
	return out
}

// laterBoot gives the life that followed one before a moment.
func (r *run) laterBoot(id string, at time.Time) (boot, bool) {
	i := slices.IndexFunc(r.boots, func(b boot) bool { return b.id == id })
	if i < 0 || i+1 >= len(r.boots) || r.boots[i+1].first.After(at) {
		return boot{}, false
	}
	return r.boots[i+1], true
}

// attempts is how often Copy tries again where it met a commit: arbitrary, a commit takes some milliseconds.
const attempts = 50

// Copy copies what the observer reads of a state directory, as it is now: what a machine that lost power at this
// moment would start from. It may be called while the agent runs, from a gate of a bus too; a copy that met a commit
// is made again.
func Copy(w *sim.World, from, to string) (State, error) {
	s := State{Path: to}
	if e := w.Trace().Entries(); len(e) > 0 {
		s.Seq = e[len(e)-1].Seq
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return s, fmt.Errorf("copy state: %w", err)
	}
	var err error
	for range attempts {
		if err = copyOnce(from, to); err == nil {
			break
		}
		runtime.Gosched()
	}
	if err != nil {
		return s, fmt.Errorf("copy state: %w", err)
	}
	return s, nil
}

// copyOnce copies the journal and its marker, and reads the copy.
func copyOnce(from, to string) error {
	there, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	for _, name := range []string{journalFile, markerFile} {
		err = errors.Join(err, copyFile(filepath.Join(from, name), there, name))
	}
	if err = errors.Join(err, there.Close()); err != nil {
		return err
	}
	_, err = readJournal(to)
	return err
}

// copyFile copies a file that may not exist; one that changes meanwhile is an error.
func copyFile(from string, to *os.Root, name string) error {
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	again, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		return fmt.Errorf("%s changed while it was copied", from)
	}
	return to.WriteFile(name, b, 0o600)
}

// outletOf finds an outlet by what a result calls it: "outlet/pdu-a.3".
func (r *run) outletOf(target string) *outlet {
	t, err := rack.ParseTarget(target)
	if err != nil {
		return nil
	}
	return r.layout.outlets[t.Outlet]
}
