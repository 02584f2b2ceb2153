package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// sendSigned brings a signed command and lets the desk come to rest.
func (r *rig) sendSigned(id, kid string, seq int64, members string) {
	r.Offer(r.message(id, r.signed(id, kid, seq, members)))
	r.settle()
}

func signedRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.unsigned = false
	r.start(t)
	return r
}

// TestSignedChecks holds one case for what a signature adds to the checks.
func TestSignedChecks(t *testing.T) {
	for _, c := range []struct {
		name, kid, members, said string
	}{
		{"taken", "alice-1", ``, "accepted 1"},
		{"second key of the same issuer", "alice-2", ``, "accepted 1"},
		{"another person's name", "alice-1", `"iss":"bob"`, "rejected 0 unknown_key"},
		{"no audience", "alice-1", `"aud":"-"`, "rejected 0 bad_schema"},
		{"no iat", "alice-1", `"iat":"-"`, "rejected 0 bad_schema"},
		{"no seq", "alice-1", `"seq":"-"`, "rejected 0 bad_schema"},
		{"no issuer", "alice-1", `"iss":"-"`, "rejected 0 bad_schema"},
		{"another agent", "alice-1", `"aud":"ams1/r18"`, "rejected 0 wrong_audience"},
		{"another life", "alice-1", `"aud_boot":"boot-0"`, "rejected 0 replay"},
		{"a week late", "alice-1", `"iat":` + at(-7*24*time.Hour) + `,"exp":` + at(-7*24*time.Hour+time.Minute), "rejected 1 expired"},
		{"iat ahead", "alice-1", `"iat":` + at(6*time.Second), "rejected 1 not_yet_valid"},
		{"verb that the role has not", "wall-1", ``, "rejected 0 unknown_key"},
		{"verb that the role has", "wall-1", `"op":"cmd.list","target":"rack"`, "succeeded 1"},
		{"firm node, role for it", "alice-1", `"target":"node/gpu-1"`, "accepted 1"},
		{"firm node, role without", "shed-1", `"target":"node/gpu-1","exp":` + at(20*time.Second), "rejected 0 unknown_key"},
		{"firm outlet, role without", "shed-1", `"target":"outlet/pdu-a.2","exp":` + at(20*time.Second), "rejected 0 unknown_key"},
		{"life of the role", "shed-1", `"exp":` + at(30*time.Second), "accepted 1"},
		{"over the life of the role", "shed-1", `"exp":` + at(30_001*time.Millisecond), "rejected 1 precondition"},
		{"target of the role", "cell-1", `"target":"node/asic-1"`, "accepted 1"},
		{"outlet of a target of the role", "cell-1", ``, "accepted 1"},
		{"outlet of nobody", "cell-1", `"target":"outlet/pdu-a.3"`, "rejected 0 unknown_key"},
		{"the rack, role for one node", "cell-1", `"target":"rack"`, "rejected 0 unknown_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signedRig(t)
			r.sendSigned("c1", c.kid, 1, c.members)
			r.expect(t, "c1", c.said)
			e, kept := r.book.entries["c1"]
			wanted := !strings.HasPrefix(c.said, "rejected 0") // what its sender has no right to leaves no record
			if kept != wanted || kept && (e.Command.Key != c.kid || !e.Command.Signed) || r.acked["c1"] != 1 || len(r.events) != 0 {
				t.Errorf("kept %v: %+v; acknowledged %d times, events %v", kept, e, r.acked["c1"], r.events)
			}
		})
	}
}

// TestForgeriesHaveNoAnswer: what nobody vouches for is one counted event, and nothing of it is on disk or published.
func TestForgeriesHaveNoAnswer(t *testing.T) {
	r := signedRig(t)
	good := r.signed("c1", "alice-1", 1, "")
	forged, err := wire.Sign([]byte(r.payload("c1", `"iss":"alice","iat":1795348800000,"seq":1,"aud":"ams1/r17"`)), "alice-1", secretOf("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, payload string
		code          rack.Code
	}{
		{"another key", string(forged), rack.CodeBadSignature},
		{"changed", strings.Replace(good, ".", ".e", 1), rack.CodeBadSignature},
		{"unknown key", r.signed("c1", "nobody-1", 1, ""), rack.CodeUnknownKey},
		{"revoked key", r.signed("c1", "alice-0", 1, ""), rack.CodeUnknownKey},
		{"unsigned", r.payload("c1", ""), rack.CodeBadSignature},
		{"the unsigned text of a signed command", r.payload("c1", `"iss":"alice","iat":1795348800000,"seq":1,"aud":"ams1/r17"`), rack.CodeBadSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signedRig(t)
			r.Offer(r.message("m", c.payload))
			r.settle()
			if len(r.events) != 1 || r.events[0].Reason != string(c.code) || r.acked["m"] != 1 {
				t.Errorf("acknowledged %d times, events %v, want one %s", r.acked["m"], r.events, c.code)
			}
			if len(r.broker.sent) != 0 || len(r.book.entries) != 0 || len(r.runner.started) != 0 {
				t.Errorf("an effect: %v %v", r.broker.sent, r.book.entries)
			}
		})
	}
}

func TestARetainedSignedCommand(t *testing.T) {
	r := signedRig(t)
	in := r.message("m", r.signed("c1", "alice-1", 1, ""))
	in.Retained = true
	r.Offer(in)
	r.settle()
	if len(r.events) != 1 || r.events[0].Reason != "retained" || len(r.broker.sent) != 0 || len(r.book.entries) != 0 || r.acked["m"] != 1 {
		t.Errorf("events %v, said %v, kept %v", r.events, r.broker.sent, r.book.entries)
	}
}

// TestUnsignedBesideSigned: with commands.unsigned a command without a signature has no identity, whatever it says.
func TestUnsignedBesideSigned(t *testing.T) {
	r := newRig(t)
	r.send("c1", `"iss":"alice","seq":9`)
	if c := r.book.entries["c1"].Command; c.Signed || c.Role != "" || c.Key != "" {
		t.Errorf("%+v", c)
	}
	r.sendSigned("c2", "alice-1", 1, "") // the number of the unsigned one counted for nobody
	r.expect(t, "c2", "accepted 1")
}

// TestSeq: a number is taken once and only above those before; what was turned away without an outcome may come again.
func TestSeq(t *testing.T) {
	r := signedRig(t)
	r.sendSigned("c5", "alice-1", 5, "")
	late := r.message("c4", r.signed("c4", "alice-1", 4, ""))
	r.Offer(late)
	r.settle()
	r.expect(t, "c4", "rejected 1 replay")
	r.sendSigned("again", "alice-2", 5, "") // the issuer counts, not the key
	r.expect(t, "again", "rejected 1 replay")
	r.sendSigned("b1", "bob-1", 1, "")
	r.expect(t, "b1", "accepted 1")
	r.sendSigned("c6", "alice-1", 6, "")
	r.expect(t, "c6", "accepted 1")
	r.sendSigned("boot", "alice-1", 1, `"aud_boot":"boot-1"`) // its own count
	r.expect(t, "boot", "accepted 1")
	r.sendSigned("boot2", "alice-1", 1, `"aud_boot":"boot-1"`)
	r.expect(t, "boot2", "rejected 1 replay")

	r.sendSigned("far", "alice-1", 9000, `"aud":"ams1/r18"`) // refused before it counted
	r.expect(t, "far", "rejected 0 wrong_audience")
	r.start(t) // the next life has the numbers from the journal
	r.sendSigned("old", "alice-1", 6, "")
	r.expect(t, "old", "rejected 1 replay")

	r.observing = true
	p7 := r.signed("c7", "alice-1", 7, "")
	r.Offer(r.message("c7", p7))
	r.settle()
	r.expect(t, "c7", "rejected 0 observing")
	r.observing = false
	r.sendSigned("c8", "alice-1", 8, "")
	r.Offer(r.message("c7", p7))
	r.settle()
	r.expect(t, "c7", "rejected 0 observing", "accepted 1")
	r.sendSigned("c7x", "alice-1", 7, "")
	r.expect(t, "c7x", "rejected 1 replay")
}

// TestAFloodReordersNothing: who holds a command back until a later one was taken, and then has it turned away by a flood,
// does not have it taken afterwards.
func TestAFloodReordersNothing(t *testing.T) {
	r := signedRig(t)
	late := r.signed("c1", "alice-1", 1, "")
	r.sendSigned("c2", "alice-1", 2, "")
	repeat := r.signed("c2", "alice-1", 2, "")
	for range burst + ownBurst {
		r.Offer(r.message("again", repeat))
	}
	r.Offer(r.message("c1", late))
	r.settle()
	r.expect(t, "c1", "rejected 0 rate_limited")
	r.now = r.now.Add(10 * time.Second)
	r.Offer(r.message("c1", late))
	r.settle()
	r.expect(t, "c1", "rejected 0 rate_limited", "rejected 1 replay")
}

// TestNumbersOfOtherLivesAreNotKept: of commands that cannot be taken in this life, however many, nothing is remembered.
func TestNumbersOfOtherLivesAreNotKept(t *testing.T) {
	r := signedRig(t)
	for n := range 10 * burst {
		r.Offer(r.message("m", r.signed("c"+strconv.Itoa(n), "alice-1", 1, fmt.Sprintf(`"aud_boot":"boot-%d"`, n))))
	}
	r.settle()
	if n := len(r.seqs.again); n > 2 {
		t.Errorf("%d counts are kept of commands for other lives", n)
	}
}

// TestAThiefLeavesNoNumberBehind: a stolen key used with the highest number there is, and then revoked.
func TestAThiefLeavesNoNumberBehind(t *testing.T) {
	r := signedRig(t)
	r.sendSigned("c5", "alice-2", 5, "")
	const highest = 1<<53 - 1
	r.sendSigned("stolen", "alice-1", highest, "")
	r.sendSigned("c6", "alice-2", 6, "")
	r.expect(t, "c6", "rejected 1 replay")
	r.revoked = "alice-1"
	r.start(t)
	r.sendSigned("c7", "alice-2", 7, "")
	r.expect(t, "c7", "accepted 1")
	r.sendSigned("late", "alice-2", 4, "") // her own numbers count on
	r.expect(t, "late", "rejected 1 replay")
	r.sendSigned("stolen2", "alice-1", highest, "")
	r.expect(t, "stolen2")
	r.revoked = ""
	r.start(t)
	r.sendSigned("c8", "alice-2", 8, "")
	r.expect(t, "c8", "rejected 1 replay") // taken again, its numbers count again
}

// TestNumbersOfAnOlderJournal are told without the key: they count for the issuer.
func TestNumbersOfAnOlderJournal(t *testing.T) {
	s := newSeqs("boot-1", map[rack.SeqOf]int64{{Issuer: "alice"}: 7, {Issuer: "alice", Key: "alice-1"}: 5, {Issuer: "alice", Key: "gone"}: 99}, func(key string) bool { return key == "alice-1" })
	for seq, want := range map[int64]bool{7: false, 8: true} {
		if got := s.fresh(&rack.Command{Issuer: "alice", Key: "alice-2", Seq: seq}); got != want {
			t.Errorf("%d: %t", seq, got)
		}
	}
}

// TestANumberWithoutRecordIsNotLost: a command that the journal did not take may come again as it is, but one that had
// been passed by may not.
func TestANumberWithoutRecordIsNotLost(t *testing.T) {
	r := signedRig(t)
	r.sendSigned("c5", "alice-1", 5, "")
	p6, p4 := r.signed("c6", "alice-1", 6, ""), r.signed("c4", "alice-1", 4, "")
	r.book.broken = errDiskFull
	for _, p := range []string{p6, p4} {
		r.Offer(r.message("m", p))
		r.settle()
	}
	r.book.broken, r.book.full = nil, true
	r.Offer(r.message("m", p4))
	r.settle()
	r.book.full = false
	r.sendSigned("c7", "alice-1", 7, "")
	for _, p := range []string{p6, p4} {
		r.Offer(r.message("m", p))
		r.settle()
	}
	r.expect(t, "c6", "rejected 0 journal_full", "accepted 1")
	r.expect(t, "c4", "rejected 0 journal_full", "rejected 0 journal_full", "rejected 1 replay")
	if n := len(r.seqs.held); n != 0 {
		t.Errorf("%d numbers are held for nobody", n)
	}
}

// TestARepeatIsNoReplay: a command delivered twice has its outcome, whatever came between.
func TestARepeatIsNoReplay(t *testing.T) {
	r := signedRig(t)
	p := r.signed("c1", "alice-1", 1, "")
	r.Offer(r.message("c1", p))
	r.settle()
	r.sendSigned("c2", "alice-1", 2, "")
	r.Offer(r.message("c1", p))
	r.settle()
	r.expect(t, "c1", "accepted 1", "accepted 1 dup")
	if n := len(slices.DeleteFunc(slices.Clone(r.runner.started), func(id string) bool { return id != "c1" })); n != 1 {
		t.Errorf("started %d times", n)
	}
}

// TestANumberOfAnotherAgentCountsForNobody: a captured command to a neighbour has no effect here, not even on the count.
func TestANumberOfAnotherAgentCountsForNobody(t *testing.T) {
	r := signedRig(t)
	r.sendSigned("far", "alice-1", 1000, `"aud":"ams1/r18"`)
	r.sendSigned("c1", "alice-1", 1, "")
	r.expect(t, "c1", "accepted 1")
}

func TestAddingPowerHasARate(t *testing.T) {
	r := signedRig(t)
	var said []string
	for i := range 7 {
		id := fmt.Sprintf("c%d", i)
		r.sendSigned(id, "shed-1", int64(i+1), `"op":"outlet.energise","exp":`+at(20*time.Second))
		said = append(said, r.broker.said(id)...)
	}
	want := []string{"accepted 1", "accepted 1", "accepted 1", "accepted 1", "accepted 1", "rejected 0 rate_limited", "rejected 0 rate_limited"}
	if !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
	r.sendSigned("cut", "shed-1", 8, `"exp":`+at(20*time.Second))
	r.expect(t, "cut", "accepted 1")
	r.now = r.now.Add(time.Second)
	r.sendSigned("c6", "shed-1", 7, `"op":"outlet.energise","exp":`+at(20*time.Second)) // turned away before: may come again
	if got := r.broker.said("c6"); got[len(got)-1] != "accepted 1" {
		t.Errorf("%q", got)
	}
}

// TestAFloodOfForgeriesIsBounded: signatures of a flood under a known kid are verified at a bounded rate, what is
// beyond it is counted, and the honest sender gets through afterwards.
func TestAFloodOfForgeriesIsBounded(t *testing.T) {
	r := signedRig(t)
	forged, err := wire.Sign([]byte(r.payload("x", `"iss":"alice","iat":1795348800000,"seq":1,"aud":"ams1/r17"`)), "alice-1", secretOf("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]int{}
	for range 10_000 {
		if bad := func() *wire.Refused { _, bad := r.read(r.now, r.message("m", string(forged))); return bad }(); bad != nil {
			reasons[string(bad.Code)]++
		}
	}
	if reasons["bad_signature"] != verifyBurst || reasons["rate_limited"] != 10_000-verifyBurst {
		t.Errorf("%v", reasons)
	}
	r.now = r.now.Add(time.Second)
	r.sendSigned("c1", "alice-1", 1, "")
	r.expect(t, "c1", "accepted 1")
}

func TestUidsHaveRoles(t *testing.T) {
	for _, c := range []struct{ name, peer, members, said string }{
		{"operator", "uid:1000", ``, "accepted 1"},
		{"read-only", "uid:1001", ``, "rejected 0 unknown_key"},
		{"nobody entered it", "uid:1002", ``, "rejected 0 unknown_key"},
		{"nobody entered it, accept", "uid:1002", `"op":"journal.accept","target":"rack","args":{"reason":"x"}`, "rejected 0 unknown_key"},
	} {
		r := signedRig(t)
		in := r.local("c1", r.payload("c1", c.members))
		in.Issuer = c.peer
		r.Offer(in)
		r.settle()
		if got := r.broker.said("c1"); !slices.Equal(got, []string{c.said}) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestARoleReachesWhatItsTargetsStandFor, by whichever name.
func TestARoleReachesWhatItsTargetsStandFor(t *testing.T) {
	out := func(n int) rack.Outlet {
		return rack.Outlet{ID: rack.OutletID{PDU: "p", N: n}, Feed: []string{"a", "a", "b", "b"}[n-1]}
	}
	l := &rack.Layout{
		Feeds: []rack.Feed{{Name: "row"}, {Name: "a", Parent: "row"}, {Name: "b", Parent: "row"}},
		PDUs:  []rack.PDU{{Name: "p", Outlets: []rack.Outlet{out(1), out(2), out(3), out(4)}}},
		Nodes: []rack.Node{
			{Name: "m1", Class: rack.ClassASIC, Outlets: []rack.OutletID{out(1).ID}},
			{Name: "m2", Class: rack.ClassASIC, Outlets: []rack.OutletID{out(2).ID}},
			{Name: "m3", Class: rack.ClassASIC, Outlets: []rack.OutletID{out(3).ID}},
		},
		Groups: []rack.Group{{Name: "two", Nodes: []string{"m1", "m2"}}, {Name: "one", Nodes: []string{"m1"}}},
	}
	for role, want := range map[string]string{
		"":                  "node/m1 node/m3 outlet/p.1 outlet/p.3 outlet/p.4 group/two group/one feed/a feed/b feed/row rack",
		"rack":              "node/m1 node/m3 outlet/p.1 outlet/p.3 outlet/p.4 group/two group/one feed/a feed/b feed/row rack",
		"group/two":         "node/m1 outlet/p.1 group/two group/one feed/a",
		"node/m1":           "node/m1 outlet/p.1 group/one",
		"feed/row":          "node/m1 node/m3 outlet/p.1 outlet/p.3 group/two group/one feed/a feed/b feed/row",
		"outlet/p.4":        "outlet/p.4",
		"outlet/p.1":        "outlet/p.1",
		"node/m1 node/m2":   "node/m1 outlet/p.1 group/two group/one feed/a",
		"group/nobody":      "",
		"feed/b group/nope": "node/m3 outlet/p.3 feed/b",
	} {
		r := Role{}
		for _, text := range strings.Fields(role) {
			target, err := rack.ParseTarget(text)
			if err != nil {
				t.Fatal(err)
			}
			r.Targets = append(r.Targets, target)
		}
		var got []string
		for _, text := range strings.Fields("node/m1 node/m3 outlet/p.1 outlet/p.3 outlet/p.4 group/two group/one feed/a feed/b feed/row rack") {
			if target, _ := rack.ParseTarget(text); r.reaches(l, target) {
				got = append(got, text)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q reaches %q, want %q", role, strings.Join(got, " "), want)
		}
	}
}

func TestIdentitiesThatAreWrong(t *testing.T) {
	for name, change := range map[string]func(*Identities){
		"no such role":        func(ids *Identities) { ids.Keys[0].Role = "king" },
		"kid twice":           func(ids *Identities) { ids.Keys[1].ID = ids.Keys[0].ID },
		"kid":                 func(ids *Identities) { ids.Keys[0].ID = "a b" },
		"key":                 func(ids *Identities) { ids.Keys[0].Public = ids.Keys[0].Public[1:] },
		"issuer of the agent": func(ids *Identities) { ids.Keys[0].Issuer = "local/power-return" },
		"uid twice":           func(ids *Identities) { ids.Users[1].UID = ids.Users[0].UID },
		"user's role":         func(ids *Identities) { ids.Users[0].Role = "king" },
	} {
		ids := people()
		change(&ids)
		if _, err := newRing(ids); !errors.Is(err, ErrIdentities) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
