package antminer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Reports of 4028 that stand in for pages, and pages of port 6060.
const (
	oldVersion  = "version"
	oldSummary  = "summary"
	oldStats    = "stats"
	oldPools    = "pools"
	pageWarning = "/warning"
	pagePower   = "/miner_power"
)

// reports are what a unit told, by the name of the page or the report. What it does not have, or what cannot be read, is nil.
type reports map[string]rpc.Object

// extras are the bare texts of port 6060; empty: there is none.
type extras struct{ warning, power string }

// Status asks for the pages one after the other, and 4028 for what a build does not have there. What neither has leaves its part
// out; a unit that does not answer ends the whole.
func (m *Miner) Status(ctx context.Context) (miner.Status, error) {
	v, err := m.visit("read")
	if err != nil {
		return miner.Status{}, err
	}
	got, first, err := v.pages(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	m.fill(ctx, got)
	if got[pageSummary] == nil && got[pageStats] == nil && got[oldSummary] == nil && got[oldStats] == nil {
		return miner.Status{}, first
	}
	s := statusOf(got, m.extras(ctx))
	s.At = m.o.Now()
	return s, nil
}

// pages reads the pages that there are. first is why the first of them is missing.
func (v *visit) pages(ctx context.Context) (got reports, first, err error) {
	got = reports{}
	for _, name := range [...]string{pageInfo, pageConf, pageSummary, pageStats, pagePools} {
		o, err := v.report(ctx, name)
		if err != nil && !spared(err) {
			return nil, nil, err
		}
		if err != nil && first == nil {
			first = err
		}
		got[name] = o
	}
	return got, first, nil
}

// spared tells that a unit answers, and does not have what was asked for.
func spared(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Unsupported, drivers.Refused, drivers.Locked, drivers.Corrupt:
		return true
	}
	return false
}

// lists are the members of the three pages of statistics, and of their reports.
func listOf(name string) string {
	name, _, _ = strings.Cut(name, ".")
	if slices.Contains([]string{"summary", "stats", "pools"}, name) {
		return strings.ToUpper(name)
	}
	return ""
}

// report gives a page that is an object, a page of statistics without its list not among them.
func (v *visit) report(ctx context.Context, name string) (rpc.Object, error) {
	raw, err := v.get(ctx, name)
	if err != nil {
		return nil, err
	}
	o, f, err := reportOf(name, raw)
	if err != nil {
		return nil, v.m.o.Fault("read", name, f, err)
	}
	return o, nil
}

var errNoList = errors.New("the list that it is for is not in the reply")

// reportOf decodes a page. It is an object or an error.
func reportOf(name string, raw []byte) (rpc.Object, drivers.Fault, error) {
	o, err := rpc.Decode(raw)
	list := listOf(name)
	switch {
	case errors.Is(err, rpc.ErrDown):
		return nil, drivers.Refused, err
	case err != nil:
		return nil, drivers.Corrupt, rpc.ErrNoJSON
	case list == "":
		return o, drivers.None, nil
	}
	if s := rpc.StatusOf(o); !s.OK() && s.Letter != "" {
		return nil, s.Fault(), &rpc.StatusError{Status: s}
	}
	if _, there := o[list].([]any); !there {
		return nil, drivers.Corrupt, errNoList
	}
	return o, drivers.None, nil
}

// fill asks 4028 for what the pages lack. A reader that does not answer is left alone: older builds have pages, too.
func (m *Miner) fill(ctx context.Context, got reports) {
	model, firmware := identity(got)
	for _, r := range [...]struct {
		name string
		want bool
	}{
		{oldSummary, got[pageSummary] == nil},
		{oldStats, got[pageStats] == nil},
		{oldPools, got[pagePools] == nil},
		{oldVersion, model == "" || firmware == ""},
	} {
		if !r.want {
			continue
		}
		o, err := m.old.Command(ctx, rpc.Read, r.name, "", miner.ReadLimit)
		if err != nil && !spared(err) {
			return
		}
		if _, there := o[cmp.Or(listOf(r.name), "VERSION")].([]any); err == nil && there {
			got[r.name] = o
		}
	}
}

// extras asks port 6060, where the unit is known to have it. It takes no password.
func (m *Miner) extras(ctx context.Context) extras {
	if m.extra == nil {
		return extras{}
	}
	ask := func(path string) string {
		p, err := m.exchange(ctx, m.extra, request{kind: rpc.Read, method: http.MethodGet, path: path, limit: miner.ReadLimit})
		if err != nil || p.Status != http.StatusOK {
			return ""
		}
		return string(bytes.TrimSpace(p.Body))
	}
	return extras{ask(pageWarning), ask(pagePower)}
}
