package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/audit"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// paper is the disk of the audit log as this life sees it.
type paper struct {
	life *life
	audit.Disk
}

// op does something to the disk unless the life is over, or ends there.
func (p paper) op(do func() error, part func()) error {
	l := p.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return errOver
	}
	if l.audits++; l.due("audit", l.audits, half) {
		part()
		l.endLocked()
		return errOver
	}
	return do()
}

func (p paper) Make() error { return p.op(p.Disk.Make, func() {}) }

// Sync flushes nothing, as that of a file: a crash here is a kill, which leaves all that the kernel has.
func (p paper) Sync() error { return p.op(func() error { return nil }, func() {}) }

func (p paper) Rename(from, to string) error {
	return p.op(func() error { return p.Disk.Rename(from, to) }, func() {})
}

func (p paper) Remove(name string) error {
	return p.op(func() error { return p.Disk.Remove(name) }, func() {})
}
func (p paper) Create(name string) (audit.File, error) { return p.open(p.Disk.Create, name) }
func (p paper) Append(name string) (audit.File, error) { return p.open(p.Disk.Append, name) }

func (p paper) open(with func(string) (audit.File, error), name string) (audit.File, error) {
	var f audit.File
	err := p.op(func() (err error) { f, err = with(name); return err }, func() {})
	if err != nil {
		return nil, err
	}
	return pen{p, f}, nil
}

type pen struct {
	p paper
	audit.File
}

func (f pen) Write(b []byte) (n int, err error) {
	err = f.p.op(func() error { n, err = f.File.Write(b); return err }, func() { _, _ = f.File.Write(b[:len(b)/2]) })
	return n, err
}

func (f pen) Sync() error { return f.p.Sync() }

// entry is a line of the audit log, as far as these tests look at it.
type entry struct {
	Kind, Origin, Iss, Cmd, Op, Target, Payload, St, Code, What, Why, Txt string
	N                                                                     int
	Late                                                                  bool
}

func (r *rig) auditDir() string { return filepath.Join(r.dir, "audit") }

// entered are the lines of the audit log that a test wants.
func (r *rig) entered(want func(entry) bool) []entry {
	r.t.Helper()
	var out []entry
	err := audit.Show(os.DirFS(r.auditDir()), func(raw []byte, _ audit.Subject) error {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		if want(e) {
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
	return out
}

// story is all that the audit log says of a command.
func (r *rig) story(id string) string {
	var words []string
	for _, e := range r.entered(func(e entry) bool { return e.Kind == "command" && e.Cmd == id }) {
		words = append(words, fmt.Sprintf("%s %s %s %s %s%s", e.Origin, e.Op, e.Target, e.St, e.Code, map[bool]string{true: " late"}[e.Late]))
	}
	return strings.Join(words, "; ")
}

// anchors are all that the broker was told.
func (r *rig) anchors() []audit.Anchor {
	r.t.Helper()
	var out []audit.Anchor
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		var told struct {
			Kind, Reason string
			Audit        *audit.Anchor
		}
		if m.Out || m.Topic != topic.Up("event") && m.Topic != topic.Up("state") || json.Unmarshal(m.Payload, &told) != nil {
			continue
		}
		switch {
		case told.Audit != nil:
			out = append(out, *told.Audit)
		case told.Kind == string(rack.EventAuditAnchor):
			a, err := audit.ParseAnchor(told.Reason)
			if err != nil {
				r.t.Errorf("%s: %v", m.Payload, err)
			}
			out = append(out, a)
		}
	}
	return out
}

// verify holds the audit log against itself and against every anchor that was published.
func (r *rig) verify() {
	r.t.Helper()
	report, err := audit.Verify(os.DirFS(r.auditDir()), r.anchors()...)
	if err != nil || !report.Whole() {
		r.t.Errorf("audit log: %v, %v", err, report.Breaks)
	}
}

// TestTheAuditLogTellsWhoDidWhat: every command with who sent it and how it ended, also one that was refused.
func TestTheAuditLogTellsWhoDidWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.send("cut", "outlet.cut", "outlet/pdu-a.3", `,"why":"grid event 5521"`)
		r.send("server", "outlet.cut", "node/gpu-1")
		r.send("dry", "outlet.cut", "node/asic-1", `,"dry":true`)
		r.publish(`{"v":1,"id":"not a command"}`, false)
		r.send("other", "outlet.cut", "outlet/pdu-a.1", `,"aud":"test/r2"`)
		time.Sleep(10 * time.Second)
		r.send("cut", "outlet.cut", "outlet/pdu-a.4")
		for n := range 40 {
			r.send(fmt.Sprintf("flood%d", n), "cmd.get", "rack", `,"args":{"id":"cut"}`)
		}
		time.Sleep(10 * time.Second)
		if n := len(r.anchors()); n < 3 {
			t.Errorf("%d anchors were published", n)
		}
		r.close()

		for id, want := range map[string]string{
			"cut":   "mqtt outlet.cut outlet/pdu-a.3 accepted ; mqtt outlet.cut outlet/pdu-a.3 succeeded ; mqtt outlet.cut outlet/pdu-a.4 rejected id_conflict",
			"dry":   "mqtt outlet.cut node/asic-1 accepted ; mqtt outlet.cut node/asic-1 succeeded ",
			"other": "mqtt outlet.cut outlet/pdu-a.1 rejected wrong_audience",
		} {
			if got := r.story(id); got != want {
				t.Errorf("%s: %s, want %s", id, got, want)
			}
		}
		if got := r.story("server"); !strings.HasSuffix(got, "rejected firm_guard") {
			t.Error(got)
		}
		limited := r.entered(func(e entry) bool { return e.Code == "rate_limited" })
		refused := r.entered(func(e entry) bool { return e.What == "message_refused" })
		moved := r.entered(func(e entry) bool { return e.What == "relay_moved" })
		ends := r.entered(func(e entry) bool { return e.Kind == "start" || e.Kind == "stop" })
		if len(limited) == 0 || len(refused) == 0 || len(moved) != 1 || moved[0].Cmd != "cut" || len(ends) != 2 {
			t.Errorf("%v, %v, %v, %v", limited, refused, moved, ends)
		}
		first := r.entered(func(e entry) bool { return e.Cmd == "cut" })[0]
		if first.Why != "grid event 5521" || len(first.Payload) != 64 {
			t.Errorf("%+v", first)
		}
	})
}

// TestACrashAtAnyOperationOfTheAuditLog ends the life of an agent at each operation on the disk of its audit log. The next
// life finds the log whole, and the log then tells of the command from its acceptance to its end.
func TestACrashAtAnyOperationOfTheAuditLog(t *testing.T) {
	p := plotOf(t, "cut")
	audits := 0
	synctest.Test(t, func(t *testing.T) {
		r := newRigIn(t, p.in)
		r.start()
		p.play(r)
		audits = r.life.counted("audit")
		r.close()
	})
	if audits < 10 {
		t.Fatalf("%d operations: there is nothing to interrupt", audits)
	}
	for n := 1; n <= audits; n++ { // before it is after the one before, and of a write a half is there
		if n%*every != 0 {
			continue
		}
		interruptThen(t, p, point{"audit", n, half}, func(r *rig) {
			const cut = "mqtt outlet.cut outlet/pdu-a.3 "
			accepted, ended, _ := strings.Cut(r.story("c1"), "; ")
			if !strings.HasPrefix(accepted, cut+"accepted") || !strings.HasPrefix(ended, cut+"succeeded") && !strings.HasPrefix(ended, cut+"unknown") {
				r.t.Errorf("the log says: %s; %s", accepted, ended)
			}
		})
	}
}

// TestAChangedAuditLogIsTold: at the start, with an alarm, and it is left as it was found.
func TestAChangedAuditLogIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(10 * time.Second)
		r.stop()
		name := filepath.Join(r.auditDir(), "audit-000000000001.log")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		forged := []byte(strings.Replace(string(text), "outlet/pdu-a.3", "outlet/pdu-a.4", 1))
		if err := os.WriteFile(name, forged, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		time.Sleep(5 * time.Second)
		alarms := r.agent.Status().Alarms
		if !slices.ContainsFunc(alarms, func(a rack.Alarm) bool { return a.Key == audit.AlarmBroken }) {
			t.Errorf("alarms: %v", alarms)
		}
		r.stop()
		if left, err := os.ReadFile(name); err != nil || string(left) != string(forged) {
			t.Errorf("the log was touched: %v", err)
		}
		report, err := audit.Verify(os.DirFS(r.auditDir()))
		if err != nil || report.NBreaks != 2 || report.Breaks[0].Line != 3 || len(report.Files) != 2 {
			t.Errorf("%v, %+v", err, report)
		}
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestADeadDiskOfTheAuditLogHoldsNothingUp: a cut goes through as ever, the alarm stands, and what had no place is told.
func TestADeadDiskOfTheAuditLogHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var dead atomic.Bool
		r.change = func(w *agent.World) {
			p := w.Audit
			w.Audit = deadDisk{p, &dead}
		}
		r.start()
		dead.Store(true)
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateSucceeded, "")
		alarmed := func() bool {
			return slices.ContainsFunc(r.agent.Status().Alarms, func(a rack.Alarm) bool { return a.Key == audit.AlarmKey })
		}
		if time.Sleep(time.Second); !alarmed() {
			t.Error("no alarm")
		}
		dead.Store(false)
		if time.Sleep(time.Minute); alarmed() {
			t.Error("the alarm stands")
		}
		r.close()
		if got := r.story("c1"); !strings.HasSuffix(got, "succeeded ") {
			t.Error(got)
		}
	})
}

// deadDisk fails every flush while it is dead.
type deadDisk struct {
	audit.Disk
	dead *atomic.Bool
}

func (d deadDisk) Create(name string) (audit.File, error) {
	f, err := d.Disk.Create(name)
	return deadFile{f, d.dead}, err
}

func (d deadDisk) Append(name string) (audit.File, error) {
	f, err := d.Disk.Append(name)
	return deadFile{f, d.dead}, err
}

type deadFile struct {
	audit.File
	dead *atomic.Bool
}

func (f deadFile) Sync() error {
	if f.dead.Load() {
		return os.ErrDeadlineExceeded
	}
	return f.File.Sync()
}

// TestNoSecretInTheAuditLog plants secrets wherever one could pass, and looks for them.
func TestNoSecretInTheAuditLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "hunter2-0815"
		r := newRig(t)
		r.conf.MQTT.User = "agent"
		r.change = func(w *agent.World) { w.Password = func() (string, error) { return secret, nil } }
		r.start()
		r.publish(`{"v":1,"id":"p1","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1,"password":"`+secret+`"}`, false)
		r.publish(`{"v":1,"id":"p2","op":"`+secret+`","target":"rack","exp":1}`, false)
		r.publish(secret, false)
		time.Sleep(5 * time.Second)
		r.close()
		if refused := r.story("p1") + r.story("p2"); strings.Count(refused, "rejected") != 2 {
			t.Errorf("not refused: %s", refused)
		}
		files, err := filepath.Glob(filepath.Join(r.auditDir(), "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), secret) {
				t.Errorf("%s holds a secret: %s", f, text)
			}
		}
	})
}
