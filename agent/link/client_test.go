package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func operator(t *testing.T, o ClientOpts) *Client {
	t.Helper()
	o.Site = site
	c, err := Connect(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A command goes out, its states come back.
func TestClientFollowsACommandToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		var r *rig
		r = start(t, b.dial, func(_ *rig, o *Opts) {
			o.Inbound = func(m Inbound) bool {
				for _, st := range []string{"accepted", "running", "succeeded", "never seen"} {
					r.send(result("cmd/a1", st))
				}
				m.Ack()
				return true
			}
		})
		settle(time.Second)
		c := operator(t, ClientOpts{Dial: b.dial})
		var states []string
		err := c.Do(context.Background(), agent, Command{ID: "a1", Payload: []byte("{}"), Status: func(p []byte) bool {
			states = append(states, string(p))
			return string(p) == "succeeded"
		}})
		if err != nil || !slices.Equal(states, []string{"accepted", "running", "succeeded"}) {
			t.Errorf("%q, %v", states, err)
		}
		if got := b.seen(cmdAt); len(got) != 1 {
			t.Errorf("sent %d times", len(got))
		}
		c.Close()
		r.stop()
		b.stop()
	})
}

// The broker's acknowledgement is not the agent's: without a status the same command is sent again.
func TestClientRepeatsUntilTheAgentSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		c := operator(t, ClientOpts{Dial: b.dial})
		ended := make(chan error)
		go func() {
			ended <- c.Do(context.Background(), agent, Command{
				ID: "a1", Payload: []byte("x"), Repeat: 2 * time.Second,
				Status: func(p []byte) bool { return string(p) == "succeeded" },
			})
		}()
		settle(5 * time.Second) // at 0, 2 and 4 s
		if n := len(b.seen(cmdAt)); n != 3 {
			t.Errorf("sent %d times in 5 s", n)
		}
		b.publish(upAt+"cmd/a1", "accepted", false)
		settle(5 * time.Second) // the agent has spoken: patience is three times as long
		if n := len(b.seen(cmdAt)); n != 3 {
			t.Errorf("sent %d times, 5 s after a status", n)
		}
		settle(2 * time.Second)
		if n := len(b.seen(cmdAt)); n != 4 {
			t.Errorf("sent %d times, 7 s after a status", n)
		}
		b.publish(upAt+"cmd/other", "succeeded", false)
		b.publish(upAt+"cmd/a1", "succeeded", false)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
		b.stop()
	})
}

func TestClientCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		c := operator(t, ClientOpts{Dial: f.dial})
		cmd := Command{ID: "a", Payload: []byte("x"), Status: func([]byte) bool { return true }}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Do(ctx, agent, cmd); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an agent: %v", err)
		}
		ended := make(chan error, 2)
		go func() { ended <- c.Do(context.Background(), agent, cmd) }()
		go func() {
			ended <- c.Follow(context.Background(), "+", "#", func(Received) bool { return true })
		}()
		settle(time.Second)
		f.last().Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("after the loss: %v", err)
			}
		}
		if err := c.Do(context.Background(), agent, cmd); err == nil {
			t.Error("on a lost connection: no error")
		}
		c.Close()
		f.wg.Wait()
	})
}

func TestClientRefusesWhatTheContractForbids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		c := operator(t, ClientOpts{Dial: f.dial})
		ok := Command{ID: "a", Payload: []byte("x"), Status: func([]byte) bool { return true }}
		long := ok
		long.Payload = make([]byte, maxPayload+1)
		id := ok
		id.ID = "a/b"
		for _, err := range []error{
			c.Do(context.Background(), "+", ok), c.Do(context.Background(), agent, id), c.Do(context.Background(), agent, long),
			c.Follow(context.Background(), "R17", "#", nil), c.Follow(context.Background(), agent, "cmd/+", nil),
		} {
			if !errors.Is(err, ErrTopic) && !errors.Is(err, ErrTooBig) {
				t.Errorf("%v", err)
			}
		}
		if n := len(f.payloads(f.last())); n != 0 {
			t.Errorf("%d publishes", n)
		}
		c.Close()
		if _, err := Connect(context.Background(), ClientOpts{Site: "#", Dial: f.dial}); !errors.Is(err, ErrTopic) {
			t.Error(err)
		}
		if _, err := Connect(context.Background(), ClientOpts{Site: site}); err == nil {
			t.Error("without Dial: accepted")
		}
		f.setDown(true)
		if _, err := Connect(context.Background(), ClientOpts{Site: site, Dial: f.dial}); !errors.Is(err, errDown) {
			t.Error(err)
		}
		f.wg.Wait()
	})
}

func TestClientIsToldOfARefusedSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		b.acl = func(topic string, write bool) bool { return write || strings.HasSuffix(topic, "/tele") }
		c := operator(t, ClientOpts{Dial: b.dial})
		err := c.Follow(context.Background(), agent, "cmd/a", func(Received) bool { return true })
		if !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
		c.Close()
		b.stop()
	})
}

func TestClientFollowsManyAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMochi(t)
		b.publish("rackagent/v1/demo/r18/up/state", "online", true)
		c := operator(t, ClientOpts{Dial: b.dial})
		var got []string
		ended := make(chan error)
		go func() {
			ended <- c.Follow(context.Background(), "+", "#", func(m Received) bool {
				got = append(got, fmt.Sprintf("%s %s %s %t", m.Agent, m.Topic, m.Payload, m.Retained))
				return m.Topic != "event"
			})
		}()
		settle(time.Second)
		b.publish(upAt+"cmd/a", "accepted", false)
		b.publish(cmdAt, "not an uplink", false)
		b.publish("rackagent/v1/elsewhere/r17/up/tele", "another site", false)
		b.publish(upAt+"event", "x", false)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{"r18 state online true", "r17 cmd/a accepted false", "r17 event x false"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		c.Close()
		b.stop()
	})
}

// A follower that does not keep up is told so, and the connection lives on.
func TestSlowFollowerIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		c := operator(t, ClientOpts{Dial: f.dial})
		ended := make(chan error)
		release := make(chan struct{})
		go func() {
			ended <- c.Follow(context.Background(), agent, "tele", func(Received) bool { <-release; return true })
		}()
		settle(time.Second)
		for i := range followQueue + 2 {
			f.last().publish(upAt+"tele", "x", uint16(i+1))
		}
		settle(time.Minute)
		close(release)
		if err := <-ended; !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
		if c.ended() != nil {
			t.Error(c.ended())
		}
		c.Close()
		f.wg.Wait()
	})
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/+/c", "a/b/c", true},
		{"a/+", "a", false},
		{"a/#", "a/b/c", true},
		{"a/#", "b/c", false},
	} {
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("%s, %s: %t", c.filter, c.topic, got)
		}
	}
}

// The operator's client notices a dead broker by itself.
func TestClientNoticesADeadBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		f := &fake{t: t, on: func(*fakeConn, packets.ControlPacket) bool { return dead.Load() }}
		c := operator(t, ClientOpts{Dial: f.dial})
		settle(time.Minute)
		began := time.Now()
		dead.Store(true)
		<-c.gone
		if d := time.Since(began); d > 10*time.Second || reasonOf(c.ended()) != ReasonSilent {
			t.Errorf("after %v: %v", d, c.ended())
		}
		c.Close()
		f.wg.Wait()
	})
}
