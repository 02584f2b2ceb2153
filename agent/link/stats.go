package link

import "time"

// State says what Run is doing.
type State string

// The states.
const (
	StateStopped    State = "stopped"    // Run has not begun, or has ended
	StateWaiting    State = "waiting"    // between two attempts
	StateConnecting State = "connecting" // dialling, or waiting for CONNACK
	StateUp         State = "up"
)

// ClassStats counts the messages of one class since the start.
type ClassStats struct {
	Queued     int    // now
	Sent       uint64 // given to a connection for the first time
	Resent     uint64 // given to a further connection
	Delivered  uint64 // acknowledged by the broker
	Dropped    uint64 // thrown out of a full queue (telemetry)
	Expired    uint64 // waited past their Until
	Refused    uint64 // ErrFull
	Superseded uint64 // retained, and replaced by a birth on the same topic
}

// ByClass is one ClassStats per class, in the order of the classes.
type ByClass [classes]ClassStats

// Of gives the counters of one class.
func (b ByClass) Of(c Class) ClassStats { return b[int(c)-1] }

func (b *ByClass) of(c Class) *ClassStats { return &b[int(c)-1] }

// Stats is a copy of everything that is counted.
type Stats struct {
	State      State
	Subscribed bool      // the broker has granted down/#; false while up: no command can arrive
	Broker     string    // the address dialled last; empty: not known
	Conn       int       // CONNECTs sent, the number that Will and OnUp are given
	Up         time.Time // when the present connection was made
	Next       time.Time // of the next attempt, while waiting
	Attempts   uint64
	Connects   uint64            // CONNACKs with code 0
	Losses     map[Reason]uint64 // failed attempts and lost connections
	LastError  string

	Classes     ByClass
	Outstanding int           // sent and not acknowledged
	OldestAge   time.Duration // since the oldest of these was sent first

	Inbound    uint64 // all messages received
	Duplicates uint64 // of these, with DUP
	Retained   uint64 // of these, replays of retained messages
	Unrouted   uint64 // of these, on topics not below down/: acknowledged, not delivered
	Overrun    uint64 // of these, refused by Opts.Inbound
	Unacked    int    // delivered on this connection and not acknowledged yet

	SelfTest Verdict // of the newest self test

	Quarantined uint64
	Renewals    uint64 // connections made because the files of the connection had changed
	Wiped       uint64 // sessions discarded because of an oversized message
}

// State tells what the link is doing now.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.State
}

// Stats copies the counters.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	st.SelfTest = l.rights.verdict
	st.Losses = make(map[Reason]uint64, len(l.stats.Losses))
	for k, v := range l.stats.Losses {
		st.Losses[k] = v
	}
	for i := range st.Classes {
		st.Classes[i].Queued = len(l.queue.list[i])
	}
	st.Outstanding = len(l.outstanding)
	if len(l.outstanding) > 0 {
		st.OldestAge = time.Since(l.outstanding[0].first)
	}
	if l.session != nil {
		st.Unacked = l.session.acks.pending()
	}
	return st
}

func (l *Link) setState(s State) {
	l.mu.Lock()
	l.stats.State = s
	l.mu.Unlock()
}
