package link

import (
	"fmt"
	"slices"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"rackagent/agent/rack"
)

const (
	window      = 32          // outstanding publishes; mosquitto's own window is 20, so more gains nothing
	resubscribe = time.Minute // after a refusal, on the same connection; arbitrary
)

// outgoing is a Message on its way. Link.mu guards what is not the Message.
type outgoing struct {
	Message
	birth bool      // made for one connection, not sent again on another
	n     uint64    // counts the calls of Send; 0 for a birth
	first time.Time // when it was first given to a connection
	cuts  int       // connections cut while it alone was outstanding
}

// pump is the only publisher of a session.
func (l *Link) pump(s *session) {
	again := time.NewTimer(resubscribe)
	defer again.Stop()
	if !l.subscribe(s) {
		return
	}
	l.births(s)
	test := l.newTester(s)
	defer test.stop()
	for {
		m, ok := l.next(s)
		switch {
		case !ok:
			return
		case m != nil:
			l.publish(s, m)
			continue
		}
		select {
		case <-s.wake:
		case <-s.done:
			return
		case <-test.timer.C:
			test.turn()
		case <-again.C:
			again.Reset(resubscribe)
			if !l.subscribe(s) {
				return
			}
		}
	}
}

// subscribe asks for down/# unless it was granted before, and looks at the answer. A refusal does not end the
// session: the agent can still speak, and the question is put again later. No answer does.
func (l *Link) subscribe(s *session) bool {
	l.mu.Lock()
	granted := l.session == s && l.stats.Subscribed
	l.mu.Unlock()
	if granted {
		return true
	}
	filter := l.down + "#"
	code, err := subscribe(s.client, filter, s.done)
	if err != nil {
		_ = s.w.kill(err)
		return false
	}
	l.mu.Lock()
	if l.session == s {
		l.stats.Subscribed = code <= 1
	}
	l.mu.Unlock()
	l.reportSubscribed(s, filter, code)
	l.lockOut(func(r *rights) {
		if r.subscribe = ""; code > 1 {
			r.subscribe = "the broker refuses " + filter + ": a line is missing in its ACL: topic read " + filter
		}
	})
	return true
}

func (l *Link) reportSubscribed(s *session, filter string, code byte) {
	switch {
	case code > 1:
		l.report(rack.Critical, ReasonSubscribe, "the broker refuses "+filter+": no command can arrive", nil)
	case code == 0:
		l.report(rack.Warn, ReasonSubscribe, "the broker grants QoS 0 only: commands sent while offline are lost", nil)
	case !s.flapping:
		l.report(rack.Info, "", fmt.Sprintf("connected to %s, connection %d, session kept: %t", s.broker(), s.conn, s.present), nil)
	}
}

// births fills the front of the line: what OnUp gives, then what earlier connections left unacknowledged.
func (l *Link) births(s *session) {
	l.mu.Lock()
	before := l.sent
	l.mu.Unlock()
	var list []Message
	if l.o.OnUp != nil {
		list = l.o.OnUp(s.conn)
	}
	front := make([]*outgoing, 0, len(list))
	for _, m := range list {
		out, err := l.check(m)
		if err != nil {
			l.report(rack.Error, ReasonOther, "a message for a new connection was left out", err)
			continue
		}
		out.birth = true
		front = append(front, out)
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	front = slices.DeleteFunc(front, func(m *outgoing) bool { return l.blame.barred(m.Topic, now) })
	for _, m := range front {
		l.supersede(m, before)
	}
	s.front = append(front, l.outstanding...)
}

// supersede removes older retained messages on the topic of a birth: sent after it, they would undo it. What was sent
// when OnUp had been called may be newer than the birth, so it stays and follows the birth. It needs Link.mu.
func (l *Link) supersede(birth *outgoing, before uint64) {
	if !birth.Retain {
		return
	}
	older := func(m *outgoing) bool { return m.Retain && m.Topic == birth.Topic && m.n <= before }
	n := len(l.outstanding)
	l.outstanding = slices.DeleteFunc(l.outstanding, older)
	n += l.queue.remove(older) - len(l.outstanding)
	l.stats.Classes.of(birth.Class).Superseded += uint64(n)
}

// next gives the message to send now, nil if there is none or the window is full, false when the session is over.
func (l *Link) next(s *session) (*outgoing, bool) {
	now := time.Now()
	l.mu.Lock()
	if l.session != s {
		l.mu.Unlock()
		return nil, false
	}
	m, expired := l.pick(s, now)
	if m != nil {
		l.hand(s, m, now)
	}
	for i, n := range expired {
		l.stats.Classes[i].Expired += uint64(n)
	}
	l.mu.Unlock()
	for i, n := range expired {
		if n > 0 && l.o.Dropped != nil {
			l.o.Dropped(Class(i+1), n)
		}
	}
	return m, true
}

// pick needs Link.mu.
func (l *Link) pick(s *session, now time.Time) (m *outgoing, expired [classes]int) {
	last := ClassBackfill
	switch {
	case s.parted:
		return nil, expired
	case s.hurry:
		return s.farewell(), expired
	case s.closing:
		s.front, last = nil, ClassEvent
	}
	if len(s.ids) == 0 && len(s.front) == 0 {
		s.single = false
	}
	if len(s.ids) >= window || s.single && len(s.ids) > 0 {
		return nil, expired
	}
	if len(s.front) > 0 {
		m, s.front = s.front[0], s.front[1:]
		return m, expired
	}
	if m, expired = l.queue.pop(now, last); m != nil {
		l.outstanding = append(l.outstanding, m)
		return m, expired
	}
	return s.farewell(), expired
}

func (s *session) farewell() *outgoing {
	m := s.bye
	s.bye, s.parted = nil, m != nil
	return m
}

// hand notes which message the next identifier belongs to. It needs Link.mu.
func (l *Link) hand(s *session, m *outgoing, now time.Time) {
	s.handing = m
	st := l.stats.Classes.of(m.Class)
	if !m.first.IsZero() {
		st.Resent++
		return
	}
	m.first = now
	st.Sent++
}

// publish gives the message to paho. When paho's writer takes nothing for handOff, paho gives up on the packet, and
// it is offered again; how long that may go on is for the limit of a single write to say. A lost connection ends it.
func (l *Link) publish(s *session, m *outgoing) {
	for {
		t := s.client.Publish(l.up+m.Topic, 1, m.Retain, m.Payload).(*mqtt.PublishToken) //nolint:forcetypeassert // paho documents it
		select {
		case <-t.Done():
		default:
			return // on its way
		}
		if t.Error() == nil || !l.unbind(s, t.MessageID()) {
			return // acknowledged already, or the connection is gone and paho did not take it
		}
	}
}

// bind notes the identifier of the packet that is being handed over, before it is sent.
func (l *Link) bind(s *session, id uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.handing != nil {
		s.ids[id] = s.handing
	}
}

// unbind forgets a packet that was not sent; false if there is nothing to offer again.
func (l *Link) unbind(s *session, id uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := s.ids[id]
	delete(s.ids, id)
	return ok && l.session == s
}

// acked is called when the broker has acknowledged a packet of this session, by the reader.
func (l *Link) acked(s *session, id uint16) {
	l.mu.Lock()
	m, ok := s.ids[id]
	if ok {
		delete(s.ids, id)
		l.outstanding = without(l.outstanding, m)
		l.blame.clear(m)
		l.stats.Classes.of(m.Class).Delivered++
	}
	l.mu.Unlock()
	if !ok {
		return
	}
	s.nudge()
	if m.Delivered != nil {
		m.Delivered()
	}
}
