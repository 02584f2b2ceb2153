//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scene is a broker with a witness that hears all agents of the site, and an operator. Both stay for the whole suite.
type scene struct {
	*broker
	t       *testing.T // the present one
	w       *witness
	clients map[string]outsider
}

// part is one of the suite's.
type part struct {
	name string
	run  func(*scene)
}

// suite is what every broker has to pass, one after the other on one broker: each part finds what the one before has
// left there, as in the field.
func suite(t *testing.T, b *broker, more ...part) {
	clients := outsiders(t)
	b.start()
	w := b.attend()
	for _, part := range append([]part{
		{"a retained command has no effect", (*scene).retainedCommand},
		{"births, readings, a cut, a repeat", (*scene).session},
		{"fifty commands at once", (*scene).burst},
		{"a command for an agent that is away", (*scene).away},
		{"the will of a killed agent", (*scene).will},
		{"the broker is restarted, and killed", (*scene).restarts},
		{"who may listen", (*scene).listeners},
		{"who may publish", (*scene).publishers},
		{"who is let in", (*scene).strangers},
		{"another one's client id", (*scene).stolen},
	}, more...) {
		t.Run(part.name, func(t *testing.T) {
			began := time.Now()
			part.run(&scene{broker: b, t: t, w: w, clients: clients})
			t.Logf("%s", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// attend starts the witness: a mosquitto_sub with a session of its own, so that it hears what was said while the broker
// was away and had its messages on disk. It comes back until the test is over.
func (b *broker) attend() *witness {
	w, who := &witness{of: r17}, b.as("reader")
	who.keep = true
	over, done := make(chan struct{}), make(chan struct{})
	var cmd *exec.Cmd
	run := func() {
		cmd = subscriber(who, "-t", "rackagent/v1/ams1/+/up/#")
		pipe, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		go func() {
			select {
			case <-over:
				_ = cmd.Process.Kill()
			case <-done:
			}
		}()
		for s := lines(pipe); s.Scan(); {
			switch line := s.Text(); {
			case strings.HasPrefix(line, "Subscribed "):
				w.hear("0 " + ready + " ")
			case strings.HasPrefix(line, "0 "), strings.HasPrefix(line, "1 "):
				w.hear(line)
			}
		}
		_ = cmd.Wait()
	}
	go func() {
		defer close(done)
		for {
			run()
			select {
			case <-over:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	b.t.Cleanup(func() {
		close(over)
		<-done
		if b.t.Failed() {
			text := w.String()
			b.t.Logf("the witness heard at last:\n%s", text[max(0, len(text)-8000):])
		}
	})
	attends(b.t, w, 0)
	return w
}

// attends waits until the witness has subscribed once more.
func attends(t *testing.T, w *witness, before int) {
	t.Helper()
	eventually(t, 30*time.Second, "the witness to hear", func() bool { return len(w.on(ready)) > before })
}

// send publishes commands for r17 as the operator does, on one connection. Whoever wants them signed exchanges this.
func (b *broker) send(payloads ...string) error {
	said, err := program(strings.Join(payloads, "\n")+"\n", nil, "mosquitto_pub", append(b.as("ctl").options(), "-l", "-t", r17.Command())...)
	if err != nil {
		return fmt.Errorf("mosquitto_pub: %w: %s", err, said)
	}
	return nil
}

func (s *scene) order(payloads ...string) {
	s.t.Helper()
	if err := s.send(payloads...); err != nil {
		s.t.Fatal(err)
	}
}

// rack is a new rack of the agent r17, which logs in with its certificate.
func (s *scene) rack() *rig {
	s.t.Helper()
	var urls []string
	for _, u := range s.urls {
		urls = append(urls, fmt.Sprintf("%q", u))
	}
	mqtt := fmt.Sprintf("brokers: [%s], ca_file: %q, cert_file: %q, key_file: %q, server_name: broker.ams1, selftest: true",
		strings.Join(urls, ", "), filepath.Join(s.tls, "ca.pem"), filepath.Join(s.tls, "r17.pem"), filepath.Join(s.tls, "r17.key"))
	return newRig(s.t, mqtt, period, rackWorld(0), "site: test\nagent: r1\n", "site: ams1\nagent: r17\n")
}

// kept asks a new subscriber what is retained on a topic.
func (s *scene) kept(topic string) string {
	s.t.Helper()
	for range 5 {
		_, heard := s.clients[mosquittos].listen(s.as("ctl"), topic, nil)
		for _, m := range heard {
			if m.retained && m.topic == topic {
				return m.payload
			}
		}
	}
	return ""
}

// retainedCommand: the agent's first subscription finds it, and no later one changes that.
func (s *scene) retainedCommand() {
	if got := s.clients[mqttJS].publish(s.as("ctl"), r17.Command(), cut("retained", 1), true); got != acknowledged {
		s.t.Fatalf("it could not be sent: %s", got)
	}
	r := s.rack()
	r.join(s.t, s.w)
	if s.exactRetained {
		pass(time.Second) // it is not sent to a filter like down/#
	} else {
		eventually(s.t, 10*time.Second, "the event", func() bool { return s.w.refused("retained") == 1 })
	}
	if got := s.clients[mqttJS].publish(s.as("ctl"), r17.Command(), "", true); got != acknowledged {
		s.t.Errorf("it could not be removed: %s", got)
	}
	if got := s.w.states("retained"); got != "" {
		s.t.Errorf("it was answered: %s", got)
	}
	r.judge(s.t, 0)
}

func (s *scene) session() {
	r := s.rack()
	r.join(s.t, s.w)
	readings := len(s.w.on(r17.Up("tele")))
	for _, name := range []string{"state", "info"} {
		if s.kept(r17.Up(name)) == "" {
			s.t.Errorf("a new subscriber finds nothing on %s", r17.Up(name))
		}
	}
	for name, c := range s.clients {
		_, heard := c.listen(s.as("ctl"), r17.Up("state"), nil)
		if !slices.ContainsFunc(heard, func(m message) bool { return m.retained && strings.Contains(m.payload, `"state":"online"`) }) {
			s.t.Errorf("%s found %v", name, heard)
		}
		_, heard = c.listen(s.as("ctl"), "rackagent/v1/ams1/r17/up/#", nil)
		if found := slices.ContainsFunc(heard, func(m message) bool { return m.retained }); found == s.exactRetained {
			s.t.Errorf("%s: retained messages for a filter with a wildcard: %v", name, found)
		}
	}
	eventually(s.t, 10*time.Second, "readings", func() bool { return len(s.w.on(r17.Up("tele"))) > readings+2 })

	payload := cut("s1", 3)
	s.order(payload)
	x := s.w.expect(s.t, "s1", "succeeded")
	if p := x.Targets[0].Steps[0].Proof; p.Before == nil || p.After == nil || *p.Before < 3000 || *p.After > 10 {
		s.t.Errorf("proof %+v", p)
	}
	if got := s.w.states("s1"); got != "accepted, running, succeeded" {
		s.t.Errorf("heard %s", got)
	}
	s.order(payload)
	eventually(s.t, 10*time.Second, "the answer to the repeat", func() bool { return strings.HasSuffix(s.w.states("s1"), "succeeded dup") })
	if n := len(s.w.ends("s1")); n != 1 {
		s.t.Errorf("%d ends: %s", n, s.w.states("s1"))
	}
	r.judge(s.t, 1)
}

// burst sends all at once, more than an agent takes in a second. The rest is told so, and sent again.
func (s *scene) burst() {
	r := s.rack()
	r.join(s.t, s.w)
	o := newOperator(s.send, s.w, "f", 50)
	o.send(o.ids...)
	eventually(s.t, 20*time.Second, "an answer to each", func() bool {
		return !slices.ContainsFunc(o.ids, func(id string) bool { return s.w.states(id) == "" })
	})
	o.insist(s.t, func(int) {})
	o.endOnce(s.t)
	s.mayHearItself(r)
	r.judge(s.t, 50, ambiguous)
}

// mayHearItself: the self test, which begins with the connection and is over 10 s later, has found nothing.
func (s *scene) mayHearItself(r *rig) {
	tests := s.w.on(r17.Up("selftest"))
	if len(tests) == 0 {
		s.t.Fatal("no self test was made")
	}
	pass(12 * time.Second)
	for _, a := range r.agent.Status().Alarms {
		if strings.Contains(a.Key, "selftest") {
			s.t.Errorf("alarm %s: %s", a.Key, a.Text)
		}
	}
}

func (s *scene) away() {
	r := s.rack()
	r.join(s.t, s.w)
	r.stop()
	const life = 2 * time.Second
	s.order(envelope("a-late", "outlet.cut", "outlet/pdu-a.1", life, ""), cut("a-good", 2))
	pass(life + 100*time.Millisecond)
	r.join(s.t, s.w)
	s.w.expect(s.t, "a-late", "rejected/expired")
	s.w.expect(s.t, "a-good", "succeeded")
	pass(time.Second) // for a second delivery, if there is one
	if got := s.w.states("a-good"); got != "accepted, running, succeeded" {
		s.t.Errorf("heard %s", got)
	}
	r.judge(s.t, 1)
}

func (s *scene) will() {
	r := s.rack()
	p := r.spawn(s.t, s.w, "")
	p.kill()
	eventually(s.t, 15*time.Second, "the will", func() bool {
		last := s.w.on(r17.Up("state"))
		return strings.Contains(last[len(last)-1].payload, `"reason":"lost"`)
	})
	if got := s.kept(r17.Up("state")); !strings.Contains(got, `"reason":"lost"`) {
		s.t.Errorf("retained: %s", got)
	}
	r.join(s.t, s.w)
	if got := s.kept(r17.Up("state")); !strings.Contains(got, `"state":"online"`) {
		s.t.Errorf("retained: %s", got)
	}
	r.judge(s.t, 0)
}

// restarts: the agent stays. A command that the broker had in its session when it was killed comes again, or does not;
// its sender repeats it.
func (s *scene) restarts() {
	r := s.rack()
	r.join(s.t, s.w)
	sent := 0
	for i, end := range []func(){s.stop, s.kill} {
		if end == nil {
			continue
		}
		births, attended := s.w.births(), len(s.w.on(ready))
		end()
		eventually(s.t, 15*time.Second, "the agent to notice", func() bool { return r.agent.Status().Link != "up" })
		s.start()
		attends(s.t, s.w, attended)
		eventually(s.t, time.Minute, "the agent to be back", func() bool { return r.agent.Status().Link == "up" })
		o := newOperator(s.send, s.w, fmt.Sprintf("r%d-", i), 3)
		o.send(o.ids...)
		o.insist(s.t, func(int) {})
		o.endOnce(s.t)
		sent += len(o.ids)
		eventually(s.t, 20*time.Second, "what is retained to say online", func() bool {
			return strings.Contains(s.kept(r17.Up("state")), `"state":"online"`)
		})
		if s.survivesKill && s.w.births() == births {
			s.t.Error("the witness did not hear the agent come back")
		}
	}
	r.judge(s.t, sent, ambiguous)
}

// bait is a command that moves nothing. No agent is there to answer it.
func bait(id string) string { return envelope(id, "cmd.list", "rack", time.Second, "") }

// listeners: who sees what an operator sends to r17, and what r17 says. The agent itself is away, so that its name is free.
func (s *scene) listeners() {
	for i, x := range []struct {
		who, filter string
		may         bool
	}{
		{"r17", r17.Down(), true},
		{"gpu-3", r17.Down(), false},
		{"r18", r17.Down(), false},
		{"r18", r17.Command(), false},
		{"r18", "rackagent/v1/ams1/+/down/cmd", false},
		{"r18", "rackagent/v1/ams1/r17/up/#", false},
		{"r18", "#", false},
		{"r18", "$MQTT/sub/#", false}, // how NATS delivers
		{"gpu-3", "+/+/+/+/+/+", false},
		{"r17", r17.Down(), true},
	} {
		name := []string{mosquittos, mqttJS}[i%2]
		got, heard := s.clients[name].listen(s.as(x.who), x.filter, func() {
			s.order(bait("bait"))
			if !x.may {
				s.clients[mosquittos].publish(s.as("r17"), r17.Up("event"), `{"kind":"bait"}`, false)
			}
		})
		switch {
		case x.may && (got != granted || !slices.ContainsFunc(heard, func(m message) bool { return strings.Contains(m.payload, "bait") })):
			s.t.Errorf("%s: %s on %s: %s, heard %v", name, x.who, x.filter, got, heard)
		case !x.may && (got != s.deniedSubscribe || len(heard) > 0):
			s.t.Errorf("%s: %s on %s: %s, want %s; heard %v", name, x.who, x.filter, got, s.deniedSubscribe, heard)
		}
	}
}

// publishers: what is published by somebody who may not is not heard by those who may hear, and not retained.
func (s *scene) publishers() {
	s.keep(r17.Up("state"), `{"state":"offline","by":"r17"}`)
	for i, x := range []struct {
		who, topic string
		may        bool
	}{
		{"r17", r17.Up("event"), true},
		{"r17", gpu3.Command(), true}, // its GPU server
		{"r17", r18.Command(), false},
		{"r17", r17.Command(), false},
		{"r17", gpu3.Up("state"), false},
		{"r17", "rackagent/v1/ams1/gpu-3/down/config", false},
		{"r18", r17.Up("state"), false},
		{"r18", r17.Up("state"), false}, // by the other client
		{"r18", r17.Up("cmd/s1"), false},
		{"r18", r17.Command(), false},
		{"r18", r17.Command(), false},
		{"r18", gpu3.Command(), false},
		{"gpu-3", r17.Command(), false},
		{"ctl", r17.Up("state"), false},
		{"ctl", "rackagent/v1/ams1/r17/down/config", false},
		{"reader", r17.Command(), false},
	} {
		name := []string{mosquittos, mqttJS}[i%2]
		text := fmt.Sprintf(`{"forged":"%d"}`, i)
		var got outcome
		attended := len(s.w.on(ready))
		heard := s.overhear(x.topic, x.who, func() { got = s.clients[name].publish(s.as(x.who), x.topic, text, !x.may) })
		want := s.deniedPublish
		if x.may {
			want = acknowledged
		}
		if got != want {
			s.t.Errorf("%s: %s on %s: %s, want %s", name, x.who, x.topic, got, want)
		}
		if arrived := slices.ContainsFunc(heard, func(m message) bool { return m.payload == text }); arrived != x.may {
			s.t.Errorf("%s: %s on %s: arrived %v, want %v", name, x.who, x.topic, arrived, x.may)
		}
		if x.who == "reader" { // the witness was thrown out, who has that name
			attends(s.t, s.w, attended)
		}
	}
	if got := s.kept(r17.Up("state")); !strings.Contains(got, `"by":"r17"`) {
		s.t.Errorf("retained: %s", got)
	}
}

// keep retains a message as r17.
func (s *scene) keep(topic, payload string) {
	s.t.Helper()
	if got := s.clients[mosquittos].publish(s.as("r17"), topic, payload, true); got != acknowledged {
		s.t.Fatalf("%s: %s", topic, got)
	}
}

// overhear gives what comes on a topic while something happens, to the one who may hear it: the agent, or its reader.
func (s *scene) overhear(topic, but string, during func()) []message {
	f := strings.Split(topic, "/") // rackagent/v1/SITE/AGENT/DIRECTION
	if f[4] == "up" {
		from := len(s.w.on(topic))
		during()
		pass(linger)
		return s.w.on(topic)[from:]
	}
	if f[3] == but { // it may hear itself by its own connection
		_, heard := s.clients[mosquittos].listen(s.as(f[3]), topic, nil)
		during()
		_, more := s.clients[mosquittos].listen(s.as(f[3]), topic, nil)
		return append(heard, more...)
	}
	_, heard := s.clients[mosquittos].listen(s.as(f[3]), topic, during)
	return heard
}

// strangers: who has no certificate, or one of another authority, or names somebody else.
func (s *scene) strangers() {
	other := filepath.Join(s.dir, "other")
	certs(s.t, other, "client", "r17", "ctl")
	foreign, none := s.as("ctl"), s.as("ctl")
	foreign.cert, foreign.key = filepath.Join(other, "ctl.pem"), filepath.Join(other, "ctl.key")
	none.cert, none.key = "", ""
	named := s.as("r18")
	named.user, named.password = "ctl", "ctl"
	guest := s.as("r18")
	guest.user, guest.password = "guest", "guest"
	cn := s.as("r18")
	cn.user, cn.password = "CN=ctl", "x"
	for name, c := range s.clients {
		for what, who := range map[string]login{"a certificate of another authority": foreign, "no certificate": none} {
			if got := c.publish(who, r17.Command(), cut("stranger", 1), false); got != noSession && got != cutOff {
				s.t.Errorf("%s: %s: %s", name, what, got)
			}
		}
		for what, who := range map[string]login{"another one's name": named, "guest": guest, "another one's subject": cn} {
			heard := s.overhear(r17.Command(), "", func() { c.publish(who, r17.Command(), cut("stranger", 1), false) })
			if slices.ContainsFunc(heard, func(m message) bool { return strings.Contains(m.payload, "stranger") }) {
				s.t.Errorf("%s: %s: the command arrived", name, what)
			}
		}
	}
	// The other way round: the agent believes no broker of another authority.
	r := s.rack()
	r.conf.MQTT.CAFile = filepath.Join(other, "ca.pem")
	r.start()
	eventually(s.t, 10*time.Second, "the broker's certificate to be refused", func() bool {
		return strings.Contains(r.agent.Status().LinkError, "certificate")
	})
	r.judge(s.t, 0)
}

// stolen: somebody else with a good certificate comes with the agent's client id, keeping its session and wiping it. He
// hears nothing of it, and the agent answers what it is sent.
func (s *scene) stolen() {
	r := s.rack()
	r.join(s.t, s.w)
	// MQTT.js does not come back by itself. Where the id can be taken, a thief who does keeps the agent away: after three
	// times in a row it waits for a minute.
	o := newOperator(s.send, s.w, "t", 2)
	for i, id := range o.ids {
		thief := s.as("r18")
		thief.id, thief.keep = "r17", i == 0
		before := s.connection(r)
		got, heard := s.clients[mqttJS].listen(thief, r18.Down(), func() { o.send(id) })
		for range 5 { // NATS lets nobody in for a while whose id was taken a moment ago
			if got != noSession || s.stolenID == noSession {
				break
			}
			pass(time.Second)
			got, heard = s.clients[mqttJS].listen(thief, r18.Down(), nil)
		}
		if got != s.stolenID && (got != cutOff || !s.throwsOut) || len(heard) > 0 { // the agent may be back sooner than he is done
			s.t.Errorf("keep %v: %s, want %s; heard %v", thief.keep, got, s.stolenID, heard)
		}
		if s.throwsOut {
			eventually(s.t, 30*time.Second, "the agent to come back", func() bool { return s.connection(r) > before })
		} else if s.connection(r) != before {
			s.t.Errorf("keep %v: the agent was thrown out", thief.keep)
		}
		eventually(s.t, 30*time.Second, "the agent to be there", func() bool { return r.agent.Status().Link == "up" })
	}
	o.insist(s.t, func(int) {})
	o.endOnce(s.t)
	r.judge(s.t, len(o.ids))
}

// connection is the number of the connection that the agent has told of last.
func (s *scene) connection(r *rig) (n int) {
	for _, m := range s.w.on(r17.Up("state")) {
		var x struct {
			Boot string `json:"boot"`
			Conn int    `json:"conn"`
		}
		if json.Unmarshal([]byte(m.payload), &x) == nil && x.Boot == r.agent.Status().Boot {
			n = max(n, x.Conn)
		}
	}
	return n
}
