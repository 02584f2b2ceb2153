package power

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// Relays is what a lane asks of a PDU. Cut and Energise write one relay and read the latch back; TakeOver writes the
// whole latch and then the whole direction of a bank (rack.BankID.N) that reads inputs. All return when the new state is read back,
// or an error; Write tells how far they came in either case.
type Relays interface {
	Cut(ctx context.Context, outlet int) (Write, error)
	Energise(ctx context.Context, outlet int) (Write, error)
	TakeOver(ctx context.Context, bank int, latch, direction uint16) (Write, error)
}

// Write tells how far a write came. A zero time: it did not get there.
type Write struct {
	Taken     time.Time // the chip acknowledged it, or it may have: handed to the bus and not refused
	Confirmed time.Time // it reads back
}

// errAborted stands for an action that another one made pointless before it began.
var errAborted = &drivers.Error{Op: "switch", Fault: drivers.Cancelled, Err: errors.New("taken out of the queue")}

// work is an action that goes through a lane.
type work interface {
	Action
	id() uint64           // token of the answer
	lowers() bool         // it can only lower power
	limit() time.Duration // for the whole of it
	rest() time.Duration  // what of that it may still take once the program ends
	dropped() Input       // the answer if it was taken out of the queue
}

// lane is the goroutine through which all actions on one bus or one miner go. What lowers power goes before what adds it;
// interlocks will share the first queue.
type lane struct {
	carry func(ctx context.Context, a work) Input // does it and gives the answer
	post  func(Input)

	mu      sync.Mutex
	first   []work // cuts of the agent's own
	lower   []work
	raise   []work
	wake    chan struct{} // 1: a wake-up that is not yet taken is enough
	running uint64        // token of the action with the device, 0 none
	cancel  context.CancelFunc
}

func newLane(carry func(context.Context, work) Input, post func(Input)) *lane {
	return &lane{carry: carry, post: post, wake: make(chan struct{}, 1)}
}

// put queues an action and returns at once.
func (l *lane) put(a work) {
	l.mu.Lock()
	if sw, ok := a.(Switch); ok && sw.Do == rack.DoCut && sw.By != nil && sw.By.Origin == rack.OriginAgent {
		l.first = append(l.first, a)
	} else if a.lowers() {
		l.lower = append(l.lower, a)
	} else {
		l.raise = append(l.raise, a)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// abort gives up an action: out of the queue, or out of its context if it is with the device.
func (l *lane) abort(token uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == token {
		l.cancel()
		return
	}
	for _, queue := range []*[]work{&l.first, &l.lower, &l.raise} {
		if i := slices.IndexFunc(*queue, func(a work) bool { return a.id() == token }); i >= 0 {
			a := (*queue)[i]
			*queue = slices.Delete(*queue, i, i+1)
			l.post(a.dropped())
			return
		}
	}
}

// run works the queues off until ctx ends. The action with the device is finished; what waits is not begun.
func (l *lane) run(ctx context.Context) {
	for {
		a, actx, done := l.next(ctx)
		if a != nil {
			l.post(l.carry(actx, a))
			done()
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
	}
}

// next takes the first action and gives it a context of its own: the end of the program does not tear a write, but for one
// that takes longer than the program has.
func (l *lane) next(ctx context.Context) (work, context.Context, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return nil, nil, nil
	}
	queue := &l.first
	if len(*queue) == 0 {
		queue = &l.lower
	}
	if len(*queue) == 0 {
		queue = &l.raise
	}
	if len(*queue) == 0 {
		return nil, nil, nil
	}
	a := (*queue)[0]
	*queue = (*queue)[1:]
	actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limit())
	l.running, l.cancel = a.id(), cancel
	keep := context.AfterFunc(ctx, func() {
		if a.rest() <= 0 {
			cancel()
			return
		}
		time.AfterFunc(a.rest(), cancel)
	})
	return a, actx, func() {
		keep()
		l.mu.Lock()
		l.running = 0
		l.mu.Unlock()
		cancel()
	}
}
