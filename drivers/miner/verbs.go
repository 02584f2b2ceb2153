package miner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// Setting is what a miner was told to do, and what a sleep or a limit interrupts: it is read before the first of these, kept
// on disk, and given back to Wake or Release. It is good for the dialect that made it. Its JSON is at most MaxSetting long.
type Setting struct {
	Dialect string   `json:"dialect"`
	Mode    string   `json:"mode,omitempty"`     // in the miner's own spelling
	Profile string   `json:"profile,omitempty"`  // by name
	TargetW *float64 `json:"target_w,omitempty"` // that was asked for
	// More is what else the dialect needs to bring it back.
	More map[string]string `json:"more,omitempty"`
	// Pools is a hash of the pools: no write of ours may change them.
	Pools string `json:"pools,omitempty"`
}

// MaxSetting bounds a Setting as JSON, in bytes: it stands in a record of the journal. Arbitrary.
const MaxSetting = 2048

// Same tells whether two settings are the same in what the miner does. The pools do not count.
func (s Setting) Same(other Setting) bool {
	s.Pools, other.Pools = "", ""
	a, err := json.Marshal(s)
	if err != nil {
		return false
	}
	b, err := json.Marshal(other)
	return err == nil && string(a) == string(b)
}

// PoolsHash is Setting.Pools of a list of pools, each as its URL and its user.
func PoolsHash(pools [][2]string) string {
	h := sha256.New()
	for _, p := range pools {
		fmt.Fprintf(h, "%d:%s%d:%s", len(p[0]), p[0], len(p[1]), p[1])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Limit is what a miner is to keep to: one of the two.
type Limit struct {
	W    float64 // at most this, by the miner's own means
	Mode string  // one of Capabilities.Modes
}

// Answer is what a miner said to a write. That it was taken proves nothing yet.
type Answer struct {
	At   time.Time
	Text string // the miner's own words, bounded, for people
	// Notes say what was out of the ordinary: a session that was taken over, a second spelling that was needed.
	Notes []string
}

// Urgency is how a verb may be carried out.
type Urgency struct {
	// Emergency allows to push another controller aside. Answer.Notes says so where it was done.
	Emergency bool
}

// Miner is one miner, spoken to in one dialect. Calls are made one at a time. What the dialect cannot do is
// drivers.Unsupported and sends nothing.
type Miner interface {
	// Status reads. Faults: drivers.Unreachable, Timeout, Corrupt, Denied, Busy.
	Status(ctx context.Context) (Status, error)
	// Capabilities reads, where they differ from unit to unit.
	Capabilities(ctx context.Context) (Capabilities, error)
	// Setting reads what a sleep or a limit would interrupt.
	Setting(ctx context.Context) (Setting, error)
	// Sleep turns the boards off and leaves the controller alive.
	Sleep(ctx context.Context, u Urgency) (Answer, error)
	// Wake ends a sleep; the miner is to do what before says, which Setting gave before it slept.
	Wake(ctx context.Context, before Setting) (Answer, error)
	// Limit lowers or raises what the miner draws.
	Limit(ctx context.Context, l Limit, u Urgency) (Answer, error)
	// Release takes a limit away: what before says holds again.
	Release(ctx context.Context, before Setting) (Answer, error)
}

// Capabilities are what a unit can be told, and how long it takes: data, so that nobody has to ask the dialect.
type Capabilities struct {
	Dialect string `json:"dialect"`
	Sleep   bool   `json:"sleep"`
	// Modes that Limit takes, in the miner's spelling, the weakest first.
	Modes []string `json:"modes,omitempty"`
	// Watts that Limit takes; nil: none.
	Watts *Range `json:"watts,omitempty"`
	// Measures tells that Status.Power comes from the supply.
	Measures bool `json:"measures"`
	// Locked says why writes are refused, and what a person has to do; empty: they are not, as far as is known.
	Locked string `json:"locked,omitempty"`
	Times  Times  `json:"times"`
}

// Range is what a watt target may be.
type Range struct {
	MinW float64 `json:"min_w"`
	MaxW float64 `json:"max_w"`
	// Nearest: the miner takes the next of its own steps, which may lie above what was asked.
	Nearest bool `json:"nearest,omitempty"`
}

// Times are how long a dialect's verbs take. They bound the waiting, they do not make it.
type Times struct {
	Write   time.Duration `json:"write"`    // for a whole write, answer included
	Confirm time.Duration `json:"confirm"`  // until it reads back
	SleepBy time.Duration `json:"sleep_by"` // until the watts have fallen
	WakeBy  time.Duration `json:"wake_by"`  // until it hashes as before
}

// Limits of every read.
const (
	DialLimit = 2 * time.Second // to connect
	ReadLimit = 5 * time.Second // for a whole read
	MaxReply  = 1 << 20         // bytes: the statistics of three boards take over 20 KiB
)

// Opts are what every dialect needs. Host and Dial are required.
type Opts struct {
	Host string // address or name, without a port
	// Dial connects; a dialect knows its ports.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	User string
	// Password is asked at each log-in; nil: the dialect's factory default is tried.
	Password func() (string, error)
	// MAC is the unit's, lower case with colons: another one at the address is drivers.WrongDevice, and nothing is written.
	// Addresses move with DHCP. Empty: whoever answers.
	MAC string
	// Now is the clock that replies and tokens are stamped with; nil: time.Now.
	Now func() time.Time
}
