//go:build e2e && linux

package board

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestUnit installs the product in a Debian with systemd as the README says, and lets it live under its own unit: in
// its sandbox, watched, restarted, stopped.
func TestUnit(t *testing.T) {
	b := ast2600
	disk, err := b.rootfs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := bootSystem(t, b, sparse, system{disk, shipped(t)})
	g.must(g.qmp.set("temp", "temperature", milli(23.5)))
	g.write("/root/rack/config/example.yaml", g.configuration(sparseConfig))
	t.Cleanup(func() {
		if t.Failed() {
			said, err := g.try("journalctl -b -o short-monotonic --no-pager -u rackagent -u rackagent.socket | tail -n 60; systemctl status --no-pager rackagent.service")
			t.Logf("systemd says (%v):\n%s", err, said)
		}
	})
	began := time.Now()
	g.sh("mkdir -p /etc/sysusers.d") // Debian 12 has none, and what the README says takes it for granted
	for _, line := range installation(t) {
		g.sh("cd /root/rack && " + line)
	}
	g.eventually(time.Minute, "the agent's birth", func() bool { return g.births() > 0 })
	t.Logf("installed and born after %.1f s", time.Since(began).Seconds())

	g.reads("pdu-a.temp_c.1", 23.5, tenth, patience)
	inSandbox(t, g)
	restarts(t, g)
	stops(t, g)
}

// shipped are the files of the repository that an installation takes.
func shipped(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../../systemd/*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if strings.HasSuffix(f, ".go") {
			continue
		}
		if out["root/rack/systemd/"+filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// installation are the lines of the README that install what was built.
func installation(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n## Install\n\n```\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README does not say how to install")
	}
	lines := []string{"cp /opt/board/rackagent ."}
	for line := range strings.Lines(string(block[1])) {
		if !strings.Contains(line, "go build") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// show is a property of the service.
func (g *guest) show(property string) string {
	g.t.Helper()
	return g.sh("systemctl show --value -p %s rackagent.service", property)
}

// inSandbox looks at the process as the kernel holds it.
func inSandbox(t *testing.T, g *guest) {
	if s := g.show("ActiveState") + " " + g.show("SubState"); s != "active running" {
		t.Errorf("the service is %s", s)
	}
	if s := g.show("StatusText"); !strings.Contains(s, "1/1 buses") {
		t.Errorf("its status is %q", s)
	}
	pid := g.show("MainPID")
	status := g.sh("cat /proc/%s/status", pid)
	uid := g.sh("id -u rackagent")
	for field, want := range map[string]string{
		"Uid":        strings.Join([]string{uid, uid, uid, uid}, "\t"),
		"CapEff":     "0000000000000000",
		"CapBnd":     "0000000000000000",
		"NoNewPrivs": "1",
		"Seccomp":    "2", // filtered
	} {
		if !strings.Contains(status, "\n"+field+":\t"+want+"\n") {
			t.Errorf("%s is not %s in\n%s", field, want, status)
		}
	}
	if uid == "0" {
		t.Error("it runs as root")
	}
	mounts := g.sh("cat /proc/%s/mountinfo", pid)
	for _, m := range []string{` / / ro[, ]`, ` /home ro[, ]`, ` /var/lib/rackagent rw[, ]`} {
		if !regexp.MustCompile(m).MatchString(mounts) {
			t.Errorf("no mount%s in\n%s", m, mounts)
		}
	}
	// The bus is reached through the rule's group and the one class of devices that is allowed.
	device := g.b.devices("@0")
	if s := g.sh("stat -c '%%U %%G %%a' %s", device); s != "root i2c 660" {
		t.Errorf("%s belongs to %s", device, s)
	}
	g.sh("systemd-run --quiet --pipe --wait -- sh -c 'exec 4<>/dev/mem'")
	if said, err := g.try("systemd-run --quiet --pipe --wait -p DevicePolicy=closed -p 'DeviceAllow=char-i2c rw' -- sh -c '" +
		"exec 3<>" + device + " && ! (exec 4<>/dev/mem)'"); err != nil {
		t.Errorf("the kernel does not tell devices apart: %v: %s", err, said)
	}
	for command, want := range map[string]string{"status": "rack test/b1", "list": ""} {
		if s := g.sh("rackagent " + command); !strings.Contains(s, want) {
			t.Errorf("%s says %s", command, s)
		}
	}
}

// restarts freezes the agent and kills it. systemd's watchdog has 20 s, and 5 s for the end that a frozen process
// does not see. The rest of each limit is for the start, which takes 10 to 20 s of an emulated processor.
func restarts(t *testing.T, g *guest) {
	for i, c := range []struct {
		signal string
		limit  time.Duration
		words  string
	}{
		{"STOP", 110 * time.Second, "Watchdog timeout"},
		{"KILL", 80 * time.Second, "status=9/KILL"},
	} {
		births, wills, pid := g.births(), g.wills(), g.show("MainPID")
		began := time.Now()
		g.sh("kill -%s %s", c.signal, pid)
		g.eventually(c.limit, "the agent's next birth", func() bool { return g.births() > births })
		t.Logf("SIG%s to the next birth: %.1f s", c.signal, time.Since(began).Seconds())
		if g.wills() <= wills {
			t.Errorf("SIG%s: the broker published no will", c.signal)
		}
		if s := g.show("MainPID"); s == pid {
			t.Errorf("SIG%s: process %s is still the agent", c.signal, s)
		}
		if n, err := strconv.Atoi(g.show("NRestarts")); err != nil || n != i+1 {
			t.Errorf("SIG%s: %d restarts, %v", c.signal, n, err)
		}
		if s := g.sh("journalctl -b --no-pager -u rackagent"); !strings.Contains(s, c.words) {
			t.Errorf("SIG%s: systemd does not say %q", c.signal, c.words)
		}
		g.must(g.qmp.set("temp", "temperature", milli(30+float64(i))))
		g.reads("pdu-a.temp_c.1", 30+float64(i), tenth, patience)
	}
}

// stops ends the service in order.
func stops(t *testing.T, g *guest) {
	g.sh("systemctl stop rackagent.socket rackagent.service")
	if s := fmt.Sprint(g.show("ActiveState"), " ", g.show("Result")); s != "inactive success" {
		t.Errorf("stopped, it is %s", s)
	}
	states := g.heard(topic.Up("state"))
	if s := string(states[len(states)-1].Payload); !strings.Contains(s, `"reason":"shutdown"`) {
		t.Errorf("its last word is %s", s)
	}
	g.sh("! ls /run/rackagent.sock")
}
