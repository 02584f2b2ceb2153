package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

var noon = time.UnixMilli(1795411616000)

// The agent's own reader has to find in the payload what was typed.
func TestEnvelope(t *testing.T) {
	outlet := rack.OutletTarget(rack.OutletID{PDU: "pdu-a", N: 3})
	for name, c := range map[string]struct {
		order order
		want  rack.Command
	}{
		"cut":    {order{op: "outlet.cut", target: "outlet/pdu-a.3", why: "grid event 5521"}, rack.Command{Op: rack.OpCut, Target: outlet, Why: "grid event 5521"}},
		"cycle":  {order{op: "outlet.cycle", target: "outlet/pdu-a.3", args: map[string]string{"off_s": "45.5"}}, rack.Command{Op: rack.OpCycle, Target: outlet, Args: rack.Args{OffS: 45.5}}},
		"force":  {order{op: "outlet.cut", target: "outlet/pdu-a.3", args: map[string]string{"force": "true"}}, rack.Command{Op: rack.OpCut, Target: outlet, Args: rack.Args{Force: true}}},
		"dry":    {order{op: "outlet.cut", target: "node/asic-1", dry: true}, rack.Command{Op: rack.OpCut, Target: rack.NodeTarget("asic-1"), Dry: true}},
		"get":    {order{op: "cmd.get", target: "rack", args: map[string]string{"id": "4711"}}, rack.Command{Op: rack.OpGet, Target: rack.Target{Kind: rack.TargetRack}, Args: rack.Args{ID: "4711"}}},
		"list":   {order{op: "cmd.list", target: "rack", args: map[string]string{"n": "7"}}, rack.Command{Op: rack.OpList, Target: rack.Target{Kind: rack.TargetRack}, Args: rack.Args{N: 7}}},
		"accept": {order{op: "journal.accept", target: "rack", args: map[string]string{"reason": "true"}}, rack.Command{Op: rack.OpJournalAccept, Target: rack.Target{Kind: rack.TargetRack}, Args: rack.Args{Reason: "true"}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.order
			o.id, o.site, o.agent, o.ttl = "cut-0001", "ams1", "r17", time.Minute
			payload, err := o.encode(noon)
			if err != nil {
				t.Fatal(err)
			}
			got, bad := wire.DecodeCommand(payload, noon)
			if bad != nil {
				t.Fatalf("%s: %v", payload, bad)
			}
			want := c.want
			want.ID, want.Aud, want.Exp = "cut-0001", "ams1/r17", noon.Add(time.Minute).UTC()
			want.Received, want.Hash = noon, rack.HashOf(payload)
			if got != want {
				t.Errorf("%s\nreads %+v\nwant  %+v", payload, got, want)
			}
		})
	}
}

func TestTheSameOrderIsTheSamePayload(t *testing.T) {
	o := order{id: "x", op: "outlet.cut", target: "rack", site: "a", agent: "b", ttl: time.Second, args: map[string]string{"deadline_s": "3", "force": "false"}}
	first, err := o.encode(noon)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := o.encode(noon); err != nil || string(again) != string(first) {
			t.Fatalf("%s, %v; before %s", again, err, first)
		}
	}
	if want := `{"v":1,"id":"x","op":"outlet.cut","target":"rack","args":{"deadline_s":3,"force":false},"exp":1795411617000,"aud":"a/b"}`; string(first) != want {
		t.Errorf("%s\nwant %s", first, want)
	}
}

func TestSlipsAreFoundBeforeSending(t *testing.T) {
	good := order{id: "x", op: "outlet.cut", target: "outlet/pdu-a.3", site: "a", agent: "b", ttl: time.Minute}
	for want, slip := range map[string]func(*order){
		"target":     func(o *order) { o.target = "pdu-a.3" },
		"id:":        func(o *order) { o.id = "no spaces please" },
		"args.off":   func(o *order) { o.args = map[string]string{"off": "3"} },
		"deadline_s": func(o *order) { o.args = map[string]string{"deadline_s": "soon"} },
		"why":        func(o *order) { o.why = strings.Repeat("x", 300) },
		"ttl":        func(o *order) { o.ttl = -time.Second },
	} {
		o := good
		slip(&o)
		if _, err := o.encode(noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// A verb of a later version is the agent's to judge.
	o := good
	o.op = "outlet.polish"
	if _, err := o.encode(noon); err != nil {
		t.Error(err)
	}
}

func TestScalar(t *testing.T) {
	for s, want := range map[string]bool{
		"1": true, "1.5": true, "true": true, "false": true, "": false, "null": false, `"1"`: false, "[1]": false, "{}": false, "1 2": false, "01": false, "NaN": false,
	} {
		if scalar(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
		if b, err := json.Marshal(arguments(map[string]string{"x": s})); err != nil {
			t.Errorf("%q: %s, %v", s, b, err)
		}
	}
}

func TestIDs(t *testing.T) {
	a, b := newID(), newID()
	if a == b || !rack.ValidCommandID(a) || !rack.ValidCommandID(b) {
		t.Errorf("%q, %q", a, b)
	}
}
