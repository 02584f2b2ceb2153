package braiins

import (
	"context"
	"errors"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// rest is a unit by its REST interface.
type rest struct{ *Miner }

var _ speaker = rest{}

// details is what the unit says of itself. Without it nothing is known. It holds the status, too: miner/status is a stream that
// does not end (Braiins OS Public API, getMinerStatus).
func (r rest) details(ctx context.Context) (rpc.Object, error) {
	o, err := r.get(ctx, "miner/details")
	r.answered(ctx, err)
	return o, err
}

// has reads a report that a build may not have; nil: it does not, or not now.
func (r rest) has(ctx context.Context, path string) (rpc.Object, error) {
	o, err := r.get(ctx, path)
	if lacks(err) {
		return nil, nil
	}
	return o, err
}

// report is one part of a status.
type report struct{ name, path string }

// reports are what a status is made of, beside the details.
func reports() []report {
	return []report{
		{"version", "version/"},
		{"stats", "miner/stats"},
		{"boards", "miner/hw/hashboards"},
		{"cooling", "cooling/state"},
		{"tuner", "performance/tuner-state"},
		{"errors", "miner/errors"},
		{"pools", "pools/"},
	}
}

// status asks for the reports one after the other. One that is refused or cannot be read leaves its part out.
func (r rest) status(ctx context.Context) (miner.Status, error) {
	details, err := r.details(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	got := map[string]rpc.Object{}
	for _, p := range reports() {
		o, err := r.has(ctx, p.path)
		if err != nil && drivers.FaultOf(err) != drivers.Corrupt {
			return miner.Status{}, err
		}
		got[p.name] = o
	}
	return statusREST(details, got), nil
}

// target reads what the tuner works to.
func (r rest) target(ctx context.Context, asleep bool) (target, error) {
	tuner, err := r.has(ctx, "performance/tuner-state")
	if err != nil || tuner == nil {
		return target{}, err
	}
	config, err := r.has(ctx, "configuration/miner")
	if err != nil {
		return target{}, err
	}
	return targetOf(tuner, config, asleep), nil
}

var errNoTarget = errors.New("the tuner tells neither a target nor that it is off: what a sleep or a limit would interrupt is not known")

// known is the target of a unit that is awake.
func (r rest) known(ctx context.Context) (target, error) {
	t, err := r.target(ctx, false)
	if err == nil && t.mode == "" {
		err = r.o.Fault("read", "GET performance/tuner-state", drivers.Settling, errNoTarget)
	}
	return t, err
}

func (r rest) setting(ctx context.Context) (miner.Setting, error) {
	details, err := r.details(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	read := r.known
	if paused(details) {
		read = func(ctx context.Context) (target, error) { return r.target(ctx, true) }
	}
	t, err := read(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	pools, err := r.get(ctx, "pools/")
	if err != nil {
		return miner.Setting{}, err
	}
	return t.setting(poolsHash(pools)), nil
}

// A pause takes the seconds of quick ramping (API 1.7 and later), else seconds; a resume takes minutes if
// the tuner has to run. All but the seconds are ours.
const (
	confirmBy = 15 * time.Second
	sleepBy   = 15 * time.Second // beside the ramp
	someRamp  = 45 * time.Second // where the unit does not tell the ramp
	wakeBy    = 600 * time.Second
)

// Times of a unit that does not tell its ramp, or was not asked.
func Times() miner.Times { return times(someRamp) }

func times(ramp time.Duration) miner.Times {
	return miner.Times{Write: writeLimit, Confirm: confirmBy, SleepBy: sleepBy + ramp, WakeBy: wakeBy}
}

// capabilities reads the range of the target, and how long the unit ramps down.
func (r rest) capabilities(ctx context.Context) (miner.Capabilities, error) {
	if _, err := r.details(ctx); err != nil {
		return miner.Capabilities{}, err
	}
	constraints, err := r.has(ctx, "configuration/constraints")
	if err != nil {
		return miner.Capabilities{}, err
	}
	config, err := r.has(ctx, "configuration/miner")
	if err != nil {
		return miner.Capabilities{}, err
	}
	return miner.Capabilities{Dialect: Dialect, Sleep: true, Watts: rangeOf(constraints), Times: times(rampOf(config))}, nil
}

// rangeOf is what a power target may be (Braiins OS Public API, TunerConstraints); nil: the unit does not say.
func rangeOf(constraints rpc.Object) *miner.Range {
	c := constraints.Object("tuner_constraints").Object("power_target")
	low, high := c.Object("min").Number("watt"), c.Object("max").Number("watt")
	if !sound(low) || !sound(high) || *low > *high {
		return nil
	}
	return &miner.Range{MinW: *low, MaxW: *high}
}

// rampOf is how long a unit takes to power down (Braiins OS Public API, HashboardPerformanceConfiguration).
func rampOf(config rpc.Object) time.Duration {
	s := config.Object("hashboard_config").Number("quick_ramping_time_down_s")
	if s == nil || *s < 0 || *s > 3600 {
		return someRamp
	}
	return time.Duration(*s * float64(time.Second))
}
