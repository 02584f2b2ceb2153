package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"rackagent/agent/inventory"
	"rackagent/drivers/miner/scan"
)

type minersCmd struct {
	Scan minersScanCmd `cmd:"" help:"Look for miners in ranges of addresses, reading only, and propose entries for the configuration."`
}

type minersScanCmd struct {
	CIDR    []string      `arg:"" name:"cidr" help:"Ranges of addresses, as 10.0.3.0/24, or single ones; 65,536 addresses at most."`
	Format  string        `help:"table, json, or yaml: entries for the configuration, to paste." enum:"table,json,yaml" default:"table"`
	Rate    int           `help:"New addresses in a second at most." default:"100" placeholder:"N"`
	Sockets int           `help:"Open connections at most." default:"64" placeholder:"N"`
	Timeout time.Duration `help:"How long one question may take; a connection may take a third of that." default:"3s"`

	// dial is another way into the network; nil: this machine's.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Help is shown by rackagent miners scan --help.
func (minersScanCmd) Help() string {
	return `Connects to the ports 4028, 4433 and 80 of every address, and asks those that are there who they are: commands that report, and web pages without a log-in. Nothing is written to a miner and no password is sent, so that what stands behind a log-in is not told: often the MAC. Silent addresses are tried once more at the end.

With the defaults 254 addresses at which nobody answers take half a minute. More --sockets are faster; users of other scanners report that they lose miners by it.

Miners that the configuration names are marked, and left out of --format yaml. They are asked too, each for a moment beside the agent that runs. One whose entry has a host name and no MAC cannot be recognised.

Ctrl-C ends it and prints what was found until then.

Exit status: 0 the scan went to its end, whatever it found; 1 a mistake in what was typed; 2 it was interrupted, or no address could be asked.`
}

// Run scans and prints.
func (c minersScanCmd) Run(ctx context.Context, a *app) error {
	o := scan.Opts{Dial: c.dial, Rate: c.Rate, Sockets: c.Sockets, Timeout: c.Timeout}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	prefixes, err := c.prefixes()
	if err != nil {
		return &failure{err: err, hint: "for example: rackagent miners scan 10.0.3.0/24; the largest range is a /16", status: exitUsage}
	}
	named := minersNamed(a)
	bar := newBar(a.err)
	o.Progress = bar.show
	out := scanned{Miners: []minerRow{}}
	out.Summary, err = scan.Run(ctx, o, prefixes, func(f scan.Found) { out.Miners = append(out.Miners, named.row(spoken(f))) })
	bar.clear()
	out.Interrupted = err != nil
	if err := out.print(a, c.Format, named); err != nil {
		return err
	}
	return out.verdict()
}

// prefixes reads the ranges, and judges what else was typed.
func (c minersScanCmd) prefixes() ([]netip.Prefix, error) {
	switch {
	case c.Rate < 1 || c.Rate > scan.MaxRate:
		return nil, fmt.Errorf("--rate: %d is not 1 to %d", c.Rate, scan.MaxRate)
	case c.Sockets < scan.MinSockets() || c.Sockets > scan.MaxSockets:
		return nil, fmt.Errorf("--sockets: %d is not %d to %d", c.Sockets, scan.MinSockets(), scan.MaxSockets)
	case c.Timeout < scan.MinTimeout || c.Timeout > scan.MaxTimeout:
		return nil, fmt.Errorf("--timeout: %s is not %s to %s", c.Timeout, scan.MinTimeout, scan.MaxTimeout)
	}
	var out []netip.Prefix
	for _, s := range c.CIDR {
		p, err := scan.Prefix(s)
		if err != nil {
			return nil, fmt.Errorf("CIDR %q: %w", s, err)
		}
		out = append(out, p)
	}
	_, err := scan.Addresses(out)
	return out, err
}

// spoken takes away an interface that this program does not have: the scan may know more.
func spoken(f scan.Found) scan.Found {
	if f.API != "" && !slices.Contains(inventory.Catalogue().Miners, f.API) {
		f.API, f.Unsupported, f.Missing = "", "the agent has no client for it", nil
	}
	return f
}

// scanned is what a scan found.
type scanned struct {
	scan.Summary
	Interrupted bool       `json:"interrupted"`
	Miners      []minerRow `json:"miners"`
}

// verdict is how the program ends.
func (s scanned) verdict() error {
	switch {
	case s.Interrupted:
		through := s.Found + s.Silent + s.Closed + s.Failed
		return &failure{err: fmt.Errorf("interrupted: %d of %s asked to the end", through, plural(s.Addresses, "address")), status: exitOther}
	case s.Failed > 0 && s.Failed == s.Addresses:
		return &failure{err: errors.New("no address could be asked: " + s.Failure), status: exitOther}
	}
	return nil
}
