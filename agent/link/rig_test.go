package link

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil { // the same walks each time; -rapid.seed=N takes others
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	site  = "demo"
	agent = "r17"
	upAt  = "rackagent/v1/demo/r17/up/"
	cmdAt = "rackagent/v1/demo/r17/down/cmd"
)

func half() float64 { return 0.5 }

// rig is a running link with everything it said and received.
type rig struct {
	*Link
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	events  []rack.Event
	alarms  []rack.Alarm
	in      []Inbound
	dropped int
	outcast []Message
	log     strings.Builder
}

// start runs a link inside a bubble. Unless told otherwise it acknowledges what comes in at once.
func start(t *testing.T, dial func(context.Context) (net.Conn, error), mods ...func(*rig, *Opts)) *rig {
	t.Helper()
	r := &rig{t: t, ended: make(chan struct{})}
	o := Opts{
		Site: site, Agent: agent, Dial: dial, Rand: half,
		Log: slog.New(slog.NewTextHandler(lockedWriter{r}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Event: func(e rack.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
		Alarm: func(a rack.Alarm) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.alarms = append(r.alarms, a)
		},
		Inbound: func(m Inbound) bool {
			r.keep(m)
			m.Ack()
			return true
		},
		Dropped:     func(_ Class, n int) { r.mu.Lock(); r.dropped += n; r.mu.Unlock() },
		Quarantined: func(m Message) { r.mu.Lock(); r.outcast = append(r.outcast, m); r.mu.Unlock() },
	}
	for _, m := range mods {
		m(r, &o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Link = l
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return r
}

type lockedWriter struct{ r *rig }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.log.Write(p)
}

func (r *rig) keep(m Inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in = append(r.in, m)
}

func (r *rig) inbox() []Inbound {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Inbound(nil), r.in...)
}

func (r *rig) said(sev rack.Severity) (texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Severity == sev {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// alarm is the last word about an alarm; the zero Alarm: there was none.
func (r *rig) alarm(key string) (last rack.Alarm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alarms {
		if a.Key == key {
			last = a
		}
	}
	return last
}

// stop ends the link and waits for all of it.
func (r *rig) stop() {
	r.cancel()
	<-r.ended
}

// send must succeed.
func (r *rig) send(m Message) {
	r.t.Helper()
	if err := r.Send(m); err != nil {
		r.t.Fatal(err)
	}
}

// settle lets d pass and everything that can happen happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func result(topic, payload string) Message {
	return Message{Topic: topic, Payload: []byte(payload), Class: ClassResult}
}

func telemetry(payload string) Message {
	return Message{Topic: "tele", Payload: []byte(payload), Class: ClassTelemetry}
}
