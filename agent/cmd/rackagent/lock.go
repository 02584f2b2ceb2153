package main

import (
	"context"
	"time"

	"rackagent/agent/rack"
)

// orderFlags are those of commands that a person at the rack types often.
type orderFlags struct {
	Target string        `arg:"" help:"What: node/NAME, outlet/PDU.N, or rack."`
	ID     string        `help:"The command's identity: sent twice, it is done once. Default: a random one."`
	TTL    time.Duration `name:"ttl" help:"How long the command may wait to be taken." default:"60s"`
	Socket string        `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool          `help:"Print each state as it came, one JSON object a line."`
}

// local is the command through the local socket.
func (f orderFlags) local(op rack.Op, why string) commandCmd {
	return commandCmd{Op: string(op), Target: f.Target, ID: f.ID, TTL: f.TTL, Why: why, Socket: f.Socket, JSON: f.JSON, Local: true}
}

type lockCmd struct {
	orderFlags
	Why string `help:"Who works on it and why, for people who want to unlock it." required:"" placeholder:"TEXT"`
}

// Help is shown by rackagent lock --help.
func (lockCmd) Help() string {
	return `A maintenance lock refuses every action on what it is set on, lowering ones too, by whoever, until it is unlocked; it survives restarts and never expires. ` +
		`It is in force when this command says succeeded. It is the agent's word and no isolator: it keeps nobody safe who touches live parts.

The same over the broker: rackagent command lock TARGET.`
}

// Run locks.
func (c lockCmd) Run(ctx context.Context, a *app) error {
	return c.local(rack.OpLock, c.Why).Run(ctx, a)
}

type unlockCmd struct {
	orderFlags
	Why string `help:"A reason for people who read the journal." placeholder:"TEXT"`
}

// Run unlocks.
func (c unlockCmd) Run(ctx context.Context, a *app) error {
	return c.local(rack.OpUnlock, c.Why).Run(ctx, a)
}
