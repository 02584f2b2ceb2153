//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/link"
)

// alarm is the text of an alarm that stands; empty: it does not.
func (r *rig) alarm(key string) string {
	for _, a := range r.agent.Status().Alarms {
		if a.Key == key {
			return a.Text
		}
	}
	return ""
}

// TestTheCertificateOfAnotherRack: with it the agent would be taken for the other, whatever it calls itself. It is never
// shown to the broker; and the right one is taken when it is there, without a restart.
func TestTheCertificateOfAnotherRack(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	m := guarded(t, a)
	w := m.watch()
	copyFile := func(from, to string) {
		b, err := os.ReadFile(a.path(from))
		if err == nil {
			err = os.WriteFile(a.path(to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFile("r2.pem", "mine.pem")
	copyFile("r2.key", "mine.key")
	if err := os.WriteFile(a.path("password"), []byte(users["r1"]), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, fmt.Sprintf(`broker: "mqtts://127.0.0.1:%s", ca_file: %q, cert_file: %q, key_file: %q, user: r1, password_file: %q`,
		m.port, a.path("ca.pem"), a.path("mine.pem"), a.path("mine.key"), a.path("password")), period, rackWorld(0))
	r.start()
	pass(2 * time.Second)
	if text := r.alarm("certificate"); !strings.Contains(text, `it names "r2", this agent is r1`) {
		t.Errorf("alarm: %q", text)
	}
	if why := r.agent.Status().LinkError; !strings.Contains(why, "somebody else") || w.births() > 0 {
		t.Errorf("%q, %d births", why, w.births())
	}
	copyFile("r1.pem", "mine.pem")
	copyFile("r1.key", "mine.key")
	eventually(t, 10*time.Second, "the agent's birth", func() bool { return w.births() > 0 })
	m.order(cut("c1", 3))
	w.expect(t, "c1", "succeeded")
	r.judge(t, 1)
}

// TestAStolenClientID: another client takes the agent's name and comes back whenever it is thrown out. The agent notices,
// says so, and does not fight; when the thief is gone it is back, and what was sent meanwhile is done or was never
// accepted.
func TestAStolenClientID(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	r.join(t, w)
	thief := exec.Command("mosquitto_sub", slices.Concat(m.client, []string{"-i", "r1", "-q", "1", "-t", topic.Down()})...)
	if err := thief.Start(); err != nil {
		t.Fatal(err)
	}
	steal := func() { _ = thief.Process.Kill(); _ = thief.Wait() }
	defer steal()
	eventually(t, 30*time.Second, "the alarm", func() bool { return strings.Contains(r.alarm("client-id"), `"r1" in use elsewhere?`) })
	tries := strings.Count(r.log.String(), "lost after")
	pass(10 * time.Second)
	if n := strings.Count(r.log.String(), "lost after"); n > tries+1 {
		t.Errorf("%d more fights in 10 s", n-tries)
	}
	steal()
	eventually(t, 100*time.Second, "the agent to be back", func() bool { return r.agent.Status().Link == "up" })
	m.order(cut("c1", 3))
	w.expect(t, "c1", "succeeded")
	r.judge(t, 1)
}

// TestSeveralBrokers: the second one takes over within seconds when the first is killed, and keeps the agent when the
// first is back.
func TestSeveralBrokers(t *testing.T) {
	t.Parallel()
	one, two := newMosquitto(t), newMosquitto(t)
	w1, w2 := one.watch(), two.watch()
	r := newRig(t, fmt.Sprintf("brokers: [%q, %q]", "mqtt://127.0.0.1:"+one.port, "mqtt://127.0.0.1:"+two.port), period, rackWorld(0))
	r.join(t, w1)
	if got := r.agent.Status().Broker; !strings.HasSuffix(got, one.port) || w2.births() > 0 {
		t.Errorf("at %s", got)
	}
	one.kill()
	killed := time.Now()
	eventually(t, 10*time.Second, "the birth at the second broker", func() bool { return w2.births() > 0 })
	t.Logf("there after %s", time.Since(killed).Round(time.Millisecond))
	one.start()
	two.order(cut("c1", 3))
	w2.expect(t, "c1", "succeeded")
	pass(5 * time.Second)
	if s := r.agent.Status(); !strings.HasSuffix(s.Broker, two.port) || s.Link != "up" {
		t.Errorf("at %s, %s", s.Broker, s.Link)
	}
	r.judge(t, 1)
}

// confined is a broker whose access list is one file for all, without passwords: who is who is said by the user's name.
func confined(t *testing.T, lines ...string) (m *mosquitto, allow func(lines ...string)) {
	t.Helper()
	file := t.TempDir() + "/acl"
	write := func(lines ...string) {
		text := "user ops\ntopic readwrite #\nuser r1\n" + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines...)
	m = newMosquitto(t, "acl_file "+file)
	m.client = append(m.client, "-u", "ops")
	return m, func(lines ...string) {
		write(lines...)
		m.signal(syscall.SIGHUP) // reads the list again
	}
}

const (
	mayWrite = "topic write rackagent/v1/test/r1/up/#"
	mayHear  = "topic read rackagent/v1/test/r1/down/#"
	mayTest  = "topic read rackagent/v1/test/r1/up/selftest"
)

func (m *mosquitto) asR1(more string) string { return m.setting() + ", user: r1" + more }

// TestALineOfTheACLIsMissing: mosquitto acknowledges what it drops and grants what it never sends. The agent finds out,
// names the line, stays connected, and takes the alarm back when the line is there.
func TestALineOfTheACLIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines   []string
		setting string
		want    string // the verdict
		says    string // the alarm
	}{
		"none":                      {[]string{mayWrite, mayHear, mayTest}, ", selftest: true", "good", ""},
		"write":                     {[]string{mayHear, mayTest}, ", selftest: true", "locked", mayWrite},
		"the test's own":            {[]string{mayWrite, mayHear}, ", selftest: true", "locked", mayTest},
		"the test's own, by intent": {[]string{mayWrite, mayHear}, "", "silent", ""},
		"not asked for":             {[]string{mayHear}, ", selftest: false", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := confined(t, c.lines...)
			r := newRig(t, m.asR1(c.setting), period, rackWorld(0))
			r.start()
			if c.want != "" {
				eventually(t, 30*time.Second, "the verdict", func() bool { return r.agent.Status().SelfTest != "" })
			} else {
				pass(15 * time.Second)
			}
			s := r.agent.Status()
			if text := r.alarm("selftest"); string(s.SelfTest) != c.want || (text == "") != (c.says == "") || !strings.Contains(text, c.says) {
				t.Errorf("%q, alarm %q", s.SelfTest, text)
			}
			if s.Link != "up" || strings.Contains(r.log.String(), "connection 2") {
				t.Errorf("%s, and not on its first connection", s.Link)
			}
			r.judge(t, 0)
		})
	}
}

// TestAccessIsTakenAway while the agent runs: with somebody who answers self tests it is told which way is shut.
func TestAccessIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left []string
		says string
	}{
		"to hear":  {[]string{mayWrite, mayTest}, "ACL: " + mayHear},
		"to speak": {[]string{mayHear, mayTest}, "ACL: " + mayWrite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, allow := confined(t, mayWrite, mayHear, mayTest)
			ops, err := link.Connect(t.Context(), link.ClientOpts{
				Site: "test", User: "ops",
				Dial: func(ctx context.Context) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+m.port)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer ops.Close()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			answered := make(chan string, 100)
			go func() { done <- ops.Echo(ctx, "+", func(agent string) { answered <- agent }) }()
			r := newRig(t, m.asR1(", selftest: true"), period, rackWorld(0))
			r.start()
			eventually(t, 30*time.Second, "a good self test", func() bool { return r.agent.Status().SelfTest == "good" && len(answered) > 0 })
			allow(c.left...)
			// The next test is due in an hour, or at the next connection: a thief of one moment brings one about.
			_ = m.pub("x", "-i", "r1", "-t", "nowhere", "-l") // the agent may be back before it has said it
			eventually(t, 40*time.Second, "the alarm", func() bool { return strings.HasSuffix(r.alarm("selftest"), c.says) })
			stop()
			<-done
			r.judge(t, 0)
		})
	}
}
