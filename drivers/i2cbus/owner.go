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
	fence   *fence
	quiet   time.Time   // nothing begins before: devices may be deaf after a time-out
	nap     *time.Timer // wakes the owner then
}

func newOwner(b *Bus) *owner {
	return &owner{bus: b, stop: b.stop, alarm: stopped(), fence: newFence(), nap: stopped()}
}

func stopped() *time.Timer {
	t := time.NewTimer(0)
	t.Stop()
	return t
}

// run serves the bus until it is closed and no transfer is in progress, or a hung one alone.
func (o *owner) run() {
	defer close(o.bus.done)
	defer close(o.bus.start)
	defer o.alarm.Stop()
	defer o.nap.Stop()
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
	case <-o.nap.C: // what waited for it goes on
	case <-o.stop:
		o.shut()
	}
}

// requests is nil while a transfer is in progress or the bus rests, so that the next one waits; on a hung bus it is
// open, because there the answer is ready.
func (o *owner) requests() <-chan *transfer {
	if !o.hung && (o.moving != nil || o.resting()) {
		return nil
	}
	return o.bus.transfers
}

func (o *owner) resting() bool { return time.Now().Before(o.quiet) }

func (o *owner) accept(j *job) {
	switch {
	case o.closing:
		j.granted <- o.bus.fault(waiting, drivers.Cancelled, ErrClosed)
	case o.hung:
		j.granted <- o.bus.fault(waiting, drivers.Hung, o.hungCause())
	case o.fence.refuses(time.Now(), j.queue):
		j.granted <- o.bus.fault(waiting, drivers.Cancelled, o.fence.cause(time.Now()))
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

// grant gives a free bus to the first job in line, Act before Poll. A bus that was found bad is recovered first.
func (o *owner) grant() {
	if o.closing || o.current != nil || o.moving != nil {
		return
	}
	if o.judge(); o.resting() {
		return
	}
	if o.fence.stage == due {
		o.attempt()
		if o.moving != nil {
			return
		}
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
		o.weigh(x, now)
		return
	}
	o.alarm.Stop()
	if x.recovery {
		return
	}
	o.bus.ledger.moved(x, now)
	o.weigh(x, now)
	if o.current != nil {
		o.alarm.Reset(o.bus.deadline + Grace)
	}
	x.reply <- x.err
}

// silence is how long the bus rests after a time-out: by then every device that keeps to SMBus has let go of it and
// listens again (SMBus 3.2, T_TIMEOUT,max 35 ms). A transfer sent before may meet a device that does not hear its START,
// and so a read-back would not tell what became of a write. Nobody is held up for longer, an act neither.
const silence = 35 * time.Millisecond

// weigh lets the outcome of a transfer count for or against the bus.
func (o *owner) weigh(x *transfer, now time.Time) {
	if x.recovery {
		return
	}
	f := drivers.None
	if x.err != nil {
		f = faultOf(x.err)
	}
	if f == drivers.Timeout {
		o.quiet = now.Add(silence)
		o.nap.Reset(silence)
	}
	if !o.fence.heard(now, x.addr, f, x.began, x.err) {
		return
	}
	if o.fence.stage == sound {
		o.bus.ledger.sound(now)
		o.report(false, now)
	} else {
		o.bus.ledger.failedTrial()
		o.failAll(drivers.Cancelled, o.fence.cause(now))
	}
}

// judge asks for the verdict. It is asked between jobs only: a job that met a held line, such as one behind a mux with a
// reset pin, may know how to free it.
func (o *owner) judge() {
	now := time.Now()
	if !o.fence.judge(now) {
		return
	}
	o.bus.ledger.bad(o.fence.since)
	o.report(true, o.fence.since)
	if !o.fence.refuses(now, poll) {
		return
	}
	cause := o.fence.cause(now)
	o.fail(poll, drivers.Cancelled, cause)
	if len(o.waiting[act]) > 0 && o.fence.refuses(now, act) { // else the first of them brings an attempt, as one that comes now would
		o.fail(act, drivers.Cancelled, cause)
	}
}

// attempt tries to get a bad bus back: recovery, where there is any, and then the trial, which is the first transfer
// that somebody asks for. Nothing that failed is sent again by the owner.
func (o *owner) attempt() {
	o.fence.attempt()
	if o.bus.recover == nil {
		return
	}
	o.bus.ledger.recovering()
	o.moving = &transfer{recovery: true, began: time.Now(), reply: make(chan error, 1)}
	o.alarm.Reset(o.bus.recoverLimit + Grace)
	o.bus.start <- o.moving
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
	for q := range queues {
		o.fail(q, f, cause)
	}
}

// fail answers all who wait in one line.
func (o *owner) fail(q queue, f drivers.Fault, cause error) {
	for _, j := range o.waiting[q] {
		j.granted <- o.bus.fault(waiting, f, cause)
	}
	o.waiting[q] = nil
}

func (o *owner) report(bad bool, since time.Time) {
	if o.bus.onBad != nil {
		o.bus.onBad(bad, since)
	}
}

func (o *owner) tell(hung bool, since time.Time) {
	if o.bus.onChange != nil {
		o.bus.onChange(hung, since)
	}
}

// hungCause says in words which transfer does not return.
func (o *owner) hungCause() error {
	ago := time.Since(o.moving.began).Round(time.Millisecond)
	if o.moving.recovery {
		return fmt.Errorf("the recovery that began %s ago has not returned", ago)
	}
	return fmt.Errorf("the transfer to 0x%02x that began %s ago has not returned", o.moving.addr, ago)
}

// move calls the transport, one transfer after the other, and closes it at the end. It is the goroutine that a
// hung transfer holds.
func (b *Bus) move() {
	for x := range b.start {
		if x.recovery {
			x.err = b.recovery()
			b.returned <- x
			continue
		}
		ctx, cancel := context.WithTimeout(x.job.ctx, time.Duration(x.messages())*b.deadline)
		x.err = b.transport.Tx(ctx, x.addr, x.w, x.r)
		cancel()
		b.returned <- x
	}
	b.closed <- b.transport.Close()
}
