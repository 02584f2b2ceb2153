package link

import (
	"errors"
	"fmt"
	"time"
)

// Class orders what waits: the lower number is sent first.
type Class uint8

// The classes. The zero value is none of them, so that a forgotten class is an error.
const (
	ClassResult    Class = iota + 1 // states of commands, and up/state
	ClassEvent                      // events and alarms
	ClassInfo                       // what the agent says of itself
	ClassTelemetry                  // measurements; full: the oldest is dropped, counted and reported
	ClassBackfill                   // measurements of an outage, behind everything else
	classes        = int(ClassBackfill)
)

// String is the name in logs and metrics.
func (c Class) String() string {
	switch c {
	case ClassResult:
		return "result"
	case ClassEvent:
		return "event"
	case ClassInfo:
		return "info"
	case ClassTelemetry:
		return "telemetry"
	case ClassBackfill:
		return "backfill"
	default:
		return fmt.Sprintf("class(%d)", uint8(c))
	}
}

// ErrFull is returned by Send when the queue of the message's class has no room. It cannot happen to telemetry.
var ErrFull = errors.New("queue full")

// ErrClass is returned by Send for a message without a class.
var ErrClass = errors.New("no such class")

// Message is one publish, always QoS 1. The payload is not copied: it belongs to the link from Send on.
type Message struct {
	Topic   string // below up/, for example "cmd/01JD9XB7"
	Payload []byte // at most 64 KiB; empty with Retain clears a retained topic
	Retain  bool
	Class   Class
	// Until is when the message is no longer worth sending: if it still waits in the queue then, it is dropped and
	// counted. Zero: never.
	Until time.Time
	// Delivered is called once, when the broker's PUBACK has arrived; may be nil. It runs on the connection's
	// reader and must not block; it may call Send.
	Delivered func()
}

// Limit bounds the queue of one class.
type Limit struct {
	Messages int
	Bytes    int // of payload
}

// defaultLimits together hold at most 11 MiB. Arbitrary, but for: 1024 batches of 1 s bridge 17 min.
var defaultLimits = [classes]Limit{
	{Messages: 1024, Bytes: 4 << 20},
	{Messages: 1024, Bytes: 1 << 20},
	{Messages: 256, Bytes: 1 << 20},
	{Messages: 1024, Bytes: 4 << 20},
	{Messages: 32, Bytes: 1 << 20}, // twice what the backlog gives at a time
}

// queue holds what waits for the window. Link.mu guards it.
type queue struct {
	limit [classes]Limit
	list  [classes][]*outgoing
	bytes [classes]int
}

func newQueue(limits [classes]Limit) *queue {
	q := &queue{limit: defaultLimits}
	for i, l := range limits {
		if l.Messages > 0 {
			q.limit[i].Messages = l.Messages
		}
		if l.Bytes > 0 {
			q.limit[i].Bytes = l.Bytes
		}
	}
	return q
}

// push appends m and tells how many older ones had to go for it (telemetry only).
func (q *queue) push(m *outgoing) (dropped int, err error) {
	i := int(m.Class) - 1
	if m.Class == ClassTelemetry {
		for !q.fits(i, m) && len(q.list[i]) > 0 {
			q.take(i)
			dropped++
		}
	}
	if !q.fits(i, m) {
		return dropped, fmt.Errorf("%s: %w", m.Class, ErrFull)
	}
	q.list[i] = append(q.list[i], m)
	q.bytes[i] += len(m.Payload)
	return dropped, nil
}

func (q *queue) fits(i int, m *outgoing) bool {
	return len(q.list[i]) < q.limit[i].Messages && q.bytes[i]+len(m.Payload) <= q.limit[i].Bytes
}

func (q *queue) take(i int) *outgoing {
	m := q.list[i][0]
	q.list[i][0] = nil
	q.list[i] = q.list[i][1:]
	q.bytes[i] -= len(m.Payload)
	return m
}

// pop gives the first message of the first class that has one, up to the last class wanted. What has passed its
// Until on the way is thrown away and counted in expired.
func (q *queue) pop(now time.Time, last Class) (m *outgoing, expired [classes]int) {
	for i := range int(last) {
		for len(q.list[i]) > 0 {
			m := q.take(i)
			if m.Until.IsZero() || now.Before(m.Until) {
				return m, expired
			}
			expired[i]++
		}
	}
	return nil, expired
}

// remove takes out what a birth has made old, and counts it.
func (q *queue) remove(old func(*outgoing) bool) (n int) {
	for i := range q.list {
		kept := q.list[i][:0]
		for _, m := range q.list[i] {
			if old(m) {
				q.bytes[i] -= len(m.Payload)
				n++
				continue
			}
			kept = append(kept, m)
		}
		clear(q.list[i][len(kept):])
		q.list[i] = kept
	}
	return n
}
