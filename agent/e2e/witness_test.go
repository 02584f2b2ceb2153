//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rackagent/agent/wire"
)

// witness is an independent subscriber: a mosquitto_sub that hears everything. It comes back by itself when its
// broker does, a second later; what was said meanwhile it does not hear.
type witness struct {
	of    wire.Topics // whose words it understands
	mu    sync.Mutex
	heard []message
}

// message is one line of mosquitto_sub.
type message struct {
	retained bool // a replay of a retained message
	topic    string
	payload  string
}

// word is a state of a command as any operator's program would read it.
type word struct {
	ID      string `json:"id"`
	State   string `json:"st"`
	N       int    `json:"n"`
	Boot    string `json:"boot"`
	Dup     bool   `json:"dup"`
	Code    string `json:"code"`
	Text    string `json:"txt"`
	Targets []struct {
		State     string `json:"st"`
		Recovered bool   `json:"recovered"`
		Steps     []struct {
			Settled *int64 `json:"settled"`
			Proof   struct {
				Before *float64 `json:"before_w"`
				After  *float64 `json:"after_w"`
			} `json:"proof"`
		} `json:"steps"`
	} `json:"targets"`
}

// terminal tells whether nothing may follow. A rejection that leaves the id free is no end.
func (w word) terminal() bool {
	switch w.State {
	case "waiting", "accepted", "running":
		return false
	case "rejected":
		return !slices.Contains([]string{"busy", "rate_limited", "observing", "id_conflict", "journal_full"}, w.Code)
	default:
		return true
	}
}

// String is the word in short: "succeeded", "rejected/expired", "succeeded dup".
func (w word) String() string {
	s := w.State
	if w.Code != "" {
		s += "/" + w.Code
	}
	if w.Dup {
		s += " dup"
	}
	return s
}

// ready is the topic by which a witness is found to hear.
const ready = "ready"

// watch starts a witness and waits until it hears.
func (m *mosquitto) watch() *witness {
	m.t.Helper()
	w := &witness{of: topic}
	// %r retained, %t topic, %p payload
	c := exec.Command("mosquitto_sub", slices.Concat(m.client, []string{"-q", "1", "-F", "%r %t %p", "-t", "rackagent/#", "-t", ready})...)
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
		s := bufio.NewScanner(pipe)
		s.Buffer(nil, 1<<22) // more than any test sends
		for s.Scan() {
			w.hear(s.Text())
		}
	}()
	m.t.Cleanup(func() {
		_ = c.Process.Kill()
		<-done
		_ = c.Wait()
		if m.t.Failed() {
			m.t.Logf("the witness heard:\n%s", w)
		}
	})
	m.hears(w)
	return w
}

// hears waits until a witness hears, at the start or after the broker was away.
func (m *mosquitto) hears(w *witness) {
	m.t.Helper()
	before := len(w.on(ready))
	eventually(m.t, 10*time.Second, "mosquitto_sub to hear", func() bool {
		return m.pub("x", "-t", ready, "-l") == nil && len(w.on(ready)) > before
	})
}

func (w *witness) hear(line string) {
	f := strings.SplitN(line, " ", 3)
	if len(f) < 3 {
		f = append(f, "", "")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, message{f[0] == "1", f[1], f[2]})
}

func (w *witness) all() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard)
}

// on gives all messages on a topic.
func (w *witness) on(topic string) []message {
	return slices.DeleteFunc(w.all(), func(m message) bool { return m.topic != topic })
}

// String lists what was heard, without readings.
func (w *witness) String() string {
	var b strings.Builder
	for _, m := range w.all() {
		if m.topic != w.of.Up("tele") && m.topic != ready {
			fmt.Fprintf(&b, "%v %s %.300s\n", m.retained, m.topic, m.payload)
		}
	}
	return b.String()
}

// words are all states of a command, in the order in which they were heard.
func (w *witness) words(id string) []word {
	var out []word
	for _, m := range w.on(w.of.Up("cmd/" + id)) {
		var x word
		if err := json.Unmarshal([]byte(m.payload), &x); err != nil || x.ID != id {
			x = word{State: "unreadable: " + m.payload}
		}
		out = append(out, x)
	}
	return out
}

// states is the same in one line.
func (w *witness) states(id string) string {
	var s []string
	for _, x := range w.words(id) {
		s = append(s, x.String())
	}
	return strings.Join(s, ", ")
}

// ends are the different ends of a command that were heard; a redelivery and an answer to a repeat are no other end.
func (w *witness) ends(id string) []word {
	var out []word
	for _, x := range w.words(id) {
		same := func(y word) bool { return x.State == y.State && x.Code == y.Code && x.N == y.N }
		if x.terminal() && !slices.ContainsFunc(out, same) {
			out = append(out, x)
		}
	}
	return out
}

// await waits for the end of a command. After a restart the judgement alone may take 15 s.
func (w *witness) await(t *testing.T, id string) word {
	t.Helper()
	eventually(t, 40*time.Second, "the end of command "+id, func() bool { return len(w.ends(id)) > 0 })
	return w.ends(id)[0]
}

// expect waits for the end of a command and checks it: "succeeded", "rejected/expired".
func (w *witness) expect(t *testing.T, id, want string) word {
	t.Helper()
	x := w.await(t, id)
	if got := strings.TrimSuffix(x.String(), " dup"); got != want {
		t.Errorf("command %s ended %s (%s), want %s", id, got, x.Text, want)
	}
	return x
}

// refused counts the events about messages that were refused without an answer, for a reason.
func (w *witness) refused(reason string) (n int) {
	for _, m := range w.on(w.of.Up("event")) {
		var e struct {
			Kind   string `json:"kind"`
			Reason string `json:"reason"`
		}
		if json.Unmarshal([]byte(m.payload), &e) == nil && e.Kind == "message_refused" && e.Reason == reason {
			n++
		}
	}
	return n
}

// births counts the times that the agent said it was there.
func (w *witness) births() (n int) {
	for _, m := range w.on(w.of.Up("state")) {
		if !m.retained && strings.Contains(m.payload, `"state":"online"`) {
			n++
		}
	}
	return n
}
