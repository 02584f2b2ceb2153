package agent_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/sim"
)

var (
	walks    = flag.Int("walks", 10, "how many random walks of the whole agent")
	walkSeed = flag.Uint64("walkseed", 20261125, "seed of the first random walk")
)

// TestWalk sends random commands to the whole agent while things break, connections end and the agent is restarted or
// crashes. A part of them is signed, and among these are forgeries, repeats and late ones. The observer judges each walk
// from the world's record.
func TestWalk(t *testing.T) {
	for i := range *walks {
		seed := *walkSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			racks := settings()
			in := racks[i%(len(racks)+2)%len(racks)] // the ordinary rack and the large one twice as often
			synctest.Test(t, func(t *testing.T) {
				in = keyed(t, in, seed%4 != 0) // every fourth takes no unsigned command
				w := &walker{rig: newRigIn(t, in), rng: rand.New(rand.NewPCG(seed, 0)), seqs: map[string]int{}}
				w.start()
				for range 40 {
					w.step()
					time.Sleep(w.pause())
				}
				w.healAll()
				time.Sleep(2 * time.Minute)
				w.close()
			})
		})
	}
}

type walker struct {
	*rig
	rng    *rand.Rand
	n      int
	sent   []string       // commands as they were sent
	held   []string       // signed ones that somebody on the way keeps for later
	seqs   map[string]int // how far each issuer has counted
	faults []string
}

func (w *walker) pick(words ...string) string { return words[w.rng.IntN(len(words))] }

func (w *walker) pause() time.Duration {
	ms := []int{1, 20, 300, 1000, 3000, 12000, 31000}
	return time.Duration(ms[w.rng.IntN(len(ms))]) * time.Millisecond
}

func (w *walker) step() {
	switch w.rng.IntN(23) {
	case 0:
		w.again()
	case 1:
		w.send(w.id(), "cmd.cancel", "rack", fmt.Sprintf(`,"args":{"id":"w%d"}`, w.rng.IntN(w.n+1)))
	case 2, 3:
		w.breakSomething()
	case 4:
		w.healAll()
	case 5:
		w.world.Broker().Cut()
	case 6:
		if err := w.world.Broker().Restart(); err != nil {
			w.t.Fatal(err)
		}
	case 7:
		w.stop()
		time.Sleep(w.pause())
		w.start()
	case 8:
		w.crash()
	case 9:
		w.send(w.id(), "lock", w.pick(w.in.locks...))
	case 10, 11:
		w.send(w.id(), "unlock", w.pick(w.in.locks...))
	default:
		w.command()
	}
}

func (w *walker) id() string {
	w.n++
	return fmt.Sprintf("w%d", w.n)
}

// again sends a command once more, or one that was held back.
func (w *walker) again() {
	if len(w.held) > 0 {
		w.publish(w.held[0], false)
		w.held = w.held[1:]
		return
	}
	if len(w.sent) > 0 {
		w.publish(w.sent[max(0, len(w.sent)-1-w.rng.IntN(3))], false)
	}
}

func (w *walker) command() {
	op := w.pick("outlet.cut", "outlet.cut", "outlet.energise", "outlet.energise", "outlet.cycle", "identify")
	target := w.pick(w.in.targets...)
	more := w.pick("", "", "", `,"dry":true`, `,"args":{"deadline_s":60}`, `,"args":{"force":true}`)
	text := fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d%s}`, w.id(), op, target, time.Now().Add(time.Duration(w.rng.IntN(120)-5)*time.Second).UnixMilli(), more)
	w.t.Logf("%s %s", time.Now().Format("04:05.000"), text)
	if w.rng.IntN(2) == 0 {
		text = w.sign(text)
	}
	if w.rng.IntN(8) == 0 {
		w.held = append(w.held, text)
		return
	}
	w.sent = append(w.sent, text)
	w.publish(text, w.rng.IntN(30) == 0)
}

// sign signs a command as somebody who may, or may not, or only says so.
func (w *walker) sign(text string) string {
	kid := w.pick("alice-1", "alice-1", "alice-2", "bob-1", "bob-1", "wall-1", "alice-0", "mallory-1")
	issuer, _, _ := strings.Cut(kid, "-")
	w.seqs[issuer]++
	more := fmt.Sprintf(`,"iss":%q,"iat":%d,"seq":%d,"aud":"test/r1"`, issuer, time.Now().UnixMilli(), w.seqs[issuer])
	switch w.rng.IntN(12) {
	case 0:
		more = strings.Replace(more, issuer, w.pick("alice", "bob"), 1)
	case 1:
		more = strings.Replace(more, "test/r1", "test/r2", 1)
	case 2:
		more += fmt.Sprintf(`,"aud_boot":%q`, w.pick(w.agent.Status().Boot, "01JD9X3M"))
	}
	l := letter{kid: kid, body: func(string) string { return strings.TrimSuffix(text, "}") + more + "}" }}
	switch w.rng.IntN(12) {
	case 0:
		return l.by("mallory")
	case 1:
		return l.headed("none", func(string) []byte { return nil })
	case 2:
		return l.headed("HS256", hs256(kid))
	}
	w.t.Logf("    signed by %s with %s", kid, more)
	return l.String()
}

func (w *walker) breakSomething() {
	f := w.pick(w.in.faults...)
	for _, known := range w.faults {
		if known == f {
			return
		}
	}
	w.t.Logf("%s %s", time.Now().Format("04:05.000"), f)
	w.inject(f)
	w.faults = append(w.faults, f)
}

// healAll takes back what can be taken back.
func (w *walker) healAll() {
	for _, f := range w.faults {
		w.healIfItLasts(f)
	}
	w.faults = nil
}

// healIfItLasts takes a fault back; one that struck once is over already.
func (w *walker) healIfItLasts(s string) {
	f, err := sim.ParseFault(s)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = w.world.Heal(f)
}
