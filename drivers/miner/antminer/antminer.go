// Package antminer speaks to Bitmain Antminers with the firmware that they come with: its web pages on HTTP 80 under /cgi-bin/,
// behind a digest, and its reader on TCP 4028, which takes no writes on these units. Bitmain documents neither; what is here
// was recorded of units, and found by other clients (pyasic, asic-rs, the MiningOS worker for Antminer).
//
// A unit knows modes by number and no watts. A mode is a member of a configuration that is written whole, pools and all: it
// is edited in place, byte for byte, and nothing is written where it cannot be. What is taken (M000) proves little: units were
// reported that write the mode and go on hashing until they boot. A unit sleeps here if what it runs says so, or if its
// configuration does and it shows no work.
//
// A change of mode restarts the mining process, and a mode other than sleep wakes: Limit and Release send nothing to a unit
// that sleeps.
package antminer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Dialect is the name of this one.
const Dialect = "antminer"

// Ports of the firmware beside rpc.Port.
const (
	PortWeb  = 80
	Port6060 = 6060 // warnings and watts, of some models
)

// Modes of every model. What 2 means depends on the model: high to one client, efficient to another (pyasic, asic-rs).
const (
	ModeNormal = "0"
	ModeSleep  = "1"
	ModeLow    = "3"
)

// factory is the user and the password that a unit comes with.
const factory = "root"

// Options are what is known of a unit beside its address.
type Options struct {
	// Modes are the numbers that Limit takes, the weakest first; nil: ModeLow, ModeNormal. A unit does not tell which it has,
	// and models with other three exist: an S19K Pro has 2 and no 3.
	Modes []string
	// Port6060: the unit serves that port, which has its warnings, and on an S19 XP Hyd, an S21 or an S21 Pro its watts
	// (pyasic). Else it is not asked: a silent port would cost two seconds each time.
	Port6060 bool
}

// ErrOpts is returned by New for options that no unit can be reached with.
var ErrOpts = errors.New("antminer: options")

// Miner is one unit.
type Miner struct {
	o     miner.Opts
	modes []string
	web   *rpc.Client
	old   *rpc.Client // 4028
	extra *rpc.Client // 6060; nil: it is not asked
}

var _ miner.Miner = (*Miner)(nil)

// New makes a client. It connects to nothing. The user is root, and so is its password from the factory.
func New(o miner.Opts, x Options) (*Miner, error) {
	switch {
	case o.Host == "" || o.Dial == nil:
		return nil, fmt.Errorf("%w: Host and Dial are required", ErrOpts)
	case !inHeader(o.Host) || strings.ContainsAny(o.Host, " /") || !inHeader(o.User) || strings.Contains(o.User, ":"):
		return nil, fmt.Errorf("%w: Host or User cannot stand in a request", ErrOpts)
	case o.MAC != "" && !miner.PlainMAC(o.MAC):
		return nil, fmt.Errorf("%w: MAC must be lower case with colons", ErrOpts)
	}
	if o.User == "" {
		o.User = factory
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Miner{o: o, modes: slices.Clone(x.Modes), web: rpc.New(o, PortWeb), old: rpc.New(o, rpc.Port)}
	if m.modes == nil {
		m.modes = []string{ModeLow, ModeNormal}
	}
	for i, mode := range m.modes {
		if number, ok := modeOf(mode); !ok || number != mode || mode == ModeSleep || slices.Contains(m.modes[:i], mode) {
			return nil, fmt.Errorf("%w: Modes must be different numbers, and none of them sleep", ErrOpts)
		}
	}
	if x.Port6060 {
		m.extra = rpc.New(o, Port6060)
	}
	return m, nil
}

// maxMode bounds the number of a mode. Arbitrary: those that were seen have one digit.
const maxMode = 9999

// modeOf reads the number of a mode, known or not.
func modeOf(text string) (string, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxMode {
		return "", false
	}
	return strconv.Itoa(n), true
}

// Limits of a write.
const (
	// postLimit is for one configuration that is written: it was seen to take 21 s (pyasic), and a half more.
	postLimit = 35 * time.Second
	// writeLimit is for a whole verb: two spellings of the mode, and six reads beside them.
	writeLimit = 2*postLimit + 6*miner.ReadLimit
)

// Times of the stock firmware. A hashrate was reported to fall for over a minute after the mode was taken. Ours beyond that.
func Times() miner.Times {
	return miner.Times{Write: writeLimit, Confirm: 60 * time.Second, SleepBy: 180 * time.Second, WakeBy: 600 * time.Second}
}

// Setting reads the mode of the configuration, and its pools.
func (m *Miner) Setting(ctx context.Context) (miner.Setting, error) {
	v, err := m.visit("read")
	if err != nil {
		return miner.Setting{}, err
	}
	d, err := v.document(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	return miner.Setting{Dialect: Dialect, Mode: d.mode, Pools: d.pools}, nil
}

// Capabilities reads the configuration: one without a mode is of an older model, which cannot sleep (reported: pyasic #88).
func (m *Miner) Capabilities(ctx context.Context) (miner.Capabilities, error) {
	out := miner.Capabilities{Dialect: Dialect, Times: Times()}
	v, err := m.visit("read")
	if err != nil {
		return miner.Capabilities{}, err
	}
	_, err = v.document(ctx)
	switch {
	case err == nil:
		out.Sleep, out.Modes = true, slices.Clone(m.modes)
	case errors.Is(err, errNoMode), errors.Is(err, drivers.Unsupported):
	case errors.Is(err, ErrConfig):
		out.Locked = "its configuration cannot be changed without risk to its pools: " + err.Error()
	default:
		return miner.Capabilities{}, err
	}
	return out, nil
}
