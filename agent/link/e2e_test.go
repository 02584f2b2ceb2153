//go:build e2e

package link

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// mosquitto is a real broker in a process of its own.
type mosquitto struct {
	t    *testing.T
	port string
	conf string
	cmd  *exec.Cmd
}

// newMosquitto starts a broker on a free loopback port. lines are added to its configuration.
func newMosquitto(t *testing.T, lines ...string) *mosquitto {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, conf: filepath.Join(t.TempDir(), "mosquitto.conf")}
	_, m.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	conf := []string{"listener " + m.port + " 127.0.0.1"}
	if os.Geteuid() == 0 {
		conf = append(conf, "user root") // or it cannot read its files
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "allow_anonymous") }) {
		conf = append(conf, "allow_anonymous true")
	}
	if err := os.WriteFile(m.conf, []byte(strings.Join(append(conf, lines...), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(m.kill)
	return m
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command("mosquitto", "-c", m.conf)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, 10*time.Second, "mosquitto to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+m.port)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func (m *mosquitto) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

func (m *mosquitto) dial() func(context.Context) (net.Conn, error) {
	m.t.Helper()
	d, err := Dialer([]string{"mqtt://127.0.0.1:" + m.port}, TLS{})
	if err != nil {
		m.t.Fatal(err)
	}
	return d
}

// publish sends one message per payload with mosquitto_pub.
func (m *mosquitto) publish(topic string, payloads ...string) {
	m.t.Helper()
	c := exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", m.port, "-q", "1", "-t", topic, "-l")
	c.Stdin = strings.NewReader(strings.Join(payloads, "\n") + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// watcher is an independent subscriber.
type watcher struct {
	mu    sync.Mutex
	lines []string // topic, space, payload
}

func (m *mosquitto) watch(args ...string) *watcher {
	m.t.Helper()
	w := &watcher{}
	c := exec.Command("mosquitto_sub", append([]string{
		"-h", "127.0.0.1", "-p", m.port, "-q", "1", "-v", "-t", "rackagent/#", "-t", "ready",
	}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.mu.Lock()
			w.lines = append(w.lines, s.Text())
			w.mu.Unlock()
		}
	}()
	m.t.Cleanup(func() { _ = c.Process.Kill(); <-done; _ = c.Wait() })
	eventually(m.t, 10*time.Second, "mosquitto_sub to listen", func() bool {
		m.publish("ready", "x")
		return w.count("ready") > 0
	})
	return w
}

func (w *watcher) count(prefix string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// eventually polls, because the broker is another process.
func eventually(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if cond() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tick.Stop()
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// e2eRig stops the link at the end.
func e2eRig(t *testing.T, dial func(context.Context) (net.Conn, error), mods ...func(*rig, *Opts)) *rig {
	t.Helper()
	r := start(t, dial, mods...)
	t.Cleanup(r.stop)
	return r
}

func up(r *rig) func() bool { return func() bool { return r.Stats().Subscribed } }

// answering sends a state for every command.
func answering(r *rig, o *Opts) {
	o.Inbound = func(m Inbound) bool {
		r.keep(m)
		go func() {
			r.send(result("cmd/"+string(m.Payload), "succeeded"))
			m.Ack()
		}()
		return true
	}
}

func ids(n int) (out []string) {
	for i := range n {
		out = append(out, "c"+strconv.Itoa(i))
	}
	return out
}

func TestMosquittoBurst(t *testing.T) {
	m := newMosquitto(t)
	w := m.watch()
	r := e2eRig(t, m.dial(), answering)
	eventually(t, 5*time.Second, "the link", up(r))
	m.publish(cmdAt, ids(50)...)
	eventually(t, 10*time.Second, "50 states", func() bool { return w.count(upAt+"cmd/") == 50 })
}

func TestMosquittoRestartWithoutPersistence(t *testing.T) {
	m := newMosquitto(t)
	r := e2eRig(t, m.dial(), answering, sayings)
	eventually(t, 5*time.Second, "the link", up(r))
	m.kill()
	eventually(t, 5*time.Second, "the loss to be noticed", func() bool { return r.State() != StateUp })
	m.start()
	eventually(t, 10*time.Second, "the link", up(r))
	w := m.watch()
	m.publish(cmdAt, ids(5)...)
	eventually(t, 5*time.Second, "states and birth", func() bool {
		return w.count(upAt+"cmd/") == 5 && w.count(upAt+"state online "+strconv.Itoa(r.Stats().Conn)) == 1
	})
}

// Commands that the broker acknowledged and then lost come through because their sender insists.
func TestMosquittoKilledWithQueuedCommands(t *testing.T) {
	m := newMosquitto(t, "persistence true", "persistence_location "+t.TempDir()+"/")
	first := start(t, m.dial(), answering)
	eventually(t, 5*time.Second, "the link", up(first))
	first.stop()
	m.publish(cmdAt, ids(20)...)
	m.kill()
	m.start()
	second := e2eRig(t, m.dial(), answering)
	eventually(t, 5*time.Second, "the link", up(second))
	c := operator(t, ClientOpts{Dial: m.dial()})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, id := range ids(20) {
		if err := c.Do(ctx, agent, Command{ID: id, Payload: []byte(id), Status: func([]byte) bool { return true }}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 20 queued commands survived the kill; all 20 were carried out after their repeat", len(second.inbox())-20)
}

// A persistent session keeps commands for an agent that is away.
func TestMosquittoKeepsCommandsWhileTheAgentIsAway(t *testing.T) {
	m := newMosquitto(t)
	first := start(t, m.dial(), answering)
	eventually(t, 5*time.Second, "the link", up(first))
	first.stop()
	m.publish(cmdAt, ids(20)...)
	second := e2eRig(t, m.dial(), answering)
	eventually(t, 5*time.Second, "20 commands", func() bool { return len(second.inbox()) == 20 })
}

// mosquitto says nothing about a denied publish or subscription: the link must not go round in circles over it.
func TestMosquittoACLIsSilent(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("topic read ready\ntopic write ready\nuser nobody\ntopic read #\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMosquitto(t, "acl_file "+acl)
	w := m.watch()
	r := e2eRig(t, m.dial(), sayings)
	delivered := make(chan struct{})
	msg := result("cmd/a", "x")
	msg.Delivered = func() { close(delivered) }
	r.send(msg)
	<-delivered
	if st := r.Stats(); !st.Subscribed || st.Connects != 1 || w.count("rackagent") != 0 {
		t.Errorf("%+v", st)
	}
}

func TestMosquittoMaxPacketSize(t *testing.T) {
	m := newMosquitto(t, "max_packet_size 2000")
	w := m.watch()
	r := e2eRig(t, m.dial())
	eventually(t, 5*time.Second, "the link", up(r))
	for i := range 20 {
		msg := result("cmd/a"+strconv.Itoa(i), "x")
		if i == 10 {
			msg.Payload = make([]byte, 10_000)
		}
		r.send(msg)
	}
	eventually(t, 10*time.Second, "the other 19", func() bool { return w.count(upAt+"cmd/") >= 19 && r.State() == StateUp })
	eventually(t, 10*time.Second, "the big one to be set aside", func() bool { return r.Stats().Quarantined == 1 })
	if w.count(upAt+"cmd/a10") != 0 {
		t.Error("the big one arrived")
	}
}

func TestMosquittoTLSAndPassword(t *testing.T) {
	a := newAuthority(t)
	a.issue("broker", "broker")
	a.issue("agent", agent)
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, agent, "hunter2").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := newMosquitto(t, "allow_anonymous false", "password_file "+passwords,
		"cafile "+a.path("ca.pem"), "certfile "+a.path("broker.pem"), "keyfile "+a.path("broker.key"), "require_certificate true")
	dial, err := Dialer([]string{"mqtts://127.0.0.1:" + m.port},
		TLS{CA: a.path("ca.pem"), Cert: a.path("agent.pem"), Key: a.path("agent.key"), ServerName: "broker"})
	if err != nil {
		t.Fatal(err)
	}
	secret := func(s string) func(*rig, *Opts) {
		return func(_ *rig, o *Opts) { o.User, o.Password = agent, func() (string, error) { return s, nil } }
	}
	wrong := start(t, dial, secret("wrong"))
	eventually(t, 10*time.Second, "a refusal", func() bool { return wrong.Stats().Losses[ReasonAuth] > 0 })
	wrong.stop()
	r := e2eRig(t, dial, secret("hunter2"))
	eventually(t, 5*time.Second, "the link", up(r))
	c, err := Connect(t.Context(), ClientOpts{Site: site, Dial: dial, User: agent, Password: func() (string, error) { return "wrong", nil }})
	if err == nil {
		c.Close()
	}
	if reasonOf(err) != ReasonAuth {
		t.Errorf("operator with a wrong password: %v", err)
	}
}

// A new certificate is taken without a moment offline: no will is heard and nothing is lost. One that the broker refuses
// changes nothing.
func TestMosquittoRenewedCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	a.issue("broker", "broker")
	a.issue("agent", agent)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	m := newMosquitto(t, "listener "+port+" 127.0.0.1", "cafile "+a.path("ca.pem"), "certfile "+a.path("broker.pem"),
		"keyfile "+a.path("broker.key"), "require_certificate true")
	w := m.watch()
	files := TLS{CA: a.path("ca.pem"), Cert: a.path("agent.pem"), Key: a.path("agent.key"), ServerName: "broker", Names: []string{agent}}
	dial, err := Dialer([]string{"mqtts://127.0.0.1:" + port}, files)
	if err != nil {
		t.Fatal(err)
	}
	r := e2eRig(t, dial, sayings, answering, func(_ *rig, o *Opts) { o.Look, o.hurry = files.Look, 60 })
	eventually(t, 5*time.Second, "the link", up(r))
	sent := 0
	send := func() {
		r.send(result("cmd/n"+strconv.Itoa(sent), "x"))
		sent++
	}
	a.issue("agent", agent)
	eventually(t, 20*time.Second, "the new certificate to be taken", func() bool { send(); return r.Stats().Renewals == 1 })
	eventually(t, 5*time.Second, "the link", up(r))
	m.publish(cmdAt, ids(20)...)
	eventually(t, 5*time.Second, "answers", func() bool { return w.count(upAt+"cmd/c") >= 20 })

	stranger.issue("agent", agent)
	for _, name := range []string{"agent.pem", "agent.key"} {
		b, err := os.ReadFile(stranger.path(name))
		if err == nil {
			err = os.WriteFile(a.path(name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "the foreign certificate to be refused", func() bool {
		send()
		return slices.ContainsFunc(r.said(rack.Error), func(s string) bool { return strings.Contains(s, "the old connection stays") })
	})
	eventually(t, 5*time.Second, "all messages", func() bool {
		for i := range sent {
			if w.count(upAt+"cmd/n"+strconv.Itoa(i)+" ") == 0 {
				return false
			}
		}
		return true
	})
	if st := r.Stats(); st.State != StateUp || len(st.Losses) > 0 || w.count(upAt+"state lost") > 0 || w.count(upAt+"state online") != 2 {
		t.Errorf("%+v, %d wills, %d births", st, w.count(upAt+"state lost"), w.count(upAt+"state online"))
	}
}

func TestMosquittoStandsStill(t *testing.T) {
	m := newMosquitto(t)
	r := e2eRig(t, m.dial())
	eventually(t, 5*time.Second, "the link", up(r))
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, 10*time.Second, "the loss to be noticed", func() bool {
		_ = r.Send(telemetry("x"))
		return r.State() != StateUp
	})
	t.Logf("noticed after %v", time.Since(began).Round(time.Millisecond))
	if err := m.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the link", up(r))
}

func TestMosquittoClientIDTwice(t *testing.T) {
	m := newMosquitto(t)
	r1, r2 := e2eRig(t, m.dial()), e2eRig(t, m.dial())
	eventually(t, 20*time.Second, "one of the two to complain", func() bool {
		return len(r1.said(rack.Error))+len(r2.said(rack.Error)) > 0
	})
	eventually(t, 5*time.Second, "peace", func() bool { return r1.State() == StateUp || r2.State() == StateUp })
	t.Logf("connections: %d and %d", r1.Stats().Connects, r2.Stats().Connects)
}

// Delivery through a broker that has Nagle's algorithm on (the default), with and without TCP_QUICKACK on our side.
func TestMosquittoCommandLatency(t *testing.T) {
	for _, nodelay := range []string{"false", "true"} {
		m := newMosquitto(t, "set_tcp_nodelay "+nodelay)
		plain := func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+m.port)
		}
		for name, dial := range map[string]func(context.Context) (net.Conn, error){"ours": m.dial(), "plain": plain} {
			med, worst := latency(t, m, dial)
			t.Logf("set_tcp_nodelay %-5s, socket %-5s: command median %v, worst %v of 200", nodelay, name, med, worst)
		}
	}
}

func latency(t *testing.T, m *mosquitto, dial func(context.Context) (net.Conn, error)) (median, worst time.Duration) {
	t.Helper()
	got := make(chan time.Time, 1)
	r := start(t, dial, func(r *rig, o *Opts) {
		o.Inbound = func(in Inbound) bool {
			r.send(result("cmd/a", "accepted")) // the broker's PUBACK is the small packet before the next command
			in.Ack()
			select {
			case got <- in.Received:
			default: // again, after a connection that a busy machine lost: nobody waits for it
			}
			return true
		}
	})
	defer r.stop()
	eventually(t, 5*time.Second, "the link", up(r))
	c := operator(t, ClientOpts{Dial: m.dial()})
	defer c.Close()
	var all []time.Duration
	for range 200 {
		began := time.Now()
		c.client.Publish(cmdAt, 1, false, []byte("x"))
		select {
		case at := <-got:
			all = append(all, at.Sub(began))
		case <-time.After(20 * time.Second):
			t.Fatal(errors.New("a command did not arrive"))
		}
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}
