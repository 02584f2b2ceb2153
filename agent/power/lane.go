package power

import (
	"context"
	"errors"
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

// lane is the goroutine through which all actions on one bus go. What lowers power goes before what adds it;
// interlocks will share the first queue.
type lane struct {
	relays   map[string]Relays // by PDU
	snapshot func() *Snapshot
	post     func(Input)

	mu      sync.Mutex
	lower   []Action
	raise   []Action
	wake    chan struct{} // 1: a wake-up that is not yet taken is enough
	running uint64        // token of the action with the device, 0 none
	cancel  context.CancelFunc
}

func newLane(snapshot func() *Snapshot, post func(Input)) *lane {
	return &lane{relays: make(map[string]Relays), snapshot: snapshot, post: post, wake: make(chan struct{}, 1)}
}

// put queues an action and returns at once.
func (l *lane) put(a Action) {
	l.mu.Lock()
	if s, ok := a.(Switch); ok && s.Do == rack.DoCut {
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
	if drop(&l.lower, token) || drop(&l.raise, token) {
		l.post(Switched{Token: token, Err: errAborted})
	}
}

func drop(queue *[]Action, token uint64) bool {
	for i, a := range *queue {
		if tokenOf(a) == token {
			*queue = append((*queue)[:i], (*queue)[i+1:]...)
			return true
		}
	}
	return false
}

func tokenOf(a Action) uint64 {
	switch a := a.(type) {
	case Switch:
		return a.Token
	case TakeOver:
		return a.Token
	default:
		return 0
	}
}

// run works the queues off until ctx ends. The action with the device is finished; what waits is not begun.
func (l *lane) run(ctx context.Context) {
	for {
		a, actx, done := l.next(ctx)
		if a != nil {
			l.post(l.carryOut(actx, a))
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

// next takes the first action and gives it a context of its own: the end of the program does not tear a write.
func (l *lane) next(ctx context.Context) (Action, context.Context, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return nil, nil, nil
	}
	queue := &l.lower
	if len(*queue) == 0 {
		queue = &l.raise
	}
	if len(*queue) == 0 {
		return nil, nil, nil
	}
	a := (*queue)[0]
	*queue = (*queue)[1:]
	actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limitOf(a))
	l.running, l.cancel = tokenOf(a), cancel
	return a, actx, func() {
		l.mu.Lock()
		l.running = 0
		l.mu.Unlock()
		cancel()
	}
}

// limitOf is how long an action may take.
func limitOf(a Action) time.Duration {
	if s, ok := a.(Switch); ok && s.Do == rack.DoCut {
		return cutWriteLimit
	}
	return writeLimit
}

// carryOut calls the verb.
func (l *lane) carryOut(ctx context.Context, a Action) Switched {
	var w Write
	var err error
	switch a := a.(type) {
	case Switch:
		w, err = l.moveRelay(ctx, a)
	case TakeOver:
		w, err = l.takeOver(ctx, a)
	}
	return Switched{Token: tokenOf(a), Taken: w.Taken, Confirmed: w.Confirmed, Err: err}
}

// moveRelay holds the guards around the only calls of Cut and Energise in the program: they judge the outlet anew at this
// moment.
func (l *lane) moveRelay(ctx context.Context, a Switch) (Write, error) {
	if err := permitted(l.snapshot(), a); err != nil {
		return Write{}, err
	}
	r := l.relays[a.Outlet.PDU]
	if a.Do != rack.DoCut {
		return r.Energise(ctx, a.Outlet.N)
	}
	return r.Cut(ctx, a.Outlet.N)
}

func (l *lane) takeOver(ctx context.Context, a TakeOver) (Write, error) {
	if r := guardBank(l.snapshot(), a.Bank); r != nil {
		return Write{}, &GuardError{Refusal: r}
	}
	return l.relays[a.Bank.PDU].TakeOver(ctx, a.Bank.N, a.Latch, a.Direction)
}
