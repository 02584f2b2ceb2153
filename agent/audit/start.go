package audit

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"rackagent/agent/rack"
)

// adopt reads what earlier lives have left and decides where to go on. It changes nothing.
func (l *Log) adopt(now time.Time) error {
	if err := l.o.Disk.Make(); err != nil {
		return err
	}
	w, known, err := l.read()
	if err != nil {
		return err
	}
	if len(w.files) == 0 {
		l.beginning = &body{How: howFirst}
		if l.o.History {
			l.beginning.Text = "the journal is older"
			l.o.Event(rack.Event{
				Kind: rack.EventAudit, Severity: rack.Warn, At: now,
				Text: "there is a journal and no audit log: either this version is the first to keep one, or it was removed",
			})
		}
		return nil
	}
	l.files, l.size, l.last = w.files, w.end, w.r.Head
	newest := l.newest()
	newest.size = w.end + w.rest
	switch fresh := w.fresh(); {
	case fresh != nil:
		l.last.Seq = max(l.last.Seq, newest.first)
		l.beginning = &body{How: howBroken, After: newest.name, Size: w.end, File: fresh.File, Line: fresh.Line, N: w.r.NBreaks, Text: cut(fresh.Text, maxText)}
		l.brokenFound(now, *fresh)
	case w.rest > 0:
		l.beginning = &body{How: howTorn, After: newest.name, Size: w.end}
	}
	l.catchUp(known)
	return nil
}

// read walks the log; a file may go while it does, and the walk then begins anew. known is what the two newest files hold.
func (l *Log) read() (*walk, *recent, error) {
	for try := 0; ; try++ {
		w, known := newWalk(l.o.Disk.Read(), nil), &recent{states: map[state]bool{}}
		w.each = func(li line, raw []byte) {
			if len(w.r.Files) >= len(w.files)-1 {
				known.add(li, raw)
			}
		}
		err := w.run()
		if !errors.Is(err, fs.ErrNotExist) || try == retries {
			return w, known, err
		}
	}
}

// fresh gives the first break that no file of the log tells of yet; nil: there is none. What stood before the newest file
// that tells of breaks is known, unless there is more of it than there was.
func (w *walk) fresh() *Break {
	switch {
	case w.r.NBreaks == 0:
		return nil
	case w.told < 0:
		return &w.r.Breaks[0]
	case w.before > w.files[w.told].head.N:
		return &w.r.Breaks[0]
	case w.r.NBreaks > w.before+1:
		return &w.r.Breaks[min(w.before+1, len(w.r.Breaks)-1)]
	}
	return nil
}

func (l *Log) brokenFound(now time.Time, b Break) {
	l.o.Event(rack.Event{
		Kind: rack.EventAudit, Severity: rack.Critical, At: now, Reason: b.String(),
		Text: "the audit log is not as it was written; it is left as it is, and a new file is begun",
	})
	l.o.Alarm(rack.Alarm{Key: AlarmBroken, Since: now, Severity: rack.Critical, Text: "the audit log is not as it was written: " + b.String()})
}

// state is a state of a command that the log holds.
type state struct {
	command string
	state   rack.State
}

// recent is what the newest files hold.
type recent struct {
	states map[state]bool
	from   time.Time // of their first line
}

func (r *recent) add(li line, raw []byte) {
	if r.from.IsZero() {
		r.from = time.UnixMilli(li.at)
	}
	var b body
	if li.kind == KindCommand && json.Unmarshal(raw, &b) == nil {
		r.states[state{b.Command, b.State}] = true
	}
}

// catchUp enters what the journal knows and an earlier life did not come to enter: a crash lies between the two.
func (l *Log) catchUp(known *recent) {
	var late []Entry
	for _, e := range l.o.Recent {
		if e.Command == "" || e.Loose || e.At.Before(known.from) || known.states[state{e.Command, e.State}] {
			continue
		}
		e.Late = true
		late = append(late, e)
	}
	l.o.Recent = nil
	if len(late) > maxWaiting/2 {
		l.o.Log.Warn("more of the journal is missing in the audit log than a crash explains", "entries", len(late))
		late = late[len(late)-maxWaiting/2:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.Concat(late, l.queue)
}
