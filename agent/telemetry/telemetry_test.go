package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// TestMain fixes the seed of the random walk, unless the command line names another.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"rapid.seed": "8883", "rapid.nofailfile": "true"} {
		if err := flag.Set(k, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// broker takes batches over and acknowledges them in order, at once while it is up and else when it comes back.
type broker struct {
	mu      sync.Mutex
	down    bool
	refuse  error
	waiting []func()
	got     []Batch
}

func (b *broker) send(m Batch, delivered func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	b.waiting = append(b.waiting, func() { b.got = append(b.got, m); delivered() })
	if !b.down {
		b.take(len(b.waiting))
	}
	return nil
}

func (b *broker) take(n int) {
	for range min(n, len(b.waiting)) {
		b.waiting[0]()
		b.waiting = b.waiting[1:]
	}
}

func (b *broker) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
	if !down {
		b.take(len(b.waiting))
	}
}

func (b *broker) seqs() (out []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.got {
		out = append(out, m.Seq)
	}
	return out
}

// span is the numbers from a to b.
func span(a, b int64) (out []int64) {
	for ; a <= b; a++ {
		out = append(out, a)
	}
	return out
}

type log struct {
	mu    sync.Mutex
	texts []string
}

func (l *log) add(e rack.Event) { l.mu.Lock(); defer l.mu.Unlock(); l.texts = append(l.texts, e.Text) }
func (l *log) all() []string    { l.mu.Lock(); defer l.mu.Unlock(); return slices.Clone(l.texts) }

// encoded is what the test's encoder writes: enough to see what went where.
type encoded struct {
	Seq     int64
	Devices []string
}

func encode(_ string, seq int64, _ time.Time, rs []rack.Reading) ([]byte, error) {
	e := encoded{Seq: seq}
	for _, r := range rs {
		if !slices.Contains(e.Devices, r.Point.Device) {
			e.Devices = append(e.Devices, r.Point.Device)
		}
	}
	b, err := json.Marshal(e)
	return append(b, strings.Repeat(" ", 1000*len(rs))...), err
}

// readings are 24 outlets per device with the given quantities, in an order that mixes the devices.
func readings(devices int, qs ...rack.Quantity) (out []rack.Reading) {
	for n := 1; n <= 24; n++ {
		for d := range devices {
			for _, q := range qs {
				out = append(out, rack.Reading{Point: rack.Point{Device: fmt.Sprintf("pdu-%d", d+1), Quantity: q, Index: n}})
			}
		}
	}
	return out
}

func opts(b *broker, l *log) Opts {
	return Opts{
		Epoch: "k3f9", Period: 10 * time.Second, Encode: encode, Send: b.send, Events: l.add,
		Readings: func(time.Time) []rack.Reading { return readings(1, rack.PowerW) },
	}
}

// running runs in the bubble until the returned function is called.
func running(t *testing.T, o Opts) (tel *Telemetry, stop func()) {
	t.Helper()
	tel, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tel.Run(ctx) }()
	return tel, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestEveryPeriodOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		start := time.Now()
		tel, stop := running(t, opts(b, l))
		pass(time.Minute)
		stop()
		if !slices.Equal(b.seqs(), span(1, 6)) {
			t.Errorf("%v", b.seqs())
		}
		for i, m := range b.got {
			if m.Epoch != "k3f9" || m.At.Sub(start) != time.Duration(i+1)*10*time.Second {
				t.Errorf("%s %s", m.Epoch, m.At.Sub(start))
			}
		}
		if s := tel.Stats(); s.Delivered != 6 || s.Held != 0 || s.HeldBytes != 0 || !s.Oldest.IsZero() || len(l.all()) != 0 {
			t.Errorf("%+v, %q", s, l.all())
		}
	})
}

func TestOutageIsBridgedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{down: true}, &log{}
		tel, stop := running(t, opts(b, l))
		defer stop()
		pass(10 * time.Minute)
		if s := tel.Stats(); s.Held != 60 || s.HeldBytes < 60*24000 {
			t.Errorf("%+v", s)
		}
		b.set(false)
		pass(10 * time.Second)
		if !slices.Equal(b.seqs(), span(1, 61)) || len(l.all()) != 0 {
			t.Errorf("%v, %q", b.seqs(), l.all())
		}
	})
}

func TestALongOutageIsReportedWithItsRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{down: true}, &log{}
		tel, stop := running(t, opts(b, l))
		defer stop()
		pass(40*time.Minute + time.Second)
		if got := l.all(); len(got) != 1 || got[0] != "epoch k3f9: telemetry is being lost from seq 17 on: not acknowledged within 15m0s" {
			t.Errorf("while it lasts: %q", got)
		}
		b.set(false)
		pass(time.Minute)
		// What the link had taken over arrives first; then the last 15 minutes.
		if got := b.seqs(); !slices.Equal(got, append(span(1, window), span(151, 246)...)) {
			t.Errorf("%v", got)
		}
		if got := l.all(); len(got) != 2 || got[1] != "epoch k3f9: telemetry lost: seq 17 to 150: not acknowledged within 15m0s" {
			t.Errorf("%q", got)
		}
		if s := tel.Stats(); s.Lost != 134 || s.Delivered != 112 || s.Held != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{down: true}, &log{}
		o := opts(b, l)
		o.HoldBytes = 24_100 * 26 // the window and ten more
		tel, stop := running(t, o)
		defer stop()
		pass(5 * time.Minute)
		if s := tel.Stats(); s.Held != 26 || s.HeldBytes > o.HoldBytes || s.Lost != 4 {
			t.Errorf("%+v", s)
		}
		if got := l.all(); len(got) != 1 || !strings.Contains(got[0], "seq 17 on: not acknowledged, and more than 626600 bytes waiting") {
			t.Errorf("%q", got)
		}
		b.set(false)
		pass(time.Second)
		if got := l.all(); len(got) != 2 || !strings.Contains(got[1], "telemetry lost: seq 17 to 20: ") {
			t.Errorf("told as soon as it is over: %q", got)
		}
	})
}

func TestALossThatDoesNotEndIsToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		o := opts(b, l)
		o.Encode = func(string, int64, time.Time, []rack.Reading) ([]byte, error) { return nil, errors.New("no") }
		_, stop := running(t, o)
		defer stop()
		pass(time.Hour)
		if n := len(l.all()); n < 3 || n > 8 {
			t.Errorf("%d events in an hour: %q", n, l.all())
		}
	})
}

// A message that a link sets aside for good must not fill the window for ever.
func TestWhatTheLinkNeverDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		o := opts(b, l)
		o.Send = func(m Batch, delivered func()) error {
			if m.Seq%10 == 3 {
				return nil
			}
			return b.send(m, delivered)
		}
		tel, stop := running(t, o)
		defer stop()
		pass(2 * time.Hour)
		if s := tel.Stats(); s.Seq != 720 || s.Delivered != 648 || s.Held != 9 || s.Lost != 63 {
			t.Errorf("%+v", s)
		}
	})
}

func TestALineThatIsTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{down: true}, &log{}
		o := opts(b, l)
		_, stop := running(t, o)
		defer stop()
		for range 60 * 60 / 20 { // one batch leaves for two that are made
			pass(20 * time.Second)
			b.mu.Lock()
			b.take(1)
			b.mu.Unlock()
		}
		if n := len(l.all()); n < 2 || n > 8 {
			t.Errorf("%d events in an hour: %q", n, l.all())
		}
	})
}

func TestWhatTheLinkRefusesIsOfferedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{refuse: errors.New("no such class")}, &log{}
		_, stop := running(t, opts(b, l))
		defer stop()
		pass(time.Minute)
		b.mu.Lock()
		b.refuse = nil
		b.mu.Unlock()
		pass(10 * time.Second)
		if !slices.Equal(b.seqs(), span(1, 7)) {
			t.Errorf("%v", b.seqs())
		}
	})
}

func TestTooLargeIsSplitBetweenDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		o := opts(b, l)
		o.Readings = func(time.Time) []rack.Reading { return readings(5, rack.PowerW) } // 24 kB each
		_, stop := running(t, o)
		defer stop()
		pass(10 * time.Second)
		var seen []string
		for i, m := range b.got {
			var e encoded
			if err := json.Unmarshal(m.Payload, &e); err != nil || e.Seq != m.Seq || m.Seq != int64(i+1) {
				t.Errorf("%+v %d %v", e, m.Seq, err)
			}
			if len(m.Payload) > 64<<10 {
				t.Errorf("%d bytes", len(m.Payload))
			}
			if !m.At.Equal(b.got[0].At) {
				t.Error("parts of one period carry its time")
			}
			seen = append(seen, e.Devices...)
		}
		if want := []string{"pdu-1", "pdu-2", "pdu-3", "pdu-4", "pdu-5"}; !slices.Equal(seen, want) {
			t.Errorf("%v: each device in one batch, and in order", seen)
		}
	})
}

func TestALargeDeviceIsSplitBetweenQuantities(t *testing.T) {
	rs := byDevice(readings(1, rack.PowerW, rack.CurrentA, rack.VoltageV))
	a, b, ok := halve(rs)
	if !ok || len(a)+len(b) != len(rs) {
		t.Fatalf("%d and %d of %d", len(a), len(b), len(rs))
	}
	in := map[rack.Quantity]int{}
	for i, part := range [][]rack.Reading{a, b} {
		for _, r := range part {
			if was, ok := in[r.Point.Quantity]; ok && was != i {
				t.Fatalf("%s is in both halves", r.Point.Quantity)
			}
			in[r.Point.Quantity] = i
		}
	}
	if _, _, ok := halve(byDevice(readings(1, rack.PowerW))); ok {
		t.Error("the positions of one quantity were parted")
	}
}

func TestWhatCannotBeEncodedIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		o := opts(b, l)
		var broken atomic.Bool
		broken.Store(true)
		o.Encode = func(ep string, seq int64, ts time.Time, rs []rack.Reading) ([]byte, error) {
			if broken.Load() && rs[0].Point.Device == "pdu-2" {
				return make([]byte, maxPayload+1), nil
			}
			return encode(ep, seq, ts, rs)
		}
		o.Readings = func(time.Time) []rack.Reading { return readings(3, rack.PowerW) } // 1 and 2 in the first half
		tel, stop := running(t, o)
		defer stop()
		pass(30 * time.Second)
		if want := []int64{1, 3, 4, 6, 7, 9}; !slices.Equal(b.seqs(), want) {
			t.Errorf("%v, want %v: the gaps in the numbers tell of what is missing", b.seqs(), want)
		}
		broken.Store(false)
		pass(10 * time.Second)
		want := []string{
			"epoch k3f9: telemetry is being lost from seq 2 on: not encoded: 61441 bytes, at most 61440, and nothing to split",
			"epoch k3f9: telemetry lost: 3 batches within seq 2 to 8: not encoded: 61441 bytes, at most 61440, and nothing to split",
		}
		if got := l.all(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if s := tel.Stats(); s.Lost != 3 || s.Delivered+s.Lost != uint64(s.Seq) {
			t.Errorf("%+v", s)
		}
	})
}

func TestStopTellsWhatWasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := &broker{}, &log{}
		tel, stop := running(t, opts(b, l))
		pass(30 * time.Second)
		b.set(true)
		pass(50 * time.Second)
		stop()
		if got := l.all(); !slices.Equal(got, []string{"epoch k3f9: telemetry lost: seq 4 to 8: the agent stops"}) {
			t.Errorf("%q", got)
		}
		if s := tel.Stats(); s.Held != 0 || s.Lost != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Opts{}); !errors.Is(err, ErrOpts) {
		t.Error(err)
	}
}

// Whatever the line does, each number is delivered, lost and reported, or held; and none is delivered out of order.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, l := &broker{down: true}, &log{}
		o := opts(b, l)
		o.Hold = 5 * time.Minute
		o.HoldBytes = rapid.SampledFrom([]int{100_000, 1 << 20}).Draw(t, "bytes")
		tel, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		for range rapid.IntRange(1, 150).Draw(t, "periods") {
			now = now.Add(o.Period)
			b.refuse = nil
			if rapid.IntRange(0, 9).Draw(t, "refuse") == 0 {
				b.refuse = errors.New("refused")
			}
			tel.turn(now)
			tel.send()
			if rapid.Bool().Draw(t, "line") {
				b.take(rapid.IntRange(1, 20).Draw(t, "acknowledged"))
				if rapid.Bool().Draw(t, "heard at once") {
					tel.settle(now)
					tel.send()
				}
			}
			tel.publish()
			s := tel.Stats()
			if uint64(s.Seq) != s.Delivered+s.Lost+uint64(s.Held) {
				t.Fatalf("%+v does not add up", s)
			}
			if s.HeldBytes > o.HoldBytes+window*maxPayload || tel.ring.sent > window || tel.ring.sent < 0 {
				t.Fatalf("%+v, %d sent", s, tel.ring.sent)
			}
			if (s.Lost > 0) != (len(l.texts) > 0) {
				t.Fatalf("%d lost, %q", s.Lost, l.texts)
			}
		}
		tel.settle(now)
		if s := tel.Stats(); uint64(len(b.got)) != s.Delivered || !slices.IsSorted(b.seqs()) {
			t.Fatalf("%v, %+v", b.seqs(), s)
		}
	})
}
