package whatsminer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// PortV3 is where API v3 listens.
const PortV3 = 4433

// V3 is one unit, spoken to by API v3.
type V3 struct {
	unit
	c       *rpc.Client
	account string
	salt    string // of the last get.device.info; it can change with a reboot
}

var (
	_ miner.Miner = (*V3)(nil)
	_ changer     = (*V3)(nil)
)

// NewV3 makes a client. It connects to nothing. The account is super, and so is its password from the factory.
func NewV3(o miner.Opts, x Options) (*V3, error) {
	u, err := newUnit(o, x)
	if err != nil {
		return nil, err
	}
	return &V3{unit: u, c: rpc.New(u.o, PortV3), account: cmp.Or(o.User, "super")}, nil
}

// modesV3 are the modes as set.miner.power_mode takes them, the weakest first. get.device.info tells them by their place here,
// as a number.
func modesV3() []string { return []string{"low", "normal", "high"} }

// write carries a verb out, on the unit that is meant, if it takes writes, and within the time of a write. The salt comes with
// the report that tells the other two.
func (m *V3) write(ctx context.Context, verb func(ctx context.Context, a *miner.Answer, info rpc.Object) error) (miner.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	var a miner.Answer
	info, err := m.info(ctx)
	if err != nil {
		return a, err
	}
	if err := m.o.Meant(rpc.MAC(info.Object("network").Text("mac")), "get.device.info"); err != nil {
		return a, err
	}
	if lockedV3(info) != "" {
		return a, m.o.Fault("write", "get.device.info", drivers.Locked, errors.New(unlock))
	}
	if salt := info.Text("salt"); salt != "" {
		m.salt = salt
	}
	err = verb(ctx, &a, info)
	a.At = m.o.Now()
	return a, err
}

// lockedV3 tells what a person has to do for writes to be taken; empty: nothing, as far as the unit says.
func lockedV3(info rpc.Object) string {
	if on := info.Object("system").Bool("apiswitch"); on != nil && !*on {
		return unlock
	}
	return ""
}

// Sleep stops the mining service; the controller stays.
func (m *V3) Sleep(ctx context.Context, _ miner.Urgency) (miner.Answer, error) {
	return m.write(ctx, func(ctx context.Context, a *miner.Answer, _ rpc.Object) error {
		err := m.send(ctx, a, "set.miner.service", "stop")
		if err == nil {
			m.noteDelay(ctx, a)
		}
		return err
	})
}

// delayLimit is for a report that says no more than how long a stop may take: it must not hold up whoever stops many units.
const delayLimit = time.Second

// noteDelay tells of a random delay that the unit puts before a stop (WhatsminerAPI 3.0, get.system.setting). What cannot be
// read of it is left out.
func (m *V3) noteDelay(ctx context.Context, a *miner.Answer) {
	ctx, cancel := context.WithTimeout(ctx, delayLimit)
	defer cancel()
	msg, err := m.read(ctx, "get.system.setting", "")
	if err != nil {
		return
	}
	delay := msg.Object("time-randomized") //nolint:misspell // the unit's spelling
	if s := delay.Number("stop"); s != nil && *s > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("the unit stops up to %.0f s late: a random delay is set on it", *s))
	}
}

// Wake starts the mining service, and sets the mode and the limit that are remembered where they are known to differ.
func (m *V3) Wake(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, DialectV3, "setting"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer, _ rpc.Object) error {
		if err := m.send(ctx, a, "set.miner.service", "start"); err != nil {
			return err
		}
		return bringBackAfterWake(ctx, m, a, readingOf(before))
	})
}

// Limit keeps the unit to a mode or to watts. Either restarts its mining process.
func (m *V3) Limit(ctx context.Context, l miner.Limit, _ miner.Urgency) (miner.Answer, error) {
	if err := m.check(l, modesV3()); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer, info rpc.Object) error {
		switch {
		case yes(asleepV3(info)):
			return m.sleeps("limit")
		case l.Mode != "":
			return m.setMode(ctx, a, l.Mode)
		}
		return m.setWatts(ctx, a, int(l.W))
	})
}

// Release sets the mode and the limit that are remembered, where they are known to differ.
func (m *V3) Release(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, DialectV3, "setting"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, func(ctx context.Context, a *miner.Answer, info rpc.Object) error {
		if yes(asleepV3(info)) {
			return m.sleeps("setting")
		}
		now, err := m.reading(ctx)
		if err != nil {
			return err
		}
		return bringBack(ctx, m, a, now, readingOf(before))
	})
}

func (m *V3) setMode(ctx context.Context, a *miner.Answer, mode string) error {
	if !oneOf(modesV3(), mode) {
		return m.o.Fault("write", "set.miner.power_mode", drivers.Unsupported, errors.New("the remembered mode cannot be set"))
	}
	return m.send(ctx, a, "set.miner.power_mode", strings.ToLower(mode))
}

func (m *V3) setWatts(ctx context.Context, a *miner.Answer, watts int) error {
	return m.send(ctx, a, "set.miner.power_limit", watts)
}

// Capabilities asks whether the unit takes writes.
func (m *V3) Capabilities(ctx context.Context) (miner.Capabilities, error) {
	info, err := m.info(ctx)
	if err != nil {
		return miner.Capabilities{}, err
	}
	watts := m.watts
	return miner.Capabilities{
		Dialect: DialectV3, Sleep: true, Modes: modesV3(), Watts: &watts, Measures: true, Locked: lockedV3(info), Times: Times(),
	}, nil
}
