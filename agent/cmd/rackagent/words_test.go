package main

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// failedCut is a cut of three outlets: one welded, one that no sample proves, one that the chip did not take.
func failedCut() rack.Outcome {
	at := noon.UnixMilli()
	cut := func(n int, state rack.State, code rack.Code, text string, s rack.StepResult) rack.TargetResult {
		on := rack.OutletTarget(rack.OutletID{PDU: "pdu-a", N: n})
		s.Do, s.On = rack.DoCut, on
		return rack.TargetResult{Target: on, State: state, Code: code, Text: text, Steps: []rack.StepResult{s}}
	}
	return rack.Outcome{
		Command: "cut-0001", State: rack.StateFailed, N: 5, Code: rack.CodeWelded, Text: "the relay reads back open and the load is still there", At: noon,
		Targets: []rack.TargetResult{
			cut(2, rack.StateFailed, rack.CodeWelded, "the relay reads back open and the load is still there", rack.StepResult{
				Taken: &at, Confirmed: &at, Proof: &rack.Proof{Meter: "pdu-a.2", BeforeW: ptr(3251.6), AfterW: ptr(3249.9)},
			}),
			cut(3, rack.StateUnknown, rack.CodeVerifyFailed, "no fresh sample", rack.StepResult{
				Taken: &at, Proof: &rack.Proof{Meter: "pdu-a.3", BeforeW: ptr(3180.0)},
			}),
			cut(4, rack.StateFailed, rack.CodeDeviceTimeout, "", rack.StepResult{Proof: &rack.Proof{Meter: "pdu-a.4"}}),
		},
	}
}

func TestStatesInWords(t *testing.T) {
	tell := func(name string, o rack.Outcome) {
		t.Helper()
		var out bytes.Buffer
		printState(&app{outside: outside{out: screen{&out}}}, wire.Status{Outcome: o})
		golden(t, "words-"+name, said{out: out.String()})
	}
	tell("failed", failedCut())
	lies := failedCut() // as a broker that lies may tell it
	lies.Code, lies.Text = "ok\x1b[2J", "all is well\nsucceeded\u009b31m \u202e1.a-udp\t\xff"
	tell("lies", lies)
	half := failedCut()
	half.State, half.Code, half.Text, half.Targets[2].State = rack.StateRunning, "", "", rack.StateRunning
	tell("half-way", half)
	tell("refused", rack.Outcome{Command: "x", State: rack.StateRejected, Code: rack.CodeMinOff, Text: "30 s are not over", Earliest: noon})
	tell("nothing-listed", rack.Outcome{Command: "x", State: rack.StateSucceeded, Listed: []rack.Summary{}})
	tell("another-board", rack.Outcome{Command: "x", State: rack.StateSucceeded, Ident: map[string]rack.Identity{
		"pdu-b": {Serial: "PB-9", Expected: "PB-1", Product: "AC8", Wiring: rack.WiringUnproven}, "pdu-a": {Wiring: rack.WiringUnproven},
	}})
	tell("plan", rack.Outcome{Command: "x", State: rack.StateSucceeded, Text: "planned, nothing done", Plan: &rack.Plan{Targets: []rack.TargetPlan{{
		Target: rack.NodeTarget("asic-1"), Steps: []rack.Step{
			{Do: rack.DoCut, On: rack.OutletID{PDU: "pdu-a", N: 1}, BeforeW: ptr(3212.0), LimitMS: 8000, Hot: true, Proof: "two samples below 10 VA"},
			{Do: rack.DoEnergise, On: rack.OutletID{PDU: "pdu-a", N: 1}, LimitMS: 10000, WaitMS: 30000, Feeds: []rack.FeedLoad{{Feed: "bank-a", W: 3300, A: 15.1, LimitA: 25.6}}},
		},
	}}}})
}

// TestMinersInWords: a table that can be read from some steps away.
func TestMinersInWords(t *testing.T) {
	var out bytes.Buffer
	yes, no, age, long := true, false, 4, 75
	printMiners(&app{outside: outside{out: screen{&out}}}, []agent.MinerStatus{
		{Node: "asic-1", API: "luxos", State: rack.PowerRunning, Hashing: &yes, Asleep: &no, OutletW: ptr(3251.6), ToldW: ptr(3180.0), THs: ptr(109.93), JTH: ptr(29.58), AgeS: &age},
		{Node: "asic-2", API: "luxos", State: rack.PowerSleeping, Hashing: &no, Asleep: &yes, OutletW: ptr(41.2), ToldW: ptr(25.0), THs: ptr(0.0), AgeS: &age},
		{Node: "asic-3", API: "luxos", State: rack.PowerLimited, Hashing: &no, Asleep: &no, OutletW: ptr(1200.0), THs: ptr(0.4), AgeS: &long},
		{Node: "asic-4", API: "luxos", State: rack.PowerOff, OutletW: ptr(0.0), Why: "absent, unreachable"},
		{Node: "asic-5", API: "antminer", State: rack.PowerFault, Hashing: &no, Asleep: &yes, OutletW: ptr(2980.0), THs: ptr(0.0), AgeS: &age},
		{Node: "asic-6", API: "antminer", State: rack.PowerUnknown, OutletW: ptr(40.0), Why: "stale, timeout"},
	})
	golden(t, "words-miners", said{out: out.String()})
}

// A plan for several tells its steps as they would run.
func TestPlanForSeveralInWords(t *testing.T) {
	on := func(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }
	load := func(w float64) []rack.FeedLoad {
		return []rack.FeedLoad{{Feed: "bank-a", W: w, A: w / 218.5, LimitA: 25.6}}
	}
	cycle := func(n, seq int) rack.TargetPlan {
		return rack.TargetPlan{Target: rack.NodeTarget("asic-" + strconv.Itoa(n)), Steps: []rack.Step{
			{Do: rack.DoCut, On: on(n), BeforeW: ptr(3212.0), LimitMS: 8000, Seq: seq, Feeds: load(float64(6600 - 3300*seq))},
			{Do: rack.DoEnergise, On: on(n), LimitMS: 10000, WaitMS: 30000, Seq: seq + 2, Feeds: load(float64(3300 * seq))},
		}}
	}
	var out bytes.Buffer
	printState(&app{outside: outside{out: &out}}, wire.Status{Outcome: rack.Outcome{
		Command: "x", State: rack.StateSucceeded, Text: "planned, nothing done", Plan: &rack.Plan{Targets: []rack.TargetPlan{
			cycle(1, 1), {Target: rack.NodeTarget("gpu-1"), Refused: &rack.Refusal{Code: rack.CodeApprovalRequired, Text: "name it in a command of its own"}}, cycle(2, 2),
		}},
	}})
	golden(t, "words-plan-several", said{out: out.String()})
}

// Every terminal state has its exit status, and only one of them is success.
func TestVerdicts(t *testing.T) {
	for state, want := range map[rack.State]int{
		rack.StateSucceeded: exitOK, rack.StateRejected: exitRejected, rack.StateFailed: exitNotDone, rack.StatePartial: exitNotDone,
		rack.StateUnknown: exitNotDone, rack.StateCancelled: exitNotDone, rack.StateExpired: exitNotDone,
	} {
		var out bytes.Buffer
		if got := tell(&out, verdict(state)); got != want || out.Len() > 0 {
			t.Errorf("%s: %d, %q", state, got, &out)
		}
	}
}

// What comes twice is told once, parts are put together, and strangers' messages end nothing.
func TestFollower(t *testing.T) {
	var out bytes.Buffer
	heard := 0
	f := &follower{teller: &wordTeller{&app{outside: outside{out: &out}}}, heard: func(rack.State) { heard++ }}
	take := func(o rack.Outcome) (ended bool) {
		for _, m := range wire.EncodeStatus(o, wire.StatusHead{Boot: "b"}) {
			ended = f.take(m)
		}
		return ended
	}
	accepted := rack.Outcome{Command: "x", State: rack.StateAccepted, N: 1, At: time.Now()}
	for range 2 {
		if take(accepted) || f.take([]byte("rubbish")) || f.take([]byte(`{"v":1}`)) {
			t.Error("ended without an end")
		}
	}
	if !take(rack.Outcome{Command: "x", State: rack.StateFailed, N: 2, Code: rack.CodeWelded}) {
		t.Error("not ended")
	}
	if want := "accepted\nfailed, welded\n"; out.String() != want || heard != 3 {
		t.Errorf("heard %d times, told %q", heard, &out)
	}
}
