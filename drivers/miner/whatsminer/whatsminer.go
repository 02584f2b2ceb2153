// Package whatsminer speaks to MicroBT Whatsminer miners: API v2 of btminer on TCP 4028 (WhatsminerAPI 2.0.5), and API v3 on
// TCP 4433 (WhatsminerAPI 3.0). A unit with the firmware of late 2024 or newer answers both and breaks several writes of v2
// (reported: pyasic #363): v3 is for it.
//
// Reads need no password. Writes are off from the factory, until a person has changed the password and turned the API on with
// the vendor's desktop tool; an unlocking command that some clients send is not in the documents and not sent here.
//
// Both versions restart the mining process for a change of mode or of the power limit, which takes minutes. What a stopped
// unit does with such a change is not documented, and a restart may wake it: Limit and Release send nothing to one that sleeps.
package whatsminer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Names of the two dialects.
const (
	DialectV2 = "whatsminer-v2"
	DialectV3 = "whatsminer-v3"
)

// noLimit as a power limit takes the limit away, W (WhatsminerAPI 2.0.5, adjust_power_limit).
const noLimit = 99999

// writeLimit is for a whole verb that writes, its reads included.
const writeLimit = 10 * time.Second

// Times of both versions. Wake: 25 min were recorded of an M20 (Hash Stable Cost Seconds 1538), under one minute is told of an M30 with
// fast boot (HashSource, curtailment guide).
func Times() miner.Times {
	return miner.Times{Write: writeLimit, Confirm: 30 * time.Second, SleepBy: 60 * time.Second, WakeBy: 900 * time.Second}
}

// Options are what is known of a unit beside its address.
type Options struct {
	// Watts is what the limit of this model may be; nil: what the protocol takes, 1 to 99998 W. A unit does not tell.
	Watts *miner.Range
}

// ErrOpts is returned by NewV2 and NewV3 for options that no unit can be reached with.
var ErrOpts = errors.New("whatsminer: options")

// unit is what both versions have in common.
type unit struct {
	o     miner.Opts
	watts miner.Range
}

func newUnit(o miner.Opts, x Options) (unit, error) {
	u := unit{o: o, watts: miner.Range{MinW: 1, MaxW: noLimit - 1}}
	if x.Watts != nil {
		u.watts = *x.Watts
	}
	switch {
	case o.Host == "" || o.Dial == nil:
		return unit{}, fmt.Errorf("%w: Host and Dial are required", ErrOpts)
	case !(u.watts.MinW >= 1 && u.watts.MaxW >= u.watts.MinW && u.watts.MaxW < noLimit):
		return unit{}, fmt.Errorf("%w: Watts must be a range within 1 to %d W", ErrOpts, noLimit-1)
	case o.MAC != "" && !miner.PlainMAC(o.MAC):
		return unit{}, fmt.Errorf("%w: MAC must be lower case with colons", ErrOpts)
	}
	if u.o.Now == nil {
		u.o.Now = time.Now
	}
	return u, nil
}

// password asks for it, or gives the factory's.
func (u *unit) password(factory, what string) (string, error) {
	if u.o.Password == nil {
		return factory, nil
	}
	p, err := u.o.Password()
	if err != nil {
		return "", u.o.Fault("write", what, drivers.Denied, fmt.Errorf("no password: %w", err))
	}
	return p, nil
}

// check refuses a limit that is neither one of the modes nor watts within the range, before anything is sent.
func (u *unit) check(l miner.Limit, modes []string) error {
	var err error
	switch {
	case (l.W > 0) == (l.Mode != ""):
		err = errors.New("either watts or a mode")
	case l.Mode != "" && !oneOf(modes, l.Mode):
		err = fmt.Errorf("no mode %q", rpc.Plain(l.Mode))
	case l.Mode == "" && !(l.W >= u.watts.MinW && l.W <= u.watts.MaxW):
		err = fmt.Errorf("the limit has to be within %.0f and %.0f W", u.watts.MinW, u.watts.MaxW)
	default:
		return nil
	}
	return u.o.Fault("write", "limit", drivers.Unsupported, err)
}

// sleeps is the refusal to limit what sleeps.
func (u *unit) sleeps(what string) error {
	return u.o.Fault("write", what, drivers.Unsupported, errors.New("the miner sleeps, and the restart that this takes may wake it: wake it first"))
}

// lacks tells that a unit answered and does not have what was asked for.
func lacks(err error) bool {
	switch drivers.FaultOf(err) {
	case drivers.Unsupported, drivers.Refused, drivers.Locked:
		return true
	}
	return false
}

// spared tells that a report may be missing: a unit does not have it, or it sleeps, and its mining process answers nothing.
func spared(err error, asleep bool) bool {
	f := drivers.FaultOf(err)
	return err == nil || lacks(err) || asleep && (f == drivers.Unreachable || f == drivers.Corrupt)
}

func yes(b *bool) bool { return b != nil && *b }

// oneOf finds a mode, in whichever case it is written.
func oneOf(modes []string, mode string) bool {
	for _, m := range modes {
		if strings.EqualFold(m, mode) {
			return true
		}
	}
	return false
}

// said is a text of the miner for people, with no secret in it: also none that is there once the text is plain.
func said(text string, secrets ...string) string {
	return hide(rpc.Plain(hide(text, secrets...)), secrets...)
}

// hide takes secrets out of a text of the miner. A text of under four characters is no secret, and would be found in words.
func hide(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}
