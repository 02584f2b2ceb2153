package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

type approveCmd struct {
	ID     string        `arg:"" help:"The waiting command's id."`
	Sha256 string        `name:"sha256" help:"The hash of the command, as its sender and its state waiting tell it. Default: the agent is asked, and what it says is shown." placeholder:"HASH"`
	Key    string        `help:"Sign with the key in this file." type:"path" placeholder:"FILE"`
	Local  bool          `help:"Approve through the agent's local socket on this machine, under your user id."`
	Socket string        `help:"With --local: the agent's local socket. Default: the configuration's." placeholder:"PATH"`
	TTL    time.Duration `name:"ttl" help:"How long the approval may wait to be taken." default:"60s"`
	Why    string        `help:"A reason for people who read the journal." placeholder:"TEXT"`
	JSON   bool          `help:"Print each state as it came, one JSON object a line."`

	loginFlags
}

// Help is shown by rackagent approve --help.
func (approveCmd) Help() string {
	return `A command that needs a second person waits for 5 minutes at most. An approval names its content by hash, is good for it alone and once, and is never its sender's own. Read what is approved before you type: without --sha256 the agent's word for it is taken.

What becomes of the command itself is told to its sender, and by: rackagent get ID.

Exit status: as of rackagent command.`
}

// Run approves.
func (c approveCmd) Run(ctx context.Context, a *app) error {
	cmd := commandCmd{
		Op: string(rack.OpApprove), Target: string(rack.TargetRack), TTL: c.TTL, Why: c.Why, JSON: c.JSON,
		Key: c.Key, Local: c.Local, Socket: c.Socket, loginFlags: c.loginFlags,
	}
	if !c.Local && c.Key == "" {
		return &failure{err: fmt.Errorf("an approval without a signature is nobody's"), hint: "--key FILE signs it; --local approves on the agent's machine under your user id", status: exitUsage}
	}
	hash := c.Sha256
	if hash == "" {
		s, err := c.waiting(ctx, a, cmd)
		if err != nil {
			return err
		}
		if !c.JSON {
			printState(a, s)
		}
		if !c.Local {
			say(a.err, "rackagent: what waits is told as the broker brings it; --sha256 with the hash that its sender reads to you proves it\n")
		}
		hash = s.Sha256
	}
	cmd.Arg = map[string]string{"id": c.ID, "sha256": hash}
	return cmd.Run(ctx, a)
}

// waiting asks the agent for the command and holds that it waits.
func (c approveCmd) waiting(ctx context.Context, a *app, cmd commandCmd) (s wire.Status, err error) {
	if c.Local {
		err = ask(ctx, a.socket(c.Socket), func(ctx context.Context, client *local.Client) (err error) {
			s, err = client.Get(ctx, c.ID)
			return err
		})
	} else {
		s, err = c.asked(ctx, a, cmd)
	}
	if err == nil && s.State != rack.StateWaiting {
		err = &failure{err: fmt.Errorf("%s does not wait for an approval: %s%s", c.ID, s.State, explained(s.Code, s.Text)), status: exitRejected}
	}
	return s, err
}

// asked is the answer to a signed cmd.get.
func (c approveCmd) asked(ctx context.Context, a *app, cmd commandCmd) (wire.Status, error) {
	m, err := c.session(a)
	if err != nil {
		return wire.Status{}, err
	}
	key, err := cmd.signer()
	if err != nil {
		return wire.Status{}, err
	}
	client, err := m.connect(ctx)
	if err != nil {
		return wire.Status{}, err
	}
	defer client.Close()
	o, now := m.bind(ctx, client, order{
		id: newID(), op: string(rack.OpGet), target: string(rack.TargetRack), args: map[string]string{"id": c.ID}, site: m.site, agent: m.agent,
		ttl: cmp.Or(c.TTL, firstWord), key: key, sent: time.Now(),
	})
	payload, err := o.encode(now)
	if err != nil {
		return wire.Status{}, slip(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, firstWord, errSilence)
	defer cancel()
	f := &follower{teller: mute{}, heard: func(rack.State) {}, first: true}
	if err := m.do(ctx, client, o, payload, f); err != nil {
		return wire.Status{}, unfinished(ctx, o, err)
	}
	return f.last, nil
}

// mute shows nothing.
type mute struct{}

func (mute) message([]byte)    {}
func (mute) state(wire.Status) {}
