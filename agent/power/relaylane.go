package power

import (
	"context"
	"time"

	"rackagent/agent/rack"
)

func (a Switch) id() uint64   { return a.Token }
func (a TakeOver) id() uint64 { return a.Token }

func (a Switch) lowers() bool   { return a.Do == rack.DoCut }
func (a TakeOver) lowers() bool { return false }

func (a Switch) limit() time.Duration {
	if a.Do == rack.DoCut {
		return cutWriteLimit
	}
	return writeLimit
}

func (a TakeOver) limit() time.Duration { return writeLimit }

// A write of a relay is finished: it takes a few seconds at most.
func (a Switch) rest() time.Duration   { return a.limit() }
func (a TakeOver) rest() time.Duration { return a.limit() }

func (a Switch) dropped() Input   { return Switched{Token: a.Token, Err: errAborted} }
func (a TakeOver) dropped() Input { return Switched{Token: a.Token, Err: errAborted} }

// relayLane carries out what is done to the PDUs of one bus.
type relayLane struct {
	relays   map[string]Relays // by PDU
	snapshot func() *Snapshot
}

// carry calls the verb.
func (l relayLane) carry(ctx context.Context, a work) Input {
	var w Write
	var err error
	switch a := a.(type) {
	case Switch:
		w, err = l.moveRelay(ctx, a)
	case TakeOver:
		w, err = l.takeOver(ctx, a)
	}
	return Switched{Token: a.id(), Taken: w.Taken, Confirmed: w.Confirmed, Err: err}
}

// moveRelay holds the guards around the only calls of Cut and Energise in the program: they judge the outlet anew at this
// moment.
func (l relayLane) moveRelay(ctx context.Context, a Switch) (Write, error) {
	if err := permitted(l.snapshot(), a); err != nil {
		return Write{}, err
	}
	r := l.relays[a.Outlet.PDU]
	if a.Do != rack.DoCut {
		return r.Energise(ctx, a.Outlet.N)
	}
	return r.Cut(ctx, a.Outlet.N)
}

func (l relayLane) takeOver(ctx context.Context, a TakeOver) (Write, error) {
	if r := guardBank(l.snapshot(), a.Bank); r != nil {
		return Write{}, &GuardError{Refusal: r}
	}
	return l.relays[a.Bank.PDU].TakeOver(ctx, a.Bank.N, a.Latch, a.Direction)
}
