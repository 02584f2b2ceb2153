package observer

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestS5(t *testing.T) {
	tell(t, []tale{
		{"no result", func(r *rig) { r.accepted("c1", "cut", 1) }, "no result at the end of the run", []string{"S5"}},
		{"two results", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "failed", "device_error")
			r.n["c1"]--
			r.recordEnded("c1", "unknown", "")
		}, "it ended 2 times, first failed, then unknown", []string{"S5"}},
		{"two results on the broker", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "failed", "device_error")
			time.Sleep(time.Second)
			r.retell("c1", "succeeded", "", 3, false)
		}, "it has two results, failed and succeeded", []string{"S5"}},
		{"result told again, differently", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "failed", "device_error")
			r.retell("c1", "failed", "welded", 2, true)
		}, "is told again, and differs", []string{"S5"}},
		{"result told again", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "failed", "device_error")
			r.retell("c1", "failed", "device_error", 2, true)
			r.book.boot = "boot-2"
			r.retell("c1", "failed", "device_error", 2, false)
		}, "", nil},
		{"another result on disk than told", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.recordEnded("c1", "unknown", "")
			r.tell("c1", "succeeded", "")
		}, "is told as succeeded , and is unknown  on disk", []string{"S5"}},
		{"told before it is recorded", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.tell("c1", "failed", "device_error")
			r.n["c1"]--
			time.Sleep(time.Second)
			r.recordEnded("c1", "failed", "device_error")
		}, "no record of it was made before", []string{"S5"}},
		{"number falls", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.tell("c1", "running", "")
			time.Sleep(time.Second)
			r.retell("c1", "running", "", 1, false)
			r.end("c1", "failed", "device_error")
		}, "the number of its states falls", []string{"S5"}},
		{"one number for two states", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.retell("c1", "running", "", 1, false)
			r.end("c1", "failed", "device_error")
		}, "accepted and running have one number", []string{"S5"}},
		{"told on after the result", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.end("c1", "failed", "device_error")
			r.tell("c1", "running", "")
		}, "it is told running after its result failed", []string{"S5"}},
		{"accepted without a record", func(r *rig) {
			r.send("c1", "outlet.cut", "outlet/pdu-a.1")
			r.tell("c1", "accepted", "")
		}, "no record of that was made before", []string{"S5"}},
		{"taken in twice", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.recordAccepted("c1", "outlet.cut", "outlet/pdu-a.1", "cut pdu-a.1")
			r.end("c1", "failed", "device_error")
		}, "the journal took it in 2 times", []string{"S5"}},
		{"delivered, and never seen", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.recordEnded("c1", "failed", "device_error")
			r.book.add("command", "c1", 'k', "acked", map[string]any{"id": "c1"})
		}, "the broker never saw it", []string{"S5"}},
		{"kept back", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.recordEnded("c1", "failed", "device_error")
			time.Sleep(time.Minute)
			r.publish("up/event", "{}", false)
		}, "was not published", []string{"S5"}},
		{"no outcome, and none of the codes for that", func(r *rig) {
			r.retell("c1", "rejected", "firm_guard", 0, false)
			r.retell("c2", "rejected", "busy", 0, false)
		}, "rejected firm_guard without a number", []string{"S5"}},
		{"no state at all", func(r *rig) { r.publish("up/cmd/c1", "hello", false) }, "cannot be read", []string{"S5"}},
		{"about another command", func(r *rig) { r.publish("up/cmd/c1", `{"id":"c2"}`, false) }, `it is about command "c2"`, []string{"S5"}},
		{"rejected", func(r *rig) { r.rejected("c1") }, "", nil},
		{"judged after a restart", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(time.Second)
			r.book.boot = "boot-2"
			r.n["c1"] = 999_999
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "", nil},
	})
}

// rejected is a command that was turned away with an outcome.
func (r *rig) rejected(id string) {
	r.t.Helper()
	r.send(id, "outlet.cut", "node/gpu-1")
	r.book.add("command", id, 'r', "rejected", map[string]any{"id": id, "outcome": map[string]any{
		"id": id, "st": "rejected", "n": 1, "code": "firm_guard", "at": time.Now(),
	}})
	r.tell(id, "rejected", "firm_guard")
}

func TestS6(t *testing.T) {
	// sent publishes a payload that is not quite a command, and carries it out.
	sent := func(topic string, change func(string) string) func(*rig) {
		return func(r *rig) {
			r.sent["c1"] = change(r.order("c1", "outlet.cut", "outlet/pdu-a.1"))
			r.publish(topic, r.sent["c1"], false)
			r.carryOut()
		}
	}
	with := func(member string) func(string) string {
		return func(p string) string { return strings.TrimSuffix(p, "}") + "," + member + "}" }
	}
	expiring := func(d time.Duration) func(string) string {
		return func(p string) string {
			head, _, _ := strings.Cut(p, `"exp":`)
			return fmt.Sprintf(`%s"exp":%d}`, head, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).UnixMilli())
		}
	}
	tell(t, []tale{
		{"as it should be", sent("down/cmd", with(`"why":"test"`)), "", nil},
		{"malformed", sent("down/cmd", func(p string) string { return strings.Replace(p, `"v":1`, `"w":1`, 1) }), "v, id, op, target or exp is missing", []string{"S6"}},
		{"other version", sent("down/cmd", func(p string) string { return strings.Replace(p, `"v":1`, `"v":2`, 1) }), "its version is 2", []string{"S6"}},
		{"no JSON", sent("down/cmd", func(string) string { return "cut" }), "it is no JSON object", []string{"S6"}},
		{"a member twice", sent("down/cmd", with(`"OP":"outlet.energise"`)), "a member stands twice", []string{"S6"}},
		{"a member twice within", sent("down/cmd", with(`"args":{"force":true,"force":false}`)), "a member stands twice", []string{"S6"}},
		{"too big", sent("down/cmd", with(`"why":"`+strings.Repeat("x", 9000)+`"`)), "at most 8192 are allowed", []string{"S6"}},
		{"expired", sent("down/cmd", expiring(-time.Second)), "it had expired 1.000 s before it was delivered", []string{"S6"}},
		{"living too long", sent("down/cmd", expiring(time.Hour)), "it would live for 3600 s", []string{"S6"}},
		{"for another agent", sent("down/cmd", with(`"aud":"demo/r2"`)), "it is for demo/r2", []string{"S6"}},
		{"another topic", sent("down/other", func(p string) string { return p }), "it came on down/other", []string{"S6"}},
		{"unsigned", func(r *rig) {
			r.config = strings.Replace(r.config, "unsigned: true", "unsigned: false", 1)
			r.cut("c1", 1)
		}, "it is not signed", []string{"S6"}},
		{"retained", func(r *rig) {
			r.leave()
			r.publish("down/cmd", r.order("c1", "outlet.cut", "outlet/pdu-a.1"), true)
			r.leave = r.subscribe("r1")
			r.carryOut()
		}, "did this: opening pdu-a.1 (asic-1), although its message (record 7) may not be obeyed: it was delivered as retained", []string{"S6"}},
		{"out of the air", func(r *rig) {
			r.order("c1", "outlet.cut", "outlet/pdu-a.1")
			r.carryOut()
		}, "no message with its content", []string{"S6"}},
		{"something else than it says", func(r *rig) {
			r.send("c1", "outlet.energise", "outlet/pdu-a.1")
			r.carryOut()
		}, "it says outlet.energise of outlet/pdu-a.1, the record outlet.cut", []string{"S6"}},
		{"begun after it had expired", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.book.all[0].value = seal([]byte(strings.Replace(string(r.book.all[0].value[5:]), `"exp":"2000-01-01T00:01:00Z"`, `"exp":"2000-01-01T00:00:05Z"`, 1)))
			time.Sleep(10 * time.Second)
			r.relay(1, false)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "had expired 5.000 s before its first write", []string{"S6"}},
		{"one id, two contents", func(r *rig) {
			r.accepted("c1", "cut", 1)
			time.Sleep(time.Second)
			r.send("c1", "outlet.cut", "outlet/pdu-a.2")
			r.recordAccepted("c1", "outlet.cut", "outlet/pdu-a.2", "cut pdu-a.2")
			r.end("c1", "failed", "device_error")
		}, "taken in with another content", []string{"S5", "S6"}},
	})
}

// carryOut does what command c1 asks for: a cut of outlet 1.
func (r *rig) carryOut() {
	r.t.Helper()
	r.accept("c1", "outlet.cut", "outlet/pdu-a.1", "cut pdu-a.1")
	r.relay(1, false)
	time.Sleep(time.Second)
	r.end("c1", "succeeded", "", step("cut", 1))
}

// tele publishes a batch.
func (r *rig) tele(d, x string) {
	r.t.Helper()
	r.publish("up/tele", fmt.Sprintf(`{"v":1,"ep":"e","seq":1,"ts":%d,"d":{"pdu-a":{%s}},"x":{%s}}`, time.Now().UnixMilli(), d, x), false)
}

func TestS7(t *testing.T) {
	after := func(wait time.Duration, d, x string) func(*rig) {
		return func(r *rig) {
			time.Sleep(5 * time.Second)
			r.cut("c1", 1)
			time.Sleep(wait - time.Second)
			r.tele(d, x)
		}
	}
	during := func(fault string, wait time.Duration, d, x string) func(*rig) {
		return func(r *rig) {
			time.Sleep(5 * time.Second)
			r.fault(fault)
			time.Sleep(wait)
			r.tele(d, x)
		}
	}
	tell(t, []tale{
		{"true", after(5*time.Second, `"p_w":[0.1,3255,3240,181,0,0,1601,1599],"relay":[0,1,1],"temp_c":[31.5]`, ""), "", nil},
		{"explained", after(5*time.Second, `"p_w":[null,3250]`, `"pdu-a.p_w.1":{"q":"bad","why":"implausible"}`), "", nil},
		{
			"null without a word", after(5*time.Second, `"p_w":[null,3250],"temp_c":[null]`, `"pdu-a.temp_c.1":{"q":"absent","why":"nack"}`),
			"pdu-a.p_w.1: it is null, and nothing says why",
			[]string{"S7"},
		},
		{"just before", after(2*time.Second, `"p_w":[3250],"relay":[1]`, ""), "", nil},
		{"long gone", after(5*time.Second, `"p_w":[3250]`, ""), "3250.0 W pass as ok; in truth it was between 0.0 and 0.0 W", []string{"S7"}},
		{"old, and it says so", after(5*time.Second, `"p_w":[3250]`, `"pdu-a.p_w.1":{"q":"ok","age_ms":3800}`), "", nil},
		{"old, and it says another age", after(8*time.Second, `"p_w":[3250]`, `"pdu-a.p_w.1":{"q":"ok","age_ms":3800}`), "3250.0 W pass as ok", []string{"S7"}},
		{"too old to be ok", after(2*time.Second, `"p_w":[3250]`, `"pdu-a.p_w.1":{"q":"ok","age_ms":4100}`), "it is 4.1 s old and passes as ok", []string{"S7"}},
		{"suspect", after(5*time.Second, `"p_w":[3250]`, `"pdu-a.p_w.1":{"q":"suspect","age_ms":5000,"why":"nack"}`), "", nil},
		{"another outlet's value", after(5*time.Second, `"p_w":[0,0]`, ""), "pdu-a.p_w.2: 0.0 W pass as ok", []string{"S7"}},
		{"relay of long ago", after(5*time.Second, `"relay":[1]`, ""), "relay 1 passes as ok", []string{"S7"}},
		{"dead meter", during("nack=pdu-a.meter.1", 5*time.Second, `"p_w":[3250,3250,3250]`, ""), "its meter has been dead for 5.0 s", []string{"S7"}},
		{"dead meter, just noticed", during("nack=pdu-a.meter.1", 3*time.Second, `"p_w":[3250,3250,3250]`, ""), "", nil},
		{"dead switch", during("nack=pdu-a.mux", 5*time.Second, `"i_a":[14.5]`, ""), "pdu-a.i_a.1: it passes as ok", []string{"S7"}},
		{"frozen meter", during("frozen=pdu-a.meter.1", time.Second, `"p_w":[3000]`, ""), "", nil},
		{"no batch at all", func(r *rig) { r.publish("up/tele", "hello", false) }, "cannot be read", []string{"S7"}},
	})
}

func TestS8(t *testing.T) {
	tell(t, []tale{
		{"welded, and found", func(r *rig) {
			r.welded("failed", "welded")
		}, "", nil},
		{"welded, and nobody looked", func(r *rig) { r.welded("succeeded", "") }, "it succeeded, and the contact is closed", []string{"S8"}},
		{"welded, and called something else", func(r *rig) { r.welded("failed", "verify_failed") }, `ended failed "verify_failed"; the meter was sound`, []string{"S8"}},
		{"welded, and the meter was frozen", func(r *rig) { r.fault("frozen=pdu-a.meter.1"); r.welded("unknown", "verify_failed") }, "", nil},
		{"called welded, and open", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(5 * time.Second)
			r.end("c1", "failed", "welded", step("cut", 1))
		}, "it ends welded, and the contact is open", []string{"S8"}},
		{"moved again", func(r *rig) {
			r.welded("failed", "welded")
			time.Sleep(time.Minute)
			r.accepted("c2", "energise", 1)
			r.relay(1, true)
			r.end("c2", "partial", "no_load")
		}, "is withdrawn from switching", []string{"S8"}},
		{"no moment", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(time.Second)
			s := step("cut", 1)
			s["settled"] = nil
			r.end("c1", "succeeded", "", s)
		}, "no moment is named", []string{"S8"}},
		{"before the meter could follow", func(r *rig) {
			r.accepted("c1", "cut", 1)
			r.relay(1, false)
			time.Sleep(200 * time.Millisecond)
			r.end("c1", "succeeded", "", step("cut", 1))
		}, "it is settled 200ms after its write; the meter takes 300ms to follow", []string{"S8"}},
		{"nothing written", func(r *rig) {
			r.accepted("c1", "energise", 1)
			time.Sleep(time.Second)
			r.end("c1", "succeeded", "", step("energise", 1))
		}, "nothing was written for it", []string{"S8"}},
		{"no contact made", func(r *rig) {
			r.cut("c1", 1)
			r.fault("stuckopen=pdu-a.1")
			r.energiseLater("c2", 1)
		}, "it succeeded, and the contact is open", []string{"S8"}},
		{"nothing plugged in", func(r *rig) {
			r.cutEmpty("c1")
			r.energiseLater("c2", 5)
		}, "the outlet draws 0.0 W, not above 5.0 W", []string{"S8"}},
		{"cables crossed, and believed", func(r *rig) {
			r.fault("crossed=pdu-a.1:pdu-a.2")
			r.cut("c1", 1)
		}, "it succeeded, and the contact is closed", []string{"S8"}},
		{"no load came, and the wake behind it has shown one", func(r *rig) { r.started(2, false) }, "", nil},
		{"no load came, and the wake behind it was that of another", func(r *rig) { r.started(1, false) }, "no moment is named", []string{"S8"}},
		{"no load came, and the wake behind it has shown none", func(r *rig) { r.started(2, true) }, "no moment is named", []string{"S8"}},
	})
}

// started energises outlet 2 with no load at first; a node is then awake, and outlet 2 feeds nothing if it is empty.
func (r *rig) started(node int, empty bool) {
	r.t.Helper()
	r.cut("c1", 2)
	time.Sleep(2 * time.Minute)
	r.accepted("c2", "energise", 2)
	if empty {
		r.fault("stuckopen=pdu-a.2")
	}
	r.relay(2, true)
	time.Sleep(time.Minute)
	s := step("energise", 2)
	s["settled"] = nil
	r.end("c2", "succeeded", "", s, map[string]any{"do": "wake", "on": fmt.Sprintf("node/asic-%d", node), "settled": time.Now().UnixMilli()})
}

// welded cuts an outlet whose contact does not open.
func (r *rig) welded(state, code string) {
	r.t.Helper()
	time.Sleep(2 * time.Second)
	r.fault("welded=pdu-a.1")
	r.accepted("c1", "cut", 1)
	r.relay(1, false)
	time.Sleep(5 * time.Second)
	s := step("cut", 1)
	if state != "succeeded" {
		s["settled"] = nil
	}
	r.end("c1", state, code, s)
}

// cutEmpty cuts an outlet with nothing plugged in.
func (r *rig) cutEmpty(id string) {
	r.t.Helper()
	r.accepted(id, "cut", 5)
	r.relay(5, false)
	r.end(id, "partial", "no_load")
}
