package link

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"rackagent/agent/rack"
)

// files is what a link sees of the files of its connection.
type files struct {
	mu   sync.Mutex
	look Look
}

func (f *files) set(change func(*Look)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.look)
}

func (f *files) now() Look {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.look
	k.At, k.Known = time.Now(), true
	return k
}

func renewed(k *Look) { k.Digest[0]++ }

func looking(files *files) func(*rig, *Opts) {
	return func(_ *rig, o *Opts) { o.Look = files.now }
}

// A changed file leads to a new connection, spread over 5 min, without a moment in which the agent is not connected,
// without a will, and with every message delivered.
func TestChangedFilesMakeANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if _, ok := p.(*packets.ConnectPacket); ok && c.n > 1 {
				f.nth(c.n - 1).Close() // as every broker: two clients with one id
			}
			return false
		}
		files := &files{}
		r := start(t, f.dial, sayings, looking(files))
		settle(time.Minute + time.Second)
		files.set(renewed)
		delivered := 0
		for range 300 {
			m := telemetry("t")
			m.Delivered = func() { delivered++ }
			r.send(m)
			settle(time.Second)
			if r.State() != StateUp {
				t.Fatal(r.State())
			}
		}
		// Seen at 2 min, and half of the 5 min later: at the look at 5 min.
		if st := r.Stats(); f.count() != 2 || st.Renewals != 1 || len(st.Losses) > 0 || delivered != 300 || st.Conn != 2 {
			t.Errorf("%d connections, %d delivered, %+v", f.count(), delivered, st)
		}
		if at := f.nth(2).at.Sub(f.nth(1).at); at != 5*time.Minute {
			t.Errorf("after %v", at)
		}
		if got := f.payloads(f.nth(2)); got[0] != "online 2" {
			t.Errorf("%q", got)
		}
		r.stop()
		f.wg.Wait()
		if got := f.payloads(f.last()); got[len(got)-1] != "shutdown 2" {
			t.Errorf("%q", got)
		}
	})
}

// Files that the broker refuses cost nothing: the old connection stays, and the next try comes 5 min later.
func TestNewFilesThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if _, ok := p.(*packets.ConnectPacket); ok && c.n > 1 {
				c.connack(packets.ErrRefusedNotAuthorised)
				return true
			}
			return false
		}
		files := &files{}
		r := start(t, f.dial, looking(files))
		settle(time.Second)
		files.set(renewed)
		settle(20 * time.Minute)
		if st := r.Stats(); st.State != StateUp || st.Connects != 1 || f.count() < 3 || f.count() > 5 || st.Renewals != 0 {
			t.Errorf("%d connections, %+v", f.count(), st)
		}
		r.send(telemetry("t"))
		settle(time.Second)
		if got := f.payloads(f.nth(1)); len(got) != 1 {
			t.Errorf("%q", got)
		}
		// Half a pair: certificate and key do not belong together for a while.
		n := f.count()
		files.set(func(k *Look) { k.Err = errors.New("private key does not match public key") })
		settle(20 * time.Minute)
		if a := r.alarm("certificate"); f.count() != n || a.Cleared || !strings.Contains(a.Text, "does not match") {
			t.Errorf("%d connections, %+v", f.count()-n, a)
		}
		files.set(func(k *Look) { k.Err = nil; k.Digest[0]-- }) // and back again to what is in use
		settle(20 * time.Minute)
		if a := r.alarm("certificate"); f.count() != n || !a.Cleared {
			t.Errorf("%d connections, %+v", f.count()-n, a)
		}
		r.stop()
		f.wg.Wait()
	})
}

// With a minute and a half left of the old certificate the new connection does not wait for its turn.
func TestTheOldCertificateIsNotOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.on = func(c *fakeConn, p packets.ControlPacket) bool {
			if _, ok := p.(*packets.ConnectPacket); ok && c.n > 1 {
				f.nth(c.n - 1).Close()
			}
			return false
		}
		end := time.Now().Add(150 * time.Second)
		files := &files{look: Look{Until: end}}
		r := start(t, f.dial, looking(files))
		settle(time.Second)
		files.set(func(k *Look) { renewed(k); k.Until = end.Add(90 * 24 * time.Hour) })
		settle(2 * time.Minute)
		if f.count() != 2 || !f.last().at.Before(end) {
			t.Errorf("%d connections, the last %v before the end", f.count(), end.Sub(f.last().at))
		}
		r.stop()
		f.wg.Wait()
	})
}

// An alarm 30 days before the end, again 7 days before and at the end, each once; with or without a connection.
func TestExpiryIsAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		f.setDown(true)
		end := time.Now().Add(31 * 24 * time.Hour)
		files := &files{look: Look{Until: end}}
		r := start(t, f.dial, looking(files))
		var got []rack.Severity
		for range 32 {
			settle(24 * time.Hour)
		}
		r.mu.Lock()
		for _, a := range r.alarms {
			got = append(got, a.Severity)
		}
		r.mu.Unlock()
		if len(got) != 3 || got[0] != rack.Warn || got[1] != rack.Error || got[2] != rack.Critical {
			t.Errorf("%v", got)
		}
		files.set(func(k *Look) { k.Until = end.Add(90 * 24 * time.Hour) })
		settle(2 * time.Minute)
		if a := r.alarm("certificate"); !a.Cleared {
			t.Errorf("%+v", a)
		}
		r.stop()
		f.wg.Wait()
	})
}

// What is known of the files, by what they say and what the clock knows.
func TestLook(t *testing.T) {
	a := newAuthority(t)
	a.issue("agent", agent)
	a.issue("other", "r16")
	from, to := a.template("x").NotBefore, a.template("x").NotAfter
	good := TLS{CA: a.path("ca.pem"), Cert: a.path("agent.pem"), Key: a.path("agent.key"), Names: []string{agent, "controller-r17"}}
	clock := func(at time.Time, known bool) func(*TLS) {
		return func(f *TLS) { f.Now = func() (time.Time, bool) { return at, known } }
	}
	for name, c := range map[string]struct {
		change func(*TLS)
		want   error
	}{
		"good":                                 {func(*TLS) {}, nil},
		"of another rack":                      {func(f *TLS) { f.Cert, f.Key = a.path("other.pem"), a.path("other.key") }, ErrForeign},
		"nobody in particular":                 {func(f *TLS) { f.Names = nil }, nil},
		"expired":                              {clock(to.Add(time.Minute), true), ErrExpired},
		"expired, by a clock that nobody sets": {clock(to.Add(time.Minute), false), nil},
		"not yet":                              {clock(from.Add(-time.Minute), true), ErrNotYetValid},
		"in 1970":                              {clock(time.Unix(0, 0), false), nil},
	} {
		f := good
		c.change(&f)
		k := f.Look()
		if !errors.Is(k.Err, c.want) || c.want == nil && k.Err != nil {
			t.Errorf("%s: %v", name, k.Err)
		}
		if k.Leaf == nil || k.Digest == (Look{}).Digest || k.Until.IsZero() {
			t.Errorf("%s: %+v", name, k)
		}
		if c.want != nil {
			dial, err := Dialer([]string{"mqtts://127.0.0.1:1"}, f)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dial(t.Context()); !errors.Is(err, c.want) || reasonOf(err) != ReasonCertificate {
				t.Errorf("%s: dialled: %v", name, err)
			}
		}
	}
	before := good.Look()
	a.issue("agent", agent)
	if after := good.Look(); after.Digest == before.Digest || after.Err != nil {
		t.Errorf("a new certificate: %v", after.Err)
	}
}

// A board that wakes up in 1970 reaches its broker: nothing is older than its own files.
func TestTLSWithAClockThatNobodySet(t *testing.T) {
	a := newAuthority(t)
	a.issue("broker", "broker")
	a.issue("agent", agent)
	addr := listen(t, "ok", a.server("broker"))
	for known, want := range map[bool]string{false: "ok", true: "not valid yet"} {
		dial, err := Dialer([]string{"mqtts://" + addr}, TLS{
			CA: a.path("ca.pem"), Cert: a.path("agent.pem"), Key: a.path("agent.key"),
			Now: func() (time.Time, bool) { return time.Unix(0, 0), known },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := who(t, dial); !strings.Contains(got, want) {
			t.Errorf("known %t: %s", known, got)
		}
	}
}
