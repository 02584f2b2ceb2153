package i2cbus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rackagent/drivers"
)

// owner is the state of a bus. Only its run goroutine touches it; it never blocks, so that callers are answered
// whatever the transport does.
type owner struct {
	bus     *Bus
	waiting [queues][]*job
	current *job      // has the bus; nil: none
	moving  *transfer // with the transport; nil: none
	hung    bool      // moving did not return in time
	closing bool
	stop    <-chan struct{}
	alarm   *time.Timer // limit of moving, or of current's idleness
}

func newOwner(b *Bus) *owner {
	alarm := time.NewTimer(0)
	alarm.Stop()
	return &owner{bus: b, stop: b.stop, alarm: alarm}
}

// run serves the bus until it is closed and no transfer is in progress, or a hung one alone.
func (o *owner) run() {
	defer close(o.bus.done)
	defer close(o.bus.start)
	defer o.alarm.Stop()
	for !o.closing || (o.moving != nil && !o.hung) {
		o.turn()
		o.grant()
	}
}

// turn takes one input.
func (o *owner) turn() {
	select {
	case j := <-o.bus.submit:
		o.accept(j)
	case j := <-o.bus.leave:
		o.drop(j)
	case x := <-o.requests():
		o.begin(x)
	case j := <-o.bus.over:
		o.end(j)
	case x := <-o.bus.returned:
		o.settle(x)
	case <-o.alarm.C:
		o.expire()
	case <-o.stop:
		o.shut()
	}
}

// requests is nil while a transfer is in progress, so that a second one waits for it; on a hung bus it is open,
// because there the answer is ready.
func (o *owner) requests() <-chan *transfer {
	if o.moving != nil && !o.hung {
		return nil
	}
	return o.bus.transfers
}

func (o *owner) accept(j *job) {
	switch {
	case o.closing:
		j.granted <- o.bus.fault(waiting, drivers.Cancelled, ErrClosed)
	case o.hung:
		j.granted <- o.bus.fault(waiting, drivers.Hung, o.hungCause())
	default:
		j.queued = time.Now()
		o.waiting[j.queue] = append(o.waiting[j.queue], j)
	}
}

// drop answers a caller who leaves, if it is still waiting.
func (o *owner) drop(j *job) {
	line := o.waiting[j.queue]
	if i := slices.Index(line, j); i >= 0 {
		o.waiting[j.queue] = slices.Delete(line, i, i+1)
		j.granted <- o.bus.cancelled(j)
	}
}

// grant gives a free bus to the first job in line, Act before Poll.
func (o *owner) grant() {
	if o.current != nil || o.moving != nil {
		return
	}
	for q := range o.waiting {
		if len(o.waiting[q]) == 0 {
			continue
		}
		j := o.waiting[q][0]
		o.waiting[q] = slices.Delete(o.waiting[q], 0, 1)
		j.waited = time.Since(j.queued)
		o.bus.ledger.granted(j.queue, j.waited)
		o.current = j
		o.alarm.Reset(o.bus.deadline + Grace)
		j.granted <- nil
		return
	}
}

// begin hands a transfer to the mover.
func (o *owner) begin(x *transfer) {
	var refusal *drivers.Error
	switch {
	case o.hung:
		refusal = &drivers.Error{Fault: drivers.Hung, Err: o.hungCause()}
	case x.job != o.current:
		refusal = &drivers.Error{Fault: drivers.Cancelled, Err: ErrJobOver}
	}
	if refusal != nil {
		o.bus.ledger.refused(refusal.Fault)
		x.reply <- refusal
		return
	}
	x.began = time.Now()
	o.moving = x
	o.alarm.Reset(time.Duration(x.messages())*o.bus.deadline + Grace)
	o.bus.start <- x
}

// settle takes a transfer back from the mover.
func (o *owner) settle(x *transfer) {
	now := time.Now()
	o.moving = nil
	if o.hung {
		o.hung = false
		o.bus.ledger.back(x, now)
		o.tell(false, now)
		return
	}
	o.bus.ledger.moved(x, now)
	o.alarm.Stop()
	if o.current != nil {
		o.alarm.Reset(o.bus.deadline + Grace)
	}
	x.reply <- x.err
}

// end takes the bus back from a job that returned. A transfer of a goroutine that the job left behind is waited
// for all the same.
func (o *owner) end(j *job) {
	if j != o.current {
		return
	}
	o.current = nil
	if o.moving == nil {
		o.alarm.Stop()
	}
}

// expire is the end of patience: with a transfer, or with a job that holds the bus and does not use it. Both lose
// the bus; a job that went on afterwards would not know what happened in between.
func (o *owner) expire() {
	o.current = nil
	if o.moving != nil {
		o.hang()
	} else {
		o.bus.ledger.revoked()
	}
}

// hang fences the bus off.
func (o *owner) hang() {
	x := o.moving
	o.hung = true
	o.bus.ledger.hung(x)
	x.reply <- &drivers.Error{Fault: drivers.Hung, Err: o.hungCause()}
	o.failAll(drivers.Hung, o.hungCause())
	o.tell(true, x.began)
}

// shut begins the end: nothing more is started.
func (o *owner) shut() {
	o.stop = nil
	o.closing = true
	o.failAll(drivers.Cancelled, ErrClosed)
}

func (o *owner) failAll(f drivers.Fault, cause error) {
	for q := range o.waiting {
		for _, j := range o.waiting[q] {
			j.granted <- o.bus.fault(waiting, f, cause)
		}
		o.waiting[q] = nil
	}
}

func (o *owner) tell(hung bool, since time.Time) {
	if o.bus.onChange != nil {
		o.bus.onChange(hung, since)
	}
}

// hungCause says in words which transfer does not return.
func (o *owner) hungCause() error {
	return fmt.Errorf("the transfer to 0x%02x that began %s ago has not returned",
		o.moving.addr, time.Since(o.moving.began).Round(time.Millisecond))
}

// move calls the transport, one transfer after the other, and closes it at the end. It is the goroutine that a
// hung transfer holds.
func (b *Bus) move() {
	for x := range b.start {
		ctx, cancel := context.WithTimeout(x.job.ctx, time.Duration(x.messages())*b.deadline)
		x.err = b.transport.Tx(ctx, x.addr, x.w, x.r)
		cancel()
		b.returned <- x
	}
	b.closed <- b.transport.Close()
}
