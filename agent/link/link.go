package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"rackagent/agent/rack"
)

// Inbound is one message from below down/.
type Inbound struct {
	Topic     string // below down/, as received; nothing about it has been judged
	Payload   []byte // the receiver's to keep; at most 256 KiB
	Retained  bool   // a replay of a retained message, not something sent now
	Duplicate bool   // the DUP flag; says nothing either way about having been seen
	Received  time.Time
	// Ack acknowledges the message; any goroutine may call it, it never blocks, a second call does nothing. Without
	// it the broker delivers the message again on the next connection, and soon delivers nothing else on this one.
	Ack func()
}

// Opts are the options of a Link. Site, Agent, Dial and Inbound are required.
type Opts struct {
	Site, Agent string
	// ClientID names the session at the broker. Default: Agent.
	ClientID string
	// Dial opens the connection to the broker, TLS included (see Dialer). It is given 10 s.
	Dial func(ctx context.Context) (net.Conn, error)
	// Look looks at the files that Dial uses (see TLS.Look). When they change, a new connection takes the place of the
	// present one within 6 min, and before the old certificate expires. nil: there are none.
	Look func() Look
	User string
	// Password is asked before every CONNECT, so that a changed secret is taken without a restart. nil: none.
	Password func() (string, error)

	Spread time.Duration  // added to every wait from the second attempt on, times 0 to 1; for large fleets
	Rand   func() float64 // 0 <= x < 1, used by Run alone. Default: math/rand/v2
	Log    *slog.Logger   // default: none
	Limits [classes]Limit // of the queues, in the order of the classes; zero: the default

	// SelfTest has the link look, at each connect and then hourly, whether what it sends reaches the broker and what is
	// sent to it arrives: a nonce on up/selftest has to come back, by itself or on down/selftest.
	SelfTest SelfTest

	// Will gives the payload that the broker publishes on up/state, retained, when the connection is lost. conn
	// counts the CONNECTs of this Link from 1. nil: no will.
	Will func(conn int) []byte
	// OnUp gives what is sent first on every new connection, after SUBSCRIBE: up/state, up/info, active alarms. It
	// is not sent again on a later connection. A retained message on one of these topics that was given to Send before
	// OnUp was called, and still waits, is discarded. A broker may publish the will of the connection before after these (session take-over), so what
	// is retained on up/state should be sent once more after some seconds.
	OnUp func(conn int) []Message
	// Farewell gives the last payload on up/state, retained, before an orderly end. nil: none.
	Farewell func(conn int) []byte

	// Inbound takes a message into a queue and returns at once: it runs on the connection's reader. It may call
	// Send and Ack. false means there was no room; the link then acknowledges and counts the message.
	Inbound func(Inbound) bool
	// Event hears of changes of the link. Must not block; may call Send.
	Event func(rack.Event)
	// Alarm hears of conditions of the link that last (see AlarmKeys), and of their end. Must not block; may call Send.
	Alarm func(rack.Alarm)
	// Dropped hears of messages that will never be sent: the oldest telemetry of a full queue, or n that waited
	// past their Until. Must not block.
	Dropped func(class Class, n int)
	// Quarantined hears of a message that made the broker cut the connection, each time it was sent. It is never
	// sent again by this Link unless Send is given it again. Must not block.
	Quarantined func(Message)

	hurry int // times faster are the files looked at; tests with real brokers cannot wait. 0: as it stands in renew.go
}

// Link is the agent's session with the broker.
type Link struct {
	o        Opts
	up, down string // topics up to and including the last slash
	log      *slog.Logger
	retry    retry // Run's own, as is what follows up to wg
	renewal  renewal
	told     Reason
	inUse    bool           // the alarm about the client id stands
	wg       sync.WaitGroup // all goroutines of all sessions

	mu          sync.Mutex
	queue       *queue
	sent        uint64      // calls of Send
	outstanding []*outgoing // taken from the queue and not acknowledged, oldest first; survives sessions
	session     *session    // nil while there is none
	blame       blame
	rights      rights
	stats       Stats
}

// New checks the options. Nothing is dialled before Run.
func New(o Opts) (*Link, error) {
	if err := checkNames(o.Site, o.Agent); err != nil {
		return nil, err
	}
	if o.Dial == nil || o.Inbound == nil {
		return nil, errors.New("link: Dial and Inbound are required")
	}
	if o.ClientID == "" {
		o.ClientID = o.Agent
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	o.hurry = max(o.hurry, 1)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Link{
		o:     o,
		up:    upTopic(o.Site, o.Agent),
		down:  downTopic(o.Site, o.Agent),
		log:   o.Log,
		retry: retry{rnd: o.Rand, spread: o.Spread},
		queue: newQueue(o.Limits),
		blame: newBlame(),
		stats: Stats{State: StateStopped, Losses: map[Reason]uint64{}},
	}, nil
}

// Send queues a message. It never blocks and may be called at any time, also before Run and while there is no
// connection. Delivered tells that the broker has it; a nil error does not.
func (l *Link) Send(m Message) error {
	out, err := l.check(m)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.sent++
	out.n = l.sent
	dropped, err := l.queue.push(out)
	l.stats.Classes.of(m.Class).Dropped += uint64(dropped)
	if err != nil {
		l.stats.Classes.of(m.Class).Refused++
	}
	s := l.session
	l.mu.Unlock()
	s.nudge()
	if dropped > 0 && l.o.Dropped != nil {
		l.o.Dropped(m.Class, dropped)
	}
	return err
}

func (l *Link) check(m Message) (*outgoing, error) {
	if m.Class < ClassResult || int(m.Class) > classes {
		return nil, fmt.Errorf("%s: %w", m.Topic, ErrClass)
	}
	if err := checkSub(l.up, m.Topic); err != nil {
		return nil, err
	}
	if len(m.Payload) > maxPayload {
		return nil, fmt.Errorf("%s: %d bytes: %w", m.Topic, len(m.Payload), ErrTooBig)
	}
	return &outgoing{Message: m}, nil
}

// Run keeps the session until ctx ends, says farewell, and returns nil when the goroutines that it started have
// ended. That takes 2 s without a farewell's PUBACK, and about a second more on a socket that takes no bytes. It may
// be called once.
func (l *Link) Run(ctx context.Context) error {
	defer l.setState(StateStopped)
	defer l.wg.Wait()
	l.retry.restart(time.Now())
	if l.o.Look != nil {
		l.wg.Go(func() { l.watch(ctx) })
	}
	for l.pause(ctx) {
		if err := l.turn(ctx); err != nil && ctx.Err() == nil {
			l.failed(err)
		}
	}
	return nil
}

// pause waits for the next attempt; false: ctx ended.
func (l *Link) pause(ctx context.Context) bool {
	now := time.Now()
	d := l.retry.wait(now)
	l.mu.Lock()
	l.stats.State, l.stats.Next = StateWaiting, now.Add(d)
	l.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// turn makes one attempt and lives through the sessions that come of it. An error means there was none.
func (l *Link) turn(ctx context.Context) error {
	l.setState(StateConnecting)
	l.renewal = renewal{used: l.look()}
	s, err := l.connect(ctx)
	if err != nil || s == nil {
		return err
	}
	for s != nil {
		l.attach(s)
		s = l.serve(ctx, s)
	}
	return nil
}

// connect dials and logs in. No session without an error: the old one was wiped instead.
func (l *Link) connect(ctx context.Context) (*session, error) {
	w, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	if l.retry.big >= wipeAfter {
		defer w.Close()
		return nil, l.wipe(ctx, w)
	}
	s, err := l.login(ctx, w, false)
	if err != nil {
		w.Close()
		return nil, err
	}
	return s, nil
}

func (l *Link) dial(ctx context.Context) (*conn, error) {
	l.mu.Lock()
	l.stats.Attempts++
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	c, err := l.o.Dial(ctx)
	var f *failure
	if err != nil && !errors.As(err, &f) {
		err = &failure{why: ReasonDial, err: err}
	}
	if err != nil {
		return nil, err
	}
	w := newConn(c)
	if g, ok := c.(*given); ok {
		w.broker, w.keep = g.broker, g.keep
	}
	l.mu.Lock()
	l.stats.Broker = w.broker
	l.mu.Unlock()
	return w, nil
}

// failed counts an attempt that gave no session, and reports it when the reason is new.
func (l *Link) failed(err error) {
	why := reasonOf(err)
	barred := l.retry.failed(time.Now(), why)
	l.mu.Lock()
	l.stats.Losses[why]++
	l.stats.LastError = err.Error()
	l.mu.Unlock()
	switch {
	case barred:
		l.report(rack.Error, why, fmt.Sprintf("the broker has refused the credentials for %s; the next attempts are up to %s apart",
			authAfter, LongestRefused(l.retry.spread)), err)
	case why == l.told:
	case why == ReasonAuth || why == ReasonCredentials || why == ReasonCertificate:
		l.report(rack.Error, why, "the broker cannot be logged in to", err)
	default:
		l.report(rack.Warn, why, "no connection to the broker", err)
	}
	l.told = why
}

// wipe has the broker discard this client's session, because a queued message over the frame limit would end
// every connection. Commands queued with it go too; their senders see no status and send them again.
func (l *Link) wipe(ctx context.Context, w *conn) error {
	s, err := l.login(ctx, w, true)
	if err != nil {
		return err
	}
	s.client.Disconnect(quiesce)
	l.retry.big = 0
	l.mu.Lock()
	l.stats.Wiped++
	l.mu.Unlock()
	l.report(rack.Error, ReasonOversize,
		"a message over 256 KiB waited at the broker; the session was discarded with all queued commands", nil)
	return nil
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

// report writes one line and raises one event.
func (l *Link) report(sev rack.Severity, why Reason, text string, err error) {
	attrs := []any{"reason", string(why)}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	l.log.Log(context.Background(), level(sev), text, attrs...)
	if l.o.Event == nil {
		return
	}
	if err != nil {
		text += ": " + err.Error()
	}
	l.o.Event(rack.Event{Kind: rack.EventLink, Severity: sev, At: time.Now(), Reason: string(why), Text: text})
}
