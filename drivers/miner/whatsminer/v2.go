package whatsminer

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// V2 is one unit, spoken to by API v2.
type V2 struct {
	unit
	c    *rpc.Client
	kept *token // of the last write; nil: none
}

var (
	_ miner.Miner = (*V2)(nil)
	_ changer     = (*V2)(nil)
)

// NewV2 makes a client. It connects to nothing. The password is that of account admin; from the factory it is admin.
func NewV2(o miner.Opts, x Options) (*V2, error) {
	u, err := newUnit(o, x)
	if err != nil {
		return nil, err
	}
	return &V2{unit: u, c: rpc.New(u.o, rpc.Port)}, nil
}

// modesV2 are the modes as summary spells them, the weakest first.
func modesV2() []string { return []string{"Low", "Normal", "High"} }

// write carries a verb out, on the unit that is meant and within the time of a write.
func (m *V2) write(ctx context.Context, verb func(context.Context, *miner.Answer) error) (miner.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	var a miner.Answer
	if err := m.whose(ctx); err != nil {
		return a, err
	}
	err := verb(ctx, &a)
	a.At = m.o.Now()
	return a, err
}

// whose refuses another unit than the one that is meant. A build without get_miner_info tells its MAC in summary.
func (m *V2) whose(ctx context.Context) error {
	if m.o.MAC == "" {
		return nil
	}
	o, err := m.read(ctx, "get_miner_info")
	if err == nil {
		return m.o.Meant(rpc.MAC(o.Object("Msg").Text("mac")), "get_miner_info")
	}
	if !lacks(err) {
		return err
	}
	if o, err = m.read(ctx, "summary"); err != nil {
		return err
	}
	return m.o.Meant(rpc.MAC(o.Object("SUMMARY").Text("MAC")), "summary")
}

// Sleep turns the boards and the supply's output off. respbefore makes the unit answer first: else the answer may never come
// (WhatsminerAPI 2.0.5, power_off).
func (m *V2) Sleep(ctx context.Context, _ miner.Urgency) (miner.Answer, error) {
	return m.write(ctx, func(ctx context.Context, a *miner.Answer) error {
		return m.send(ctx, a, "power_off", [2]string{"respbefore", "true"})
	})
}

// Wake turns the boards on, and sets the mode and the limit that are remembered where they are known to differ.
func (m *V2) Wake(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, DialectV2, "setting"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer) error {
		if err := m.send(ctx, a, "power_on"); err != nil {
			return err
		}
		return bringBackAfterWake(ctx, m, a, readingOf(before))
	})
}

// Limit keeps the unit to a mode or to watts. Either restarts its mining process. A change of mode has no answer on many
// builds: drivers.Unsure then, unless it reads back at once.
func (m *V2) Limit(ctx context.Context, l miner.Limit, _ miner.Urgency) (miner.Answer, error) {
	if err := m.check(l, modesV2()); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer) error {
		status, err := m.read(ctx, "status")
		if err != nil && !lacks(err) {
			return err
		}
		var summary rpc.Object
		if yes(asleepV2(status, nil)) {
			summary, err = m.read(ctx, "summary") // it may show work
		}
		switch {
		case err != nil && !lacks(err) && !spared(err, true):
			return err
		case yes(asleepV2(status, summary)):
			return m.sleeps("limit")
		case l.Mode != "":
			return m.setMode(ctx, a, l.Mode)
		}
		takes, err := m.takesWatts(ctx)
		switch {
		case err != nil:
			return err
		case !takes:
			return m.o.Fault("write", "adjust_power_limit", drivers.Unsupported, errors.New("it takes API 2.0.5"))
		}
		return m.setWatts(ctx, a, int(l.W))
	})
}

// Release sets the mode and the limit that are remembered, where they are known to differ.
func (m *V2) Release(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, DialectV2, "setting"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer) error {
		status, summary, err := m.state(ctx)
		switch {
		case err != nil:
			return err
		case yes(asleepV2(status, summary)):
			return m.sleeps("setting")
		}
		return bringBack(ctx, m, a, readingV2(status, summary), readingOf(before))
	})
}

const (
	noteNoAnswer = "the change of mode had no answer, as on many builds: the mining process restarts with it"
	noteReadBack = "the mode reads back as asked"
)

// setMode sends set_low_power, set_normal_power or set_high_power. It is absolute: whoever is told Unsure may send it again.
func (m *V2) setMode(ctx context.Context, a *miner.Answer, mode string) error {
	if !oneOf(modesV2(), mode) {
		return m.o.Fault("write", "set_power", drivers.Unsupported, errors.New("the remembered mode cannot be set"))
	}
	err := m.send(ctx, a, "set_"+strings.ToLower(mode)+"_power")
	if drivers.FaultOf(err) != drivers.Unsure {
		return err
	}
	a.Notes = append(a.Notes, noteNoAnswer)
	if now, again := m.reading(ctx); again == nil && strings.EqualFold(now.mode, mode) {
		a.Notes = append(a.Notes, noteReadBack)
		return nil
	}
	return err
}

// setWatts sends adjust_power_limit, whose value is a text.
func (m *V2) setWatts(ctx context.Context, a *miner.Answer, watts int) error {
	return m.send(ctx, a, "adjust_power_limit", [2]string{"power_limit", strconv.Itoa(watts)})
}

// takesWatts tells whether the API takes a limit in watts.
func (m *V2) takesWatts(ctx context.Context) (bool, error) {
	o, err := m.read(ctx, "get_version")
	if err != nil && !lacks(err) {
		return false, err
	}
	return limits(o.Object("Msg").Text("api_ver")), nil
}

// limits tells a version of 2.0.5 or above, which is the first with adjust_power_limit (WhatsminerAPI 2.0.5).
func limits(version string) bool {
	version = strings.TrimLeftFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	parts := strings.Split(version, ".")
	for i, least := range [...]int{2, 0, 5} {
		if i >= len(parts) {
			return false
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n != least {
			return err == nil && n > least
		}
	}
	return true
}

// Capabilities asks for the version: a limit in watts takes API 2.0.5. Whether writes are locked is not told by any read.
func (m *V2) Capabilities(ctx context.Context) (miner.Capabilities, error) {
	takes, err := m.takesWatts(ctx)
	if err != nil {
		return miner.Capabilities{}, err
	}
	c := miner.Capabilities{Dialect: DialectV2, Sleep: true, Modes: modesV2(), Measures: true, Times: Times()}
	if takes {
		watts := m.watts
		c.Watts = &watts
	}
	return c, nil
}
