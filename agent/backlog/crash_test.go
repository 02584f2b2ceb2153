package backlog

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// whole has every operation and every hour tried, not each tenth.
var whole = flag.Bool("whole", false, "crash at every operation, and play the whole outage")

func stride() int {
	if *whole {
		return 1
	}
	return 10
}

// story is a life with everything in it: an outage that is thinned and dropped from, some of it arrived otherwise, a
// connection in between, another outage, an end in order.
type story struct {
	t    testing.TB
	disk *disk
	s    *subscriber
	e    *events
	made map[string]int64 // numbers made, by epoch
	kept map[string]map[int64]bool
}

func newStory(t testing.TB, d *disk) *story {
	return &story{t: t, disk: d, s: newSubscriber(), e: &events{}, made: map[string]int64{}, kept: map[string]map[int64]bool{}}
}

func (y *story) opts(epoch string) Opts {
	o := opts(y.disk, y.s, y.e, epoch)
	o.segment = 4 << 10
	o.Budget = 4 * o.segment
	return o
}

// outage stores batches; many a time several go into one block, or several periods pass between two.
func (y *story) outage(l *Log, epoch string, n int, every time.Duration) {
	for i := range n {
		if y.disk.isDead() {
			return
		}
		var some []Batch
		for range 1 + i%3 {
			y.made[epoch]++
			some = append(some, batch(epoch, y.made[epoch], time.Now()))
			time.Sleep(every)
		}
		err := keep(l, some...)
		if y.kept[epoch] == nil {
			y.kept[epoch] = make(map[int64]bool)
		}
		for _, b := range some {
			y.kept[epoch][b.Seq] = err == nil
		}
	}
}

func (y *story) life(epoch string) {
	l, stop := running(y.t, y.opts(epoch))
	defer stop()
	y.s.set(true)
	synctest.Wait() // the log is open: before that the agent has no epoch
	y.outage(l, epoch, 40, 3*time.Second)
	y.outage(l, epoch, 80, 45*time.Second)               // which cannot be thinned
	for n := y.made[epoch] - 5; n < y.made[epoch]; n++ { // the newest arrived from memory
		if y.kept[epoch][n] {
			y.s.take(batch(epoch, n, time.Time{}))
			l.Delivered(epoch, n)
		}
	}
	y.s.set(false)
	pass(3 * time.Second)
	y.s.set(true)
	y.outage(l, epoch, 8, 3*time.Second)
	y.s.set(false)
	pass(12 * time.Second)
	y.s.set(true)
	y.outage(l, epoch, 3, 3*time.Second)
}

// drain lets everything that is left arrive in a further life.
func (y *story) drain(epoch string) {
	y.s.set(false)
	l, stop := running(y.t, y.opts(epoch))
	pass(5 * time.Minute)
	if st := l.Stats(); st.Blocks != 0 {
		y.t.Errorf("not drained: %+v", st)
	}
	stop()
}

// judge compares what was made with what arrived and what was told.
func (y *story) judge() (bad []string) {
	for epoch, last := range y.made {
		bad = append(bad, y.s.judge(epoch, last)...)
	}
	return bad
}

// TestACrashAtEveryWrite ends a life at each operation of the disk that changes something, in each way, by the death of
// the process or a power cut; and in the first operations of the life after it once more.
func TestACrashAtEveryWrite(t *testing.T) {
	count := 0
	synctest.Test(t, func(t *testing.T) {
		y := newStory(t, newDisk())
		y.life("a")
		count = y.disk.ops
		y.drain("b")
		if bad := y.judge(); bad != nil {
			t.Fatal(bad)
		}
		if text := strings.Join(y.e.texts(), "\n"); !strings.Contains(text, "thinned to one batch in 10s") || !strings.Contains(text, "has to go") {
			t.Fatalf("the story has no thinning, or no dropping: %s\n%d operations", text, count)
		}
	})
	trials := 0
	for n := 1; n <= count; n += stride() {
		for _, f := range []fault{crashBefore, crashTorn, crashAfter} {
			for _, cut := range []bool{false, true} {
				for again := range 3 {
					if again > 0 && (n/stride()+again)%5 > 0 { // a crash in the recovery: one in five
						continue
					}
					trials++
					synctest.Test(t, func(t *testing.T) {
						y := newStory(t, newDisk())
						y.disk.at, y.disk.fault = n, f
						y.life("a")
						y.disk = y.disk.after(cut)
						if again > 0 {
							y.disk.at, y.disk.fault = 2*again, f
							y.s.set(true)
							_, stop := running(t, y.opts("b"))
							pass(time.Second)
							stop()
							y.disk = y.disk.after(cut)
						}
						y.drain("c")
						bad := y.judge()
						if slices.ContainsFunc(y.s.gaps, func(g rack.Gap) bool { return g.Why == rack.GapDamaged }) {
							bad = append(bad, "a crash passes for damage")
						}
						if bad != nil {
							t.Errorf("%s at operation %d of %d, power cut %t, again %d: %s", f, n, count, cut, again, bad[:min(3, len(bad))])
						}
					})
					if t.Failed() {
						t.FailNow()
					}
				}
			}
		}
	}
	t.Logf("%d operations, %d trials", count, trials)
}

// TestAFileIsUsedAgain: what was in it has arrived, and the agent dies before the state would have been saved. Nothing is
// missed in the next life.
func TestAFileIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newStory(t, newDisk())
		l, stop := running(t, y.opts("a"))
		y.s.set(true)
		synctest.Wait()
		y.outage(l, "a", 60, 0)
		y.s.set(false)
		pass(persistEvery / 3)
		y.s.set(true)
		y.outage(l, "a", 40, 0)
		next := y.disk.after(false)
		y.disk.dead = true
		stop()
		y.disk = next
		y.drain("b")
		if len(y.s.gaps) != 1 || y.s.gaps[0].Why != rack.GapCrash {
			t.Errorf("%+v", y.s.gaps)
		}
		if bad := y.judge(); bad != nil {
			t.Error(bad)
		}
	})
}

// TestAFaultAtEveryWrite has an operation fail and the agent live on: nothing that was stored is lost, and what was not is
// answered so.
func TestAFaultAtEveryWrite(t *testing.T) {
	count := 0
	synctest.Test(t, func(t *testing.T) {
		y := newStory(t, newDisk())
		y.life("a")
		count = y.disk.ops
	})
	for n := 1; n <= count; n += stride() {
		for _, f := range []fault{failIO, failSpace} {
			synctest.Test(t, func(t *testing.T) {
				y := newStory(t, newDisk())
				y.disk.at, y.disk.fault = n, f
				y.life("a")
				y.disk.at = 0
				y.drain("b")
				refused := 0
				for _, ok := range y.kept["a"] {
					if !ok {
						refused++
					}
				}
				missing := y.s.missing("a", y.made["a"])
				for _, m := range missing {
					if !y.kept["a"][m] {
						refused--
						continue
					}
					if !y.told("a", m) {
						t.Errorf("%s at operation %d: %d was stored, is missing, and nobody was told", f, n, m)
					}
				}
				if y.s.wrong != nil {
					t.Error(y.s.wrong)
				}
			})
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

func (y *story) told(epoch string, seq int64) bool {
	for _, g := range y.s.gaps {
		if g.Epoch == epoch && g.From <= seq && (g.To == 0 || seq <= g.To) {
			return true
		}
	}
	return false
}

// TestEveryRecordMayRot changes a byte of each record and of each header between two lives, of one at a time: what cannot
// be read any more is told, and nothing else is lost.
func TestEveryRecordMayRot(t *testing.T) {
	for _, ended := range []bool{true, false} {
		var filled *disk
		var made int64
		synctest.Test(t, func(t *testing.T) {
			y := newStory(t, newDisk())
			l, stop := running(t, y.opts("a"))
			y.s.set(true)
			y.outage(l, "a", 40, 3*time.Second)
			if !ended {
				y.disk.dead = true
			}
			stop()
			filled, made = y.disk.after(false), y.made["a"]
		})
		tried := 0
		for _, spot := range filled.spots() {
			tried++
			synctest.Test(t, func(t *testing.T) {
				y := newStory(t, filled.after(false))
				y.made["a"] = made
				y.disk.files[spot.name].now[spot.at] ^= 0x40
				y.drain("b")
				for _, n := range y.s.missing("a", made) {
					if !y.told("a", n) {
						t.Errorf("ended %v, byte %d of %s: %d is missing, and nobody was told: %+v", ended, spot.at, spot.name, n, y.s.gaps)
					}
				}
				if n := len(y.s.missing("a", made)); n > spot.most {
					t.Errorf("ended %v, byte %d of %s: %d are missing", ended, spot.at, spot.name, n)
				}
				if y.s.wrong != nil {
					t.Error(y.s.wrong)
				}
			})
		}
		if tried < 20 {
			t.Errorf("%d bytes changed", tried)
		}
	}
}

// spot is a byte of a file, and how many batches its change may cost.
type spot struct {
	name string
	at   int64
	most int
}

// spots are one byte of each header and two of each record of the segments in use.
func (d *disk) spots() (out []spot) {
	for name, i := range d.files {
		h, ok := readHeader(i.now)
		if !isSegment(name) || !ok {
			continue
		}
		of, at := 0, int64(firstAt)
		for {
			r, ok := readRecord(i.now, at, h.serial)
			if !ok {
				break
			}
			of += r.count
			out = append(out, spot{name, at + 20, r.count}, spot{name, r.end - 1, r.count})
			at = r.end
		}
		out = append(out, spot{name, 20, of})
	}
	return out
}

// TestBitRot changes bytes of what is stored between two lives. Nothing is lost without being told, nothing arrives
// altered, nothing panics.
func TestBitRot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		flips := rapid.IntRange(1, 4).Draw(rt, "flips")
		var bad []string
		synctest.Test(t, func(t *testing.T) {
			y := newStory(t, newDisk())
			l, stop := running(t, y.opts("a"))
			y.s.set(true)
			y.outage(l, "a", 40, 3*time.Second)
			stop()
			y.disk = y.disk.after(false)
			for i := range flips {
				y.disk.flip(seed + uint64(i))
			}
			y.drain("b")
			for _, n := range y.s.missing("a", y.made["a"]) {
				if !y.told("a", n) {
					bad = append(bad, fmt.Sprintf("%d is missing, and nobody was told: %+v", n, y.s.gaps))
				}
			}
			bad = append(bad, y.s.wrong...)
		})
		if bad != nil {
			rt.Fatal(bad[0])
		}
	})
}

// flip changes a byte of a segment, chosen by the seed.
func (d *disk) flip(seed uint64) {
	names, _ := d.List()
	var segs []string
	for _, n := range names {
		if isSegment(n) {
			segs = append(segs, n)
		}
	}
	if len(segs) == 0 {
		return
	}
	i := d.files[segs[seed%uint64(len(segs))]]
	at := firstAt + int(seed/7)%(len(i.now)-firstAt)
	i.now[at] ^= byte(1 + seed%255)
	i.durable[at] = i.now[at]
}
