//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOtherPeoplesClient has commands made, signed and sent by Node with its own crypto and MQTT.js, which know nothing
// of the agent. It needs node and npm.
func TestOtherPeoplesClient(t *testing.T) {
	n := installNode(t)
	t.Run("forgeries", n.forgeries)
	t.Run("flood", n.flood)
}

// node is the foreign client, installed, with keys of its own making.
type node struct {
	dir    string
	public map[string]string // by kid
}

func installNode(t *testing.T) *node {
	t.Helper()
	n := &node{dir: t.TempDir()}
	if err := os.CopyFS(n.dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	n.run(t, 5*time.Minute, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if err := json.Unmarshal([]byte(n.run(t, time.Minute, "node", "client.mjs", "keys", "keys.json")), &n.public); err != nil {
		t.Fatal(err)
	}
	return n
}

// run runs a program to its end and gives what it prints.
func (n *node) run(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = n.dir
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", name, err, out, said.String())
	}
	return string(out)
}

// keyedRack is a rack that takes what the foreign keys sign, and nothing unsigned.
func (n *node) keyedRack(t *testing.T, m *mosquitto) *rig {
	t.Helper()
	r := theRack(t, m)
	commands := "commands:\n  keys:\n"
	for kid, role := range map[string]string{"alice-1": "operator", "wall-1": "read-only"} {
		issuer, _, _ := strings.Cut(kid, "-")
		commands += fmt.Sprintf("    - {kid: %s, issuer: %s, role: %s, public: %s}\n", kid, issuer, role, n.public[kid])
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("commands: {unsigned: true}\n"), []byte(commands), 1)
	if err := os.WriteFile(r.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r.conf, err = load(r.file); err != nil {
		t.Fatal(err)
	}
	if r.conf.Commands.Unsigned || len(r.conf.Commands.Keys) != 2 {
		t.Fatalf("%+v", r.conf.Commands)
	}
	return r
}

// parcel is what the foreign client is to send.
type parcel struct {
	Name   string         `json:"name"`
	Kind   string         `json:"kind"`
	Kid    string         `json:"kid,omitempty"`
	Over   map[string]any `json:"over,omitempty"`  // members of the command
	Again  string         `json:"again,omitempty"` // the name of a parcel whose bytes are sent once more
	Topic  string         `json:"topic,omitempty"`
	Retain bool           `json:"retain,omitempty"`
}

// sender is a running foreign client.
type sender struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
}

func (n *node) sender(t *testing.T, m *mosquitto) *sender {
	t.Helper()
	c := exec.Command("node", "client.mjs", "send", m.port, "keys.json")
	c.Dir = n.dir
	var log diary
	c.Stderr = &log
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("node: %v: %s", err, &log)
		}
	})
	return &sender{t: t, in: in, out: bufio.NewScanner(out)}
}

// send sends one parcel, and tells whether the client and the broker took it.
func (s *sender) send(p parcel) (taken bool) {
	s.t.Helper()
	line, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		s.t.Fatal(err)
	}
	if !s.out.Scan() {
		s.t.Fatalf("node said nothing to %s: %v", line, s.out.Err())
	}
	word, rest, _ := strings.Cut(s.out.Text(), " ")
	if name, _, _ := strings.Cut(rest, " "); name != p.Name {
		s.t.Fatalf("node said %q to %s", s.out.Text(), line)
	}
	return word == "sent"
}

// signed is a cut of outlet 4 with a number, and with members as they come in pairs.
func signed(name, kind string, seq int, members ...any) parcel {
	over := map[string]any{"id": name, "seq": seq}
	for i := 0; i < len(members); i += 2 {
		over[members[i].(string)] = members[i+1]
	}
	return parcel{Name: name, Kind: kind, Over: over}
}

func (n *node) forgeries(t *testing.T) {
	m := newMosquitto(t)
	w := m.watch()
	s := n.sender(t, m)
	r := n.keyedRack(t, m)

	kept := signed("kept", "signed", 1)
	kept.Retain = true
	s.send(kept)
	r.join(t, w)
	eventually(t, 10*time.Second, "the event about the retained command", func() bool { return w.refused("retained") == 1 })
	s.send(parcel{Name: "clear", Kind: "empty", Retain: true})
	eventually(t, 10*time.Second, "the event about the empty message", func() bool { return w.refused("bad_schema") == 1 })

	s.send(signed("c1", "signed", 10, "target", "outlet/pdu-a.3"))
	if p := w.expect(t, "c1", "succeeded").Targets[0].Steps[0].Proof; p.Before == nil || p.After == nil || *p.Before < 3000 || *p.After > 10 {
		t.Errorf("proof %+v", p)
	}

	n.answered(t, s, w)
	n.counted(t, s, w, m)
	n.topics(t, s, w)

	// The frame ends the connection and comes again, until the agent gives the session up.
	s.send(signed("mega", "megabyte", 80))
	eventually(t, 30*time.Second, "the session to be discarded", func() bool { return strings.Contains(r.log.String(), "the session was discarded") })
	eventually(t, 30*time.Second, "the agent to be back", func() bool { return r.agent.Status().Link == "up" })
	s.send(signed("c2", "signed", 90, "target", "outlet/pdu-a.5"))
	w.expect(t, "c2", "succeeded")
	for _, id := range []string{"kept", "mega", "c9"} {
		if got := w.states(id); got != "" {
			t.Errorf("%s was answered: %s", id, got)
		}
	}
	r.judge(t, 2)
}

// answered sends what has a good signature and may not be obeyed all the same: each is one rejection.
func (n *node) answered(t *testing.T, s *sender, w *witness) {
	t.Helper()
	week := time.Now().Add(-7 * 24 * time.Hour).UnixMilli()
	reader := signed("x5", "signed", 1, "iss", "wall")
	reader.Kid = "wall-1"
	for _, x := range []struct {
		p    parcel
		want string
	}{
		{signed("x1", "signed", 10), "rejected/replay"},
		{signed("y12", "signed", 12, "dry", true), "succeeded"},
		{signed("y11", "signed", 11), "rejected/replay"}, // the two were swapped
		{signed("x2", "signed", 20, "iat", week, "exp", week+60_000), "rejected/expired"},
		{signed("x3", "signed", 21, "aud", "test/r2"), "rejected/wrong_audience"},
		{signed("x4", "signed", 22, "iss", "wall"), "rejected/unknown_key"},
		{reader, "rejected/unknown_key"},
		{signed("x6", "signed", 23, "target", "node/gpu-1"), "rejected/firm_guard"},
		{signed("x7", "signed", 24, "target", "outlet/+.1"), "rejected/bad_schema"},
		{signed("x8", "signed", 25, "target", "node/#"), "rejected/bad_schema"},
		{signed("x9", "signed", 26, "aud", nil), "rejected/bad_schema"},
	} {
		s.send(x.p)
		w.expect(t, x.p.Name, x.want)
	}
	s.send(parcel{Name: "again", Again: "c1"})
	eventually(t, 10*time.Second, "the answer to the repeat", func() bool { return strings.HasSuffix(w.states("c1"), "succeeded dup") })
}

// counted sends what nobody can be answered for: each is one event.
func (n *node) counted(t *testing.T, s *sender, w *witness, m *mosquitto) {
	t.Helper()
	for _, x := range []struct {
		p    parcel
		want string
	}{
		{signed("c9", "unsigned", 30), "bad_signature"},
		{signed("c9", "wrong-key", 30), "bad_signature"},
		{signed("c9", "none", 30), "bad_signature"},
		{signed("c9", "hs256", 30), "bad_signature"},
		{signed("c9", "es256", 30), "bad_signature"},
		{signed("c9", "jwk", 30), "bad_signature"},
		{signed("c9", "twice", 30), "bad_schema"},
		{parcel{Name: "kid", Kind: "signed", Kid: "mallory-1", Over: map[string]any{"id": "c9", "seq": 30}}, "unknown_key"},
		{signed("c9", "signed", 30, "why", strings.Repeat("x", 9000)), "too_big"},
		{signed("c9", "signed", 30, "id", "a/b"), "bad_schema"},
		{signed("c9", "signed", 30, "id", "+"), "bad_schema"},
		{signed("c9", "signed", 30, "id", "../../r2/up/cmd/c9"), "bad_schema"},
		{parcel{Name: "rubbish", Kind: "rubbish"}, "bad_schema"},
	} {
		before := w.refused(x.want)
		s.send(x.p)
		eventually(t, 10*time.Second, "the event about "+x.p.Kind, func() bool { return w.refused(x.want) == before+1 })
	}
	before := w.refused("bad_signature")
	m.order(cut("c9", 4)) // by mosquitto_pub
	eventually(t, 10*time.Second, "the event about mosquitto_pub's", func() bool { return w.refused("bad_signature") == before+1 })
}

// topics sends a good command to where none is taken. What lies below down/ of this agent is one event, the rest nothing.
func (n *node) topics(t *testing.T, s *sender, w *witness) {
	t.Helper()
	const down = "rackagent/v1/test/r1/down/"
	seq := 40
	for _, x := range []struct {
		topic string
		heard bool
	}{
		{down + "cmd/c9", true},
		{down + "cmd/", true},
		{down + "desired", true},
		{down + "config", true},
		{down + "CMD", true},
		{"rackagent/v1/test/r2/down/cmd", false},
		{"rackagent/v1/test/_all/down/cmd", false},
		{"rackagent/v1/test//down/cmd", false},
		{"rackagent/v1/test/r1/up/cmd/c9", false},
		{"rackagent/v1/test/+/down/cmd", false}, // a client refuses these two, or the broker does
		{"rackagent/v1/test/r1/down/#", false},
	} {
		before := w.refused("unsupported")
		p := signed("c9", "signed", seq)
		seq++
		p.Topic = x.topic
		if x.topic == "rackagent/v1/test/r1/up/cmd/c9" { // the witness would take it for the agent's
			p.Over["st"], p.Topic = "forged", "rackagent/v1/test/r1/up/forged"
		}
		taken := s.send(p)
		if taken == strings.ContainsAny(x.topic, "+#") {
			t.Errorf("%s: taken %t", x.topic, taken)
		}
		if x.heard {
			eventually(t, 10*time.Second, "the event about "+x.topic, func() bool { return w.refused("unsupported") == before+1 })
		}
	}
	pass(time.Second)
	if got := w.refused("unsupported"); got != 5 {
		t.Errorf("%d events about other topics", got)
	}
	w.onlyOwnTopics(t)
}

// onlyOwnTopics checks that the agent has spoken on its own topics and about known commands alone.
func (w *witness) onlyOwnTopics(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	known := []string{"state", "info", "tele", "event", "alarm", "selftest", "forged"}
	for _, m := range w.heard {
		if !strings.HasPrefix(m.topic, "rackagent/") || strings.Contains(m.topic, "/down/") {
			continue // somebody else's
		}
		rest, ours := strings.CutPrefix(m.topic, "rackagent/v1/test/r1/up/")
		word, id, _ := strings.Cut(rest, "/")
		if !ours || word == "cmd" && strings.ContainsAny(id, "/+#.") || word != "cmd" && !slices.Contains(known, word) {
			t.Errorf("heard %s %s", m.topic, m.payload)
		}
	}
}

// flood is 10,000 commands a second for five seconds, over loopback, to an agent in a process of its own.
func (n *node) flood(t *testing.T) {
	const perSecond, seconds = 10_000, 5
	m := newMosquitto(t)
	w := m.watch()
	r := n.keyedRack(t, m)
	p := r.spawn(t, w, "")
	s := n.sender(t, m)
	s.send(signed("warm", "signed", 1, "dry", true))
	w.expect(t, "warm", "succeeded")
	clock := m.listen()
	before := p.rss(t)

	began := time.Now()
	said := n.run(t, time.Minute, "node", "client.mjs", "flood", m.port, "keys.json", strconv.Itoa(perSecond), strconv.Itoa(seconds))
	pass(2 * time.Second)
	after := p.rss(t)
	gap, batches := clock.widest(began)
	t.Logf("node %s; resident %d KiB, then %d KiB; %d batches, at most %s apart", strings.TrimSpace(said), before, after, batches, gap)
	if after > 96<<10 || after-before > 48<<10 {
		t.Errorf("%d KiB are resident, %d before", after, before)
	}
	if gap > 3*time.Second || batches < seconds {
		t.Errorf("%d batches, %s between two of them: the period is 1 s", batches, gap)
	}
	sent := time.Now()
	s.send(signed("honest", "signed", 1000))
	w.expect(t, "honest", "succeeded")
	if took := time.Since(sent); took > 6*time.Second {
		t.Errorf("an honest cut took %s", took)
	}
	// What is told by name is little; the rest is counted into the next event, so one more is needed.
	s.send(parcel{Name: "rubbish", Kind: "rubbish"})
	pass(time.Second)
	if n := w.allRefused(); n < perSecond*seconds/2 {
		t.Errorf("%d refused messages were told: the flood never came", n)
	} else {
		t.Logf("%d refused messages in %d events", n, len(w.on(topic.Up("event"))))
	}
	if got := w.accepted([]string{"flood"}); got != 0 || strings.Contains(w.states("flood"), "accepted") {
		t.Errorf("the flood was accepted: %s", w.states("flood"))
	}
}

// allRefused counts the messages that events say were refused, those told by number too.
func (w *witness) allRefused() (n int) {
	for _, m := range w.on(topic.Up("event")) {
		var e struct{ Kind, Txt string }
		if json.Unmarshal([]byte(m.payload), &e) != nil || e.Kind != "message_refused" {
			continue
		}
		n++
		if _, rest, ok := strings.Cut(e.Txt, "(and "); ok {
			more, _, _ := strings.Cut(rest, " ")
			k, _ := strconv.Atoi(more)
			n += k
		}
	}
	return n
}

// rss is the memory of a process that is in use, in KiB.
func (p *process) rss(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// ear hears when telemetry comes, by its own clock.
type ear struct {
	mu sync.Mutex
	at []time.Time
}

// listen starts a mosquitto_sub for telemetry alone.
func (m *mosquitto) listen() *ear {
	m.t.Helper()
	e := &ear{}
	c := exec.Command("mosquitto_sub", slices.Concat(m.client, []string{"-q", "1", "-F", "%t", "-t", topic.Up("tele")})...)
	pipe, err := c.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			e.mu.Lock()
			e.at = append(e.at, time.Now())
			e.mu.Unlock()
		}
	}()
	m.t.Cleanup(func() {
		_ = c.Process.Kill()
		<-done
		_ = c.Wait()
	})
	eventually(m.t, 10*time.Second, "telemetry", func() bool { _, n := e.widest(time.Time{}); return n > 0 })
	return e
}

// widest is the longest time between two batches since a moment, and how many there were.
func (e *ear) widest(since time.Time) (gap time.Duration, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, at := range e.at {
		if at.Before(since) {
			continue
		}
		n++
		if i > 0 {
			gap = max(gap, at.Sub(e.at[i-1]))
		}
	}
	return gap, n
}
