//go:build e2e && linux

package board

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
)

// topic are the topics of the agent in every guest.
var topic = wire.Topic("test", "b1")

// head is what stands above every configuration. Its blank is the broker's port on the host, which QEMU's network
// shows at 10.0.2.2.
const head = `schema: 1
site: test
agent: b1
state_dir: /var/lib/rackagent
mqtt: {broker: "mqtt://10.0.2.2:%s"}
commands: {unsigned: true}
http: {listen: ""}
`

// Where things are in a guest.
const (
	configFile = "/etc/rackagent/config.yaml"
	stateDir   = "/var/lib/rackagent"
	agentLog   = "/run/agent.log"
	agentEnd   = "/run/agent.end" // its exit status
)

// configuration is a complete one; in text, @N is the device file of bus N.
func (g *guest) configuration(text string) string {
	g.t.Helper()
	_, port, err := net.SplitHostPort(g.world.Broker().Address())
	g.must(err)
	return fmt.Sprintf(head, port) + g.b.devices(text)
}

// configure writes the agent's configuration, which the agent must find good.
func (g *guest) configure(text string) {
	g.t.Helper()
	g.write(configFile, g.configuration(text))
	g.sh("mkdir -p -m 700 %s && rackagent check", stateDir)
}

// agent starts the agent and waits until the broker has heard its birth.
func (g *guest) agent() {
	g.t.Helper()
	before := g.births()
	g.sh("rm -f %[2]s; setsid sh -c 'rackagent run >>%[1]s 2>&1 & echo $! >/run/agent.pid; wait $!; echo $? >%[2]s' >/dev/null 2>&1 &", agentLog, agentEnd)
	g.eventually(time.Minute, "the agent's birth", func() bool { return g.births() > before })
}

// signal sends the agent a signal by its name, waits for its end and gives its exit status as a shell sees it.
func (g *guest) signal(name string) int {
	g.t.Helper()
	g.sh("kill -%s $(cat /run/agent.pid)", name)
	g.eventually(30*time.Second, "the agent's end", func() bool {
		_, err := g.try("[ -s " + agentEnd + " ]")
		return err == nil
	})
	return g.number("cat " + agentEnd)
}

// journal copies the agent's journal out of the guest.
func (g *guest) journal() (path string) {
	g.t.Helper()
	path = filepath.Join(g.t.TempDir(), "journal.db")
	g.must(os.WriteFile(path, g.read(stateDir+"/journal.db"), 0o600))
	return path
}

// heard is what clients have published on a topic, oldest first.
func (g *guest) heard(topic string) []sim.Message {
	var out []sim.Message
	for _, m := range sim.Of[sim.Message](g.world.Trace().Entries()) {
		if !m.Out && m.Topic == topic {
			out = append(out, m)
		}
	}
	return out
}

// births counts the agents that have said they are there: one that says it again, about its clock perhaps, is no other.
func (g *guest) births() int {
	g.t.Helper()
	boots := map[string]bool{}
	for _, m := range g.heard(topic.Up("state")) {
		var s struct{ State, Boot string }
		g.must(json.Unmarshal(m.Payload, &s))
		if s.State == wire.Online {
			boots[s.Boot] = true
		}
	}
	return len(boots)
}

// wills counts the last wills of agents that the broker lost.
func (g *guest) wills() (n int) {
	for _, m := range g.heard(topic.Up("state")) {
		if m.Will {
			n++
		}
	}
	return n
}

// command is a message to the agent, as anybody may publish it.
type command struct{ id, text string }

// newCommand is one that lasts a minute. more are members of the envelope, each with a comma in front.
func newCommand(id, op, target, more string) command {
	exp := time.Now().Add(time.Minute).UnixMilli()
	return command{id, fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d%s}`, id, op, target, exp, more)}
}

// order publishes a command and waits for its end, or for another end if it was published before.
func (g *guest) order(c command) wire.Status {
	g.t.Helper()
	before := len(g.states(c.id))
	g.must(g.world.Broker().Publish(topic.Command(), []byte(c.text), 1, false))
	return g.end(c.id, before)
}

// end waits for the end of a command among the states that came after the first ones.
func (g *guest) end(id string, before int) wire.Status {
	g.t.Helper()
	var end wire.Status
	g.eventually(40*time.Second, "the end of command "+id, func() bool {
		for _, s := range g.states(id)[before:] {
			if end = s; s.State.Terminal() && s.Part == s.Parts {
				return true
			}
		}
		return false
	})
	return end
}

// states are all that the agent has said of a command.
func (g *guest) states(id string) []wire.Status {
	g.t.Helper()
	var out []wire.Status
	for _, m := range g.heard(topic.Up("cmd/" + id)) {
		s, err := wire.DecodeStatus(m.Payload)
		g.must(err)
		out = append(out, s)
	}
	return out
}

// batch is a message with readings as any reader of the topic decodes it.
type batch struct {
	heard time.Time
	Seq   uint64                           `json:"seq"`
	At    int64                            `json:"ts"`
	D     map[string]map[string][]*float64 `json:"d"`
	X     map[string]doubt                 `json:"x"`
}

// doubt is what stands beside a value that is not fresh and good.
type doubt struct {
	Quality rack.Quality `json:"q"`
	AgeMS   *int64       `json:"age_ms"`
	Why     string       `json:"why"`
}

// value is what a batch shows of a point DEVICE.QUANTITY.N, or the reason why it shows nothing: its x entry, or
// "missing" where there is none either.
func (m batch) value(point string) (float64, string) {
	f := strings.Split(point, ".")
	n, err := strconv.Atoi(f[len(f)-1])
	if values := m.D[f[0]][f[1]]; err == nil && n >= 1 && n <= len(values) && values[n-1] != nil {
		return *values[n-1], ""
	}
	if x, ok := m.X[point]; ok {
		return 0, fmt.Sprintf("%s, %s", x.Quality, x.Why)
	}
	return 0, "missing"
}

// batches are all messages with readings, oldest first.
func (g *guest) batches() []batch {
	g.t.Helper()
	var out []batch
	for _, m := range g.heard(topic.Up("tele")) {
		b := batch{heard: m.At}
		g.must(json.Unmarshal(m.Payload, &b))
		out = append(out, b)
	}
	return out
}

// reads waits for a batch that shows a point within tolerance of want, and gives the time from now to its arrival.
func (g *guest) reads(point string, want, tolerance float64, limit time.Duration) time.Duration {
	g.t.Helper()
	began := time.Now()
	seen := len(g.batches())
	var newest string
	var when time.Time
	if err := within(limit, func() bool {
		for _, b := range g.batches()[seen:] {
			v, why := b.value(point)
			if why == "" && v >= want-tolerance && v <= want+tolerance {
				when = b.heard
				return true
			}
			newest = fmt.Sprint(v, why)
		}
		return false
	}); err != nil {
		g.t.Fatalf("%s is not %g within %v; the newest is %s", point, want, limit, newest)
	}
	return when.Sub(began)
}

// lacks waits for a batch that shows no value for a point, for a reason.
func (g *guest) lacks(point, why string, limit time.Duration) {
	g.t.Helper()
	seen := len(g.batches())
	var newest string
	if err := within(limit, func() bool {
		for _, b := range g.batches()[seen:] {
			v, doubt := b.value(point)
			if doubt == why {
				return true
			}
			newest = fmt.Sprint(v, doubt)
		}
		return false
	}); err != nil {
		g.t.Errorf("%s does not lack for %q within %v; the newest is %s", point, why, limit, newest)
	}
}
