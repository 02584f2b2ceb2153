package main

import (
	"fmt"
	"log/slog"

	"rackagent/agent/wire"
	"rackagent/config"
)

// agentKey reads the agent's own key; the zero key: it has none.
func agentKey(c *config.Config) (wire.Key, error) {
	if c.Commands.KeyFile == "" {
		return wire.Key{}, nil
	}
	path, err := config.Locate(c.Commands.KeyFile)
	if err != nil {
		return wire.Key{}, err
	}
	k, err := signingKey(path)
	switch self := c.Site + "/" + c.Agent; {
	case err != nil:
		return wire.Key{}, err
	case k.Issuer != self:
		return wire.Key{}, fmt.Errorf("%s: its issuer (iss) is %q, and this agent is %s", path, k.Issuer, self)
	}
	return k, nil
}

// ownKey is the key for a run. One that cannot be used is told and done without: a rack must be watched, and its outlets
// switched, whatever becomes of commands for others.
func ownKey(c *config.Config, log *slog.Logger) wire.Key {
	k, err := agentKey(c)
	if err != nil {
		log.Error("the agent's own key is not used: nothing can be passed on to other agents", "err", err)
	}
	return k
}
