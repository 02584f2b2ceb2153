// Package braiins speaks to miners that run Braiins OS: its REST interface on HTTP 80 under /api/v1 (Braiins OS Public API,
// OpenAPI documents of 25.07 and 26.04), and where a firmware has none the 4028 protocol of BOSminer, which reads and knows
// pause and resume (BOSminer API documentation).
//
// Which of the two it is shows in what answers a log-in. That is remembered, and asked again when the unit does not answer as
// it did. Pausing needs a token by REST and none by 4028, so that an emergency goes through where the password is wrong.
//
// By 4028 a unit tells neither its MAC nor whether it is paused: without a word it does not sleep, it is miner.Unknown; and where a
// MAC is demanded nothing is written, unless Options.Unidentified allows it.
//
// What a paused unit does with a new target is not documented: Limit and Release send nothing to one that sleeps. Dynamic
// performance scaling (DPS) may lower the target and pause the unit by itself; neither is undone here.
package braiins

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Dialect is the name of this one.
const Dialect = "braiins"

// Port is where the REST interface listens.
const Port = 80

// writeLimit is for a whole verb that writes, its log-in and its reads included. Ours.
const writeLimit = 10 * time.Second

// Options are what is known of a unit beside its address.
type Options struct {
	// Unidentified allows to pause and resume by 4028 although that does not tell the MAC that Opts.MAC demands.
	Unidentified bool
}

// Miner is one unit.
type Miner struct {
	o      miner.Opts
	x      Options
	web    *rpc.Client // REST
	old    *rpc.Client // 4028
	token  token
	speaks speaker // nil: not known
}

var _ miner.Miner = (*Miner)(nil)

// speaker is one of the two interfaces. Writes end with their context, which bounds the whole verb.
type speaker interface {
	status(ctx context.Context) (miner.Status, error)
	capabilities(ctx context.Context) (miner.Capabilities, error)
	setting(ctx context.Context) (miner.Setting, error)
	sleep(ctx context.Context) (miner.Answer, error)
	wake(ctx context.Context, before target) (miner.Answer, error)
	limit(ctx context.Context, watts float64) (miner.Answer, error)
	release(ctx context.Context, before target) (miner.Answer, error)
}

// ErrOpts is returned by New for options that no unit can be reached with.
var ErrOpts = errors.New("braiins: options")

// New makes a client. It connects to nothing. The user is root, and so is its password from the factory.
func New(o miner.Opts, x Options) (*Miner, error) {
	switch {
	case o.Host == "" || o.Dial == nil:
		return nil, fmt.Errorf("%w: Host and Dial are required", ErrOpts)
	case o.MAC != "" && !miner.PlainMAC(o.MAC):
		return nil, fmt.Errorf("%w: MAC must be lower case with colons", ErrOpts)
	}
	if o.User == "" {
		o.User = factory
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Miner{o: o, x: x, web: rpc.New(o, Port), old: rpc.New(o, rpc.Port)}, nil
}

// speaker is the interface that the unit has: REST if it takes a log-in, 4028 if it knows of none. A web server that does not
// answer may do so next time: then it is 4028 for this once.
func (m *Miner) speaker(ctx context.Context) (speaker, error) {
	if m.speaks != nil {
		return m.speaks, nil
	}
	err := m.login(ctx)
	switch f := drivers.FaultOf(err); {
	case err == nil:
		m.speaks = rest{m}
	case f == drivers.Unsupported:
		m.speaks = bosminer{m}
	case f == drivers.Unreachable:
		return bosminer{m}, nil
	default:
		return nil, err
	}
	return m.speaks, nil
}

// answered forgets which interface the unit has, where it did not answer as it should have, and that was not for want of time.
func (m *Miner) answered(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch drivers.FaultOf(err) {
	case drivers.Unreachable, drivers.Unsupported, drivers.Corrupt:
		m.speaks = nil
	}
}

// Status reads. What a build does not have, or does not tell while it sleeps, is left out.
func (m *Miner) Status(ctx context.Context) (miner.Status, error) {
	u, err := m.speaker(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	s, err := u.status(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	s.At = m.o.Now()
	return s, nil
}

// Capabilities reads what the unit can be told. It asks anew which interface there is: firmware is exchanged in the field.
func (m *Miner) Capabilities(ctx context.Context) (miner.Capabilities, error) {
	m.speaks = nil
	u, err := m.speaker(ctx)
	if err != nil {
		return miner.Capabilities{}, err
	}
	return u.capabilities(ctx)
}

// Setting reads the target and the pools.
func (m *Miner) Setting(ctx context.Context) (miner.Setting, error) {
	u, err := m.speaker(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	return u.setting(ctx)
}

const noteUnchecked = "paused by 4028, which needs no password: it was an emergency"

// Sleep pauses: the boards go off, the controller stays. In an emergency it goes by 4028 where REST takes no log-in or does not
// answer.
func (m *Miner) Sleep(ctx context.Context, u miner.Urgency) (miner.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	s, err := m.speaker(ctx)
	var a miner.Answer
	if err == nil {
		a, err = s.sleep(ctx)
	}
	f := drivers.FaultOf(err)
	if _, tried := s.(bosminer); tried || !u.Emergency || f != drivers.Denied && f != drivers.Unreachable {
		return a, err
	}
	a, second := bosminer{m}.sleep(ctx)
	switch {
	case second == nil:
		a.Notes = append(a.Notes, noteUnchecked)
		return a, nil
	case drivers.FaultOf(second) == drivers.Unsure:
		return a, second
	}
	return a, errors.Join(err, second)
}

// Wake resumes, and sets the target that is remembered where it is known to differ.
func (m *Miner) Wake(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	return m.change(ctx, before, "resume", speaker.wake)
}

// Release sets the target that is remembered where it is known to differ.
func (m *Miner) Release(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	return m.change(ctx, before, "target", speaker.release)
}

func (m *Miner) change(ctx context.Context, before miner.Setting, what string,
	verb func(speaker, context.Context, target) (miner.Answer, error),
) (miner.Answer, error) {
	if err := m.o.Remembered(before, Dialect, what); err != nil {
		return miner.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	u, err := m.speaker(ctx)
	if err != nil {
		return miner.Answer{}, err
	}
	return verb(u, ctx, remembered(before))
}

// Limit keeps the unit to watts, in whole ones. There are no modes: its targets are watts or a hashrate.
func (m *Miner) Limit(ctx context.Context, l miner.Limit, _ miner.Urgency) (miner.Answer, error) {
	if l.Mode != "" || !(l.W >= 1) || math.IsInf(l.W, 0) {
		return miner.Answer{}, m.o.Fault("write", "power target", drivers.Unsupported, errors.New("a limit in watts, and no mode"))
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	u, err := m.speaker(ctx)
	if err != nil {
		return miner.Answer{}, err
	}
	return u.limit(ctx, math.Floor(l.W))
}

// lacks tells that a unit answered and does not have what was asked for.
func lacks(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Unsupported, drivers.Refused, drivers.Locked:
		return true
	}
	return false
}
