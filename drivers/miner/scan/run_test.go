package scan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rackRange is a range of 256 addresses, of which 254 are hosts: some miners, some hosts that hang, some that refuse.
func rackRange(t *testing.T, n *network, wg *sync.WaitGroup) (close func()) {
	t.Helper()
	lux := func(mac string) unit {
		return unit{rpc: map[string]string{
			"version": `{"STATUS":[{"STATUS":"S","Code":22}],"VERSION":[{"LUXminer":"2025.4.8","Type":"Antminer S19k Pro"}]}`,
			"config":  `{"STATUS":[{"STATUS":"S","Code":33}],"CONFIG":[{"MACAddr":"` + mac + `"}]}`,
		}}
	}
	var closers []func()
	for i := range 100 {
		h := lux(fmt.Sprintf("02:00:5e:10:00:%02x", i)).serve()
		n.hosts[fmt.Sprintf("192.0.2.%d", 10+i)] = h.Dial
		closers = append(closers, h.Close)
	}
	hang := func(c netConn) {
		for {
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				return
			}
		}
	}
	for i := range 10 {
		n.hosts[fmt.Sprintf("192.0.2.%d", 110+i)] = serves(wg, map[int]func(netConn){portRPC: hang, portV3: hang, portWeb: hang})
	}
	for i := range 10 {
		n.hosts[fmt.Sprintf("192.0.2.%d", 120+i)] = refusing
	}
	return func() {
		for _, c := range closers {
			c()
		}
		wg.Wait()
	}
}

// TestARange: 256 addresses, ten of which hang, are through in their time, in order, within the bounds.
func TestARange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		n := newNetwork(t)
		defer rackRange(t, n, &wg)()
		var got []string
		var found []Found
		var last Progress
		began := time.Now()
		sum, err := Run(t.Context(), Opts{Dial: n.Dial, Progress: func(p Progress) {
			if p.Round == last.Round && p.Asked < last.Asked || p.Found < last.Found || p.Asked > p.Of {
				t.Errorf("%+v after %+v", p, last)
			}
			last = p
		}}, prefixes(t, "192.0.2.0/24"), func(f Found) {
			got, found = append(got, f.Host), append(found, f)
		})
		want := Summary{Addresses: 254, Found: 110, Silent: 134, Closed: 10}
		if err != nil || sum != want || last != (Progress{Round: 2, Asked: 134, Of: 134, Found: 110}) {
			t.Errorf("%v, %+v, %+v", err, sum, last)
		}
		// Twice 134 silent ones for a second each and 110 that are questioned, 21 at a time; those that hang, 9 s beside them.
		if took := time.Since(began); took > 22*time.Second {
			t.Errorf("it took %s", took)
		} else {
			t.Logf("it took %s, %d connections at once", took, n.most)
		}
		if n.most > DefaultSockets {
			t.Errorf("%d connections at once", n.most)
		}
		if !slices.IsSortedFunc(got, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) }) || len(got) != 110 {
			t.Errorf("%v", got)
		}
		for _, f := range found[100:] {
			if f.Sure != Unknown || !slices.Equal(f.Why, []string{"4433: no answer in time", "4028: no answer in time", "80: no answer in time"}) {
				t.Errorf("%+v", f)
			}
		}
	})
}

// TestOneThatHangsDelaysNobody: where there are more sockets than it takes, the others are through as if it were not there.
func TestOneThatHangsDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		n := newNetwork(t)
		defer rackRange(t, n, &wg)()
		n.hosts["192.0.2.33"] = n.hosts["192.0.2.110"] // the first one
		began := time.Now()
		var others time.Duration
		sum, err := Run(t.Context(), Opts{Dial: n.Dial, Sockets: 2 * MinSockets(), Rate: 1000, Progress: func(p Progress) {
			if p.Found == 29 && others == 0 {
				others = time.Since(began)
			}
		}}, prefixes(t, "192.0.2.32/27"), func(Found) {})
		// Two pauses each, 29 in a row from the second tick on, beside the one that hangs for three questions.
		if err != nil || sum.Found != 30 || others != 29*2*breath+time.Millisecond || time.Since(began) != 3*DefaultTimeout+3*breath {
			t.Errorf("%v, %+v, %s, %s", err, sum, others, time.Since(began))
		}
	})
}

// TestTheRate: new addresses are begun no faster than it says.
func TestTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		for i := range 256 {
			n.hosts[fmt.Sprintf("192.0.2.%d", i)] = refusing
		}
		if _, err := Run(t.Context(), Opts{Dial: n.Dial, Rate: 10}, prefixes(t, "192.0.2.0/25"), func(Found) { t.Error("found") }); err != nil {
			t.Fatal(err)
		}
		for i := 10; i < len(n.began); i++ {
			if gap := n.began[i].Sub(n.began[i-10]); gap < 900*time.Millisecond {
				t.Errorf("ten within %s", gap)
			}
		}
		if len(n.began) != 126 {
			t.Errorf("%d", len(n.began))
		}
	})
}

// TestAnEndedScan gives what it has found, at once.
func TestAnEndedScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		n := newNetwork(t)
		defer rackRange(t, n, &wg)()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		var got int
		sum, err := Run(ctx, Opts{Dial: n.Dial}, prefixes(t, "192.0.2.0/24"), func(Found) { got++ })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 4*time.Second || got < 50 || got != sum.Found || sum.Addresses != 254 {
			t.Errorf("%v after %s: %d, %+v", err, time.Since(began), got, sum)
		}
	})
}

// TestASilentOneIsTriedAgain: the first knock of some was lost.
func TestASilentOneIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := unit{rpc: map[string]string{"version": bmminer}}.serve()
		defer h.Close()
		n := newNetwork(t)
		began := time.Now()
		n.hosts[at7] = func(ctx context.Context, network, address string) (netConn, error) {
			if time.Since(began) < time.Second {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return h.Dial(ctx, network, address)
		}
		sum, err := Run(t.Context(), Opts{Dial: n.Dial}, prefixes(t, at7), func(Found) {})
		if err != nil || sum != (Summary{Addresses: 1, Found: 1}) {
			t.Errorf("%v, %+v", err, sum)
		}
	})
}

// TestFailuresOfThisMachine are no silence.
func TestFailuresOfThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.hosts["192.0.2.1"], n.hosts["192.0.2.2"] = failing, failing
		sum, err := Run(t.Context(), Opts{Dial: n.Dial}, prefixes(t, "192.0.2.0/30"), func(Found) {})
		if err != nil || sum.Failed != 2 || !strings.Contains(sum.Failure, "too many open files") {
			t.Errorf("%v, %+v", err, sum)
		}
	})
}

// TestTheSameMAC at several addresses is noted at each.
func TestTheSameMAC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := unit{v3: `{"code":0,"msg":{"network":{"mac":"02:00:5e:10:00:04"}}}`}.serve()
		defer h.Close()
		other := unit{v3: `{"code":0,"msg":{"network":{"mac":"02:00:5e:10:00:05"}}}`}.serve()
		defer other.Close()
		n := newNetwork(t)
		n.hosts["192.0.2.9"], n.hosts["192.0.2.10"], n.hosts["192.0.2.11"] = h.Dial, other.Dial, h.Dial
		var got []string
		if _, err := Run(t.Context(), Opts{Dial: n.Dial}, prefixes(t, "192.0.2.8/29"), func(f Found) {
			got = append(got, f.Host+":"+strings.Join(f.SameMAC, ","))
		}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"192.0.2.9:192.0.2.11", "192.0.2.10:", "192.0.2.11:192.0.2.9"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}
