package journal

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"strings"

	"rackagent/agent/rack"
)

// Open opens the journal of the state directory, or starts a new one, and tells what it found.
//
// An error means that the agent must not run with this directory: ErrOpts, ErrInUse, ErrForeign. A disk that fails is no
// error: the journal then is in the state DiskFailed, and Found says Observing, unless the journal could be opened for
// reading. State that a later version of the program wrote (ErrNewer) is none either: it is left as it is, nothing is
// recorded, and Found says Observing and Newer. A journal of an older schema is brought forward, see migrate.
//
//	marker   journal.db    then
//	absent   absent        first start
//	absent   whole         normal; the marker is written. A first start that was cut short, or a copied state: the
//	                       journal holds its own identity, and the marker only has to prove that one existed
//	present  whole         normal
//	present  absent        lost
//	any      not whole     lost. A first start cut short leaves none: the file is made under another name
//
// A first start makes durable, in this order: the journal, the marker, the reserve. No record can be written
// before the marker.
func Open(o Opts) (*Journal, Found, error) {
	o, err := o.complete()
	if err != nil {
		return nil, Found{}, err
	}
	j := &Journal{o: o, queue: queue{wake: make(chan struct{}, 1)}}
	j.state.Store(&State{Disk: DiskOK})
	found, err := j.start()
	switch {
	case err == nil:
	case errors.Is(err, ErrInUse), errors.Is(err, ErrForeign):
		return nil, Found{}, errors.Join(err, j.Close())
	case errors.Is(err, ErrNewer):
		found = Found{Observing: true, Newer: true, Reason: err.Error()}
		j.fail("a later program wrote the journal", err)
	default:
		found.Observing = true
		found.Reason = cmp.Or(found.Reason, err.Error())
		j.fail("opening the journal failed: "+err.Error(), err)
	}
	j.observing.Store(found.Observing)
	j.o.Log.Info("journal opened", "dir", o.Dir, "first", found.First, "lost", found.Lost, "observing", found.Observing,
		"reason", found.Reason, "unfinished", len(found.Unfinished), "unacked", len(found.Unacked), "damaged", len(found.Damaged))
	return j, found, nil
}

func (j *Journal) start() (Found, error) {
	if err := os.MkdirAll(j.o.Dir, 0o750); err != nil {
		return Found{}, err
	}
	var err error
	if j.lock, err = lockDir(j.o.Dir); err != nil {
		return Found{}, err
	}
	mark, err := readMarker(j.o.Dir)
	if err != nil {
		return Found{}, err
	}
	if mark.readable {
		if err := mark.identity.suits(j.o); err != nil {
			return Found{}, err
		}
	}
	c, err := j.openDB()
	var found Found
	if err == nil && c.identity.Schema < schema {
		found.Migrated, found.Kept = true, keptName(c.identity.Schema)
		c, err = j.migrate(c)
	}
	switch {
	case err == nil:
		found.First = !mark.present && c.tally.Seq == 0 && c.observing == nil && !found.Migrated
	case errors.Is(err, fs.ErrNotExist) && !mark.present:
		found.First = true
		c, err = j.create(nil)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errUnreadable):
		found.Lost, found.Reason = true, lossReason(err)
		c, err = j.replace(&found, mark)
	}
	if err != nil {
		return found, err
	}
	return j.settleIn(c, found, mark)
}

func lossReason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "the journal is gone, though one was kept here"
	}
	return strings.TrimPrefix(err.Error(), "journal: ")
}

// settleIn brings the directory in order around a journal that is open, and fills in what was found.
func (j *Journal) settleIn(c *contents, found Found, mark marker) (Found, error) {
	j.tally, j.index, j.marks = c.tally, c.index(j.o.Now()), c.marks()
	j.observing.Store(c.observing != nil)
	c, err := j.endDamaged(c)
	full := c.found()
	full.First, full.Lost, full.Migrated, full.Kept = found.First, found.Lost, found.Migrated, found.Kept
	if err != nil || j.State().Disk == DiskFailed {
		return full, err
	}
	if !mark.readable || mark.identity.Schema != c.identity.Schema {
		if err := writeMarker(j.o.Dir, c.identity); err != nil {
			return full, err
		}
	}
	if j.State().Disk == DiskOK && !hasReserve(j.o.Dir, j.o.Reserve) {
		if err := makeReserve(j.o.Dir, j.o.Reserve); err != nil {
			j.lastReserve = j.o.Now()
			j.setState(State{Disk: DiskFull, Reason: "the reserve cannot be set aside: " + err.Error(), Err: err})
		}
	}
	return full, nil
}

// endDamaged ends, as unknown, every command that was accepted and whose record cannot be read any more:
// nobody else could say what it was about, and S5 wants it ended.
func (j *Journal) endDamaged(c *contents) (*contents, error) {
	var batch []*submission
	for _, l := range c.entries {
		if l.err == nil || l.standing.closed() {
			continue
		}
		outcome := damagedOutcome(l.entry.Command.ID)
		outcome.At = j.o.Now().UTC().Round(0)
		end := rack.Record{Kind: rack.RecordEnded, ID: outcome.Command, Outcome: outcome}
		if l.standing.waiting && !l.standing.known() { // it was never accepted: it waits no longer
			outcome.State, outcome.Code = rack.StateExpired, rack.CodeExpired
			end.Kind, end.Command = rack.RecordRejected, &rack.Command{ID: outcome.Command, Target: rack.Target{Kind: rack.TargetRack}}
		}
		s, err := j.submission([]rack.Record{end})
		if err != nil {
			return c, err
		}
		s.done = func(error) {}
		batch = append(batch, s)
	}
	if len(batch) == 0 || j.State().Disk == DiskFailed {
		return c, nil
	}
	j.commit(batch)
	if st := j.State(); st.Disk == DiskFailed {
		return c, st.Err
	}
	again, err := read(j.db)
	return cmp.Or(again, c), err
}

// replace sets a lost journal aside, if there is a file, and starts a new one that observes. The marker comes
// first: a crash between the two renames must not leave a directory that looks like a first start.
func (j *Journal) replace(f *Found, mark marker) (*contents, error) {
	if !mark.present {
		if err := writeMarker(j.o.Dir, j.identity()); err != nil {
			return nil, err
		}
	}
	aside, err := setAside(j.o.Dir, j.o.Boot)
	if err != nil {
		return nil, err
	}
	f.Aside = aside
	if err := pruneAsides(j.o.Dir); err != nil {
		j.o.Log.Warn("removing an old journal set aside", "err", err)
	}
	return j.create(&observation{Since: j.o.Now().UTC().Round(0), Boot: j.o.Boot, Reason: f.Reason, Aside: aside})
}
