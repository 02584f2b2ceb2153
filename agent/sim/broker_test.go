package sim

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// client is a paho client whose every connection is a pipe to the world's broker.
func client(t *testing.T, w *World, id string, change ...func(*paho.ClientOptions)) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().
		AddBroker("tcp://sim").
		SetClientID(id).
		SetProtocolVersion(4).
		SetKeepAlive(5 * time.Second).
		SetPingTimeout(2 * time.Second).
		SetMaxReconnectInterval(time.Second).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return w.Broker().Pipe() })
	for _, f := range change {
		f(o)
	}
	return paho.NewClient(o)
}

func done(t *testing.T, tok paho.Token) {
	t.Helper()
	if !tok.WaitTimeout(30 * time.Second) {
		t.Fatal("no answer from the broker")
	}
	if err := tok.Error(); err != nil {
		t.Fatal(err)
	}
}

// leave ends a client in a bubble. paho sleeps through a reconnect it has begun, whatever happens meanwhile, and the
// bubble's time stops with its first goroutine: so it is given that time.
func leave(c paho.Client) {
	c.Disconnect(10)
	time.Sleep(5 * time.Second)
}

// start runs a broker without sockets.
func start(t *testing.T, w *World) {
	t.Helper()
	if err := w.Broker().Start(""); err != nil {
		t.Fatal(err)
	}
}

func TestBrokerOverPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		start(t, w)
		got := make(chan string, 100) // as many as are sent
		sub := client(t, w, "sub")
		done(t, sub.Connect())
		done(t, sub.Subscribe("rackagent/v1/#", 1, func(_ paho.Client, m paho.Message) {
			got <- fmt.Sprintf("%s %s %v", m.Topic(), m.Payload(), m.Retained())
		}))
		pub := client(t, w, "pub")
		done(t, pub.Connect())
		for i := range 50 {
			done(t, pub.Publish("rackagent/v1/demo/rack/up/x", 1, false, fmt.Sprint(i)))
		}
		for i := range 50 {
			if m, want := <-got, fmt.Sprintf("rackagent/v1/demo/rack/up/x %d false", i); m != want {
				t.Fatalf("%q, want %q", m, want)
			}
		}
		time.Sleep(10 * time.Minute) // pings keep the session
		if !sub.IsConnectionOpen() || !pub.IsConnectionOpen() {
			t.Error("an idle connection was lost")
		}
		leave(pub)
		leave(sub)
		synctest.Wait()
		msgs, sessions := Of[Message](w.Trace().Entries()), Of[Session](w.Trace().Entries())
		var in, outs int
		for _, m := range msgs {
			switch {
			case !m.Out && m.Client == "pub" && m.QoS == 1:
				in++
			case m.Out && m.Client == "sub" && m.Topic == "rackagent/v1/demo/rack/up/x":
				outs++
			}
		}
		if in != 50 || outs != 50 {
			t.Errorf("recorded %d in and %d out", in, outs)
		}
		if len(sessions) != 4 || sessions[0].Client != "sub" || sessions[0].Lost || !sessions[3].Lost {
			t.Errorf("%+v", sessions)
		}
	})
}

func TestBrokerRetainedAndWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		start(t, w)
		if err := w.Broker().Publish("a/state", []byte("on"), 1, true); err != nil {
			t.Fatal(err)
		}
		agent := client(t, w, "agent", func(o *paho.ClientOptions) {
			o.SetBinaryWill("a/lwt", []byte("gone"), 1, true).SetAutoReconnect(false)
		})
		done(t, agent.Connect())
		got := make(chan string, 10) // more than are sent
		sub := client(t, w, "sub")
		done(t, sub.Connect())
		done(t, sub.Subscribe("a/#", 1, func(_ paho.Client, m paho.Message) {
			got <- fmt.Sprintf("%s=%s %v", m.Topic(), m.Payload(), m.Retained())
		}))
		if m := <-got; m != "a/state=on true" {
			t.Errorf("%q", m)
		}
		w.Broker().Cut()
		time.Sleep(5 * time.Second) // the subscriber comes back
		for len(got) > 0 {
			<-got // the will may have overtaken the end of its connection
		}
		done(t, sub.Subscribe("a/lwt", 1, func(_ paho.Client, m paho.Message) {
			got <- fmt.Sprintf("%s=%s %v", m.Topic(), m.Payload(), m.Retained())
		}))
		if m := <-got; m != "a/lwt=gone true" {
			t.Errorf("%q", m)
		}
		var will []Message
		for _, m := range Of[Message](w.Trace().Entries()) {
			if m.Will {
				will = append(will, m)
			}
		}
		if len(will) != 1 || will[0].Client != "agent" || string(will[0].Payload) != "gone" || !will[0].Retain {
			t.Errorf("%+v", will)
		}
		leave(sub)
	})
}

func TestBrokerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		start(t, w)
		if err := w.Broker().Start(""); !errors.Is(err, ErrRunning) {
			t.Errorf("started twice: %v", err)
		}
		c := client(t, w, "agent")
		done(t, c.Connect())
		if err := w.Broker().Publish("a", []byte("b"), 1, true); err != nil {
			t.Fatal(err)
		}
		if err := w.Broker().Restart(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if !c.IsConnectionOpen() {
			t.Error("the client did not come back")
		}
		got := make(chan string, 1) // nothing is to come
		done(t, c.Subscribe("a", 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
		time.Sleep(time.Second)
		if len(got) != 0 {
			t.Error("a retained message survived the restart")
		}
		if err := w.Broker().Stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Broker().Pipe(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("stopped broker: %v", err)
		}
		if err := w.Broker().Publish("a", nil, 0, false); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("stopped broker: %v", err)
		}
		if err := w.Broker().Stop(); err != nil {
			t.Errorf("stopped twice: %v", err)
		}
		leave(c)
	})
}

// A broker that stands still: the client notices by its ping; what was said meanwhile arrives afterwards.
func TestBrokerHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		start(t, w)
		lost := make(chan time.Time, 1) // one loss
		c := client(t, w, "agent", func(o *paho.ClientOptions) {
			o.SetAutoReconnect(false).SetConnectionLostHandler(func(paho.Client, error) { lost <- time.Now() })
		})
		done(t, c.Connect())
		time.Sleep(21 * time.Second) // between two pings
		begin := time.Now()
		w.Broker().Hold()
		late := c.Publish("a", 1, false, "held")
		if d := (<-lost).Sub(begin); d > 10*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if late.WaitTimeout(0) && late.Error() == nil {
			t.Error("a held broker acknowledged")
		}
		if n := len(Of[Message](w.Trace().Entries())); n != 0 {
			t.Errorf("a held broker read %d messages", n)
		}
		w.Broker().Resume()
		synctest.Wait()
		if m := Of[Message](w.Trace().Entries()); len(m) != 1 || string(m[0].Payload) != "held" {
			t.Errorf("after the hold: %+v", m)
		}
	})
}

// A broker that is stopped while it is held leaves nothing behind.
func TestBrokerStopsWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t)
		start(t, w)
		c := client(t, w, "agent", func(o *paho.ClientOptions) { o.SetAutoReconnect(false) })
		done(t, c.Connect())
		w.Broker().Hold()
		conn, err := w.Broker().Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte{0x10, 0x00}); err != nil {
			t.Fatal(err)
		}
		if err := w.Broker().Stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%v", err)
		}
		_ = conn.Close()
		leave(c)
	})
}

func TestBrokerPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := demo(t, func(c *Config) { c.Broker = BrokerOpts{User: "agent", Password: "secret"} })
		start(t, w)
		for _, c := range []struct {
			user, password string
			ok             bool
		}{{"agent", "secret", true}, {"agent", "secre", false}, {"", "", false}, {"other", "secret", false}} {
			k := client(t, w, "agent", func(o *paho.ClientOptions) { o.SetUsername(c.user).SetPassword(c.password) })
			tok := k.Connect()
			tok.WaitTimeout(30 * time.Second)
			if ok := tok.Error() == nil; ok != c.ok {
				t.Errorf("%q with %q: %v", c.user, c.password, tok.Error())
			}
			leave(k)
		}
	})
}

func TestBrokerOnLoopback(t *testing.T) {
	w := demo(t)
	for _, address := range []string{"0.0.0.0:0", "192.0.2.1:1883", "nonsense", ":0"} {
		if err := w.Broker().Start(address); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
	if err := w.Broker().Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	address := w.Broker().Address()
	connect := func() {
		t.Helper()
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("tcp"))
		done(t, c.Connect())
		done(t, c.Publish("a", 1, false, "b"))
		c.Disconnect(0)
	}
	connect()
	if err := w.Broker().Restart(); err != nil {
		t.Fatal(err)
	}
	if got := w.Broker().Address(); got != address {
		t.Errorf("restarted at %s, was at %s", got, address)
	}
	connect()
	if n := len(Of[Message](w.Trace().Entries())); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		if n, err := a.Write([]byte("hello")); n != 5 || err != nil { // nobody reads yet
			t.Fatal(n, err)
		}
		r := make([]byte, 3)
		if n, err := b.Read(r); string(r[:n]) != "hel" || err != nil {
			t.Errorf("%q, %v", r[:n], err)
		}
		if err := a.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := a.Read(r); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		var timeout net.Error
		if _, err := a.Read(r); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is not a timeout", err)
		}
		if err := a.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Write(make([]byte, 2*pipeBuffer)); !errors.Is(err, os.ErrDeadlineExceeded) || n != pipeBuffer-2 {
			t.Errorf("wrote %d, %v", n, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("to a closed end: %v", err)
		}
		if _, err := a.Read(r); !errors.Is(err, io.EOF) {
			t.Errorf("from a closed end: %v", err)
		}
		if _, err := b.Read(r); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed end: %v", err)
		}
		if _, err := b.Write(r); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed end: %v", err)
		}
	})
}
