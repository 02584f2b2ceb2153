package braiins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const (
	notePaused = "it is paused already: nothing was sent"
	noteTarget = "the target is what it should be: nothing was sent"
	noteUnread = "the target does not read back yet: it was not compared with what is remembered"
	noteOff    = "the tuner was off when the setting was read, and is on: there is no way back by this client"
)

var errOff = errors.New("the tuner is off: a target turns it on, and there is no way back by this client")

// write carries a verb out, on the unit that is meant.
func (r rest) write(ctx context.Context, verb func(ctx context.Context, a *miner.Answer, details rpc.Object) error) (miner.Answer, error) {
	var a miner.Answer
	details, err := r.details(ctx)
	if err != nil {
		return a, err
	}
	if err := r.o.Meant(rpc.MAC(details.Text("mac_address")), "GET miner/details"); err != nil {
		return a, err
	}
	err = verb(ctx, &a, details)
	a.At = r.o.Now()
	return a, err
}

func (r rest) sleep(ctx context.Context) (miner.Answer, error) {
	return r.write(ctx, func(ctx context.Context, a *miner.Answer, details rpc.Object) error {
		if paused(details) {
			a.Notes = append(a.Notes, notePaused)
			return nil
		}
		return r.act(ctx, a, "actions/pause")
	})
}

// wake resumes also what says that it is awake: a pause that was sent may not have come through yet. The target cannot always
// be read at that moment.
func (r rest) wake(ctx context.Context, before target) (miner.Answer, error) {
	return r.write(ctx, func(ctx context.Context, a *miner.Answer, _ rpc.Object) error {
		if err := r.act(ctx, a, "actions/resume"); err != nil || before.mode == "" {
			return err
		}
		now, err := r.known(ctx)
		switch {
		case err != nil:
			a.Notes = append(a.Notes, noteUnread)
			return nil
		case before.mode == tunerOff && now.mode != tunerOff:
			a.Notes = append(a.Notes, noteOff)
			return nil
		}
		return r.bringBack(ctx, a, now, before)
	})
}

// limit sets a target within the range that the unit tells.
func (r rest) limit(ctx context.Context, watts float64) (miner.Answer, error) {
	return r.write(ctx, func(ctx context.Context, a *miner.Answer, details rpc.Object) error {
		if paused(details) {
			return r.sleeps()
		}
		c, err := r.get(ctx, "configuration/constraints")
		if err != nil {
			return err
		}
		if err := r.within(watts, rangeOf(c)); err != nil {
			return err
		}
		now, err := r.known(ctx)
		if err != nil {
			return err
		}
		if now.mode == tunerOff {
			return r.unsupported(errOff)
		}
		return r.bringBack(ctx, a, now, target{mode: byPower, w: &watts})
	})
}

func (r rest) release(ctx context.Context, before target) (miner.Answer, error) {
	return r.write(ctx, func(ctx context.Context, a *miner.Answer, details rpc.Object) error {
		switch {
		case paused(details):
			return r.sleeps()
		case before.mode == "":
			return r.unsupported(errors.New("no target is remembered, and the interface takes none away"))
		}
		now, err := r.known(ctx)
		if err != nil {
			return err
		}
		if before.mode == tunerOff && now.mode != tunerOff {
			return r.unsupported(errors.New(noteOff))
		}
		return r.bringBack(ctx, a, now, before)
	})
}

func (m *Miner) unsupported(err error) error {
	return m.o.Fault("write", "power target", drivers.Unsupported, err)
}

// sleeps is the refusal to change the target of what sleeps.
func (r rest) sleeps() error {
	return r.unsupported(errors.New("the miner sleeps, and what a new target does to that is not documented: wake it first"))
}

func (r rest) within(watts float64, w *miner.Range) error {
	switch {
	case w == nil:
		return r.unsupported(errors.New("the unit tells no range for it"))
	case watts < w.MinW || watts > w.MaxW:
		return r.unsupported(fmt.Errorf("the limit has to be within %.0f and %.0f W", w.MinW, w.MaxW))
	}
	return nil
}

// bringBack sets a target where it differs. It is absolute, so that it may be repeated.
func (r rest) bringBack(ctx context.Context, a *miner.Answer, now, want target) error {
	switch {
	case now.same(want):
		if a.Text == "" {
			a.Notes = append(a.Notes, noteTarget)
		}
		return nil
	case want.mode == byPower:
		return r.set(ctx, a, "performance/power-target", "watt", *want.w, true)
	case want.mode == byHashrate:
		return r.set(ctx, a, "performance/hashrate-target", "terahash_per_second", *want.ths, false)
	}
	return nil
}

// act sends a command without a body. The reply tells whether the unit was in that state before, and is as good either way
// (Braiins OS Public API, actions).
func (r rest) act(ctx context.Context, a *miner.Answer, path string) error {
	body, err := r.put(ctx, path, nil)
	if err != nil {
		return err
	}
	text, err := wordOf(body)
	if err != nil {
		return r.o.Fault("write", "PUT "+path, drivers.Unsure, err)
	}
	a.Text = text
	return nil
}

// wordOf reads the reply to an action.
func wordOf(body []byte) (string, error) {
	switch text := strings.ToLower(strings.Trim(string(body), "\" \r\n\t")); text {
	case "true", "false":
		return text, nil
	}
	return "", errors.New("the reply is neither true nor false")
}

// set sends a target. The unit answers with the one that it took; exact tells that it has to be the same.
func (r rest) set(ctx context.Context, a *miner.Answer, path, member string, value float64, exact bool) error {
	request, err := json.Marshal(map[string]float64{member: value})
	if err != nil {
		return err
	}
	body, err := r.put(ctx, path, request)
	if err != nil {
		return err
	}
	a.Text = said(string(body), r.token.text)
	f, err := tookOf(body, member, value, exact)
	if err != nil {
		return r.o.Fault("write", "PUT "+path, f, err)
	}
	return nil
}

// tookOf reads the reply to a target.
func tookOf(body []byte, member string, value float64, exact bool) (drivers.Fault, error) {
	o, err := document(body)
	if err != nil {
		return drivers.Unsure, err
	}
	switch got := o.Number(member); {
	case got == nil:
		return drivers.Unsure, fmt.Errorf("no %s in the reply", member)
	case exact && *got != value:
		return drivers.Mismatch, fmt.Errorf("the unit took %g instead of %g", *got, value)
	}
	return drivers.None, nil
}
