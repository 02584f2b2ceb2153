package main

import (
	"fmt"
	"slices"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers/pdu"
)

// voltageMargin is what the agent reckons with when it turns watts into amperes (package power): a supply that sags by
// 5 %, where loads of constant power draw more.
const voltageMargin = 0.95

// level is what a node hangs on: a feed, or the outlet itself.
type level struct {
	name   string
	limitA float64
	voltsV float64 // the lowest that the node is fed at below it
}

// nodes tells what the agent will not do for a node as it is configured. The configuration has passed its check.
func nodes(file string, c *config.Config) []config.Finding {
	var found []config.Finding
	warn := func(i int, key, text string) {
		found = append(found, config.Finding{File: file, Path: fmt.Sprintf("nodes[%d].%s", i, key), Severity: config.Warning, Text: text})
	}
	for i, n := range c.Nodes {
		w := n.MaxW + n.SurgeW
		for _, l := range levels(c, n) {
			if a := w / (l.voltsV * voltageMargin); a > l.limitA {
				warn(i, "max_w", fmt.Sprintf("%s counts for %.0f W while it starts, %.1f A at 95 %% of %.0f V, and %s may carry %.1f A for long: it is never energised",
					n.Name, w, a, l.voltsV, l.name, l.limitA))
			}
		}
		if n.OnPowerReturn == config.ReturnRestore {
			warn(i, "on_power_return", "restore is not carried out by this version: "+n.Name+" is held")
		}
	}
	return found
}

// levels lists the outlets of a node and every feed above them, each once. A node counts whole on each.
func levels(c *config.Config, n config.Node) []level {
	tree := &rack.Layout{}
	for _, f := range c.Feeds {
		tree.Feeds = append(tree.Feeds, rack.Feed(f))
	}
	tree.Indexed()
	var out []level
	add := func(l level) {
		i := slices.IndexFunc(out, func(o level) bool { return o.name == l.name })
		if i < 0 {
			out = append(out, l)
			return
		}
		out[i].voltsV = min(out[i].voltsV, l.voltsV)
	}
	for _, s := range n.Outlets {
		o, bank, ok := outletOf(c, tree, s)
		if !ok {
			continue
		}
		add(level{"outlet " + s, o.RatingA * o.Continuous, bank.VoltsV})
		for _, f := range tree.Levels(bank.Name) {
			add(level{"feed " + f.Name, f.LimitA(), bank.VoltsV})
		}
	}
	return out
}

// outletOf gives an outlet as its model has it, and the feed that it hangs on.
func outletOf(c *config.Config, tree *rack.Layout, name string) (pdu.Outlet, rack.Feed, bool) {
	id, err := rack.ParseOutletID(name)
	i := slices.IndexFunc(c.PDUs, func(p config.PDU) bool { return p.Name == id.PDU })
	if err != nil || i < 0 {
		return pdu.Outlet{}, rack.Feed{}, false
	}
	m, err := models(c).Load(c.PDUs[i].Model)
	if err != nil || id.N > len(m.Outlets) {
		return pdu.Outlet{}, rack.Feed{}, false
	}
	o := m.Outlets[id.N-1]
	bank, ok := tree.Feed(c.PDUs[i].Banks[o.Bank])
	return o, bank, ok
}
