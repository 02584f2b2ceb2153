package power

import (
	"context"
	"time"

	"rackagent/agent/rack"
)

func (a Inquire) id() uint64 { return a.Token }
func (a Tell) id() uint64    { return a.Token }

func (a Inquire) lowers() bool { return false }
func (a Tell) lowers() bool    { return a.Do == rack.DoSleep || a.Do == rack.DoLimit }

func (a Inquire) limit() time.Duration { return askLimit }
func (a Tell) limit() time.Duration    { return a.Within }

func (a Inquire) rest() time.Duration { return 0 }
func (a Tell) rest() time.Duration    { return tellRest }

// tellRest is what a verb that is under way may still take once the program ends: most of what its unit allows
// (systemd/rackagent.service, TimeoutStopSec=15s), within which the agent has to say farewell. A miner's own limit is up to 75 s.
// One that is cut short may have been taken, as by a crash: a restart judges it.
const tellRest = 8 * time.Second

func (a Inquire) dropped() Input { return Said{Token: a.Token, Err: errAborted} }
func (a Tell) dropped() Input    { return Said{Token: a.Token, Err: errAborted} }

// minerLane carries out what is said to one miner.
type minerLane struct {
	miner    Miner
	snapshot func() *Snapshot
}

// carry holds the guard around the only call of Tell in the program: it judges the node anew at this moment.
func (l minerLane) carry(ctx context.Context, a work) Input {
	out := Said{Token: a.id()}
	switch a := a.(type) {
	case Inquire:
		out.Word, out.Err = l.miner.Ask(ctx, a.Question)
	case Tell:
		if r := guardTell(l.snapshot(), a.Node); r != nil {
			out.Err = &GuardError{Refusal: r}
			return out
		}
		out.Answer, out.Err = l.miner.Tell(ctx, a)
	}
	return out
}
