// Package antminer is a Bitmain Antminer with its stock firmware as seen over its web pages (HTTP 80, digest), its reader
// (TCP 4028) and its port 6060: what it tells is the truth of a miners.Machine, and what it accepts is done to that machine.
//
// Left out: passwd.cgi, upgrade.cgi, reset_conf.cgi and the logs; the text form of 4028, and the commands rate and warning
// that new_api adds there; the restart of the mining process by a write that leaves the machine awake; and the effect of
// api-listen and its kin on 4028. The half-hour rate is the average: the machine keeps no history.
package antminer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// The ports of the stock firmware.
const (
	PortWeb  = 80
	PortRPC  = 4028
	Port6060 = 6060 // warnings, and power on few models
)

// Realm is what the firmware usually names in its challenge; clients have to take it from there.
const Realm = "antMiner Configuration"

// ModeKey is the member of a set_miner_conf.cgi body that sets the mode. It is read back as bitmain-work-mode, the browser
// posts miner-mode, and builds were reported to obey one and to disregard the other (reported: pyasic #49, asic-rs #245).
type ModeKey string

// The keys.
const (
	KeyBoth      ModeKey = "" // each is obeyed; where they differ, miner-mode
	KeyMinerMode ModeKey = "miner-mode"
	KeyWorkMode  ModeKey = "bitmain-work-mode"
)

// ModeType is the JSON type that sets the mode: some builds obey one alone (reported: asic-rs #249).
type ModeType string

// The types.
const (
	TypeEither  ModeType = ""
	TypeInteger ModeType = "integer"
	TypeString  ModeType = "string"
)

// Opts is what the firmware is like.
type Opts struct {
	User     string // empty: root
	Password string // empty: root
	Realm    string // empty: Realm
	Opaque   string // empty: the challenge has none; else it must come back
	// NamesMD5 puts algorithm=MD5 into the challenge.
	NamesMD5 bool

	// Built is the date of the firmware; zero: 2022-12-06. Builds before 2023-07 lose what a set_miner_conf.cgi body leaves
	// out, pools too; newer ones merge.
	Built time.Time
	// Modes are the mode numbers and the profiles of the Spec that they mean; 1 is always sleep, 0 always there. A number
	// without a name changes no rate. One whose profile the Spec lacks is not taken. Nil: 0 normal, 3 low. What 2 means
	// depends on the model.
	Modes map[int]string
	Key   ModeKey
	Type  ModeType
	// AnswerAfter is how long set_miner_conf.cgi takes, and when its effect comes; zero: 21 s, negative: no time.
	AnswerAfter time.Duration
	// DeafFor is how long the web pages and 4028 hang up on everything after a configuration was written.
	DeafFor time.Duration
	// RebootBy is the one method that reboot.cgi takes, the other gets 405; empty: GET and POST.
	RebootBy string
	// OldAPI makes 4028 disregard new_api.
	OldAPI bool
	// Serves6060 opens that port.
	Serves6060 bool
	// Config is the configuration at first, a JSON object; nil: one of an S19, in the mode that the machine is in.
	Config []byte
	// Quirks are those at first.
	Quirks Quirks
}

func (o Opts) filled() Opts {
	o.User = cmp.Or(o.User, "root")
	o.Password = cmp.Or(o.Password, "root")
	o.Realm = cmp.Or(o.Realm, Realm)
	o.AnswerAfter = cmp.Or(o.AnswerAfter, 21*time.Second)
	if o.Built.IsZero() {
		o.Built = time.Date(2022, 12, 6, 16, 12, 30, 0, chinaTime())
	}
	if o.Modes = maps.Clone(o.Modes); o.Modes == nil {
		o.Modes = map[int]string{modeNormal: "normal", 3: "low"}
	}
	if _, there := o.Modes[modeNormal]; !there {
		o.Modes[modeNormal] = "normal"
	}
	delete(o.Modes, modeSleep)
	return o
}

// merges tells whether a partial body leaves the rest alone.
func (o Opts) merges() bool { return !o.Built.Before(time.Date(2023, 7, 1, 0, 0, 0, 0, chinaTime())) }

// chinaTime is the zone of CompileTime.
func chinaTime() *time.Location { return time.FixedZone("CST", 8*60*60) }

// Server is the firmware of one machine.
type Server struct {
	m *miners.Machine
	h *miners.Host
	o Opts

	mu     sync.Mutex
	q      Quirks
	conf   document
	odd    int       // the number in force that stands for no profile; 0: none
	boot   time.Time // when the controller came up, as last seen
	deaf   time.Time // until then
	blinks bool
	made   uint64               // nonces
	nonces map[string]time.Time // unused, and when they were made
	writes []Write
	counts Counts
}

// New serves a machine's ports.
func New(m *miners.Machine, h *miners.Host, o Opts) *Server {
	s := &Server{m: m, h: h, o: o.filled(), q: o.Quirks, nonces: map[string]time.Time{}}
	t := m.Look()
	s.boot = t.At.Add(-t.Up)
	s.conf = s.first()
	h.HandleHTTP(PortWeb, s.web())
	s.listen()
	if o.Serves6060 {
		h.HandleHTTP(Port6060, s.web6060())
	}
	return s
}

// first is the configuration that the machine comes with.
func (s *Server) first() document {
	raw := s.o.Config
	if raw == nil {
		raw = usualConfig()
	}
	d, err := parse(raw)
	if err != nil {
		panic(err) // of the simulator's own values
	}
	if s.o.Config == nil {
		d.set(keyWorkMode, quote(strconv.Itoa(s.running())))
	}
	return d
}

// listen opens 4028, or closes it where it is dead.
func (s *Server) listen() {
	if s.q.Dead4028 {
		s.h.Handle(PortRPC, nil)
		return
	}
	s.h.HandleRPC(PortRPC, s.answer)
}

// Change puts quirks in force or takes them away.
func (s *Server) Change(f func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.q)
	s.listen()
}

// Write is one body that came to set_miner_conf.cgi with the right credentials.
type Write struct {
	At      time.Time
	Body    []byte // as it came
	Code    string // M000, M001, the HTTP status of a refusal, or what would have been said; empty: not decided
	Changed bool   // the configuration is another one since
}

// Counts is what came to the web pages.
type Counts struct {
	Authorised   int
	Unauthorised int  // without credentials, or with wrong ones: a used nonce is wrong
	Wrong        int  // of those: with credentials
	Refused      int  // right, and refused by a quirk
	BodyTooEarly bool // an unauthorised request carried a body
	Reboots      int
}

// Writes are all bodies of set_miner_conf.cgi, the refused ones among them.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Counts tells what came so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Config is the configuration as get_miner_conf.cgi shows it: its members in the order in which they came.
func (s *Server) Config() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf.bytes()
}

// Asleep tells whether the machine sleeps after its next boot: the mode is in the configuration and outlasts reboots and
// mains. Who boots the machine has to hand this on to Machine.Reboot or Machine.Mains.
func (s *Server) Asleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf.mode() == modeSleep
}

// SetMode is a mode set on the spot, without a record. A number that the firmware does not know is shown, can be written from
// then on, and changes nothing else (reported: hass-miner #424, modes that read Unknown).
func (s *Server) SetMode(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conf.set(keyWorkMode, quote(strconv.Itoa(n)))
	if _, known := s.profile(n); !known && n != modeSleep {
		s.o.Modes[n], s.odd = "", n
		return
	}
	s.obey(n)
}
