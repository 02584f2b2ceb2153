package i2cbus

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rackagent/drivers"
)

// trouble is a change of what the wire does.
type trouble struct {
	after time.Duration
	err   error // nil: everything works
	addrs []uint16
}

// walkAddrs are the devices of the random walk.
var walkAddrs = []uint16{0x10, 0x11, 0x12}

func drawTroubles(t *rapid.T) []trouble {
	one := rapid.Custom(func(t *rapid.T) trouble {
		return trouble{
			after: time.Duration(rapid.IntRange(0, 8000).Draw(t, "ms")) * time.Millisecond,
			err:   rapid.SampledFrom([]error{nil, syscall.ETIMEDOUT, syscall.EIO, syscall.EBUSY, syscall.ENXIO, syscall.EAGAIN}).Draw(t, "err"),
			addrs: walkAddrs[:rapid.IntRange(1, 3).Draw(t, "n")],
		}
	})
	return rapid.SliceOfN(one, 1, 12).Draw(t, "troubles")
}

// sent is one call of Tx and what came of it.
type sent struct {
	payload string
	err     error
	at, end time.Time
}

// TestRandomTroubles checks, for any course of faults: nothing is sent twice and nothing that was refused; nobody is
// refused unless the bus was found bad; a bus that works again is used again within the longest rest; recoveries never
// come closer together than the shortest rest; and no caller is held beyond a transfer, a recovery and the rest.
func TestRandomTroubles(t *testing.T) {
	for k, v := range map[string]string{"rapid.seed": "20260117", "rapid.nofailfile": "true"} {
		if err := flag.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		troubles := drawTroubles(rt)
		helps := rapid.Bool().Draw(rt, "recovery helps")
		takes := time.Duration(rapid.SampledFrom([]int{1, 200, 900}).Draw(rt, "takes ms")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) { walkTroubles(rt, t, troubles, helps, takes) })
	})
}

func walkTroubles(rt *rapid.T, t *testing.T, troubles []trouble, helps bool, takes time.Duration) {
	w := newWire(t)
	w.takes = takes
	m := &medic{w: w, frees: helps, takes: 50 * time.Millisecond}
	b := New(w, Opts{Recover: m.recover})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	calls := make([][]sent, len(walkAddrs)+1)
	for i := range calls {
		all.Go(func() { calls[i] = callers(ctx, b, byte(i)) })
	}
	for _, tr := range troubles {
		time.Sleep(tr.after)
		w.free()
		if tr.err != nil {
			w.hold(tr.err, tr.addrs...)
		}
	}
	time.Sleep(10 * time.Second)
	w.free()
	freed := time.Now()
	time.Sleep(longestRest + 10*time.Second)
	cancel()
	all.Wait()
	wired := map[string]int{}
	for _, line := range w.traffic() {
		wired[strings.Fields(line)[1]]++
	}
	stats := b.Stats()
	if err := b.Close(); err != nil {
		rt.Error(err)
	}
	for _, c := range calls {
		for _, s := range c {
			checkSent(rt, s, wired[s.payload], stats, takes)
		}
		last := c[len(c)-1]
		if last.err != nil || last.at.Before(freed) {
			rt.Errorf("not in use %s after it works again: %v", last.at.Sub(freed), last.err)
		}
	}
	for i := 1; i < len(m.at); i++ {
		if d := m.at[i].Sub(m.at[i-1]); d < firstRest {
			rt.Errorf("two recoveries within %s", d)
		}
	}
}

// callers sends transfers that are told apart by their bytes, one every 100 ms; the last of them is an act.
func callers(ctx context.Context, b *Bus, id byte) (out []sent) {
	h, addr := b.Poll(), walkAddrs[int(id)%len(walkAddrs)]
	if int(id) == len(walkAddrs) {
		h = b.Act()
	}
	for n := 0; ctx.Err() == nil; n++ {
		w := []byte{id, byte(n >> 8), byte(n)}
		s := sent{payload: hex.EncodeToString(w), at: time.Now()}
		s.err = h.Tx(addr, w, nil)
		s.end = time.Now()
		out = append(out, s)
		time.Sleep(100 * time.Millisecond)
	}
	return out
}

func checkSent(t *rapid.T, s sent, wired int, stats Stats, takes time.Duration) {
	refused := errors.Is(s.err, drivers.BusFenced)
	want := 1
	if refused {
		want = 0
	}
	if wired != want {
		t.Errorf("%s was sent %d times: %v", s.payload, wired, s.err)
	}
	if refused && stats.Bad == 0 {
		t.Errorf("%s refused on a bus that was never bad: %v", s.payload, s.err)
	}
	// An act may go before each of the transfers that a poll waits for, and before its own.
	if limit := time.Duration(2*len(walkAddrs))*(takes+silence) + 50*time.Millisecond; s.end.Sub(s.at) > limit {
		t.Errorf("%s took %s", s.payload, s.end.Sub(s.at))
	}
}
