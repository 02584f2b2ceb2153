package rack

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	for _, s := range []string{"rack", "node/asic-1", "outlet/pdu-a.3", "group/miners", "feed/f1"} {
		got, err := ParseTarget(s)
		if err != nil || got.String() != s {
			t.Errorf("ParseTarget(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "outlet", "outlet/pdu-a", "outlet/pdu-a.0", "outlet/pdu-a.03", "outlet/pdu-a.+3", "outlet/pdu-a.100", "outlet/PDU.1",
		"node/", "node/a/b", "node/#", "node/" + strings.Repeat("a", 24), "rack/x", "pdu/a",
	} {
		if got, err := ParseTarget(s); err == nil {
			t.Errorf("ParseTarget(%q) = %v, want an error", s, got)
		}
	}
}

func TestTargetInJSON(t *testing.T) {
	b, err := json.Marshal(StepResult{Do: DoCut, On: OutletTarget(OutletID{"pdu-a", 3})})
	if err != nil || string(b) != `{"do":"cut","on":"outlet/pdu-a.3","taken":null,"confirmed":null,"settled":null}` {
		t.Fatalf("%s, %v", b, err)
	}
	var back StepResult
	if err := json.Unmarshal(b, &back); err != nil || back.On.Outlet.N != 3 {
		t.Fatalf("%+v, %v", back, err)
	}
}

func TestConclude(t *testing.T) {
	r := func(st State, c Code) TargetResult { return TargetResult{State: st, Code: c} }
	for _, c := range []struct {
		name string
		in   []TargetResult
		st   State
		code Code
	}{
		{"all succeeded", []TargetResult{r(StateSucceeded, ""), r(StateSucceeded, "")}, StateSucceeded, ""},
		{"confirmed alone", []TargetResult{r(StateConfirmed, CodeNoLoad)}, StatePartial, CodeNoLoad},
		{"one of two welded", []TargetResult{r(StateSucceeded, ""), r(StateFailed, CodeWelded)}, StatePartial, CodeWelded},
		{"unknown beats failed", []TargetResult{r(StateFailed, CodeWelded), r(StateUnknown, CodeVerifyFailed)}, StateUnknown, CodeWelded},
		{"all cancelled", []TargetResult{r(StateCancelled, CodeSuperseded)}, StateCancelled, CodeSuperseded},
		{"cancelled and failed", []TargetResult{r(StateCancelled, CodeSuperseded), r(StateFailed, CodeDeviceError)}, StateFailed, CodeDeviceError},
		{"nothing at all", nil, StateFailed, ""},
	} {
		if st, code := Conclude(c.in); st != c.st || code != c.code {
			t.Errorf("%s: %s %q, want %s %q", c.name, st, code, c.st, c.code)
		}
	}
}

func TestLevelsSurviveACycle(t *testing.T) {
	l := Layout{Feeds: []Feed{{Name: "a", Parent: "b"}, {Name: "b", Parent: "a"}}}
	if n := len(l.Levels("a")); n != 2 {
		t.Errorf("%d levels", n)
	}
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		f    Feed
		want float64
	}{
		{Feed{RatingA: 32, Continuous: 0.8}, 25.6},
		{Feed{RatingA: 32, Continuous: 0.8, ShareA: 10}, 10},
		{Feed{RatingA: 32, Continuous: 0.8, ShareA: 40}, 25.6},
	} {
		if got := c.f.LimitA(); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
}
