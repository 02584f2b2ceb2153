package luxos

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// reports are what Status is made of, beside config; what a build does not have is left out.
var reports = [...]string{"version", "summary", "devs", "power", "temps", "fans", "pools"}

// Status asks for the reports one after the other. One that the unit refuses, or that cannot be read, leaves its part out; a
// unit that does not answer ends the whole.
func (m *Miner) Status(ctx context.Context) (miner.Status, error) {
	c, err := m.config(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	got := map[string]rpc.Object{}
	for _, r := range reports {
		o, err := m.read(ctx, r)
		switch drivers.FaultOf(err) {
		case drivers.None:
			got[r] = o
		case drivers.Unsupported, drivers.Refused, drivers.Locked, drivers.Corrupt:
		default:
			return miner.Status{}, err
		}
	}
	s := statusOf(c, got)
	s.At = m.o.Now()
	return s, nil
}

// statusOf puts a status together from the reports that there are.
func statusOf(c rpc.Object, got map[string]rpc.Object) miner.Status {
	version := got["version"].Object("VERSION")
	s := miner.Status{
		Model: rpc.Plain(cmp.Or(c.Text("Model"), version.Text("Type"))), Firmware: rpc.Plain(version.Text("LUXminer")), API: rpc.Plain(version.Text("API")),
		Serial: rpc.Plain(c.Text("SerialNumber")), MAC: macOf(c), Mode: rpc.Plain(c.Text("Profile")),
	}
	if yes(c.Bool("IsPowerTargetEnabled")) {
		s.LimitW = c.Number("IdealPowerTarget")
	}
	summaryOf(&s, got["summary"].Object("SUMMARY"))
	powerOf(&s, got["power"].Object("POWER"))
	boardsOf(&s, got["devs"].List("DEVS"), got["temps"].List("TEMPS"))
	for _, f := range got["fans"].List("FANS") {
		if rpm := f.Number("RPM"); rpm != nil {
			s.Fans = append(s.Fans, *rpm)
		}
	}
	for _, p := range got["pools"].List("POOLS") {
		if p.Text("URL") != "" {
			alive := p.Text("Status") == "Alive"
			s.Pools = append(s.Pools, miner.Pool{URL: rpc.Plain(p.Text("URL")), Alive: &alive})
		}
	}
	s.State = miner.Judge(&s, asleep(c))
	return s
}

// asleep is what the unit was told; nil: it does not say. An older build knows the supply alone.
func asleep(c rpc.Object) *bool {
	told := func(b bool) *bool { return &b }
	switch strings.ToLower(c.Text("CurtailMode")) {
	case "sleep":
		return told(true)
	case "none":
		return told(false)
	}
	return nil
}

func summaryOf(s *miner.Status, sum rpc.Object) {
	for _, w := range []struct {
		name   string
		window time.Duration
	}{{"5s", 5 * time.Second}, {"1m", time.Minute}} {
		if ths := rate(sum, w.name); ths != nil {
			s.Hashrate = &miner.Hashrate{THs: *ths, Window: w.window}
			break
		}
	}
	if ths := rate(sum, "av"); ths != nil {
		s.Average = &miner.Hashrate{THs: *ths}
	}
	if e := sum.Number("Elapsed"); e != nil && *e >= 0 {
		d := time.Duration(*e * float64(time.Second))
		s.Uptime = &d
	}
}

// rate is a hashrate in TH/s, in whichever of the two units the name of the member says.
func rate(o rpc.Object, window string) *float64 {
	for unit, perTH := range map[string]float64{"GHS ": 1e3, "MHS ": 1e6} {
		if n := o.Number(unit + window); n != nil {
			v := *n / perTH
			return &v
		}
	}
	return nil
}

func powerOf(s *miner.Status, p rpc.Object) {
	w := p.Number("Watts")
	if w == nil {
		return
	}
	s.Power = &miner.Power{W: *w, Source: miner.Estimated}
	if yes(p.Bool("PSU")) {
		s.Power.Source = miner.Measured
	}
}

// boardsOf reads the boards. What they mean to reach together is the nominal rate of the profile in force.
func boardsOf(s *miner.Status, devs, temps []rpc.Object) {
	nominal, known := 0.0, false
	for _, d := range devs {
		b := miner.Board{ID: cmp.Or(d.Text("ASC"), d.Text("ID")), THs: rate(d, "1m"), Serial: rpc.Plain(d.Text("SerialNumber"))}
		if off := d.Bool("IsUserShutdown"); off != nil {
			on := !*off
			b.Enabled = &on
		}
		if n := d.Number("Nominal MHS"); n != nil && (b.Enabled == nil || *b.Enabled) {
			nominal, known = nominal+*n/1e6, true
		}
		for _, t := range temps {
			if cmp.Or(t.Text("ID"), t.Text("TEMP")) == b.ID {
				b.BoardC = hottest(t)
			}
		}
		s.Boards = append(s.Boards, b)
	}
	if known && nominal > 0 {
		s.Nominal = &nominal
	}
}

func hottest(t rpc.Object) *float64 {
	var out *float64
	for _, place := range []string{"TopLeft", "TopRight", "BottomLeft", "BottomRight"} {
		if v := t.Number(place); v != nil && (out == nil || *v > *out) {
			out = v
		}
	}
	return out
}

// Setting reads the profile, the target and the pools.
func (m *Miner) Setting(ctx context.Context) (miner.Setting, error) {
	c, err := m.config(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	s := settingOf(c)
	if s.Profile == "" {
		return miner.Setting{}, m.o.Fault("read", "config", drivers.Corrupt, errors.New("no profile in the reply: what a sleep would interrupt is not known"))
	}
	o, err := m.read(ctx, "pools")
	if err != nil {
		return miner.Setting{}, err
	}
	var pools [][2]string
	for _, p := range o.List("POOLS") {
		pools = append(pools, [2]string{p.Text("URL"), p.Text("User")})
	}
	s.Pools = miner.PoolsHash(pools)
	return s, nil
}

func settingOf(c rpc.Object) miner.Setting {
	s := miner.Setting{Dialect: Dialect, Profile: c.Text("Profile")}
	if yes(c.Bool("IsPowerTargetEnabled")) {
		s.TargetW = c.Number("IdealPowerTarget")
	}
	return s
}

// Times of LuxOS: Luxor gives under 5 s to about 25 W; a wake without mode=unsafe takes as long as a ramp after a reboot.
func Times() miner.Times {
	return miner.Times{Write: waitFor + 2*writeLimit, Confirm: 15 * time.Second, SleepBy: 30 * time.Second, WakeBy: 300 * time.Second}
}

// Capabilities reads the profiles.
func (m *Miner) Capabilities(ctx context.Context) (miner.Capabilities, error) {
	all, err := m.profiles(ctx)
	if err != nil {
		return miner.Capabilities{}, err
	}
	o, err := m.read(ctx, "power")
	if err != nil && drivers.FaultOf(err) != drivers.Unsupported {
		return miner.Capabilities{}, err
	}
	out := miner.Capabilities{Dialect: Dialect, Sleep: true, Measures: yes(o.Object("POWER").Bool("PSU")), Times: Times()}
	for _, p := range all {
		out.Modes = append(out.Modes, p.name)
	}
	if n := len(all); n > 0 {
		out.Watts = &miner.Range{MinW: all[0].w, MaxW: all[n-1].w}
	}
	return out, nil
}
