// Package luxos speaks to Antminer hardware that runs LuxOS: the 4028 protocol with a session for writes (LuxOS API
// documentation).
//
// LuxOS holds one session for each machine: a mutex against controllers that step on each other's toes, and no
// protection. A write logs on, and logs off whatever happens. A session of somebody else is waited for, as an abandoned one
// ends after 60 s, and used only in an emergency, which the answer tells; it is not ended then.
//
// It is NOT the place where a sleep is proven: that curtail was taken says that it was sent (Code 335).
package luxos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Dialect is the name of this one.
const Dialect = "luxos"

// Codes of LuxOS beside those of cgminer (LuxOS API documentation, error codes).
const codeSessionActive = 402

const (
	writeLimit = 5 * time.Second  // for one request of a write
	waitFor    = 65 * time.Second // for a session of somebody else: an abandoned one ends after 60 s
	waitStep   = 5 * time.Second
)

// Miner is one unit.
type Miner struct {
	o miner.Opts
	c *rpc.Client
}

var _ miner.Miner = (*Miner)(nil)

// ErrOpts is returned by New for options without a host or a way to it.
var ErrOpts = errors.New("luxos: Host and Dial are required")

// New makes a client. It connects to nothing.
func New(o miner.Opts) (*Miner, error) {
	if o.Host == "" || o.Dial == nil {
		return nil, ErrOpts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Miner{o: o, c: rpc.New(o, rpc.Port)}, nil
}

// read asks for one report and gives its first entry.
func (m *Miner) read(ctx context.Context, command string) (rpc.Object, error) {
	return m.c.Command(ctx, rpc.Read, command, "", miner.ReadLimit)
}

// config is the state of the unit. Without it nothing is known.
func (m *Miner) config(ctx context.Context) (rpc.Object, error) {
	o, err := m.read(ctx, "config")
	if err != nil {
		return nil, err
	}
	c := o.Object("CONFIG")
	if c == nil {
		return nil, m.o.Fault("read", "config", drivers.Corrupt, errors.New("no CONFIG in the reply"))
	}
	return c, nil
}

// Sleep curtails: the supply's output goes off, the controller stays.
func (m *Miner) Sleep(ctx context.Context, u miner.Urgency) (miner.Answer, error) {
	return m.write(ctx, u, func(ctx context.Context, s *session) error { return s.send(ctx, "curtail", "sleep") })
}

// Wake ends the curtailment the slow way; mode=unsafe, which ramps in one step, is for no one here. What the unit did before
// is set again if it is not what it does now.
func (m *Miner) Wake(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, Dialect, "curtail"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, miner.Urgency{}, func(ctx context.Context, s *session) error {
		if err := s.send(ctx, "curtail", "wakeup"); err != nil {
			return err
		}
		return s.bringBack(ctx, before)
	})
}

// Limit keeps the unit to a profile, by name, or to watts: by a target where the unit has one, else by the strongest profile
// that does not draw more.
func (m *Miner) Limit(ctx context.Context, l miner.Limit, u miner.Urgency) (miner.Answer, error) {
	if (l.W > 0) == (l.Mode != "") {
		return miner.Answer{}, m.o.Fault("write", "profileset", drivers.Unsupported, errors.New("either watts or a profile"))
	}
	return m.write(ctx, u, func(ctx context.Context, s *session) error {
		if l.Mode != "" {
			return s.profile(ctx, l.Mode)
		}
		c, err := m.config(ctx)
		if err != nil {
			return err
		}
		if yes(c.Bool("IsPowerTargetSupported")) {
			return s.send(ctx, "powertargetset", fmt.Sprintf("power=%.0f", l.W))
		}
		name, err := m.under(ctx, l.W)
		if err != nil {
			return err
		}
		return s.profile(ctx, name)
	})
}

// Release sets again what the unit did before a limit.
func (m *Miner) Release(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	if err := m.o.Remembered(before, Dialect, "profileset"); err != nil {
		return miner.Answer{}, err
	}
	return m.write(ctx, miner.Urgency{}, func(ctx context.Context, s *session) error { return s.bringBack(ctx, before) })
}

// under is the strongest profile that draws no more than w.
func (m *Miner) under(ctx context.Context, w float64) (string, error) {
	all, err := m.profiles(ctx)
	if err != nil {
		return "", err
	}
	best := -1
	for i, p := range all {
		if p.w <= w {
			best = i
		}
	}
	if best < 0 {
		return "", m.o.Fault("write", "profileset", drivers.Unsupported, fmt.Errorf("no profile draws %.0f W or less", w))
	}
	return all[best].name, nil
}

// profile is one step of the unit's table.
type profile struct {
	name   string
	w, ths float64
}

// profiles are those with a name and watts, the weakest first.
func (m *Miner) profiles(ctx context.Context) ([]profile, error) {
	o, err := m.read(ctx, "profiles")
	if err != nil {
		return nil, err
	}
	var out []profile
	for _, p := range o.List("PROFILES") {
		w, name := p.Number("Watts"), p.Text("Profile Name")
		if w == nil || name == "" {
			continue
		}
		one := profile{name: name, w: *w}
		if ths := p.Number("Hashrate"); ths != nil {
			one.ths = *ths
		}
		out = append(out, one)
	}
	slices.SortStableFunc(out, func(a, b profile) int { return int(a.w - b.w) })
	return out, nil
}

// whose refuses to write to another unit than the one that is meant.
func (m *Miner) whose(ctx context.Context) error {
	if m.o.MAC == "" {
		return nil
	}
	c, err := m.config(ctx)
	if err != nil {
		return err
	}
	return m.o.Meant(macOf(c), "config")
}

func macOf(config rpc.Object) string { return strings.ToLower(rpc.Plain(config.Text("MACAddr"))) }

func yes(b *bool) bool { return b != nil && *b }
