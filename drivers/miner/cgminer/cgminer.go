// Package cgminer reads a unit by what cgminer, BMMiner and others in their clothes report on TCP 4028 (cgminer, API-README;
// recorded replies of Antminers). It is for units that no other package speaks to: no plain cgminer can be put to sleep or
// kept to a limit, so that every verb is refused, and the outlet is what such a unit is shed by. To switch its pools off is
// no sleep: its boards stay powered.
//
// It does not tell whether it was put to sleep by other means: it is mining, or nobody knows.
package cgminer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Dialect is the name of this one.
const Dialect = "cgminer"

// ErrOpts is returned by New for options without a host or a way to it.
var ErrOpts = errors.New("cgminer: Host and Dial are required")

// Miner is one unit.
type Miner struct {
	o miner.Opts
	c *rpc.Client
}

var _ miner.Miner = (*Miner)(nil)

// New makes a client. It connects to nothing. A MAC cannot be held against these reports: they have none.
func New(o miner.Opts) (*Miner, error) {
	if o.Host == "" || o.Dial == nil {
		return nil, ErrOpts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Miner{o: o, c: rpc.New(o, rpc.Port)}, nil
}

// others are the reports beside the summary that a status is made of; a unit need not have them.
func others() []string { return []string{"stats", "devs", "pools", "version"} }

// Status reads the summary, and what else the unit has.
func (m *Miner) Status(ctx context.Context) (miner.Status, error) {
	got := map[string]rpc.Object{}
	o, err := m.c.Command(ctx, rpc.Read, "summary", "", miner.ReadLimit)
	if err != nil {
		return miner.Status{}, err
	}
	if !o.Has("SUMMARY") { // an empty one is that of a stock unit that sleeps
		return miner.Status{}, m.o.Fault("read", "summary", drivers.Corrupt, errors.New("no SUMMARY in the reply"))
	}
	got["summary"] = o
	for _, report := range others() {
		o, err := m.c.Command(ctx, rpc.Read, report, "", miner.ReadLimit)
		switch drivers.FaultOf(err) {
		case drivers.None:
			got[report] = o
		case drivers.Unsupported, drivers.Refused, drivers.Locked, drivers.Corrupt: // it answers, and does not have it
		default:
			return miner.Status{}, err
		}
	}
	s := statusOf(got)
	s.At = m.o.Now()
	return s, nil
}

// statusOf puts a status together from the reports that there are.
func statusOf(got map[string]rpc.Object) miner.Status {
	version, stats := got["version"].Object("VERSION"), rpc.Merged(got["stats"].List("STATS"))
	s := miner.Status{
		Model:    rpc.Plain(cmp.Or(version.Text("Type"), stats.Text("Type"))),
		Firmware: rpc.Plain(cmp.Or(version.Text("CompileTime"), program(version), got["summary"].Object("STATUS").Text("Description"))),
		API:      rpc.Plain(version.Text("API")),
	}
	rpc.Rates(&s, got["summary"].Object("SUMMARY"), stats)
	if rpc.Units(&s, stats); len(s.Boards) == 0 {
		s.Boards = boardsOf(got["devs"].List("DEVS"))
	}
	s.Power = rpc.Watts([]rpc.Object{got["summary"].Object("SUMMARY"), stats})
	s.Pools = rpc.Pools(got["pools"].List("POOLS"), "URL", "Status")
	s.State = miner.Judge(&s, nil)
	return s
}

// program is the name and version of the mining program: the member of VERSION that is called after it.
func program(version rpc.Object) string {
	for _, name := range slices.Sorted(maps.Keys(version)) {
		if strings.HasSuffix(strings.ToLower(name), "miner") && version.Text(name) != "" {
			return name + " " + version.Text(name)
		}
	}
	return ""
}

// boardsOf reads the devices of a program whose statistics have no boards. Those of a stock S19 tell no rate there.
func boardsOf(devs []rpc.Object) []miner.Board {
	var out []miner.Board
	for _, d := range devs {
		b := miner.Board{ID: rpc.Plain(cmp.Or(d.Text("ID"), d.Text("ASC"), d.Text("PGA"))), BoardC: rpc.Hottest(d.Numbers("Temperature"))}
		if e := d.Text("Enabled"); e != "" {
			on := strings.EqualFold(e, "Y")
			b.Enabled = &on
		}
		if b.THs = rpc.Rate(d, "5s"); b.THs == nil {
			b.THs = rpc.Rate(d, "1m")
		}
		out = append(out, b)
	}
	return out
}

// Capabilities are none: data that says so.
func (m *Miner) Capabilities(context.Context) (miner.Capabilities, error) {
	return miner.Capabilities{Dialect: Dialect}, nil
}

func (m *Miner) refused() (miner.Answer, error) {
	return miner.Answer{}, m.o.Fault("write", "any", drivers.Unsupported, errors.New("a plain cgminer takes no verb"))
}

// Setting is nothing that could be given back.
func (m *Miner) Setting(context.Context) (miner.Setting, error) {
	_, err := m.refused()
	return miner.Setting{}, err
}

// Sleep is refused.
func (m *Miner) Sleep(context.Context, miner.Urgency) (miner.Answer, error) { return m.refused() }

// Wake is refused.
func (m *Miner) Wake(context.Context, miner.Setting) (miner.Answer, error) { return m.refused() }

// Limit is refused.
func (m *Miner) Limit(context.Context, miner.Limit, miner.Urgency) (miner.Answer, error) {
	return m.refused()
}

// Release is refused.
func (m *Miner) Release(context.Context, miner.Setting) (miner.Answer, error) { return m.refused() }
