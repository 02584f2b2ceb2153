package agent

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"rackagent/agent/link"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// Happening is an event or an outcome, for whoever watches the agent from inside the same process.
type Happening struct {
	Event   *rack.Event
	Outcome *rack.Outcome
}

// fanout turns events, alarms and outcomes into log lines, counters and messages. It never blocks; any goroutine
// may call it.
type fanout struct {
	log   *slog.Logger
	lines chan rack.Event // to the log; deep enough for a burst. A log that stands still must not hold the power loop up
	lost  atomic.Uint64   // lines that found no room
	boot  string
	heard func(Happening)
	count func(rack.EventKind)

	link   atomic.Pointer[link.Link] // nil: no broker
	serial atomic.Uint64             // of events, within the boot

	mu      sync.Mutex
	alarms  map[string]rack.Alarm // active, by key
	waiters map[string][]chan told
	running map[string]bool // commands that have been accepted and have no terminal state
}

// told is an outcome as it was published; dup marks an answer that is no news.
type told struct {
	rack.Outcome
	dup bool
}

func newFanout(log *slog.Logger, boot string, heard func(Happening), count func(rack.EventKind)) *fanout {
	if heard == nil {
		heard = func(Happening) {}
	}
	return &fanout{log: log, lines: make(chan rack.Event, 1024), boot: boot, heard: heard, count: count, alarms: make(map[string]rack.Alarm), waiters: make(map[string][]chan told), running: make(map[string]bool)}
}

// event logs, counts and publishes something that happened.
func (f *fanout) event(e rack.Event) {
	f.count(e.Kind)
	select {
	case f.lines <- e:
	default:
		f.lost.Add(1)
	}
	f.heard(Happening{Event: &e})
	id := f.boot + "-" + strconv.FormatUint(f.serial.Add(1), 36)
	f.send(link.Message{Topic: "event", Payload: wire.EncodeEvent(id, e), Class: link.ClassEvent})
}

// run writes the log until ctx ends, then what is left.
func (f *fanout) run(ctx context.Context) error {
	for {
		select {
		case e := <-f.lines:
			f.write(e)
		case <-ctx.Done():
			for len(f.lines) > 0 {
				f.write(<-f.lines)
			}
			return nil
		}
	}
}

func (f *fanout) write(e rack.Event) {
	if n := f.lost.Swap(0); n > 0 {
		f.log.Warn("the log stood still; events were not logged", "events", n)
	}
	f.log.LogAttrs(context.Background(), level(e.Severity), e.Text, attributes(e)...)
}

func level(s rack.Severity) slog.Level {
	switch s {
	case rack.Info:
		return slog.LevelInfo
	case rack.Warn:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func attributes(e rack.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("device", e.Device)
	if !e.Outlet.IsZero() {
		add("outlet", e.Outlet.String())
	}
	add("node", e.Node)
	add("command", e.Command)
	add("from", e.From)
	add("to", e.To)
	add("reason", e.Reason)
	return attrs
}

// alarm keeps what is active, for later connections, and publishes the change.
func (f *fanout) alarm(a rack.Alarm) {
	f.mu.Lock()
	_, active := f.alarms[a.Key]
	if a.Cleared {
		delete(f.alarms, a.Key)
	} else {
		f.alarms[a.Key] = a
	}
	f.mu.Unlock()
	if a.Cleared && !active {
		return
	}
	f.send(alarmMessage(a))
}

func alarmMessage(a rack.Alarm) link.Message {
	m := link.Message{Topic: "alarm/" + a.Key, Retain: true, Class: link.ClassEvent}
	if !a.Cleared {
		m.Payload = wire.EncodeAlarm(a)
	}
	return m
}

// clearOthers takes back retained alarms of an earlier life: of all keys that there can be, those that are not active.
func (f *fanout) clearOthers(keys []string) {
	for _, m := range f.retained(keys) {
		if len(m.Payload) == 0 {
			f.send(m)
		}
	}
}

// retained are the messages that make the broker's alarms what they are here: the active ones, and an empty one for each
// of the keys that is not active.
func (f *fanout) retained(keys []string) []link.Message {
	var out []link.Message
	active := f.active()
	for _, a := range active {
		out = append(out, alarmMessage(a))
	}
	for _, key := range keys {
		if !slices.ContainsFunc(active, func(a rack.Alarm) bool { return a.Key == key }) {
			out = append(out, alarmMessage(rack.Alarm{Key: key, Cleared: true}))
		}
	}
	return out
}

// active lists the alarms that stand, by key.
func (f *fanout) active() []rack.Alarm {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []rack.Alarm
	for _, key := range slices.Sorted(maps.Keys(f.alarms)) {
		out = append(out, f.alarms[key])
	}
	return out
}

// Publish sends the states of commands: it is the desk's Publisher. A state in several parts is delivered when the
// last part is.
func (f *fanout) Publish(o rack.Outcome, dup bool, delivered func()) bool {
	f.heard(Happening{Outcome: &o})
	f.tell(told{o, dup})
	l := f.link.Load()
	if l == nil { // no broker is configured: whoever listens has heard it
		if delivered != nil {
			delivered()
		}
		return true
	}
	parts := wire.EncodeStatus(o, wire.StatusHead{Boot: f.boot, Dup: dup})
	var left atomic.Int64
	left.Store(int64(len(parts)))
	for _, p := range parts {
		err := l.Send(link.Message{Topic: "cmd/" + o.Command, Payload: p, Class: link.ClassResult, Delivered: func() {
			if left.Add(-1) == 0 && delivered != nil {
				delivered()
			}
		}})
		if err != nil {
			return false
		}
	}
	return true
}

// Answer tells a state to who asked for it on this machine, and to nobody else.
func (f *fanout) Answer(o rack.Outcome, dup bool) {
	f.heard(Happening{Outcome: &o})
	f.tell(told{o, dup})
}

func (f *fanout) send(m link.Message) {
	if l := f.link.Load(); l != nil {
		_ = l.Send(m) // a full queue is counted by the link
	}
}

// await gives the outcomes of one command as they are published, until done is called. An empty id gives none.
func (f *fanout) await(id string) (outcomes <-chan told, done func()) {
	ch := make(chan told, 8) // arbitrary; in a full one the newest takes the place of the oldest, so that the last word is there
	if id == "" {
		return ch, func() {}
	}
	f.mu.Lock()
	f.waiters[id] = append(f.waiters[id], ch)
	f.mu.Unlock()
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiters[id] = slices.DeleteFunc(f.waiters[id], func(c chan told) bool { return c == ch })
		if len(f.waiters[id]) == 0 {
			delete(f.waiters, id)
		}
	}
}

// tell gives an outcome to who waits for it. The lock makes it the only one that puts something in.
func (f *fanout) tell(o told) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case o.State == rack.StateAccepted || o.State == rack.StateRunning:
		f.running[o.Command] = true
	case o.State.Terminal():
		delete(f.running, o.Command)
	}
	for _, ch := range f.waiters[o.Command] {
		for full := true; full; {
			select {
			case ch <- o:
				full = false
			default:
				select {
				case <-ch:
				default: // read meanwhile
				}
			}
		}
	}
}

// commandRuns tells whether one runs now.
func (f *fanout) commandRuns() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running) > 0
}
