package braiins

import (
	"context"
	"errors"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const noteNoTarget = "the target is another one than what is remembered, or not known, and cannot be set by 4028"

// target is the power limit that the tuner tells (BOSminer API documentation, tunerstatus).
func (b bosminer) target(ctx context.Context) (target, error) {
	o, err := b.read(ctx, "tunerstatus")
	if err != nil && !lacks(err) {
		return target{}, err
	}
	if w := o.Object("TUNERSTATUS").Number("PowerLimit"); sound(w) {
		return target{mode: byPower, w: w}, nil
	}
	return target{}, nil
}

// setting reads what there is. A unit that tells no limit has nothing to be brought back but its sleep.
func (b bosminer) setting(ctx context.Context) (miner.Setting, error) {
	if _, err := b.version(ctx); err != nil {
		return miner.Setting{}, err
	}
	t, err := b.target(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	o, err := b.read(ctx, "pools")
	if err != nil {
		return miner.Setting{}, err
	}
	var pools [][2]string
	for _, p := range o.List("POOLS") {
		pools = append(pools, [2]string{p.Text("URL"), p.Text("User")})
	}
	return t.setting(miner.PoolsHash(pools)), nil
}

func (b bosminer) capabilities(ctx context.Context) (miner.Capabilities, error) {
	if _, err := b.version(ctx); err != nil {
		return miner.Capabilities{}, err
	}
	return miner.Capabilities{Dialect: Dialect, Sleep: true, Times: Times()}, nil
}

// whose refuses to write to a unit that cannot tell whether it is the one that is meant.
func (b bosminer) whose(ctx context.Context) error {
	if _, err := b.version(ctx); err != nil || b.x.Unidentified {
		return err
	}
	return b.o.Meant("", "version")
}

// send writes. Either command may be repeated.
func (b bosminer) send(ctx context.Context, command string) (miner.Answer, error) {
	var a miner.Answer
	if err := b.whose(ctx); err != nil {
		return a, err
	}
	o, err := b.old.Command(ctx, rpc.Write, command, "", writeLimit)
	a.At = b.o.Now()
	if err == nil {
		a.Text = rpc.StatusOf(o).Text
	}
	return a, err
}

func (b bosminer) sleep(ctx context.Context) (miner.Answer, error) { return b.send(ctx, "pause") }

func (b bosminer) wake(ctx context.Context, before target) (miner.Answer, error) {
	a, err := b.send(ctx, "resume")
	if err != nil || before.mode == "" {
		return a, err
	}
	if now, err := b.target(ctx); err != nil || !now.same(before) {
		a.Notes = append(a.Notes, noteNoTarget)
	}
	return a, nil
}

func (b bosminer) limit(context.Context, float64) (miner.Answer, error) {
	return miner.Answer{}, b.unsupported(errors.New("this firmware takes no target: it has no REST interface, or that does not answer"))
}

// release has nothing to do where the limit is what is remembered, and no means where it is not.
func (b bosminer) release(ctx context.Context, before target) (miner.Answer, error) {
	a := miner.Answer{}
	if err := b.whose(ctx); err != nil {
		return a, err
	}
	now, err := b.target(ctx)
	switch {
	case err != nil:
		return a, err
	case before.mode == "" || !now.same(before):
		return a, b.o.Fault("write", "target", drivers.Unsupported, errors.New(noteNoTarget))
	}
	a.At, a.Notes = b.o.Now(), append(a.Notes, noteTarget)
	return a, nil
}
