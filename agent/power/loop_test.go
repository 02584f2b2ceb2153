package power

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// bench is a PDU behind a lane: it remembers relays, can hang, and answers late.
type bench struct {
	mu     sync.Mutex
	trace  []string
	takes  time.Duration
	hang   bool
	closed map[int]bool
}

func (b *bench) move(ctx context.Context, what string, n int, closed bool) (Write, error) {
	b.mu.Lock()
	b.trace = append(b.trace, what)
	hang, takes := b.hang && closed, b.takes
	b.mu.Unlock()
	taken := time.Now()
	wait := time.NewTimer(takes)
	if hang {
		wait.Stop()
	}
	select {
	case <-ctx.Done():
		return Write{Taken: taken}, &drivers.Error{Op: "write", Fault: drivers.Timeout, Err: ctx.Err()}
	case <-wait.C:
	}
	b.mu.Lock()
	b.closed[n] = closed
	b.mu.Unlock()
	return Write{Taken: taken, Confirmed: time.Now()}, nil
}

func (b *bench) set(change func(*bench)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *bench) Cut(ctx context.Context, n int) (Write, error) { return b.move(ctx, "cut", n, false) }

func (b *bench) Energise(ctx context.Context, n int) (Write, error) {
	return b.move(ctx, "energise", n, true)
}

func (b *bench) TakeOver(context.Context, int, uint16, uint16) (Write, error) {
	return Write{}, errors.New("not out of control")
}

func (b *bench) watts(n int) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed[n] {
		return 3200
	}
	return 0
}

// disk is a journal that writes at once.
type disk struct{}

func (disk) Submit(_ []rack.Record, done func(error)) { done(nil) }

type loopRig struct {
	loop    *Loop
	bench   *bench
	mu      sync.Mutex
	reports []rack.Outcome
}

func startLoop(t *testing.T, ctx context.Context) *loopRig { //nolint:revive // t first reads better in tests
	t.Helper()
	lr := &loopRig{bench: &bench{takes: 2 * time.Millisecond, closed: map[int]bool{}}}
	for n := range 8 {
		lr.bench.closed[n+1] = true
	}
	sample := make(chan string, 16)
	lr.loop = NewLoop(Opts{
		Layout: demoLayout(), Words: words, Relays: map[string]Relays{"pdu-a": lr.bench}, Journal: disk{},
		Report: func(o rack.Outcome) { lr.mu.Lock(); lr.reports = append(lr.reports, o); lr.mu.Unlock() },
		Sample: func(pdu string) { sample <- pdu }, Ask: func(string) {},
		Event: func(rack.Event) {}, Alarm: func(rack.Alarm) {}, Learnt: func() {},
	})
	go func() { _ = lr.loop.Run(ctx) }()
	go lr.poll(ctx, sample)
	lr.loop.Tell(Identified{PDU: "pdu-a", Ident: drivers.Ident{Serial: "PA-1"}})
	return lr
}

func (lr *loopRig) poll(ctx context.Context, sample chan string) {
	for {
		var batch Readings
		at := time.Now()
		add := func(p rack.Point, v float64, raw uint32) {
			batch = append(batch, rack.Reading{Point: p, Value: v, Raw: raw, At: at, Quality: rack.QualityOK})
		}
		add(rack.Point{Device: "pdu-a", Quantity: rack.Control, Index: 1}, 1, 0)
		for n := 1; n <= 8; n++ {
			w := lr.bench.watts(n)
			add(rack.OutletPoint(outlet(n), rack.Relay), boolean(w > 0), 0)
			add(rack.OutletPoint(outlet(n), rack.PowerW), w, uint32(at.UnixMilli()))
		}
		lr.loop.Tell(batch)
		select {
		case <-ctx.Done():
			return
		case <-sample:
		case <-time.After(time.Second):
		}
	}
}

func (lr *loopRig) start(t *testing.T, id string, op rack.Op, target string) {
	t.Helper()
	tg, _ := rack.ParseTarget(target)
	c := rack.Command{ID: id, Op: op, Target: tg, StartBy: time.Now().Add(time.Minute)}
	p, refusal := lr.loop.Plan(time.Now(), c)
	if refusal != nil {
		t.Fatalf("%s: %v", id, refusal)
	}
	lr.loop.Start(c, p)
}

func (lr *loopRig) end(id string) rack.Outcome {
	lr.mu.Lock()
	defer lr.mu.Unlock()
	for _, o := range lr.reports {
		if o.Command == id && o.State.Terminal() {
			return o
		}
	}
	return rack.Outcome{}
}

func TestLoopCutsAndProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lr := startLoop(t, ctx)
		time.Sleep(2 * time.Second)
		lr.start(t, "c1", rack.OpCut, "outlet/pdu-a.3")
		time.Sleep(time.Second)
		if o := lr.end("c1"); o.State != rack.StateSucceeded {
			t.Errorf("after 1 s: %+v", o)
		}
		cancel()
		synctest.Wait()
	})
}

func TestLoopAbortsAnEnergiseForACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lr := startLoop(t, ctx)
		time.Sleep(2 * time.Second)
		lr.bench.set(func(b *bench) { b.hang = true })
		lr.start(t, "on", rack.OpEnergise, "outlet/pdu-a.3")
		time.Sleep(time.Second)
		lr.start(t, "off", rack.OpCut, "outlet/pdu-a.3")
		time.Sleep(10 * time.Millisecond)
		lr.bench.mu.Lock()
		if got := lr.bench.trace; len(got) != 2 || got[1] != "cut" {
			t.Errorf("10 ms after the cut the trace is %v", got)
		}
		lr.bench.mu.Unlock()
		time.Sleep(10 * time.Second)
		if o := lr.end("on"); o.State != rack.StateCancelled || o.Code != rack.CodeSuperseded || o.Targets[0].Steps[0].Confirmed != nil {
			t.Errorf("energise ended %+v", o)
		}
		if o := lr.end("off"); o.State != rack.StateSucceeded {
			t.Errorf("cut ended %+v", o)
		}
		cancel()
		synctest.Wait()
	})
}

func TestLoopFinishesTheWriteInFlightAndBeginsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lr := startLoop(t, ctx)
		time.Sleep(2 * time.Second)
		lr.bench.set(func(b *bench) { b.takes = 500 * time.Millisecond })
		lr.start(t, "c1", rack.OpCut, "outlet/pdu-a.1")
		lr.start(t, "c2", rack.OpCut, "outlet/pdu-a.2")
		time.Sleep(100 * time.Millisecond)
		cancel()
		time.Sleep(5 * time.Second)
		lr.bench.mu.Lock()
		defer lr.bench.mu.Unlock()
		if len(lr.bench.trace) != 1 || lr.bench.closed[1] || !lr.bench.closed[2] {
			t.Errorf("trace %v, relays %v", lr.bench.trace, lr.bench.closed)
		}
	})
}

func TestLoopTurnsWhileNothingHappens(t *testing.T) {
	defer goleak.VerifyNone(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lr := startLoop(t, ctx)
		time.Sleep(time.Minute)
		if age := time.Since(lr.loop.Turned()); age > 2*idleTick {
			t.Errorf("last turn %s ago", age)
		}
		cancel()
		synctest.Wait()
	})
}
