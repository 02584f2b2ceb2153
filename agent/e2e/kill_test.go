//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/sim"
)

const (
	envAgent = "RACKAGENT_E2E_AGENT" // configuration file: the test binary is an agent
	envFault = "RACKAGENT_E2E_FAULT" // a fault of its world, as sim.ParseFault reads it
)

// live is the life of an agent in a process of its own, with a rack of its own. It does not end by itself.
func live(file string) int {
	if err := liveIn(file, os.Getenv(envFault)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func liveIn(file, fault string) error {
	c, err := load(file)
	if err != nil {
		return err
	}
	world := rackWorld(0)
	world.StateDir = filepath.Dir(file)
	w, err := sim.New(world)
	if err != nil {
		return err
	}
	o, err := outside(c, w, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	o.Ready = func() {
		if err := inject(w, fault); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(swept)
	}
	a, err := agent.New(c, o)
	if err != nil {
		return err
	}
	return a.Run(context.Background())
}

// swept is what the process prints when all devices have been read and the fault is in force.
const swept = "swept"

func inject(w *sim.World, fault string) error {
	if fault == "" {
		return nil
	}
	f, err := sim.ParseFault(fault)
	if err != nil {
		return err
	}
	return w.Inject(f)
}

// process is an agent that can be killed.
type process struct {
	cmd       *exec.Cmd
	said, log diary
}

// spawn starts an agent as a process, on the rig's configuration and state directory, and waits for its birth and its
// first sweep.
func (r *rig) spawn(t *testing.T, w *witness, fault string) *process {
	t.Helper()
	before := w.births()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), envAgent+"="+r.file, envFault+"="+fault)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the killed agent's log:\n%s", &p.log)
		}
	})
	eventually(t, 20*time.Second, "the agent in its process", func() bool {
		return w.births() > before && strings.Contains(p.said.String(), swept)
	})
	return p
}

// kill is SIGKILL: nothing is finished, nothing is said.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// open makes a new world begin with an outlet's relay open, as the write of the killed agent left it.
func (r *rig) open(t *testing.T, n int) {
	t.Helper()
	d, err := r.world.Devices("pdu-a")
	if err != nil {
		t.Fatal(err)
	}
	// Outlets 1 to 6 are closed by a high level, 7 and 8 by a low one; pins 8 to 15 have no relay and stay inputs.
	d.Bank.Load(0xFF3F&^(1<<(n-1)), 0xFF00)
	eventually(t, time.Second, "the contact to open", func() bool { return !r.world.Rack().Closed(out(n)) && r.world.Rack().Watts(out(n)) < 1 })
}

// TestAnAgentKilledInTheMiddle: the process is killed while a command runs. The next life does not go on with it; it
// says what measurement proves now, once, and writes nothing.
func TestAnAgentKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	running := func(x word) bool { return x.State == "running" }
	opened := func(x word) bool {
		return running(x) && len(x.Targets) > 0 && len(x.Targets[0].Steps) > 0 && x.Targets[0].Steps[0].Settled != nil
	}
	// A frozen meter proves nothing, so that a cut runs for the 5 s that it may take.
	const frozen = "frozen=pdu-a.meter.2"
	for _, c := range []struct {
		name, op, fault string
		when            func(word) bool // it is killed
		open            bool            // outlet 3 in the next life's world
		want            string
		recovered       bool
	}{
		{"a cut, the relay stands open", "outlet.cut", frozen, running, true, "succeeded", true},
		{"a cut, the relay is closed", "outlet.cut", frozen, running, false, "unknown/verify_failed", false},
		{"a cycle in its open half", "outlet.cycle", "", opened, true, "unknown/verify_failed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMosquitto(t)
			w := m.watch()
			r := theRack(t, m)
			p := r.spawn(t, w, c.fault)
			m.order(envelope("c1", c.op, "outlet/pdu-a.3", time.Minute, ""))
			eventually(t, 10*time.Second, "the command to run", func() bool { return slices.ContainsFunc(w.words("c1"), c.when) })
			p.kill()
			eventually(t, 10*time.Second, "the will", func() bool {
				last := w.on(topic.Up("state"))
				return strings.Contains(last[len(last)-1].payload, `"reason":"lost"`)
			})
			if len(w.ends("c1")) != 0 {
				t.Fatalf("it had ended before the kill: %s", w.states("c1"))
			}
			if c.open {
				r.open(t, 3)
			}
			r.join(t, w)
			x := w.expect(t, "c1", c.want)
			if len(x.Targets) != 1 || x.Targets[0].Recovered != c.recovered {
				t.Errorf("targets %+v, want recovered %v", x.Targets, c.recovered)
			}
			pass(2 * time.Second) // for a second end or a late write, if there is one
			if n := len(w.ends("c1")); n != 1 {
				t.Errorf("%d ends: %s", n, w.states("c1"))
			}
			if closed := r.world.Rack().Closed(out(3)); closed == c.open {
				t.Error("the relay has moved")
			}
			r.judge(t, 0)
		})
	}
}

// TestABurstAcrossAKilledAgent: of six commands three were recorded, perhaps carried out, and three not even read when
// the process is killed. The broker delivers again what was not acknowledged. Each ends once, and the second life
// carries out only what it has accepted itself, the last three among it.
func TestABurstAcrossAKilledAgent(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	p := r.spawn(t, w, "")
	o := newOperator(m.try, w, "b", 6)
	o.send(o.ids[:3]...)
	eventually(t, 10*time.Second, "a command to be accepted", func() bool { return w.accepted(o.ids) > 0 })
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o.send(o.ids[3:]...)
	p.kill()
	r.join(t, w)
	o.insist(t, func(int) {})
	boot, anew := r.agent.Status().Boot, 0
	for _, id := range o.ids {
		if n := len(w.ends(id)); n != 1 {
			t.Errorf("command %s has %d ends: %s", id, n, w.states(id))
		}
		if slices.ContainsFunc(w.words(id), func(x word) bool { return x.State == "accepted" && !x.Dup && x.Boot == boot }) {
			anew++
		}
	}
	for _, id := range o.ids[3:] {
		w.expect(t, id, "succeeded")
	}
	r.judge(t, anew)
}

// TestAResultOutlivesBrokerAndAgent: the broker dies while a cut runs, and the agent before it could tell the end. The
// next life tells it unasked: the result was on disk, and nobody had acknowledged it.
func TestAResultOutlivesBrokerAndAgent(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t)
	w := m.watch()
	r := theRack(t, m)
	p := r.spawn(t, w, "")
	m.order(cut("c1", 3))
	eventually(t, 10*time.Second, "the command to run", func() bool { return strings.HasSuffix(w.states("c1"), "running") })
	m.kill()
	pass(6 * time.Second) // a cut has ended after 5 s, however it ends
	p.kill()
	m.start()
	m.hears(w)
	if got := w.states("c1"); got != "accepted, running" {
		t.Fatalf("the end was told before its time: %s", got)
	}
	r.join(t, w)
	if x := w.expect(t, "c1", "succeeded"); x.Dup || x.Targets[0].Recovered {
		t.Errorf("%+v: want the result of the first life, as news", x)
	}
	r.judge(t, 0, "S8") // the write that it is about is in the record of the world that was killed
}
