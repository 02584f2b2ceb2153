package link

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"rackagent/agent/rack"
)

const (
	dialLimit     = 10 * time.Second // TCP and TLS
	flushLimit    = time.Second      // results and events that wait go before the farewell, so long
	farewellLimit = 2 * time.Second  // from the end of ctx to the farewell's PUBACK
	stateTopic    = "state"
)

// session is one connection.
type session struct {
	conn     int // counts CONNECTs
	w        *conn
	client   mqtt.Client
	acks     *acks
	present  bool // the broker had kept the session
	up       time.Time
	flapping bool          // the connection before was lost early
	lost     chan error    // paho has stopped all its goroutines
	done     chan struct{} // closed when the session is over
	wake     chan struct{} // there may be something to send

	// Link.mu guards the rest.
	ids     map[uint16]*outgoing // given to paho, not acknowledged
	handing *outgoing            // being given to paho, identifier not known yet
	front   []*outgoing          // goes before the queues
	single  bool                 // one at a time, until the front is acknowledged
	closing bool                 // only results, events and the farewell
	hurry   bool                 // only the farewell
	bye     *outgoing            // the farewell, until it is sent
	parted  bool                 // it is: nothing may follow it, or the agent would stay "online" for ever
}

// broker names the other end for people.
func (s *session) broker() string {
	if s.w.broker == "" {
		return "the broker"
	}
	return "broker " + s.w.broker
}

// nudge makes the pump look.
func (s *session) nudge() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// login sends CONNECT and waits for the answer. clean asks the broker to forget the session, and leaves no will.
func (l *Link) login(ctx context.Context, w *conn, clean bool) (*session, error) {
	o, err := clientOptions(w, l.o.ClientID, l.o.User, l.o.Password)
	if err != nil {
		return nil, err
	}
	s := &session{
		w: w, acks: newAcks(), ids: map[uint16]*outgoing{},
		lost: make(chan error, 1), done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	l.mu.Lock()
	l.stats.Conn++
	s.conn = l.stats.Conn
	l.mu.Unlock()
	o.SetCleanSession(clean)
	o.SetAutoAckDisabled(true)
	o.SetStore(&store{link: l, session: s})
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { l.receive(s, m) })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.lost <- err })
	if l.o.Will != nil && !clean {
		o.SetBinaryWill(l.up+stateTopic, l.o.Will(s.conn), 1, true)
	}
	s.client = mqtt.NewClient(o)
	s.present, err = connect(ctx, s.client, w)
	return s, err
}

// attach puts a session into service.
func (l *Link) attach(s *session) {
	s.up, s.flapping = time.Now(), l.retry.early > 0
	s.single = s.flapping
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	l.stats.State, l.stats.Subscribed, l.stats.Up = StateUp, false, s.up
	l.stats.Connects++
}

// withdraw takes it out of service: whatever paho still reads, Delivered is not called any more. It needs Link.mu.
func (l *Link) withdraw(s *session) {
	l.session = nil
	l.stats.Subscribed = false
	clear(s.ids)
}

// serve lives through one session. It returns when the connection is lost, or ctx has ended and the farewell is said, or
// with the session that takes its place.
func (l *Link) serve(ctx context.Context, s *session) (next *session) {
	defer s.w.Close()
	l.wg.Go(func() { l.pump(s) })
	l.wg.Go(func() { s.acks.run(s.done) })
	good := time.NewTimer(steady)
	defer good.Stop()
	// A second client like this one would have come back by then.
	alone := time.NewTimer(max(aloneFor, LongestInUse(l.retry.spread)))
	defer alone.Stop()
	look := time.NewTicker(l.sooner(lookEvery))
	defer look.Stop()
	for {
		select {
		case err := <-s.lost:
			l.detach(s, err)
			return nil
		case <-ctx.Done():
			l.finish(s)
			return nil
		case <-good.C:
			l.holds(s)
		case <-alone.C:
			l.isAlone()
		case now := <-look.C:
			if l.outdated(now); l.renewal.due.IsZero() || now.Before(l.renewal.due) {
				continue
			}
			if next = l.renew(ctx); next != nil {
				l.replace(s)
				return next
			}
		}
	}
}

// holds notes that a connection is a good one.
func (l *Link) holds(s *session) {
	s.w.keep()
	if s.flapping {
		l.report(rack.Info, "", fmt.Sprintf("connection %d to %s holds", s.conn, s.broker()), nil)
	}
	l.told = ""
}

// isAlone takes back the suspicion of a second client.
func (l *Link) isAlone() {
	if !l.inUse {
		return
	}
	l.inUse = false
	l.report(rack.Info, "", fmt.Sprintf("client id %q is in use nowhere else", l.o.ClientID), nil)
	l.calm(alarmClientID)
}

// detach takes a lost session out of service and decides what its end means.
func (l *Link) detach(s *session, err error) {
	err = s.verdict(err)
	why, now := reasonOf(err), time.Now()
	lived := now.Sub(s.up)
	l.mu.Lock()
	suspected, poison := l.blame.judge(now, s, lived, why)
	l.withdraw(s)
	if poison != nil {
		l.outstanding = without(l.outstanding, poison)
		l.stats.Quarantined++
	}
	l.stats.Losses[why]++
	l.stats.LastError = err.Error()
	l.mu.Unlock()
	close(s.done)
	second := l.retry.lost(now, lived, why, suspected)
	if poison != nil {
		l.quarantine(poison)
	}
	l.reportLoss(s, why, err, lived, second)
}

// verdict finds out why the connection ended: what it saw itself, else what paho could not decode.
func (s *session) verdict(err error) error {
	if cause := s.w.ended(); cause != nil && reasonOf(cause) != ReasonStopped {
		return cause
	}
	return &failure{why: ReasonMalformed, err: err}
}

func without(list []*outgoing, m *outgoing) []*outgoing {
	return slices.DeleteFunc(list, func(o *outgoing) bool { return o == m })
}

// quarantine makes known that a message is set aside.
func (l *Link) quarantine(m *outgoing) {
	l.report(rack.Error, ReasonCut, fmt.Sprintf("the broker cuts the connection whenever it is sent %s (%d bytes): set aside",
		l.up+m.Topic, len(m.Payload)), nil)
	if l.o.Quarantined != nil {
		l.o.Quarantined(m.Message)
	}
}

func (l *Link) reportLoss(s *session, why Reason, err error, lived time.Duration, second bool) {
	switch {
	case second:
		l.report(rack.Error, why, fmt.Sprintf("cut three times within 5 s of connecting: is client id %q in use elsewhere, "+
			"or does the broker not allow down/#? The next attempts are up to %s apart", l.o.ClientID, LongestInUse(l.retry.spread)), err)
		l.inUse = true
		l.raise(alarmClientID, rack.Error, fmt.Sprintf("client id %q in use elsewhere? Three connections in a row were cut within 5 s", l.o.ClientID))
	case why != l.told || lived >= steady:
		l.report(rack.Warn, why, fmt.Sprintf("connection %d to %s lost after %s", s.conn, s.broker(), lived.Round(time.Millisecond)), err)
	}
	l.told = why
}

// receive is paho's handler for everything that comes in.
func (l *Link) receive(s *session, m mqtt.Message) {
	ack := s.acks.add(m)
	topic, ours := strings.CutPrefix(m.Topic(), l.down)
	own := m.Topic() == l.up+testTopic
	if own || ours && topic == testTopic { // never the receiver's: it is not about the rack
		l.echo(m.Payload(), m.Retained(), own)
		ack()
		return
	}
	taken := ours && l.o.Inbound(Inbound{
		Topic: topic, Payload: m.Payload(), Retained: m.Retained(), Duplicate: m.Duplicate(), Received: time.Now(), Ack: ack,
	})
	if !taken {
		ack()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rights.heard = l.rights.heard || ours
	l.stats.Inbound++
	count(&l.stats.Duplicates, m.Duplicate())
	count(&l.stats.Retained, m.Retained())
	count(&l.stats.Unrouted, !ours)
	count(&l.stats.Overrun, ours && !taken)
}

func count(n *uint64, yes bool) {
	if yes {
		*n++
	}
}

// finish ends a session in order: results and events that wait, the farewell, DISCONNECT. If the farewell is not
// acknowledged the connection is dropped instead, so that the broker publishes the will: DISCONNECT would
// suppress it, and the agent would stay "online" for ever.
func (l *Link) finish(s *session) {
	said := make(chan struct{})
	var bye *outgoing
	if l.o.Farewell != nil {
		bye = &outgoing{birth: true, Message: Message{
			Topic: stateTopic, Retain: true, Class: ClassResult,
			Payload: l.o.Farewell(s.conn), Delivered: func() { close(said) },
		}}
	} else {
		close(said)
	}
	l.mu.Lock()
	s.closing, s.bye = true, bye
	l.mu.Unlock()
	s.nudge()
	if l.said(s, said) {
		s.client.Disconnect(quiesce)
	}
	s.w.Close()
	l.mu.Lock()
	l.withdraw(s)
	l.mu.Unlock()
	close(s.done)
}

// said waits for the farewell to be acknowledged.
func (l *Link) said(s *session, said <-chan struct{}) bool {
	flush, limit := time.NewTimer(flushLimit), time.NewTimer(farewellLimit)
	defer flush.Stop()
	defer limit.Stop()
	for {
		select {
		case <-said:
			return true
		case <-s.lost: //nolint:errcheck // why does not matter here
			return false
		case <-limit.C:
			return false
		case <-flush.C:
			l.mu.Lock()
			s.hurry = true
			l.mu.Unlock()
			s.nudge()
		}
	}
}
