package main

import (
	"context"

	"rackagent/agent/local"
	"rackagent/agent/wire"
)

type acceptCmd struct {
	Reason string `help:"Why, for people who read the journal later." required:"" placeholder:"TEXT"`
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print the answer as it is published over MQTT."`
}

// Help is shown by rackagent journal-accept --help.
func (acceptCmd) Help() string {
	return `An agent that finds its journal lost observes and switches nothing: it does not know what is locked, withdrawn or under way. ` +
		`Look at the rack first: rackagent status, then at the outlets themselves.`
}

// Run accepts the loss.
func (c acceptCmd) Run(ctx context.Context, a *app) error {
	return a.answered(ctx, c.Socket, c.JSON, "", func(ctx context.Context, client *local.Client) (wire.Status, error) {
		return client.Accept(ctx, c.Reason)
	})
}
