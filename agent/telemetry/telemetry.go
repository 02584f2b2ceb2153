package telemetry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rackagent/agent/rack"
)

const (
	// DefaultHold bridges the restart of a broker or a switch.
	DefaultHold = 15 * time.Minute
	// DefaultHoldBytes is about 15 min of 256 values a second at 15 kB a batch; a controller has 512 MiB.
	// Together with the window it bounds what waits.
	DefaultHoldBytes = 16 << 20
	// maxPayload leaves room below the 64 KiB that brokers commonly take.
	maxPayload = 60 << 10
	// window is how many batches are given to the link and not acknowledged: enough to fill a slow line, few
	// enough that results and events, which go first, never wait for more. Arbitrary.
	window = 16
	// storeAfter is how long a batch may wait for its acknowledgement before it is stored with all that wait: what a crash
	// loses is at most 5 s old (design.md 4), and half a second is for the disk.
	storeAfter = 4500 * time.Millisecond
	// storeAgain is how long a store that failed is left alone, arbitrary.
	storeAgain = 30 * time.Second
	// lastStore bounds the storing at the end.
	lastStore = 2 * time.Second
)

// Batch is one encoded message.
type Batch struct {
	Epoch   string
	Seq     int64
	At      time.Time
	Payload []byte
}

// Opts is what Telemetry needs.
type Opts struct {
	Epoch  string // names this count; a fresh random word at each start
	Period time.Duration
	// Look is how often is looked for values that have moved, which are then told before the period is over. 0: never.
	Look time.Duration

	// Readings gives the latest value of every point, judged at the given time.
	Readings func(now time.Time) []rack.Reading
	// Encode writes one message. It is called again with fewer readings if the result is too large.
	Encode func(ep string, seq int64, ts time.Time, readings []rack.Reading) ([]byte, error)
	// Send takes a batch over, keeps it over lost connections, and calls delivered once the broker has it, from any
	// goroutine. It must not block. An error means that it was not taken, and it is offered again a period later.
	Send func(b Batch, delivered func()) error
	// Store has batches that the broker does not acknowledge kept elsewhere, and calls done when they are kept or cannot
	// be, from any goroutine. It must not block. nil: nothing is kept elsewhere.
	Store func(batches []Batch, done func(error))
	// Stored hears of a batch that was given to Store and was delivered all the same. May be nil.
	Stored func(epoch string, seq int64)
	// Events gets losses. Must not block. May be nil.
	Events func(rack.Event)

	Hold      time.Duration // 0: DefaultHold
	HoldBytes int           // 0: DefaultHoldBytes
}

// ErrOpts is returned by New.
var ErrOpts = errors.New("telemetry: epoch, period, Readings, Encode and Send are required")

// Stats counts since the start. A batch counts as lost once, however it was lost.
type Stats struct {
	Made, Delivered, Lost uint64
	Left                  uint64 // given up by the ring, and kept by Store
	Seq                   int64  // of the latest batch; 0: none yet
	Held                  int    // waiting for the broker, sent or not
	HeldBytes             int
	Oldest                time.Time // of those; zero: none
}

// Telemetry makes and keeps batches.
type Telemetry struct {
	o Opts

	// Run's own.
	seq      int64
	due      time.Time // of the next batch of everything
	watch    watch
	ring     ring
	dropped  loss // by the ring
	unmade   loss // by the encoder
	sendFail error
	storing  bool                // Store has not answered
	orphans  map[int64]time.Time // given up by the ring while Store has not answered
	notUntil time.Time           // nothing is stored before

	mu    sync.Mutex
	acked []int64 // delivered and not yet taken out of the ring; at most window, or what Send repeats
	kept  *kept   // Store's answer
	holds []int64 // what the ring has, in order
	stats Stats
	// wake tells Run that acked or kept is not empty. One place: more would say the same.
	wake chan struct{}
}

// New checks the options.
func New(o Opts) (*Telemetry, error) {
	if o.Epoch == "" || o.Period <= 0 || o.Readings == nil || o.Encode == nil || o.Send == nil {
		return nil, ErrOpts
	}
	if o.Hold == 0 {
		o.Hold = DefaultHold
	}
	if o.HoldBytes == 0 {
		o.HoldBytes = DefaultHoldBytes
	}
	if o.Events == nil {
		o.Events = func(rack.Event) {}
	}
	if o.Stored == nil {
		o.Stored = func(string, int64) {}
	}
	return &Telemetry{
		o: o, ring: ring{limit: o.HoldBytes, hold: o.Hold}, wake: make(chan struct{}, 1), orphans: make(map[int64]time.Time), watch: watch{},
	}, nil
}

// Run makes a batch each period, and one of what has moved in between, until ctx ends. It may run once.
func (t *Telemetry) Run(ctx context.Context) error {
	tick := time.NewTicker(t.o.Period)
	defer tick.Stop()
	t.due = time.Now().Add(t.o.Period)
	var look <-chan time.Time
	if t.o.Look > 0 && t.o.Look < t.o.Period { // else every look falls together with a batch of everything, or after it
		l := time.NewTicker(t.o.Look)
		defer l.Stop()
		look = l.C
	}
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			t.settle(time.Now())
			t.leave()
			t.stop(time.Now())
			return nil
		case <-tick.C:
			t.turn(time.Now())
		case <-look:
			t.look(time.Now())
		case <-t.wake:
			t.settle(time.Now())
		case <-due.C:
		}
		t.send()
		due.Reset(t.store(time.Now()))
		t.publish()
	}
}

// turn makes the batches of one period.
func (t *Telemetry) turn(now time.Time) {
	t.due = now.Add(t.o.Period)
	t.give(now, t.ring.trim(now))
	readings := t.o.Readings(now)
	whole := t.make(now, byDevice(readings))
	t.watch.tell(readings)
	if whole || t.unmade.older(now, t.o.Hold) {
		t.report(now, t.unmade.end())
	}
}

// Stats is a copy, for metrics and up/state.
func (t *Telemetry) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// make encodes readings as one batch, or as several if one would be too large. It answers whether all could be.
func (t *Telemetry) make(now time.Time, readings []rack.Reading) bool {
	seq := t.seq + 1
	payload, err := t.o.Encode(t.o.Epoch, seq, now, readings)
	if err == nil && len(payload) > maxPayload {
		if a, b, ok := halve(readings); ok {
			first, second := t.make(now, a), t.make(now, b)
			return first && second
		}
		err = fmt.Errorf("%d bytes, at most %d, and nothing to split", len(payload), maxPayload)
	}
	t.seq = seq // also of one that nobody will see: the gap in the numbers tells of it
	if err != nil {
		t.report(now, t.unmade.add(now, seq, "not encoded: "+err.Error()))
		t.count(func(s *Stats) { s.Lost++ })
		return false
	}
	t.count(func(s *Stats) { s.Made++ })
	t.give(now, t.ring.push(Batch{Epoch: t.o.Epoch, Seq: seq, At: now, Payload: payload}))
	return true
}

// give reports what the ring gave up.
func (t *Telemetry) give(now time.Time, lost []*held) {
	for _, h := range lost {
		b := h.Batch
		switch {
		case h.kept:
			t.count(func(s *Stats) { s.Left++ })
			continue
		case h.storing:
			t.orphans[b.Seq] = b.At
			continue
		}
		why := "not acknowledged within " + t.o.Hold.String()
		if now.Sub(b.At) < t.o.Hold {
			why = fmt.Sprintf("not acknowledged, and more than %d bytes waiting", t.o.HoldBytes)
		}
		if t.sendFail != nil {
			why += ": " + t.sendFail.Error()
		}
		t.report(now, t.dropped.add(now, b.Seq, why))
		t.count(func(s *Stats) { s.Lost++ })
	}
}

// send keeps the window filled, oldest batch first.
func (t *Telemetry) send() {
	for t.ring.sent < window {
		b := t.ring.next()
		if b == nil {
			return
		}
		seq := b.Seq
		if t.sendFail = t.o.Send(b.Batch, func() { t.delivered(seq) }); t.sendFail != nil {
			return
		}
		t.ring.mark(b)
	}
}

// delivered is called from outside.
func (t *Telemetry) delivered(seq int64) {
	t.mu.Lock()
	t.acked = append(t.acked, seq)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // it is told already
	}
}

// settle takes out of the ring what was delivered. A loss is over when hardly anything waits any more; one that
// goes on beside deliveries, because the line is too slow, is told once per Hold.
func (t *Telemetry) settle(now time.Time) {
	t.mu.Lock()
	acked, answer := t.acked, t.kept
	t.acked, t.kept = nil, nil
	t.mu.Unlock()
	got := false
	for _, seq := range acked {
		h := t.ring.delivered(seq)
		if h == nil {
			continue
		}
		got = true
		t.count(func(s *Stats) { s.Delivered++ })
		if h.kept || h.storing {
			t.o.Stored(h.Epoch, seq)
		}
	}
	if answer != nil {
		t.answered(now, *answer)
	}
	if got && (len(t.ring.list) < window || t.dropped.older(now, t.o.Hold)) {
		t.report(now, t.dropped.end())
	}
}

// stop reports what is left: memory ends here.
func (t *Telemetry) stop(now time.Time) {
	t.report(now, t.unmade.end())
	t.report(now, t.dropped.end())
	for _, h := range t.ring.empty() {
		if h.kept {
			t.count(func(s *Stats) { s.Left++ })
			continue
		}
		t.dropped.add(now, h.Seq, "the agent stops")
		t.count(func(s *Stats) { s.Lost++ })
	}
	for _, seq := range slices.Sorted(maps.Keys(t.orphans)) {
		t.dropped.add(now, seq, "the agent stops")
		t.count(func(s *Stats) { s.Lost++ })
	}
	t.report(now, t.dropped.end())
	t.publish()
}

func (t *Telemetry) count(f func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.stats)
}

// publish copies what Run knows to where others may read it.
func (t *Telemetry) publish() {
	t.count(func(s *Stats) {
		s.Seq, s.Held, s.HeldBytes, s.Oldest = t.seq, len(t.ring.list), t.ring.bytes, t.ring.oldest()
		t.holds = t.holds[:0]
		for _, h := range t.ring.list {
			t.holds = append(t.holds, h.Seq)
		}
	})
}

// report tells of a loss, if there is something to tell.
func (t *Telemetry) report(now time.Time, text string) {
	if text != "" {
		t.o.Events(rack.Event{Kind: rack.EventTelemetryLost, Severity: rack.Warn, At: now, Text: "epoch " + t.o.Epoch + ": " + text})
	}
}
