package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"rackagent/agent"
)

type feedsCmd struct {
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print what the agent answers of them."`
}

// Help is shown by rackagent feeds --help.
func (feedsCmd) Help() string {
	return `Draws the tree of the feed with what hangs on it, as the running agent sees it. Each level shows its lines, the rating of its breaker, its continuous limit (or the agent's share of a level that several use), and on its fullest line the amperes reserved and the amperes measured. Percentages are of that limit.

HIGH marks a level measured at 95 % of its limit or more, OVER one on which more is reserved than its limit: below it nothing is taken that adds power. Where meters are missing or silent, what may be drawn is counted in their place, and it is told how many of the watts that are.

Below a bank stand its nodes: class, state, watts reserved, watts measured at their outlets there, and the outlets. A reservation with a * is of a node that has outlets on other banks too: it counts whole on each. What is not known is a dash.`
}

// Run asks and draws.
func (c feedsCmd) Run(ctx context.Context, a *app) error {
	raw, err := a.askStatus(ctx, c.Socket)
	if err != nil {
		return err
	}
	var answer struct {
		Feeds json.RawMessage `json:"feeds"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	if answer.Feeds == nil {
		return &failure{err: errors.New("the agent tells of no feeds"), hint: "none is configured, or the agent that runs is of an earlier version than this program", status: exitOther}
	}
	if c.JSON {
		return a.json(answer)
	}
	var feeds []agent.FeedStatus
	if err := json.Unmarshal(answer.Feeds, &feeds); err != nil {
		return fmt.Errorf("the feeds in the agent's answer: %w", err)
	}
	printFeeds(a, feeds)
	return nil
}
