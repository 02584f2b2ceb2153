package link

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// SelfTest says what is made of an echo that does not come. A broker may drop what its ACL forbids and acknowledge it
// all the same, and grant a subscription from which nothing ever comes (mosquitto and NATS do): no acknowledgement
// tells an agent that it is locked out.
type SelfTest uint8

// The ways to test.
const (
	SelfTestOff    SelfTest = iota // nothing is sent, nothing is asked for
	SelfTestLearn                  // an echo is missed once one has come: the broker and its users may know nothing of it
	SelfTestDemand                 // an echo is missed from the start
)

const (
	testTopic = "selftest" // below up/: what the agent sends. Below down/: what a responder sends back
	testEvery = time.Hour
	testAgain = 5 * time.Minute // while the alarm stands, so that it is known when the broker was put right; arbitrary
	testDelay = time.Second     // between looks at whether there is nothing else on its way
	echoLimit = 10 * time.Second
	// maxEcho is the longest payload that is searched for the nonce. Arbitrary: ours has 60 bytes.
	maxEcho = 1 << 10
)

// Verdict is what the newest self test found.
type Verdict string

// The verdicts.
const (
	VerdictNone   Verdict = ""       // none has ended yet, or none is made
	VerdictGood   Verdict = "good"   // what was sent came back
	VerdictSilent Verdict = "silent" // nothing has ever come back: perhaps nobody is there to send it back
	VerdictLocked Verdict = "locked" // what came back before, or must, does not
)

// rights is the memory of what the ACL was seen to allow. It outlives connections. Link.mu guards it.
type rights struct {
	nonce  string // of the test under way; empty: none
	sent   time.Time
	acked  time.Time // when the broker acknowledged the nonce
	own    bool      // it came back on up/selftest
	echoed bool      // it came back on down/selftest

	heard               bool // something else came below down/ on this connection
	everOwn, everEchoed bool
	barred              bool // the broker cut the connection when up/selftest was asked for
	verdict             Verdict

	subscribe, silence string // what is wrong: the subscription to down/#, and what did not come back
}

// tester makes the self tests of one connection. The pump owns it.
type tester struct {
	l     *Link
	s     *session
	timer *time.Timer
	asked bool // up/selftest was asked for on this connection
}

func (l *Link) newTester(s *session) *tester {
	t := &tester{l: l, s: s, timer: time.NewTimer(testDelay)}
	if l.o.SelfTest == SelfTestOff {
		t.timer.Stop()
	}
	l.mu.Lock()
	l.rights.nonce, l.rights.heard = "", false
	l.mu.Unlock()
	return t
}

func (t *tester) stop() { t.timer.Stop() }

// turn goes on with the test when the timer has fired.
func (t *tester) turn() {
	l := t.l
	l.mu.Lock()
	r, busy := l.rights, len(t.s.ids)+len(t.s.front) > 0
	l.mu.Unlock()
	switch {
	case r.nonce == "" && busy: // births first; and a cut shall not be laid to one of them
		t.timer.Reset(testDelay)
	case r.nonce == "":
		t.timer.Reset(t.begin())
	case r.acked.IsZero() && time.Since(r.sent) < 6*echoLimit: // a slow line says nothing about rights
		t.timer.Reset(testDelay)
	case r.acked.IsZero():
		t.end()
		t.timer.Reset(testAgain)
	case time.Since(r.acked) < echoLimit:
		t.timer.Reset(echoLimit - time.Since(r.acked))
	default:
		t.end()
		t.timer.Reset(t.judge(r))
	}
}

// begin asks for up/selftest if that was not done on this connection, and sends a nonce there.
func (t *tester) begin() time.Duration {
	if !t.ask() {
		return testDelay // the connection is gone
	}
	var b [8]byte
	rand.Read(b[:])
	nonce, now := hex.EncodeToString(b[:]), time.Now()
	l := t.l
	l.mu.Lock()
	l.rights.nonce, l.rights.sent = nonce, now
	l.rights.acked, l.rights.own, l.rights.echoed = time.Time{}, false, false
	l.mu.Unlock()
	err := l.Send(Message{
		Topic: testTopic, Payload: wire.SelfTest{Nonce: nonce, At: now}.Encode(), Class: ClassInfo, Until: now.Add(echoLimit),
		Delivered: func() { l.acknowledged(nonce) },
	})
	if err != nil { // a full queue
		t.end()
		return testAgain
	}
	return testDelay
}

// ask subscribes to the agent's own up/selftest, for which the ACL needs a line of its own. A broker that answers with a
// cut is not asked again by this Link.
func (t *tester) ask() bool {
	l := t.l
	l.mu.Lock()
	barred := l.rights.barred
	l.mu.Unlock()
	if t.asked || barred {
		return true
	}
	t.asked = true
	_, err := subscribe(t.s.client, l.up+testTopic, t.s.done)
	if err == nil {
		return true // what a refusal means is for the echo to say
	}
	if cause := t.s.w.ended(); cause != nil && reasonOf(cause) == ReasonCut {
		l.mu.Lock()
		l.rights.barred = true
		l.mu.Unlock()
		l.report(rack.Warn, ReasonSubscribe, "the broker cuts the connection when "+l.up+testTopic+
			" is asked for: not asked again; mqtt.selftest: false spares the cut, a line in its ACL makes it work", nil)
	}
	return false
}

func (l *Link) acknowledged(nonce string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rights.nonce == nonce {
		l.rights.acked = time.Now()
	}
}

// end forgets the nonce: what comes back later is late.
func (t *tester) end() {
	t.l.mu.Lock()
	t.l.rights.nonce = ""
	t.l.mu.Unlock()
}

// echo takes what came on one of the two topics. It runs on the reader.
func (l *Link) echo(payload []byte, retained, own bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.rights
	if retained || r.nonce == "" || len(payload) > maxEcho || !strings.Contains(string(payload), r.nonce) {
		return
	}
	if own {
		r.own, r.everOwn = true, true
	} else {
		r.echoed, r.everEchoed = true, true
	}
}

// judge says what the test has found, and when the next is due. r is what was known when it ended.
func (t *tester) judge(r rights) time.Duration {
	l := t.l
	verdict, text := l.finding(r)
	l.mu.Lock()
	before := l.rights.silence
	l.rights.verdict = verdict
	l.mu.Unlock()
	switch {
	case verdict == VerdictSilent && r.verdict != VerdictSilent:
		l.report(rack.Info, "", "nothing came back from "+l.up+testTopic+": nobody answers self tests, and the broker's ACL has no line "+
			"topic read "+l.up+testTopic+". If that is meant to be so, mqtt.selftest: false ends this", nil)
	case text != before && text == "":
		l.report(rack.Info, ReasonLocked, "self test: the broker lets this agent speak and hear again", nil)
	case text != before:
		l.report(rack.Error, ReasonLocked, "self test: "+text, nil)
	}
	l.lockOut(func(r *rights) { r.silence = text })
	if verdict == VerdictLocked {
		return testAgain
	}
	return testEvery
}

// finding judges a test that has ended. The text names what is missing in the broker's ACL, in mosquitto's words.
// Responders come and go, so that only an agent that is to demand an answer misses one.
func (l *Link) finding(r rights) (Verdict, string) {
	const missing = "a line is missing in the broker's ACL: "
	write, hear, own := "topic write "+l.up+"#", "topic read "+l.down+"#", "topic read "+l.up+testTopic
	demanded := l.o.SelfTest == SelfTestDemand
	switch {
	case r.echoed: // both ways are proven
		return VerdictGood, ""
	case r.own && demanded && r.everEchoed && !r.heard:
		return VerdictLocked, "messages reach the broker, and no answer comes on " + l.down + testTopic + ": nobody answers any more, or " + missing + hear
	case r.own:
		return VerdictGood, ""
	case r.everOwn && r.everEchoed && demanded:
		return VerdictLocked, "messages do not reach the broker: " + missing + write
	case r.everOwn:
		return VerdictLocked, "messages do not come back: " + missing + write + ", or " + own
	case demanded && r.everEchoed:
		return VerdictLocked, "no answer comes: nobody answers any more, or " + missing + write + ", or " + hear
	case demanded:
		return VerdictLocked, "messages do not come back: " + missing + write + ", or " + own + "; or, where somebody answers, " + hear
	default:
		return VerdictSilent, ""
	}
}

// lockOut changes what is wrong, and the alarm with it.
func (l *Link) lockOut(change func(*rights)) {
	l.mu.Lock()
	before := l.rights.wrong()
	change(&l.rights)
	now := l.rights.wrong()
	l.mu.Unlock()
	switch {
	case now == before:
	case now == "":
		l.calm(alarmSelfTest)
	default:
		l.raise(alarmSelfTest, rack.Error, now)
	}
}

func (r *rights) wrong() string {
	switch {
	case r.subscribe == "":
		return r.silence
	case r.silence == "":
		return r.subscribe
	default:
		return r.subscribe + "; " + r.silence
	}
}
