//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/drivers/nut"
)

// upsd is a real server of Network UPS Tools with its dummy driver, which reads what it tells from a file.
type upsd struct {
	t      *testing.T
	dir    string
	port   string
	driver *exec.Cmd
}

// Debian's nut-server keeps both programs here; /sbin/upsd is a script that asks for a MODE in /etc.
const nutDir = "/lib/nut/"

func newUPSD(t *testing.T) *upsd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	dir, err := os.MkdirTemp("/tmp", "nut") // its socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	u := &upsd{t: t, dir: dir, port: port}
	u.tells("OL", 100, 1200)
	for name, text := range map[string]string{
		"ups.conf":  fmt.Sprintf("[rack]\n  driver = dummy-ups\n  port = %s/rack.dev\n  pollinterval = 1\n", dir),
		"upsd.conf": "LISTEN 127.0.0.1 " + port + "\nMAXAGE 5\n", "upsd.users": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u.driver = u.run("dummy-ups", "-a", "rack")
	u.run("upsd")
	deadline := time.Now().Add(20 * time.Second)
	for {
		if s, err := u.sense(); err == nil && s.OnBattery != nil && !*s.OnBattery {
			return u
		} else if time.Now().After(deadline) {
			t.Fatalf("upsd does not answer: %+v, %v", s, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// run starts one of its programs, which stays in the foreground because it is told to debug.
func (u *upsd) run(name string, args ...string) *exec.Cmd {
	u.t.Helper()
	me, err := user.Current()
	if err != nil {
		u.t.Fatal(err)
	}
	cmd := exec.Command(nutDir+name, append(args, "-u", me.Username, "-D")...)
	cmd.Env = append(os.Environ(), "NUT_CONFPATH="+u.dir, "NUT_STATEPATH="+u.dir, "NUT_ALTPIDPATH="+u.dir)
	log := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		u.t.Fatalf("%v: Debian has it in nut-server", err)
	}
	u.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if u.t.Failed() {
			u.t.Logf("%s:\n%s", name, log)
		}
	})
	return cmd
}

// tells changes what the UPS says. The file is exchanged, so that the driver never reads half of it.
func (u *upsd) tells(status string, charge, runtime int) {
	u.t.Helper()
	text := fmt.Sprintf("ups.status: %s\nbattery.charge: %d\nbattery.runtime: %d\n", status, charge, runtime)
	part := filepath.Join(u.dir, "rack.new")
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(u.dir, "rack.dev")); err != nil {
		u.t.Fatal(err)
	}
}

// dial connects whoever wants upsd's own port to this one.
func (u *upsd) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasSuffix(address, ":"+nut.Port) {
		address = "127.0.0.1:" + u.port
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (u *upsd) sense() (nut.Status, error) {
	d, err := nut.New(nut.Opts{Name: "ups", Host: "127.0.0.1", UPS: "rack", Dial: u.dial})
	if err != nil {
		u.t.Fatal(err)
	}
	return d.Sense(u.t.Context())
}

// TestOnBattery switches a real upsd to its battery, to an empty battery, and back. Every miner is shed, without a broker; the
// server stays up, and nothing is started by itself when mains are back. A server that loses its UPS moves nothing.
func TestOnBattery(t *testing.T) {
	u := newUPSD(t)
	r := newRig(t, `broker: "mqtt://127.0.0.1:1"`, 0.5, rackWorld(0),
		"nodes:\n", "sensors:\n  - {name: ups, part: ups, host: 127.0.0.1, ups: rack, period_s: 0.5}\nnodes:\n",
		"outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}\n", "outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}\n"+
			"interlocks:\n  - {name: battery, kind: on_battery, sensor: ups, target: rack, asic: cut}\n")
	r.change = func(w *agent.World) { w.DialMiner = u.dial }
	r.start()
	time.Sleep(3 * time.Second)
	if n := len(r.relayWrites(0)); n != 0 {
		t.Fatalf("%d writes on mains", n)
	}

	began := time.Now()
	u.tells("OB DISCHRG", 90, 900)
	off := func() bool {
		for n := 1; n <= 6; n++ {
			if r.world.Rack().Closed(out(n)) {
				return false
			}
		}
		return true
	}
	for !off() && time.Since(began) < 30*time.Second {
		time.Sleep(20 * time.Millisecond)
	}
	// The driver looks once a second, the agent twice; two readings of it have to show the battery.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the miners were shed after %s", took)
	} else {
		t.Logf("shed %s after the file was changed", took.Round(10*time.Millisecond))
	}

	u.tells("OB LB", 9, 80)
	time.Sleep(4 * time.Second)
	if s, err := u.sense(); err != nil || !s.Low || *s.ChargePct != 9 || *s.RuntimeS != 80 {
		t.Errorf("%+v, %v", s, err)
	}
	if tripped := r.agent.Status().Tripped; len(tripped) != 1 || !strings.Contains(tripped[0].Why, "ups says on battery") {
		t.Errorf("%+v", tripped)
	}

	_ = u.driver.Process.Kill() // the server has lost its UPS
	time.Sleep(8 * time.Second)
	if tripped := r.agent.Status().Tripped; len(tripped) != 1 {
		t.Errorf("without a word of the UPS: %+v", tripped)
	}
	u.tells("OL CHRG", 20, 300)
	u.run("dummy-ups", "-a", "rack")
	for end := time.Now().Add(90 * time.Second); len(r.agent.Status().Tripped) != 0; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("mains are back, and it is still tripped: %+v", r.agent.Status().Tripped)
		}
	}
	time.Sleep(5 * time.Second)
	if n := len(r.relayWrites(0)); n != 6 {
		t.Errorf("%d writes to relays, want a cut of each miner and nothing else", n)
	}
	if !off() || len(r.world.Rack().Downs()) != 0 {
		t.Errorf("miners off: %v; servers down: %v", off(), r.world.Rack().Downs())
	}
}
