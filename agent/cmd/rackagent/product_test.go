package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
	"rackagent/config"
)

// TestADayAtTheRack is the product itself, from its command line on, on a simulated rack: started, asked, told to cut
// a miner and then the server, asked again, and stopped.
func TestADayAtTheRack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.runs()
	golden(t, "day-status", r.types("status"))
	golden(t, "day-dry", r.types("command", "outlet.cut", "outlet/pdu-a.3", "--dry", "--id", "look-first"))
	golden(t, "day-cut", r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001", "--why", "grid event 5521"))
	golden(t, "day-firm", r.types("command", "outlet.cut", "node/gpu-1", "--id", "cut-0002"))
	golden(t, "day-too-soon", r.types("command", "outlet.energise", "outlet/pdu-a.3", "--id", "energise-0001"))
	golden(t, "day-unknown-target", r.types("command", "outlet.cut", "outlet/pdu-b.1", "--id", "cut-0003"))
	golden(t, "day-identify", r.types("command", "identify", "node/asic-1", "--id", "who"))
	golden(t, "day-taken-id", r.types("command", "outlet.cut", "outlet/pdu-a.4", "--id", "cut-0001"))
	golden(t, "day-get", r.types("get", "cut-0001"))
	golden(t, "day-get-over-mqtt", r.types("command", "cmd.get", "rack", "--arg", "id=cut-0001", "--id", "ask-0001"))
	golden(t, "day-get-over-mqtt-unknown", r.types("command", "cmd.get", "rack", "--arg", "id=cut-9999", "--id", "ask-0002"))
	golden(t, "day-get-unknown", r.types("get", "cut-9999"))
	golden(t, "day-list", r.types("list", "--n", "6"))
	golden(t, "day-accept", r.types("journal-accept", "--reason", "looked at the rack"))
	golden(t, "day-after", r.types("status"))
	golden(t, "day-devices", r.types("devices"))
	if s := stop(); s.status != exitOK || s.out != "" {
		t.Errorf("the agent ended with %d\n%s%s", s.status, s.out, s.err)
	}
	golden(t, "day-over", r.types("status"))
	if downs := r.world.Rack().Downs(); len(downs) > 0 {
		t.Errorf("the server went down: %v", downs)
	}
	for _, c := range r.world.Rack().Contacts() {
		if c.Outlet != (rack.OutletID{PDU: "pdu-a", N: 3}) || c.Closed {
			t.Errorf("a contact moved: %+v", c)
		}
	}
}

// TestALostJournalIsAcceptedByAPerson: the agent observes until somebody who has looked at the rack says so.
func TestALostJournalIsAcceptedByAPerson(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stop := r.runs()
	stop()
	journals, err := filepath.Glob(filepath.Join(r.dir, "*", "journal.db"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals: %v, %v", journals, err)
	}
	if err := os.WriteFile(journals[0], bytes.Repeat([]byte{0xA5}, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	r.runs()
	if s := r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001"); s.status != exitRejected || !strings.Contains(s.out, "observing") {
		t.Errorf("before: %+v", s)
	}
	if s := r.types("journal-accept", "--reason", "looked at the rack"); s.status != exitOK {
		t.Errorf("accept: %+v", s)
	}
	// The same id may be sent again: observing was no outcome of it.
	if s := r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001"); s.status != exitOK {
		t.Errorf("after: %+v", s)
	}
}

func TestRawStates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runs()
	s := r.types("command", "outlet.cut", "outlet/pdu-a.1", "--json")
	var last wire.Status
	for line := range strings.Lines(s.out) {
		st, err := wire.DecodeStatus([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		last = st
	}
	if s.status != exitOK || last.State != rack.StateSucceeded {
		t.Errorf("%+v", s)
	}
	got := r.types("get", last.Command, "--json")
	if st, err := wire.DecodeStatus([]byte(strings.TrimSpace(got.out))); err != nil || st.State != rack.StateSucceeded || got.status != exitOK {
		t.Errorf("%v, %+v", err, got)
	}
}

// Without a clock that is synchronised nobody can say whether a command is an old one, unless it is bound to the boot.
func TestAnUnsynchronisedClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.inTime = false
	r.configure("telemetry: {period_s: 1}\n")
	r.runs()
	golden(t, "unsynchronised", r.types("command", "outlet.cut", "outlet/pdu-a.2", "--id", "cut-0001"))
	golden(t, "unsynchronised-other-boot", r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0002", "--aud-boot", "another"))
	golden(t, "unsynchronised-status", r.types("status"))
}

func TestASecondAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runs()
	golden(t, "second-agent", r.types("run"))
	b, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	// With a socket of its own it gets as far as the journal.
	write(t, r.config, strings.Replace(string(b), r.socket, r.socket+"2", 1))
	golden(t, "second-agent-own-socket", r.types("run"))
	other := regexp.MustCompile(`socket, group: [^}]+`).ReplaceAllString(string(b), "socket2, group: no-such-group")
	write(t, r.config, other)
	golden(t, "run-no-group", r.types("run"))
}

func TestAnotherAgentsState(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runs()()
	b, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.config, strings.Replace(string(b), "agent: r1", "agent: r2", 1))
	golden(t, "other-state", r.types("run"))
}

func TestRunRefusesABrokenConfiguration(t *testing.T) {
	golden(t, "run-broken", typed(t, "run", "--config", brokenFile(t)))
}

func TestMetricsPortIsTaken(t *testing.T) {
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.config, strings.Replace(string(b), `listen: ""`, "listen: "+l.Addr().String(), 1))
	golden(t, "run-port-taken", r.types("run"))
}

// A unit that names another socket than the configuration goes before it, and that is told.
func TestSystemdsSocketIsAnotherOne(t *testing.T) {
	path := filepath.Join(shortDir(t), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		socket string
		given  net.Listener
		told   bool
	}{{path, l, false}, {path + "2", l, true}, {path, nil, false}} {
		var log bytes.Buffer
		warnOther(logger(&log), config.Local{Socket: c.socket}, c.given)
		if told := strings.Contains(log.String(), path+"2"); told != c.told {
			t.Errorf("%+v: %s", c, log.String())
		}
	}
}

// A rack whose bus is not there still has an agent, which says so.
func TestRunWithoutItsBus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.outside()
	o.hardware = bare
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan said, 1)
	go func() { ended <- in(ctx, o, "run", "--config", r.config) }()
	r.awaitBirth()
	s := r.types("status")
	if !strings.Contains(s.out, "devices  0/") || !strings.Contains(s.out, "buses    main not open: ") {
		t.Errorf("%s%s", s.out, s.err)
	}
	cancel()
	if s := <-ended; s.status != exitOK || !strings.Contains(s.err, "bus main cannot be opened") {
		t.Errorf("%+v", s)
	}
}

// The shipped unit types what this program understands, and its socket is the one the configuration names by default.
func TestTheUnitFits(t *testing.T) {
	for _, words := range directives(t, "rackagent.service", "ExecStartPre", "ExecStart") {
		args := strings.Fields(words)
		if args[0] != "/usr/bin/rackagent" {
			t.Errorf("starts %s", args[0])
		}
		if s := typed(t, append(args[1:], "--help")...); s.status != exitOK {
			t.Errorf("%s: %+v", words, s)
		}
	}
	if got := directives(t, "rackagent.socket", "FileDescriptorName"); len(got) != 1 || got[0] != socketName {
		t.Errorf("the unit calls the socket %v", got)
	}
	if got := directives(t, "rackagent.socket", "ListenStream"); len(got) != 1 || got[0] != new(app).socket("") {
		t.Errorf("the unit's socket is %v", got)
	}
}

// directives reads the values of some keys of a unit file.
func directives(t *testing.T, unit string, keys ...string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		for _, k := range keys {
			if v, ok := strings.CutPrefix(s.Text(), k+"="); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

// The product, as it is built for rack controllers, holds no simulator and no broker.
func TestNoSimulatorInTheProduct(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath", ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm", "GOARM=7", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct{ ImportPath string }
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p.ImportPath)
	}
	agentIsIn := false
	for _, p := range paths {
		agentIsIn = agentIsIn || p == "rackagent/agent"
		for _, bad := range []string{"rackagent/agent/sim", "rackagent/drivers/drivertest", "github.com/mochi-mqtt/server", "testing"} {
			if p == bad || strings.HasPrefix(p, bad+"/") {
				t.Errorf("the product contains %s", p)
			}
		}
	}
	if !agentIsIn {
		t.Fatalf("%d packages, and the agent is not among them", len(paths))
	}
}
