package config

import "time"

// SchemaVersion is the only value of the key schema that this code reads.
const SchemaVersion = 1

// Config is one configuration file with its defaults filled in. It is read by everybody and written by
// nobody once Parse has returned it.
type Config struct {
	Schema    int       `yaml:"schema"`
	Site      string    `yaml:"site"`
	Agent     string    `yaml:"agent"`
	StateDir  string    `yaml:"state_dir"`
	MQTT      MQTT      `yaml:"mqtt"`
	Commands  Commands  `yaml:"commands"`
	Local     Local     `yaml:"local"`
	HTTP      HTTP      `yaml:"http"`
	Telemetry Telemetry `yaml:"telemetry"`
	Backlog   Backlog   `yaml:"backlog"`
	Poll      Poll      `yaml:"poll"`
	Power     Power     `yaml:"power"`
	Buses     []Bus     `yaml:"buses,omitempty"`
	// ModelFiles are files with PDU models beside those that come with the program.
	ModelFiles []string    `yaml:"model_files,omitempty"`
	Feeds      []Feed      `yaml:"feeds,omitempty"`
	Muxes      []Mux       `yaml:"muxes,omitempty"`
	PDUs       []PDU       `yaml:"pdus,omitempty"`
	Sensors    []Sensor    `yaml:"sensors,omitempty"`
	Nodes      []Node      `yaml:"nodes,omitempty"`
	Groups     []Group     `yaml:"groups,omitempty"`
	Miners     []Miner     `yaml:"miners,omitempty"`
	Interlocks []Interlock `yaml:"interlocks,omitempty"`

	// src says where each value stands in the file; nil for a Config that was not read from one.
	src *source
}

// MQTT is the session with the broker. Passwords and keys are named by file and never stand here.
type MQTT struct {
	Broker   string   `yaml:"broker,omitempty"`  // mqtts://HOST:PORT or mqtt://HOST:PORT; exactly one of Broker and Brokers
	Brokers  []string `yaml:"brokers,omitempty"` // the same, in the order in which they are tried
	ClientID string   `yaml:"client_id"`         // default: the agent's name
	User     string   `yaml:"user,omitempty"`
	// Paths, or credential:NAME for what systemd passed on; see Locate.
	PasswordFile string  `yaml:"password_file,omitempty"`
	CAFile       string  `yaml:"ca_file,omitempty"`
	CertFile     string  `yaml:"cert_file,omitempty"`
	KeyFile      string  `yaml:"key_file,omitempty"`
	ServerName   string  `yaml:"server_name,omitempty"` // in the broker's certificate; default: the broker's host
	SpreadS      float64 `yaml:"spread_s"`              // longest extra wait before a second and later connection attempt
	// SelfTest: false makes none, true misses an echo from the start, no key misses it once one has come.
	SelfTest *bool `yaml:"selftest,omitempty"`
}

// URLs are the brokers' addresses, in the order in which they are tried.
func (m MQTT) URLs() []string {
	if m.Broker != "" {
		return []string{m.Broker}
	}
	return m.Brokers
}

// Spread is SpreadS as a duration.
func (m MQTT) Spread() time.Duration { return seconds(m.SpreadS) }

// Local is the unix socket for commands and status without a broker.
type Local struct {
	Socket string `yaml:"socket"`
	Group  string `yaml:"group"`
}

// HTTP is the listener for metrics and health. It has no authentication, hence loopback only.
type HTTP struct {
	Listen string `yaml:"listen"` // empty: off
}

// Telemetry says how often readings are published.
type Telemetry struct {
	PeriodS float64 `yaml:"period_s"`
	ChangeS float64 `yaml:"change_s"` // 0: by period only
}

// Period is PeriodS as a duration.
func (t Telemetry) Period() time.Duration { return seconds(t.PeriodS) }

// Change is ChangeS as a duration: how often is looked for values that have moved.
func (t Telemetry) Change() time.Duration { return seconds(t.ChangeS) }

// Backlog bounds what is kept on disk while the broker is away.
type Backlog struct {
	BudgetMiB int `yaml:"budget_mib"` // 0: nothing is kept on disk
}

// Poll says how often devices are read.
type Poll struct {
	OutletPeriodS   float64 `yaml:"outlet_period_s"`
	IdentityPeriodS float64 `yaml:"identity_period_s"`
}

// OutletPeriod is the time between two samples of one outlet.
func (p Poll) OutletPeriod() time.Duration { return seconds(p.OutletPeriodS) }

// IdentityPeriod is the time between two readings of a board's identity.
func (p Poll) IdentityPeriod() time.Duration { return seconds(p.IdentityPeriodS) }

// Power holds the figures of switching that are not a node's own.
type Power struct {
	StaggerMS int `yaml:"stagger_ms"` // between two energisings of one feed
	// FeedControl is what is done where a level of the feed is measured near its limit; empty: FeedAlarm.
	FeedControl FeedControl `yaml:"feed_control,omitempty"`
}

// FeedControl is what is done where a level of the feed is measured near its continuous limit.
type FeedControl string

// The choices of power.feed_control.
const (
	FeedAlarm FeedControl = "alarm" // it is told
	FeedShed  FeedControl = "shed"  // miners are shed, and brought back
)

// Stagger is StaggerMS as a duration.
func (p Power) Stagger() time.Duration { return time.Duration(p.StaggerMS) * time.Millisecond }

// Bus is an I2C bus: exactly one of Device and Adapter is set. A bus number alone is refused, because numbers
// may move between boots.
type Bus struct {
	Name    string `yaml:"name"`
	Device  string `yaml:"device,omitempty"`  // path below /dev
	Adapter string `yaml:"adapter,omitempty"` // name as in /sys/class/i2c-adapter/i2c-N/name
	// What may be tried when a part holds the bus: nine clocks on two GPIO lines, the adapter's driver taken away and back.
	SCLLine      string `yaml:"scl_line,omitempty"`
	SDALine      string `yaml:"sda_line,omitempty"`
	AdapterReset bool   `yaml:"adapter_reset,omitempty"`
}

// Feed is one level of the supply tree. Amperes are per line.
type Feed struct {
	Name   string   `yaml:"name"`
	Parent string   `yaml:"parent,omitempty"` // empty at the top
	Lines  []string `yaml:"lines"`            // one line: line to neutral; two: line to line; three: three-phase; DC: direct current
	// VoltsV is the nominal voltage of a load on these lines: line to neutral for one line, between two lines
	// for two and for three.
	VoltsV     float64 `yaml:"volts_v"`
	RatingA    float64 `yaml:"rating_a"`
	Continuous float64 `yaml:"continuous"`        // usable share of the rating
	ShareA     float64 `yaml:"share_a,omitempty"` // what this agent may use of a level it shares; 0: not shared
}

// Identity says how the board of a PDU is identified when no serial is given.
type Identity string

// IdentityNone states that the board has no identity that could be read.
const IdentityNone Identity = "none"

// PDU is one power distribution unit: exactly one of Serial and Identity is set.
type PDU struct {
	Name     string            `yaml:"name"`
	Model    string            `yaml:"model"`
	Bus      string            `yaml:"bus,omitempty"` // exactly one of Bus and Via
	Via      string            `yaml:"via,omitempty"` // MUX.N
	Serial   string            `yaml:"serial,omitempty"`
	Identity Identity          `yaml:"identity,omitempty"`
	Banks    map[string]string `yaml:"banks"` // bank of the model -> feed
}

// Class is the load class of a node.
type Class string

// The classes: an ASIC is interruptible, a GPU server is firm.
const (
	ClassASIC Class = "asic"
	ClassGPU  Class = "gpu"
)

// Firm tells whether a node of this class may lose power only with proof. Unknown classes are firm.
func (c Class) Firm() bool { return c != ClassASIC }

// Wiring says how sure the file is that the outlets feed the node. "proven" is measured, never written here.
type Wiring string

// The choices of wiring.
const (
	WiringDeclared Wiring = "declared"
	WiringUnproven Wiring = "unproven"
)

// PowerReturn is what a node gets when mains power comes back.
type PowerReturn string

// The choices of on_power_return.
const (
	ReturnHold    PowerReturn = "hold"
	ReturnRestore PowerReturn = "restore"
)

// Node is something fed by one or more outlets.
type Node struct {
	Name          string      `yaml:"name"`
	Class         Class       `yaml:"class"`
	Outlets       []string    `yaml:"outlets"` // PDU.N, counted from 1
	Wiring        Wiring      `yaml:"wiring"`
	MaxW          float64     `yaml:"max_w"`             // reservation while nothing better is known
	SurgeW        float64     `yaml:"surge_w,omitempty"` // on top of it while starting
	SurgeS        float64     `yaml:"surge_s,omitempty"` // how long the surge lasts
	MinOffS       float64     `yaml:"min_off_s"`         // off at least this long before it may be energised
	OnPowerReturn PowerReturn `yaml:"on_power_return"`
}

// Group is a set of nodes that commands may name as one target.
type Group struct {
	Name  string   `yaml:"name"`
	Nodes []string `yaml:"nodes"` // by name, in the order in which they are energised
	// MinerUser and MinerPasswordFile are the login of its miners that have none of their own.
	MinerUser         string `yaml:"miner_user,omitempty"`
	MinerPasswordFile string `yaml:"miner_password_file,omitempty"`
}

// logsIn tells whether a group has a login for its miners.
func (g Group) logsIn() bool { return g.MinerUser != "" || g.MinerPasswordFile != "" }

// SurgeFor is SurgeS as a duration.
func (n Node) SurgeFor() time.Duration { return seconds(n.SurgeS) }

// MinOff is MinOffS as a duration.
func (n Node) MinOff() time.Duration { return seconds(n.MinOffS) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
