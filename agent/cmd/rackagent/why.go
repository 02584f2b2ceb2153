package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rackagent/agent"
	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

type whyCmd struct {
	ID     string `arg:"" help:"The command's id; rackagent list shows those of late."`
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print the agent's answer as it came."`
}

// Help is shown by rackagent why --help.
func (whyCmd) Help() string {
	return `Tells what the agent's journal holds of a command, on the machine of the agent and without a broker.

Exit status: 0 if it is recorded, 3 if not.`
}

// Run asks and tells.
func (c whyCmd) Run(ctx context.Context, a *app) error {
	var raw json.RawMessage
	var now wire.Status
	var st agent.Story
	err := ask(ctx, a.socket(c.Socket), func(ctx context.Context, client *local.Client) (err error) {
		if raw, err = client.Story(ctx, c.ID); err != nil {
			return err
		}
		if err = json.Unmarshal(raw, &st); err == nil && st.Outcome == nil && !c.JSON {
			now, err = client.Get(ctx, c.ID)
		}
		return err
	})
	var refused *local.Refused
	switch {
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound:
		return &failure{err: fmt.Errorf("%s: no such command is recorded here", c.ID), hint: "rackagent list shows those of late; what could not be read, or its sender had no right to, is in the audit log (rackagent audit show) or an event, and no record", status: exitRejected}
	case err != nil:
		return err
	case c.JSON:
		a.printf("%s\n", strings.TrimSpace(string(raw)))
		return nil
	}
	printStory(a, st)
	if st.Outcome == nil {
		a.printf("%-10s", "now")
		printState(a, now)
	}
	return nil
}

// printStory tells a command as it went: asked, approved, planned, ended.
func printStory(a *app, s agent.Story) {
	c := s.Command
	row := func(label, format string, args ...any) {
		a.printf("%-10s"+format+"\n", append([]any{label}, args...)...)
	}
	dry := ""
	if c.Dry {
		dry = " (dry: nothing was to be done)"
	}
	row("command", "%s: %s %s%s%s", c.ID, c.Op, c.Target, c.Args.Words(), dry)
	row("asked by", "%s", senderWords(c))
	if c.Why != "" {
		row("reason", "%s", c.Why)
	}
	row("received", "%s, to begin before %s", moment(c.Received), moment(c.Exp))
	if c.BreakGlass {
		row("approved", "by nobody: break-glass")
	}
	if p := c.Approval; p != nil {
		row("approved", "by %s%s at %s, command %s", p.By, prefixed(" with key ", p.Key), moment(p.At), p.Command)
	}
	if s.Damaged != "" {
		row("DAMAGED", "%s", s.Damaged)
	}
	if s.Plan != nil {
		row("plan", "made %s, to be done within %s", moment(s.Plan.Made), s.Plan.Deadline())
		for _, t := range s.Plan.Targets {
			a.printf("  %s%s\n", t.Target, inBrackets(t.Node))
			for _, step := range t.Steps {
				a.printf("    %s\n", strings.TrimPrefix(planWords(step), "would "))
			}
		}
	}
	if s.Outcome != nil {
		row("ended", "%s", moment(s.Outcome.At))
		a.printf("%-10s", "came to")
		printState(a, wire.Status{Outcome: *s.Outcome})
		told := "the broker has this result"
		if !s.Acked {
			told = "the broker has not acknowledged this result yet"
		}
		row("told", "%s", told)
	}
	row("sha256", "%s", c.Hash)
}

func moment(t time.Time) string { return t.Local().Format(time.DateTime) }

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// senderWords: alice, role operator, signed with key alice-2026, number 4711.
func senderWords(c rack.Command) string {
	who := c.Issuer
	switch {
	case c.Origin == rack.OriginAgent:
		return "the agent itself" + inBrackets(who)
	case !c.Signed && who == "":
		return "nobody known, unsigned over MQTT"
	case !c.Signed:
		return fmt.Sprintf("somebody who says to be %s, unsigned over MQTT", who)
	}
	who += prefixed(", role ", c.Role)
	if c.Origin == rack.OriginLocal {
		return who + ", over the local socket"
	}
	return fmt.Sprintf("%s, signed with key %s, number %d", who, c.Key, c.Seq)
}
