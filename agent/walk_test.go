package agent_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
// crashes. The observer judges each walk from the world's record.
func TestWalk(t *testing.T) {
	for i := range *walks {
		seed := *walkSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			racks := settings()
			in := racks[i%(len(racks)+2)%len(racks)] // the ordinary rack and the large one twice as often
			synctest.Test(t, func(t *testing.T) {
				w := &walker{rig: newRigIn(t, in), rng: rand.New(rand.NewPCG(seed, 0))}
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
	last   string // the newest command as it was sent
	faults []string
}

func (w *walker) pick(words ...string) string { return words[w.rng.IntN(len(words))] }

func (w *walker) pause() time.Duration {
	ms := []int{1, 20, 300, 1000, 3000, 12000, 31000}
	return time.Duration(ms[w.rng.IntN(len(ms))]) * time.Millisecond
}

func (w *walker) step() {
	switch w.rng.IntN(20) {
	case 0:
		if w.last != "" {
			w.publish(w.last, false)
		}
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
	default:
		w.command()
	}
}

func (w *walker) id() string {
	w.n++
	return fmt.Sprintf("w%d", w.n)
}

func (w *walker) command() {
	op := w.pick("outlet.cut", "outlet.cut", "outlet.energise", "outlet.energise", "outlet.cycle", "identify")
	target := w.pick(w.in.targets...)
	more := w.pick("", "", "", `,"dry":true`, `,"args":{"deadline_s":60}`, `,"args":{"force":true}`)
	w.last = fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d%s}`, w.id(), op, target, time.Now().Add(time.Duration(w.rng.IntN(120)-5)*time.Second).UnixMilli(), more)
	w.t.Logf("%s %s", time.Now().Format("04:05.000"), w.last)
	w.publish(w.last, w.rng.IntN(30) == 0)
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

// crash ends this life as a power cut would and begins another on what was on disk.
func (w *walker) crash() {
	copied := w.t.TempDir()
	w.life.crashed = func() {
		if err := os.CopyFS(copied, os.DirFS(w.dir)); err != nil {
			w.t.Error(err)
		}
		w.capture(filepath.Join(w.t.TempDir(), "seen"))
	}
	w.life.end()
	w.end()
	<-w.done
	w.dir = copied
	w.start()
}

// healIfItLasts takes a fault back; one that struck once is over already.
func (w *walker) healIfItLasts(s string) {
	f, err := sim.ParseFault(s)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = w.world.Heal(f)
}
