package main

import (
	"context"

	"rackagent/agent/local"
	"rackagent/agent/wire"
)

type listCmd struct {
	N      int    `help:"How many." default:"50"`
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print the answer as it is published over MQTT."`
}

// Run lists the newest commands.
func (c listCmd) Run(ctx context.Context, a *app) error {
	return a.answered(ctx, c.Socket, c.JSON, "", func(ctx context.Context, client *local.Client) (wire.Status, error) {
		return client.List(ctx, c.N)
	})
}
