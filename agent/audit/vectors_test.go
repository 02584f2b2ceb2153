package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// The files in testdata/v1 are the promise to everybody who reads version 1. They are never edited and never written by
// a test; a change that breaks one needs a new version.

// oneOfEach is a log with every kind of line and every way in which a file is begun.
func oneOfEach(t *testing.T) *paper {
	t.Helper()
	p := newPaper()
	synced := false
	l := begin(t, p, func(o *Opts) {
		o.Boot, o.FileBytes, o.KeepBytes = "01JD9X3M", 3000, 1<<20
		o.Synced = func() bool { return synced }
	})
	l.Enter(Entry{Kind: KindStart, Software: "0.1.0", Config: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"})
	l.pass(2 * time.Second)
	synced = true
	cut := Entry{
		Kind: KindCommand, Origin: rack.OriginMQTT, Issuer: "ctl-1", Key: "ops-2026", Role: "operator", Command: "01JD9XB7", Op: rack.OpCut,
		Target: "node/asic-3", Payload: rack.HashOf([]byte("payload")), State: rack.StateAccepted, Why: "grid event 5521",
	}
	l.Enter(cut)
	l.pass(2 * time.Second)
	cut.State, cut.Code, cut.Text = rack.StateFailed, rack.CodeWelded, "opened, and 3118 W stayed"
	l.Enter(cut)
	l.Enter(Entry{Kind: KindEvent, What: "relay_moved", Target: "outlet/pdu-a.3", Command: "01JD9XB7", From: "closed", To: "open", Text: "relay of outlet pdu-a.3 reads back open"})
	l.Enter(Entry{Kind: KindRecord, What: "observed", Command: "local-1", Issuer: "uid:1000", Why: "disk replaced & looked <at>\n\"the\" rack", Text: "\u2028 \x00 \xff"})
	l.Enter(Entry{Kind: KindCommand, Origin: rack.OriginAgent, Issuer: "local/power-return", Approver: "ctl-2", BreakGlass: true, Command: "pr-1", About: "pr-0", Op: rack.OpEnergise, Target: "rack", Dry: true, State: rack.StateWaiting, Late: true})
	l.pass(2 * time.Second)
	for range looseBurst + 3 {
		l.Enter(Entry{Kind: KindCommand, Command: "f", State: rack.StateRejected, Code: rack.CodeRateLimited, Unsigned: true, Loose: true})
	}
	l.queue = l.queue[:1] // the rest would say the same
	l.pass(time.Second)
	p.sick = true
	for range maxWaiting + 2 {
		l.Enter(Entry{Kind: KindEvent, What: "external_change"})
	}
	l.pass(3 * time.Second)
	l.queue = l.queue[:1]
	p.sick = false
	l.pass(10 * time.Second)
	l.finish(l.now)
	torn := p.names[l.newest().name]
	torn.text = append(torn.text, `{"v":1,"seq":1`...)
	l = begin(t, p, func(o *Opts) { o.Boot, o.FileBytes, o.KeepBytes = "01JD9X9Z", 3000, 1<<20 })
	l.now = noon.Add(time.Hour)
	l.say("c1")
	l.finish(l.now)
	return p
}

func TestVectors(t *testing.T) {
	d := oneOfEach(t).Read()
	names, err := fs.Glob(d, "*")
	files, err2 := filepath.Glob("testdata/v1/*")
	if err != nil || err2 != nil || len(names) != len(files) {
		t.Errorf("%v, %v: %v are not %v", err, err2, names, files)
	}
	for _, name := range names {
		got, err := fs.ReadFile(d, name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%v, %s\n got %s\nwant %s", err, name, got, want)
		}
	}
	r := whole(t, os.DirFS("testdata/v1"))
	if len(r.Files) != 4 || len(r.Notes) != 1 {
		t.Errorf("%+v", r)
	}
	if r.Head != (Anchor{Seq: r.Head.Seq, Hash: r.Head.Hash}) || r.Entries != int(r.Head.Seq) {
		t.Errorf("%+v", r)
	}
}
