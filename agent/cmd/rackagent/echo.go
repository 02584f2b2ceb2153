package main

import (
	"cmp"
	"context"

	"rackagent/agent/rack"
)

type echoCmd struct {
	loginFlags
}

// Help is shown by rackagent echo --help.
func (echoCmd) Help() string {
	return `Answers the self tests of one agent (--agent), or of all agents of the site, until SIGINT or SIGTERM: what an agent says on up/selftest is sent back on its down/selftest. An agent that misses its own message knows that the broker's access list locks it out.

Whoever logs in needs to read up/selftest of these agents and to write down/selftest; nothing else is sent. Each agent that is answered for the first time is named.

Exit status: 0 after a signal, 1 a mistake in what was typed, 2 no broker, or the connection was lost.`
}

// Run answers.
func (c echoCmd) Run(ctx context.Context, a *app) error {
	of := cmp.Or(c.Agent, "+")
	c.Agent = cmp.Or(c.Agent, "all") // a name that fits the rules; it names nobody
	m, err := c.session(a)
	if err != nil {
		return err
	}
	client, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	seen := map[string]bool{}
	err = client.Echo(ctx, of, func(agent string) {
		if !seen[agent] && rack.ValidName(agent) {
			seen[agent] = true
			a.printf("%s/%s is answered\n", m.site, agent)
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return &failure{err: err, hint: "systemd's Restart=always brings it back where it is to go on", status: exitOther}
}
