package wire

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

func TestAnyEventAndAlarmMatchTheirSchemas(t *testing.T) {
	text := rapid.String()
	severity := rapid.SampledFrom([]rack.Severity{rack.Info, rack.Warn, rack.Error, rack.Critical})
	rapid.Check(t, func(t *rapid.T) {
		e := rack.Event{
			Kind: rack.EventBankLost, Severity: severity.Draw(t, "sev"), At: moments(t, "at"), Device: text.Draw(t, "dev"), Node: text.Draw(t, "node"),
			Command: text.Draw(t, "cmd"), From: text.Draw(t, "from"), To: text.Draw(t, "to"), Reason: text.Draw(t, "reason"), Text: text.Draw(t, "txt"),
		}
		if rapid.Bool().Draw(t, "of an outlet") {
			e.Outlet = drawOutlet(t)
		}
		conform(t, "closed", "event", EncodeEvent(text.Draw(t, "id"), e))
		a := rack.Alarm{Key: rapid.StringMatching(`[a-z0-9.-]{1,40}`).Draw(t, "key"), Since: moments(t, "since"), Severity: severity.Draw(t, "asev"), Text: text.Draw(t, "atxt")}
		conform(t, "closed", "alarm", EncodeAlarm(a))
	})
}

func TestClearedAlarmIsEmpty(t *testing.T) {
	if b := EncodeAlarm(rack.Alarm{Key: "a", Cleared: true}); len(b) != 0 {
		t.Errorf("%s", b)
	}
}

func TestLongEventFits(t *testing.T) {
	long := strings.Repeat("\x00", 1<<20)
	if n := len(EncodeEvent("1", rack.Event{Kind: rack.EventLink, Text: long, Reason: long, From: long, To: long})); n > 16<<10 {
		t.Errorf("%d bytes", n)
	}
}

func TestAnyStateMatchesItsSchema(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{
			State: Online, Boot: "01JD9X3M", Conn: rapid.IntRange(1, 1e9).Draw(t, "conn"), At: moments(t, "at"),
			Clock:    Clock{Source: rapid.SampledFrom([]string{"ntp", "none"}).Draw(t, "src"), OK: rapid.Bool().Draw(t, "ok")},
			Software: rapid.String().Draw(t, "sw"), Mode: rapid.SampledFrom([]string{ModeNormal, ModeObserving}).Draw(t, "mode"),
			Unsigned: rapid.Bool().Draw(t, "unsigned"),
		}
		conform(t, "closed", "state", s.Encode())
		s.State, s.Reason = Offline, rapid.SampledFrom([]string{ReasonLost, ReasonShutdown}).Draw(t, "reason")
		conform(t, "closed", "state", s.Encode())
	})
}
