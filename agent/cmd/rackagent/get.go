package main

import (
	"context"

	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

type getCmd struct {
	ID     string `arg:"" help:"The command's id."`
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print the state as it is published, one JSON object for each part."`
}

// Run asks for what is recorded of one command.
func (c getCmd) Run(ctx context.Context, a *app) error {
	return a.answered(ctx, c.Socket, c.JSON, c.ID, func(ctx context.Context, client *local.Client) (wire.Status, error) {
		return client.Get(ctx, c.ID)
	})
}

// answered shows the state that the agent answers with on its local socket. A state of another command than id is the
// question's own: it was refused.
func (a *app) answered(ctx context.Context, socket string, raw bool, id string, question func(context.Context, *local.Client) (wire.Status, error)) error {
	var s wire.Status
	err := ask(ctx, a.socket(socket), func(ctx context.Context, client *local.Client) (err error) {
		s, err = question(ctx, client)
		return err
	})
	if err != nil {
		return err
	}
	if raw {
		for _, part := range wire.EncodeStatus(s.Outcome, s.StatusHead) {
			a.printf("%s\n", part)
		}
	} else {
		printState(a, s)
	}
	if id != "" && s.Command == id || s.State == rack.StateSucceeded {
		return nil
	}
	return verdict(s.State)
}
