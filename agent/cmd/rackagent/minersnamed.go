package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"rackagent/config"
	"rackagent/drivers/miner/scan"
)

// minerRow is what answers at an address, and what the configuration has of it.
type minerRow struct {
	scan.Found
	Configured *minerNamed `json:"configured,omitempty"`
}

// minerNamed is an entry of the configuration.
type minerNamed struct {
	Node    string `json:"node"`
	Differs string `json:"differs,omitempty"` // from what was found, in words
}

// namedMiners are the entries of the configuration.
type namedMiners struct {
	list []config.Miner
	note string // why there are none, or not all
}

// minersNamed reads them. Without a configuration a scan is as good: it is what one needs to write one.
func minersNamed(a *app) namedMiners {
	conf, findings, err := a.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return namedMiners{note: "there is no configuration " + a.Config + " yet, so none is marked as configured"}
	case err != nil:
		return namedMiners{note: "none is marked as configured: " + err.Error()}
	case conf == nil:
		return namedMiners{note: "none is marked as configured: " + a.Config + " cannot be read; rackagent check says why"}
	case config.HasErrors(findings):
		return namedMiners{conf.Miners, "there are mistakes in " + a.Config + ", so that not all may be marked that are configured; rackagent check shows them"}
	}
	return namedMiners{list: conf.Miners}
}

// row marks what the configuration names, by its address, or else by its MAC.
func (n namedMiners) row(f scan.Found) minerRow {
	r := minerRow{Found: f}
	if i := slices.IndexFunc(n.list, func(m config.Miner) bool { return sameHost(m.Host, f.Host) }); i >= 0 {
		m := n.list[i]
		r.Configured = &minerNamed{m.Node, differs(m, f)}
		return r
	}
	if i := slices.IndexFunc(n.list, func(m config.Miner) bool { return m.MAC != "" && m.MAC == f.MAC }); i >= 0 {
		m := n.list[i]
		r.Configured = &minerNamed{Node: m.Node}
		if _, err := netip.ParseAddr(m.Host); err == nil {
			r.Configured.Differs = "the configuration has it at " + m.Host
		}
	}
	return r
}

func sameHost(a, b string) bool {
	x, err := netip.ParseAddr(a)
	if err != nil {
		return a == b
	}
	y, err := netip.ParseAddr(b)
	return err == nil && x == y
}

// differs says in what another unit than the configured one is at its address, or the same one otherwise.
func differs(m config.Miner, f scan.Found) string {
	switch {
	case m.MAC != "" && f.MAC != "" && m.MAC != f.MAC:
		return "another unit: the configuration has the MAC " + m.MAC
	case f.API != "" && f.API != m.API && !slices.Contains(f.Alternatives, m.API), f.Unsupported != "":
		return fmt.Sprintf("another firmware: the configuration has the interface %s", m.API)
	}
	return ""
}
