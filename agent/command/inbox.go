package command

import (
	"slices"
	"sync"

	"rackagent/agent/rack"
)

// maxWaiting bounds the messages that wait for the desk's next turn: 25 s at the rate that is taken, so that only a
// desk that does not turn fills it.
const maxWaiting = 256

// inbox collects what others bring until the desk's next turn. Nobody who brings something ever waits.
//
// Only messages come from outside, and they are bounded. The rest has bounds of its own: one answer per submission,
// one outcome per unfinished command, one acknowledgement per result published, one identification per identify.
type inbox struct {
	wake chan struct{} // one slot: a signal that something waits is never lost and never piles up

	mu       sync.Mutex
	closed   bool
	contents contents
}

// contents is what one turn works on.
type contents struct {
	messages  []Inbound
	overrun   int // messages that found no room
	recorded  []answer
	outcomes  []rack.Outcome // one per command, in order of first arrival
	found     []finding
	delivered []string
	resend    bool
}

// answer is what the journal says to a submission.
type answer struct {
	to  *pending
	err error
}

// finding is what identify brought.
type finding struct {
	id     string
	boards map[string]rack.Identity
	bad    *rack.Refusal
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// bring adds something under the lock. After close it is dropped: what matters is on disk or will come again.
func (b *inbox) bring(add func(*contents)) {
	b.mu.Lock()
	if !b.closed {
		add(&b.contents)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// offer tells whether there was room for the message, and if not, how many found none since the last turn. A closed inbox
// says yes and forgets it.
func (b *inbox) offer(in Inbound) (room bool, over int) {
	room = true
	b.bring(func(c *contents) {
		if room = len(c.messages) < maxWaiting; room {
			c.messages = append(c.messages, in)
		} else {
			c.overrun++
			over = c.overrun
		}
	})
	return room, over
}

// outcome keeps the latest word on each command.
func (b *inbox) outcome(o rack.Outcome) {
	b.bring(func(c *contents) {
		i := slices.IndexFunc(c.outcomes, func(old rack.Outcome) bool { return old.Command == o.Command })
		if i < 0 {
			c.outcomes = append(c.outcomes, o)
			return
		}
		c.outcomes[i] = follow(c.outcomes[i], o)
	})
}

// follow gives what two successive words on one command come to. Nothing follows a terminal one, which names all
// targets; others name the targets that changed.
func follow(old, o rack.Outcome) rack.Outcome {
	if old.State.Terminal() {
		return old
	}
	if o.State.Terminal() {
		return o
	}
	changed := slices.Clone(old.Targets)
	for _, t := range o.Targets {
		i := slices.IndexFunc(changed, func(c rack.TargetResult) bool { return c.Target == t.Target })
		if i < 0 {
			changed = append(changed, t)
		} else {
			changed[i] = t
		}
	}
	o.Targets = changed
	return o
}

// take hands over all that waits.
func (b *inbox) take() contents {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.contents
	b.contents = contents{}
	return c
}

// close drops what waits and what still comes.
func (b *inbox) close() contents {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	c := b.contents
	b.contents = contents{}
	return c
}
