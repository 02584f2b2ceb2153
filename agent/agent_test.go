package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/config"
	"rackagent/drivers/i2cbus"
)

// story runs a test of the whole agent in virtual time.
func story(t *testing.T, play func(r *rig), change ...func(*sim.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change...)
		r.start()
		play(r)
		r.close()
	})
}

func TestACutIsProvenByItsMeter(t *testing.T) {
	story(t, func(r *rig) {
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		s := r.expect("c1", rack.StateSucceeded, "")
		p := s.Targets[0].Steps[0].Proof
		if *p.BeforeW < 3000 || *p.AfterW > 10 || r.world.Rack().Watts(out(3)) > 1 {
			t.Errorf("proof %v W before, %v W after; the world says %.1f W", *p.BeforeW, *p.AfterW, r.world.Rack().Watts(out(3)))
		}
		if got := r.states("c1"); got != "accepted, running, succeeded" {
			t.Errorf("states: %s", got)
		}
		if n := len(r.relayWrites()); n != 1 {
			t.Errorf("%d writes to the relays", n)
		}
	})
}

func TestTheServerIsNotCut(t *testing.T) {
	story(t, func(r *rig) {
		for i, target := range []string{"node/gpu-1", "outlet/pdu-a.7", "outlet/pdu-a.8"} {
			for j, op := range []string{"outlet.cut", "outlet.cycle"} {
				id := fmt.Sprintf("c%d%d", i, j)
				r.send(id, op, target)
				r.expect(id, rack.StateRejected, rack.CodeFirmGuard)
			}
		}
		if len(r.relayWrites()) != 0 || len(r.world.Rack().Downs()) != 0 {
			t.Errorf("writes %v, downs %v", r.relayWrites(), r.world.Rack().Downs())
		}
	})
}

func TestAWeldedRelayIsFoundAndNamed(t *testing.T) {
	story(t, func(r *rig) {
		r.inject("welded=pdu-a.5")
		r.send("c1", "outlet.cut", "outlet/pdu-a.5")
		s := r.expect("c1", rack.StateFailed, rack.CodeWelded)
		if st := s.Targets[0].Steps[0]; st.Confirmed == nil || st.Settled != nil {
			t.Errorf("step %+v: confirmed is true and settled is not", st)
		}
		r.send("c2", "outlet.cut", "outlet/pdu-a.5")
		r.expect("c2", rack.StateRejected, rack.CodeWelded)
	})
}

func (r *rig) inject(s string) {
	r.t.Helper()
	f, err := sim.ParseFault(s)
	if err == nil {
		err = r.world.Inject(f)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestNothingMovesAtStartStopAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 3 {
			r.start()
			time.Sleep(time.Minute)
			r.stop()
		}
		if w := r.relayWrites(); len(w) != 0 {
			t.Errorf("writes to the relays: %v", w)
		}
		r.start()
		r.close()
	})
}

func TestWhatMayNotHaveAnEffectHasNone(t *testing.T) {
	story(t, func(r *rig) {
		now := time.Now()
		exp := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
		r.publish(fmt.Sprintf(`{"v":1,"id":"expired","op":"outlet.cut","target":"outlet/pdu-a.1","exp":%d}`, exp(-time.Second)), false)
		r.publish(fmt.Sprintf(`{"v":1,"id":"far","op":"outlet.cut","target":"outlet/pdu-a.1","exp":%d}`, exp(time.Hour)), false)
		r.publish(`{"v":1,"id":"noexp","op":"outlet.cut","target":"outlet/pdu-a.1"}`, false)
		r.publish(fmt.Sprintf(`{"v":1,"id":"big","op":"outlet.cut","target":"outlet/pdu-a.1","exp":%d,"why":%q}`, exp(time.Minute), strings.Repeat("x", 9000)), false)
		r.publish(`{"v":1,"id":"`, false)
		r.publish(fmt.Sprintf(`{"v":1,"id":"a/b","op":"outlet.cut","target":"outlet/pdu-a.1","exp":%d}`, exp(time.Minute)), false)
		r.send("verb", "outlet.explode", "outlet/pdu-a.1")
		r.send("target", "outlet.cut", "outlet/pdu-b.1")
		r.send("aud", "outlet.cut", "outlet/pdu-a.1", `,"aud":"test/r2"`)
		r.expect("expired", rack.StateRejected, rack.CodeExpired)
		r.expect("far", rack.StateRejected, rack.CodePrecondition)
		r.expect("noexp", rack.StateRejected, rack.CodeBadSchema)
		r.expect("verb", rack.StateRejected, rack.CodeUnsupported)
		r.expect("target", rack.StateRejected, rack.CodeUnknownTarget)
		r.expect("aud", rack.StateRejected, rack.CodeWrongAudience)
		time.Sleep(10 * time.Second)
		if w := r.relayWrites(); len(w) != 0 {
			t.Errorf("writes to the relays: %v", w)
		}
	})
}

// TestARetainedCommandHasNoEffect publishes before the agent subscribes: only then does the broker set the flag. A
// retained command that arrives live is an ordinary one, and the replays that follow it are refused.
func TestARetainedCommandHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.publish(envelope("r1", "outlet.cut", "outlet/pdu-a.1", ""), true)
		for range 2 {
			r.start()
			time.Sleep(5 * time.Second)
			r.stop()
		}
		r.start()
		if w := r.relayWrites(); len(w) != 0 || len(r.statuses("r1")) != 0 {
			t.Errorf("writes %v, states %s", w, r.states("r1"))
		}
		r.close()
	})
}

func TestADuplicateIsAnsweredAndNotRepeated(t *testing.T) {
	story(t, func(r *rig) {
		payload := envelope("c1", "outlet.cut", "outlet/pdu-a.3", "")
		r.publish(payload, false)
		r.publish(payload, false)
		r.expect("c1", rack.StateSucceeded, "")
		for range 3 {
			r.publish(payload, false)
		}
		time.Sleep(time.Second)
		r.publish(envelope("c1", "outlet.cut", "outlet/pdu-a.4", ""), false)
		time.Sleep(5 * time.Second)
		if n := len(r.relayWrites()); n != 1 {
			t.Errorf("%d writes to the relays: %s", n, r.states("c1"))
		}
		if got := r.states("c1"); strings.Count(got, "succeeded dup") != 3 || !strings.Contains(got, "rejected/id_conflict") {
			t.Errorf("states: %s", got)
		}
	})
}

func TestABurstAcrossAReconnectEndsEachCommandOnce(t *testing.T) {
	story(t, func(r *rig) {
		for i := range 50 {
			if i == 25 {
				r.world.Broker().Cut()
			}
			r.send(fmt.Sprintf("b%d", i), "outlet.cut", fmt.Sprintf("outlet/pdu-a.%d", i%6+1))
			if i%10 == 9 {
				time.Sleep(1100 * time.Millisecond) // ten a second are taken
			}
		}
		ends := 0
		for i := range 50 {
			id := fmt.Sprintf("b%d", i)
			r.await(id)
			n := 0
			for _, s := range r.statuses(id) {
				if s.State.Terminal() && !s.Dup {
					n++
				}
			}
			if n >= 1 {
				ends++
			}
		}
		if ends != 50 {
			t.Errorf("%d of 50 commands ended", ends)
		}
	})
}

func TestDryRunMovesNothing(t *testing.T) {
	story(t, func(r *rig) {
		r.send("d1", "outlet.cut", "node/asic-4", `,"dry":true`)
		s := r.expect("d1", rack.StateSucceeded, "")
		if s.Plan == nil || len(s.Plan.Targets) != 1 || len(s.Plan.Targets[0].Steps[0].Feeds) == 0 {
			t.Errorf("plan %+v", s.Plan)
		}
		if w := r.relayWrites(); len(w) != 0 {
			t.Errorf("writes to the relays: %v", w)
		}
	})
}

func TestTheOtherVerbs(t *testing.T) {
	story(t, func(r *rig) {
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.await("c1")
		r.send("g1", "cmd.get", "rack", `,"args":{"id":"c1"}`)
		r.expect("g1", rack.StateSucceeded, "")
		time.Sleep(time.Second)
		if got := r.states("c1"); !strings.HasSuffix(got, "succeeded dup") {
			t.Errorf("after cmd.get: %s", got)
		}
		r.send("l1", "cmd.list", "rack", `,"args":{"n":5}`)
		if s := r.expect("l1", rack.StateSucceeded, ""); len(s.Listed) < 2 {
			t.Errorf("listed: %+v", s.Listed)
		}
		r.send("i1", "identify", "node/asic-1")
		if s := r.expect("i1", rack.StateSucceeded, ""); s.Ident["pdu-a"].Serial != "SIM-0001" {
			t.Errorf("identity: %+v", s.Ident)
		}
		r.send("y1", "outlet.cycle", "outlet/pdu-a.4")
		time.Sleep(5 * time.Second)
		r.send("x1", "cmd.cancel", "rack", `,"args":{"id":"y1"}`)
		r.expect("x1", rack.StateSucceeded, "")
		r.expect("y1", rack.StateCancelled, rack.CodeCancelled)
		r.send("j1", "journal.accept", "rack", `,"args":{"reason":"x"}`)
		r.expect("j1", rack.StateRejected, rack.CodeUnsupported)
	})
}

func TestACutOvertakesACycle(t *testing.T) {
	story(t, func(r *rig) {
		r.send("cycle", "outlet.cycle", "outlet/pdu-a.3")
		time.Sleep(time.Second)
		sent := time.Now()
		r.send("cut", "outlet.cut", "outlet/pdu-a.3")
		r.expect("cycle", rack.StateCancelled, rack.CodeSuperseded)
		r.expect("cut", rack.StatePartial, rack.CodeNoLoad)
		w := r.relayWrites()
		if len(w) != 2 || w[1].Handed.Sub(sent) > 100*time.Millisecond {
			t.Errorf("writes %v", w)
		}
	})
}

func TestABrownOutIsReportedAndNotMended(t *testing.T) {
	story(t, func(r *rig) {
		r.inject("brownout=pdu-a")
		time.Sleep(40 * time.Second)
		if w := r.relayWrites(); len(w) != 0 {
			t.Fatalf("writes to the relays without a command: %v", w)
		}
		if len(r.world.Rack().Downs()) != 0 {
			t.Error("the server went down")
		}
		r.send("c1", "outlet.energise", "outlet/pdu-a.1")
		r.expect("c1", rack.StateSucceeded, "")
		if w := r.relayWrites(); len(w) != 3 || w[0].W[0] != 2 || w[1].W[0] != 6 || w[2].W[0] != 2 {
			t.Errorf("writes %v: want the whole latch, the direction, the relay", w)
		}
	})
}

func TestALostJournalOnlyObserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.stop()
		r.damageJournal()
		r.start()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateRejected, rack.CodeObserving)
		if w := r.relayWrites(); len(w) != 0 {
			t.Errorf("writes to the relays: %v", w)
		}
		r.close()
	})
}

// TestAJournalOfALaterProgramIsLeftAlone: the agent watches, says so, and takes nothing, a person's acceptance included:
// there is nothing to accept, the later program has to come back.
func TestAJournalOfALaterProgramIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.stop()
		marker := filepath.Join(r.dir, "site")
		if err := os.WriteFile(marker, []byte(`{"schema":3,"site":"test","agent":"r1","created":"2026-01-02T03:04:05Z"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(r.dir, "journal.db"))
		if err != nil {
			t.Fatal(err)
		}
		r.start()
		for _, op := range []string{"outlet.cut", "outlet.energise", "outlet.cycle"} {
			r.send(op[7:], op, "outlet/pdu-a.3")
			r.expect(op[7:], rack.StateRejected, rack.CodeObserving)
		}
		if s := r.agent.Status(); !s.Observing || !slices.ContainsFunc(s.Alarms, func(a rack.Alarm) bool {
			return a.Key == "observing" && strings.Contains(a.Text, "later program")
		}) {
			t.Errorf("%+v", s.Alarms)
		}
		r.stop()
		after, err := os.ReadFile(filepath.Join(r.dir, "journal.db"))
		if err != nil || !bytes.Equal(before, after) || len(r.relayWrites()) != 0 {
			t.Errorf("the journal was changed, or a relay written: %v, %v", err, r.relayWrites())
		}
		if err := os.Remove(marker); err != nil { // the judge reads the journal as the present program's
			t.Fatal(err)
		}
		r.start()
		r.close()
	})
}

func TestACutOvertakesAnEnergiseThatHangsOnTheBus(t *testing.T) {
	story(t, func(r *rig) {
		r.send("off", "outlet.cut", "outlet/pdu-a.3")
		r.await("off")
		time.Sleep(31 * time.Second)
		r.inject("hang=sim-i2c-0")
		r.send("on", "outlet.energise", "outlet/pdu-a.3")
		time.Sleep(time.Second)
		r.send("cut", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(500 * time.Millisecond)
		r.heal("hang=sim-i2c-0")
		healed := time.Now()
		r.await("on")
		r.await("cut")
		w := r.relayWrites()
		if last := w[len(w)-1]; last.W[1]&0x04 != 0 || last.Handed.Sub(healed) > time.Second {
			t.Errorf("the last write %v is not the cut, or came %s after the bus was back", last, last.Handed.Sub(healed))
		}
		for _, id := range []string{"on", "cut"} {
			n := 0
			for _, s := range r.statuses(id) {
				if s.State.Terminal() && !s.Dup {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s has %d results: %s", id, n, r.states(id))
			}
		}
	})
}

func (r *rig) heal(s string) {
	r.t.Helper()
	f, err := sim.ParseFault(s)
	if err == nil {
		err = r.world.Heal(f)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestAHungBusDelaysNothingElse holds S10: with the only bus gone the agent still answers, says what it does not know
// and refuses what it cannot judge.
func TestAHungBusDelaysNothingElse(t *testing.T) {
	story(t, func(r *rig) {
		r.inject("hang=sim-i2c-0")
		time.Sleep(30 * time.Second)
		sent := time.Now()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateRejected, rack.CodeDeviceError)
		r.send("l1", "cmd.list", "rack")
		r.expect("l1", rack.StateSucceeded, "")
		if took := time.Since(sent); took > time.Second {
			t.Errorf("two answers took %s", took)
		}
		if !r.agent.Alive() {
			t.Error("the loop does not turn")
		}
		for _, o := range r.agent.Status().Outlets {
			if o.Closed != nil || o.PowerW != nil {
				t.Errorf("outlet %s shows values that nobody read for 30 s", o.Outlet)
			}
		}
		r.heal("hang=sim-i2c-0")
	})
}

func TestTelemetryNamesWhatIsNotFresh(t *testing.T) {
	story(t, func(r *rig) {
		r.inject("nack=pdu-a.meter.1")
		time.Sleep(20 * time.Second)
		var last sim.Message
		for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
			if !m.Out && m.Topic == topic.Up("tele") {
				last = m
			}
		}
		for _, want := range []string{`"pdu-a.p_w.1":{"q":"absent"`, `"why":"nack"`, `"p_w":[null,null,`} {
			if !strings.Contains(string(last.Payload), want) {
				t.Errorf("no %s in %s", want, last.Payload)
			}
		}
	})
}

func TestABrokerThatForgetsIsToldAgain(t *testing.T) {
	story(t, func(r *rig) {
		if err := r.world.Broker().Restart(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateSucceeded, "")
		states, infos := 0, 0
		for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
			if !m.Out && m.Retain && m.Topic == topic.Up("state") {
				states++
			}
			if !m.Out && m.Retain && m.Topic == topic.Up("info") {
				infos++
			}
		}
		if states < 3 || infos < 2 { // the first birth is told twice, see willDelay
			t.Errorf("%d births and %d inventories for two connections", states, infos)
		}
	})
}

// A consumer can tell an agent that is silent within three heartbeats, and up/info says how long one is.
func TestHeartbeat(t *testing.T) {
	story(t, func(r *rig) {
		time.Sleep(61 * time.Second)
		type state struct {
			State, Boot string
			TS, Sent    int64
			Conn        int
		}
		var last state
		var ages []int64
		for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
			if m.Out || m.Topic != topic.Up("state") {
				continue
			}
			var s state
			if err := json.Unmarshal(m.Payload, &s); err != nil || !m.Retain || s.State != wire.Online {
				t.Fatalf("%v: %s", err, m.Payload)
			}
			if last.TS != 0 && (s.TS != last.TS || s.Boot != last.Boot || s.Conn != last.Conn || s.Sent-last.Sent > 10_000) {
				t.Errorf("%+v after %+v", s, last)
			}
			last = s
			ages = append(ages, s.Sent-s.TS)
		}
		if len(ages) != 8 { // the birth, once more after 3 s, six beats
			t.Errorf("ms after the birth: %v", ages)
		}
		if got := r.last("info"); !strings.Contains(got, `"heartbeat_s":10,`) {
			t.Errorf("%s", got)
		}
		if err := r.world.Broker().Stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before := len(sim.Of[sim.Message](r.world.Trace().Entries()))
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		n := 0
		for _, m := range sim.Of[sim.Message](r.world.Trace().Entries())[before:] {
			if !m.Out && m.Topic == topic.Up("state") {
				n++
			}
		}
		if n > 7 {
			t.Errorf("%d states: beats of the outage were told afterwards", n)
		}
	})
}

// TestACutInADeadNetworkIsToldAfterwards: the result waits on disk until the broker has it.
func TestACutInADeadNetworkIsToldAfterwards(t *testing.T) {
	story(t, func(r *rig) {
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		time.Sleep(100 * time.Millisecond)
		if err := r.world.Broker().Stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		r.expect("c1", rack.StateSucceeded, "")
	})
}

func TestInfoTellsWhatIsBelievedOfTheWiring(t *testing.T) {
	story(t, func(r *rig) {
		time.Sleep(time.Second)
		if got := r.last("info"); !strings.Contains(got, `"id":"pdu-a.1","feed":"feed-a","rating_a":16,"metered":true,"node":"asic-1","wiring":"declared"`) {
			t.Errorf("%s", got)
		}
		r.inject("serial=pdu-a:OTHER")
		time.Sleep(65 * time.Second)
		if got := r.last("info"); !strings.Contains(got, `"node":"asic-1","wiring":"unproven"`) {
			t.Errorf("with another board: %s", got)
		}
		if got := r.last("alarm/serial.pdu-a"); !strings.Contains(got, "another serial") {
			t.Errorf("alarm: %s", got)
		}
		r.send("c1", "outlet.cut", "outlet/pdu-a.1")
		r.expect("c1", rack.StateRejected, rack.CodeWiringUnproven)
	})
}

// last is the newest message on a topic below up/.
func (r *rig) last(sub string) string {
	got := ""
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if !m.Out && m.Topic == topic.Up(sub) {
			got = string(m.Payload)
		}
	}
	return got
}

func TestADoorThatCannotBeOpenedEndsTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		taken := errors.New("address already in use")
		r.change = func(w *agent.World) {
			w.Metrics = func(context.Context) (net.Listener, error) { return nil, taken }
		}
		r.launch()
		time.Sleep(time.Minute)
		select {
		case err := <-r.done:
			if !errors.Is(err, taken) {
				t.Errorf("it ended with %v", err)
			}
		default:
			t.Error("it runs on, deaf")
			r.stop()
		}
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	})
}

// stalled is a log that stands still when told, until it is released.
type stalled struct {
	on      atomic.Bool
	release chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	if s.on.Load() {
		<-s.release
	}
	return len(p), nil
}

func TestALogThatStandsStillHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		log := &stalled{release: make(chan struct{})}
		r.change = func(w *agent.World) { w.Log = slog.New(slog.NewTextHandler(log, nil)) }
		r.start()
		log.on.Store(true)
		for n := 1; n <= 3; n++ { // the first event after each is where the log stops
			id := fmt.Sprintf("c%d", n)
			r.send(id, "outlet.cut", rack.OutletTarget(out(n)).String())
			r.expect(id, rack.StateSucceeded, "")
		}
		if !r.agent.Alive() {
			t.Error("the loop does not turn")
		}
		close(log.release)
		r.close()
	})
}

func TestAlarmsOfAnEarlierLifeAreTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.inject("brownout=pdu-a")
		time.Sleep(5 * time.Second)
		if got := r.last("alarm/bank.pdu-a"); got == "" {
			t.Fatal("no alarm for a bank out of control")
		}
		r.stop()
		dev, err := r.world.Devices("pdu-a")
		if err != nil {
			t.Fatal(err)
		}
		dev.Bank.Load(0xFF3F, 0xFF00) // somebody has put it right meanwhile
		r.start()
		time.Sleep(5 * time.Second)
		if got := r.last("alarm/bank.pdu-a"); got != "" {
			t.Errorf("the alarm stands on: %s", got)
		}
		r.close()
	})
}

func TestAWeldIsRememberedOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.inject("welded=pdu-a.5")
		r.send("c1", "outlet.cut", "outlet/pdu-a.5")
		r.expect("c1", rack.StateFailed, rack.CodeWelded)
		r.stop()
		r.start()
		time.Sleep(5 * time.Second)
		if got := r.last("alarm/welded.pdu-a.5"); !strings.Contains(got, "withdrawn") {
			t.Errorf("alarm after the restart: %q", got)
		}
		r.send("c2", "outlet.energise", "outlet/pdu-a.5")
		r.expect("c2", rack.StateRejected, rack.CodeWelded)
		r.close()
	})
}

func TestABusThatComesLateIsTakenIntoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		born := time.Now()
		r.change = func(w *agent.World) {
			open := w.Bus
			w.Bus = func(ctx context.Context, b config.Bus) (i2cbus.Transport, error) {
				if time.Since(born) < 5*time.Second {
					return nil, fmt.Errorf("open /dev/i2c-1: %w", syscall.EACCES)
				}
				return open(ctx, b)
			}
		}
		r.launch()
		time.Sleep(3 * time.Second)
		if got := r.last("alarm/bus.main"); !strings.Contains(got, "permission denied") {
			t.Errorf("alarm: %s", got)
		}
		if b := r.agent.Status().Buses[0]; b.Error == "" {
			t.Errorf("status: %+v", b)
		}
		time.Sleep(5 * time.Minute)
		if got := r.last("alarm/bus.main"); got != "" {
			t.Errorf("the alarm stands on: %s", got)
		}
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateSucceeded, "")
		r.close()
	})
}

// TestACommandThatWaitedAtTheBrokerIsJudgedByReadings: it arrives milliseconds after the start, before any device was read.
func TestACommandThatWaitedAtTheBrokerIsJudgedByReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.stop()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.send("c2", "outlet.cut", "node/gpu-1")
		r.start()
		r.expect("c1", rack.StateSucceeded, "")
		r.expect("c2", rack.StateRejected, rack.CodeFirmGuard)
		r.close()
	})
}
