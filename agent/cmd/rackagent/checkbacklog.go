package main

import (
	"fmt"
	"path/filepath"

	"rackagent/agent/backlog"
	"rackagent/agent/inventory"
	"rackagent/config"
)

// backlogWords tells how long an outage the budget carries.
func backlogWords(c *config.Config) string {
	b := c.Backlog.BudgetMiB
	if b == 0 {
		return "nothing is kept on disk; an outage is bridged from memory, 15 minutes of it"
	}
	n, how := values(c)
	full, last := backlog.Days(int64(b)<<20, n, c.Telemetry.Period())
	return fmt.Sprintf("%d MiB carry an outage of about %.1f days at full rate (%d values%s every %s), then thinned, and %.0f days until the oldest is dropped",
		b, full, n, how, c.Telemetry.Period(), last)
}

// values is how many there are in one period, and whether that was assumed: where parts are not to be had without the
// machine that has them.
func values(c *config.Config) (n int, how string) {
	buses := make(map[string]inventory.Bus)
	for _, b := range c.Buses {
		buses[b.Name] = inventory.Bus{} // nothing is read
	}
	inv, err := inventory.Build(inventory.Opts{Config: c, Models: models(c), Buses: buses})
	if err != nil {
		return 256, " assumed" // the batch that the estimate was measured on
	}
	for _, d := range inv.Devices {
		n += len(d.Points)
	}
	return n, ""
}

// roomForBacklog tells where the file system of the state directory has less room than the budget. The backlog then takes
// what there is, less what it leaves for others.
func roomForBacklog(file string, c *config.Config) []config.Finding {
	want := int64(c.Backlog.BudgetMiB) << 20
	left, err := backlog.Dir(filepath.Join(c.StateDir, "backlog")).Room()
	if want == 0 || err != nil || left >= want {
		return nil
	}
	return []config.Finding{{
		File: file, Path: "backlog.budget_mib", Severity: note, Hint: "32 MiB are always left for others",
		Text: fmt.Sprintf("%d MiB are wanted, and the file system of %s has %d MiB left", c.Backlog.BudgetMiB, c.StateDir, left>>20),
	}}
}
