package i2cbus_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"rackagent/drivers/i2cbus"
)

// wire is a transport whose transfers take about as long as a read of a register at 100 kHz does.
type wire struct{}

func (wire) Tx(context.Context, uint16, []byte, []byte) error {
	time.Sleep(500 * time.Microsecond)
	return nil
}
func (wire) Close() error   { return nil }
func (wire) String() string { return "wire" }

// shared is the plain way to share a bus, for comparison: a lock around the transport, whoever comes first.
type shared struct {
	mu sync.Mutex
	wire
}

func (s *shared) tx() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.Tx(context.Background(), 0x20, nil, nil)
}

// under keeps eight pollers busy until the function returned is called.
func under(poll func()) (stop func()) {
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					poll()
				}
			}
		})
	}
	return func() { close(done); all.Wait() }
}

// BenchmarkActUnderPollLoad measures how long an act takes, from asking to its outcome, on a bus that eight pollers keep
// busy, beside the same on a bus without pollers and on one that is shared by a lock. The three take turns within one
// run, so that whatever else the machine does meets all of them. ns/op is one act on each.
func BenchmarkActUnderPollLoad(b *testing.B) {
	quiet, busy := i2cbus.New(wire{}, i2cbus.Opts{}), i2cbus.New(wire{}, i2cbus.Opts{})
	defer quiet.Close()
	defer busy.Close()
	var lock shared
	defer under(func() { _ = busy.Poll().Tx(0x10, []byte{0}, make([]byte, 2)) })()
	defer under(lock.tx)()

	ways := []struct {
		name string
		act  func()
		took []time.Duration
	}{
		{name: "quiet", act: func() { _ = quiet.Act().Tx(0x20, []byte{2, 0}, nil) }},
		{name: "busy", act: func() { _ = busy.Act().Tx(0x20, []byte{2, 0}, nil) }},
		{name: "lock", act: lock.tx},
	}
	for b.Loop() {
		for i := range ways {
			began := time.Now()
			ways[i].act()
			ways[i].took = append(ways[i].took, time.Since(began))
		}
	}
	for _, w := range ways {
		slices.Sort(w.took)
		b.ReportMetric(float64(w.took[len(w.took)/2].Microseconds()), w.name+"-p50-us")
		b.ReportMetric(float64(w.took[len(w.took)*99/100].Microseconds()), w.name+"-p99-us")
	}
}

// BenchmarkOwner is what the owner costs per transfer: a bus that takes no time, beside a lock around the same.
func BenchmarkOwner(b *testing.B) {
	owned := i2cbus.New(loop{}, i2cbus.Opts{})
	defer owned.Close()
	var mu sync.Mutex
	var viaOwner, viaLock time.Duration
	r := make([]byte, 2)
	h := owned.Poll()
	for b.Loop() {
		began := time.Now()
		_ = h.Tx(0x20, []byte{0}, r)
		middle := time.Now()
		mu.Lock()
		_ = loop{}.Tx(context.Background(), 0x20, []byte{0}, r)
		mu.Unlock()
		viaOwner, viaLock = viaOwner+middle.Sub(began), viaLock+time.Since(middle)
	}
	b.ReportMetric(float64(viaOwner.Nanoseconds())/float64(b.N), "owner-ns")
	b.ReportMetric(float64(viaLock.Nanoseconds())/float64(b.N), "lock-ns")
}
