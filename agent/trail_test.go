package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rackagent/agent/audit"
	"rackagent/agent/rack"
)

func newTrail(t *testing.T) (tr *trail, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "audit")
	l, err := audit.New(audit.Opts{Disk: audit.Dir(dir), Boot: "b"})
	if err != nil {
		t.Fatal(err)
	}
	return &trail{Log: l, open: map[string]rack.Command{}}, dir
}

// written ends the log: what was entered is on disk.
func (t *trail) written(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	if err := t.Run(ctx); err != nil {
		tb.Fatal(err)
	}
}

// TestRefusalsPushNothingOut: refused as often as one likes, with a record or without, and what was done is entered all the
// same.
func TestRefusalsPushNothingOut(t *testing.T) {
	tr, dir := newTrail(t)
	no := func(id string) rack.Outcome {
		return rack.Outcome{Command: id, State: rack.StateRejected, N: 1, Code: rack.CodeFirmGuard, At: time.Now()}
	}
	for n := range 1000 {
		c := rack.Command{ID: fmt.Sprintf("no-%d", n), Op: rack.OpCut, Target: rack.NodeTarget("gpu-1"), Issuer: "eve", Origin: rack.OriginMQTT}
		o := no(c.ID)
		tr.refused(c, o)
		c.ID += "-b"
		o = no(c.ID)
		tr.record(rack.Record{Kind: rack.RecordRejected, At: o.At, ID: c.ID, Command: &c, Outcome: &o})
	}
	cut := rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.NodeTarget("asic-1"), Issuer: "anna", Origin: rack.OriginMQTT}
	tr.record(rack.Record{Kind: rack.RecordAccepted, At: time.Now(), ID: "c1", Command: &cut})
	tr.written(t)
	refused, done := 0, 0
	err := audit.Show(os.DirFS(dir), func(_ []byte, about audit.Subject) error {
		switch {
		case about.Command == "c1":
			done++
		case about.Kind == audit.KindCommand:
			refused++
		}
		return nil
	})
	if err != nil || refused > 110 || done != 1 {
		t.Errorf("%d refusals are entered, and what was done %d times: %v", refused, done, err)
	}
}

// TestTheTrailOfTwoPersons: a command that waited, who approved it, who broke the glass, and what one of an earlier life
// came to.
func TestTheTrailOfTwoPersons(t *testing.T) {
	tr, dir := newTrail(t)
	now := time.Now()
	cut := rack.Command{ID: "c1", Op: rack.OpCut, Target: rack.NodeTarget("gpu-1"), Issuer: "anna", Key: "a-1", Role: "operator", Signed: true, Origin: rack.OriginMQTT}
	approved := cut
	approved.Approval = &rack.Approval{By: "ben"}
	approve := rack.Command{ID: "a1", Op: rack.OpApprove, Target: rack.Target{Kind: rack.TargetRack}, Issuer: "ben", Signed: true, Origin: rack.OriginMQTT, Args: rack.Args{ID: "c1"}}
	glass := rack.Command{ID: "g1", Op: rack.OpCut, Target: rack.NodeTarget("gpu-1"), Issuer: "uid:1000", BreakGlass: true, Signed: true, Origin: rack.OriginLocal, Why: "fire"}
	end := func(id string, s rack.State) *rack.Outcome { return &rack.Outcome{Command: id, State: s} }
	for _, r := range []rack.Record{
		{Kind: rack.RecordWaiting, ID: "c1", Command: &cut},
		{Kind: rack.RecordAccepted, ID: "a1", Command: &approve},
		{Kind: rack.RecordAccepted, ID: "c1", Command: &approved},
		{Kind: rack.RecordEnded, ID: "a1", Outcome: end("a1", rack.StateSucceeded)},
		{Kind: rack.RecordProgress, ID: "c1"},
		{Kind: rack.RecordEnded, ID: "c1", Outcome: end("c1", rack.StateSucceeded)},
		{Kind: rack.RecordAcked, ID: "c1"},
		{Kind: rack.RecordRejected, ID: "g1", Command: &glass, Outcome: end("g1", rack.StateRejected)},
		{Kind: rack.RecordEnded, ID: "old", Outcome: end("old", rack.StateUnknown)},
		{Kind: rack.RecordObserved, ID: "j1", By: "uid:0", Reason: "disk replaced"},
		{Kind: rack.RecordOrder, Order: &rack.Order{Kind: rack.OrderLock, Target: rack.NodeTarget("gpu-1")}},
	} {
		r.At = now
		tr.record(r)
	}
	if len(tr.open) != 0 {
		t.Errorf("still open: %v", tr.open)
	}
	tr.written(t)
	var got []string
	err := audit.Show(os.DirFS(dir), func(raw []byte, about audit.Subject) error {
		var e struct {
			Iss, Key, Role, Approver, Cmd, About, St, What, Why, Txt string
			Glass                                                    bool `json:"break_glass"`
		}
		if about.Kind != audit.KindAnchor {
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			got = append(got, fmt.Sprint(e))
		}
		return nil
	})
	want := []string{
		"{anna a-1 operator  c1  waiting    false}",
		"{ben    a1 c1 accepted    false}",
		"{anna a-1 operator ben c1  accepted    false}",
		"{ben    a1 c1 succeeded    false}",
		"{anna a-1 operator ben c1  succeeded    false}",
		"{uid:1000    g1  rejected  fire  true}",
		"{    old  unknown    false}",
		"{uid:0    j1   observed disk replaced  false}",
		"{       order  lock node/gpu-1 false}",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}

// TestWhatTheJournalTellsOfAnEarlierLife: the states that a command has surely had, the oldest first.
func TestWhatTheJournalTellsOfAnEarlierLife(t *testing.T) {
	ended := func(s rack.State) *rack.Outcome { return &rack.Outcome{State: s} }
	entries := []rack.Entry{ // the newest first
		{Command: rack.Command{ID: "lapsed"}, Until: time.Now(), Outcome: ended(rack.StateExpired)},
		{Command: rack.Command{ID: "waits"}, Until: time.Now(), Waiting: true},
		{Command: rack.Command{ID: "approved", Approval: &rack.Approval{By: "ben"}}, Until: time.Now(), Outcome: ended(rack.StateFailed)},
		{Command: rack.Command{ID: "open"}},
		{Command: rack.Command{ID: "no"}, Outcome: ended(rack.StateRejected)},
		{Command: rack.Command{ID: "done"}, Outcome: ended(rack.StateSucceeded)},
	}
	var got []string
	for _, e := range recent(entries) {
		got = append(got, e.Command+" "+string(e.State))
	}
	want := []string{"done accepted", "done succeeded", "no rejected", "open accepted", "approved accepted", "approved failed", "waits waiting", "lapsed waiting", "lapsed expired"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
