package miner

import "time"

// State is what a miner does, by its own word.
type State string

// The states. Unknown is the word for a reply that does not tell.
const (
	Unknown  State = "unknown"
	Asleep   State = "asleep"   // told to sleep: the boards are off, the controller answers
	Starting State = "starting" // awake and not hashing yet: it boots, ramps up or tunes
	Mining   State = "mining"   // awake and hashing, by the short window
	Idle     State = "idle"     // awake, not hashing, and no pool to hash for
	Faulty   State = "fault"    // awake, not hashing, and it says why
)

// Status is what a miner says of itself at one moment. Pointers are nil, texts empty and lists nil where it does not say.
type Status struct {
	At       time.Time `json:"at"` // of the last reply
	Model    string    `json:"model,omitempty"`
	Firmware string    `json:"firmware,omitempty"`
	API      string    `json:"api,omitempty"` // version of the interface, where it has one
	Serial   string    `json:"serial,omitempty"`
	MAC      string    `json:"mac,omitempty"` // lower case, with colons

	State State `json:"state"`
	// Mode is the operating mode in the miner's own spelling, a number among them.
	Mode string `json:"mode,omitempty"`

	Uptime  *time.Duration `json:"uptime,omitempty"`  // of the mining process
	Running *time.Duration `json:"running,omitempty"` // of the controller

	Hashrate *Hashrate `json:"hashrate,omitempty"` // of the shortest window there is, at most a minute
	Average  *Hashrate `json:"average,omitempty"`  // since the mining process began; stays high through a sleep
	Nominal  *float64  `json:"nominal,omitempty"`  // TH/s that the miner means to reach in its present mode

	Power  *Power   `json:"power,omitempty"`
	LimitW *float64 `json:"limit_w,omitempty"` // set, in W; no measurement

	Boards []Board   `json:"boards,omitempty"`
	Fans   []float64 `json:"fans,omitempty"` // rpm; 0 is a fan that stands
	// AmbientC is the air before the boards, °C.
	AmbientC *float64  `json:"ambient_c,omitempty"`
	Pools    []Pool    `json:"pools,omitempty"`
	Errors   []Trouble `json:"errors,omitempty"`
}

// Hashrate is TH/s over a window of time; a window of 0 is all the time since the mining process began.
type Hashrate struct {
	THs    float64       `json:"ths"`
	Window time.Duration `json:"window,omitempty"`
}

// Source is how a miner knows its power.
type Source string

// The sources. A fleet vendor reports 5 to 20 % between what miners say and what meters do (Foreman's documentation).
const (
	Measured  Source = "measured"  // by its power supply
	Estimated Source = "estimated" // by its firmware's model
)

// Power is what a miner says that it draws.
type Power struct {
	W      float64 `json:"w"`
	Source Source  `json:"source"`
}

// JTH is the efficiency in J/TH, of power and hashrate of now; nil where either is missing or it does not hash.
func (s *Status) JTH() *float64 {
	if s.Power == nil || s.Hashrate == nil || s.Hashrate.THs <= 0 || s.State != Mining {
		return nil
	}
	v := s.Power.W / s.Hashrate.THs
	return &v
}

// Board is one hash board.
type Board struct {
	ID       string   `json:"id"`
	Enabled  *bool    `json:"enabled,omitempty"`
	THs      *float64 `json:"ths,omitempty"`
	Chips    *int     `json:"chips,omitempty"` // that answer
	ChipMaxC *float64 `json:"chip_max_c,omitempty"`
	BoardC   *float64 `json:"board_c,omitempty"` // the hottest place on it that is no chip
	Serial   string   `json:"serial,omitempty"`
}

// Pool is one pool. Who is paid there is nobody's business here: users and passwords are not read.
type Pool struct {
	URL   string `json:"url"`
	Alive *bool  `json:"alive,omitempty"`
}

// Trouble is one fault that the miner reports.
type Trouble struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
}

// hashing is the part of the nominal hashrate above which a miner counts as hashing: 5 %, of the short window.
const hashing = 0.05

// someTHs counts as hashing where no nominal hashrate is known. Arbitrary: 1 TH/s, a hundredth of a small machine of 2020.
const someTHs = 1

// Judge gives the state of a miner that is told to sleep or not, from what the status holds beside it. asleep is nil where
// the firmware does not say. A word alone makes no miner mining: it has to hash, in the short window.
func Judge(s *Status, asleep *bool) State {
	switch {
	case asleep != nil && *asleep:
		return Asleep
	case s.Hashrate == nil:
		return Unknown
	case s.hashes():
		return Mining
	case asleep == nil: // it may sleep, or not hash for any other reason
		return Unknown
	case len(s.Errors) > 0:
		return Faulty
	case s.noPool():
		return Idle
	default:
		return Starting
	}
}

// hashes tells whether the short window shows work.
func (s *Status) hashes() bool {
	if s.Hashrate == nil || s.Hashrate.Window == 0 {
		return false
	}
	if s.Nominal != nil && *s.Nominal > 0 {
		return s.Hashrate.THs > hashing**s.Nominal
	}
	return s.Hashrate.THs > someTHs
}

// noPool tells whether the miner lists pools and none of them is alive.
func (s *Status) noPool() bool {
	if len(s.Pools) == 0 {
		return false
	}
	for _, p := range s.Pools {
		if p.Alive == nil || *p.Alive {
			return false
		}
	}
	return true
}
