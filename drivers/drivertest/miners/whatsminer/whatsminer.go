// Package whatsminer is a MicroBT Whatsminer as seen over its API v2 (TCP 4028) and v3 (TCP 4433): what it tells is the
// truth of a miners.Machine, and what it accepts is done to that machine.
//
// Left out: v2's API 1.x text form, the pools and password writes, pre-heating, and the writes for fans and fast boot.
// All clients count as one address, because the host's wires have none.
package whatsminer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// The ports of the two APIs.
const (
	PortV2 = 4028 // WhatsminerAPI 2.0.5
	PortV3 = 4433 // whatsminer-api-3 sample client
)

// Padding is how an encrypted v2 command is filled up to whole AES blocks.
type Padding string

// The paddings.
const (
	PadEither Padding = ""      // takes both, answers with zeros
	PadZero   Padding = "zero"  // zero bytes alone, as most clients send
	PadPKCS7  Padding = "pkcs7" // PKCS#7 alone, as the vendor's fleet worker sends
)

// Opts is what the firmware is like.
type Opts struct {
	V2 bool // serves 4028
	V3 bool // serves 4433

	Firmware string // begins with its date; empty: 20230803.11.REL
	API2     string // get_version, api_ver; empty: 2.0.5
	API3     string // get.device.info, msg.system.api; empty: 3.0.2

	Password        string // of v2's admin, at most 8 bytes; empty: admin
	Account         string // of v3; empty: super
	AccountPassword string // of v3; empty: super

	// Unlocked lets the write commands through. From the factory they are locked until the owner enables them.
	Unlocked bool
	// Wrapped puts the v2 reads into Msg of an envelope whose STATUS is a text, as newer builds do.
	Wrapped bool
	// OldStatus gives the older members of v2's status: btmineroff, and Firmware Version with quotes inside.
	OldStatus bool
	// Padding is what v2 accepts.
	Padding Padding
	// PercentInText wants the object of set.miner.power_percent as JSON text inside a string, and nothing else.
	PercentInText bool
	// ModeCommand is v3's name of the write that sets the mode: clients disagree. Empty: set.miner.power_mode.
	ModeCommand string
	// FastBoot lets the mode change without a restart of btminer.
	FastBoot bool
	// SleepSurvives keeps a stopped machine stopped through a reboot that was asked for here. No document says which.
	SleepSurvives bool
}

func (o Opts) filled() Opts {
	o.Firmware = cmp.Or(o.Firmware, "20230803.11.REL")
	o.API2 = cmp.Or(o.API2, "2.0.5")
	o.API3 = cmp.Or(o.API3, "3.0.2")
	o.Password = cmp.Or(o.Password, "admin")
	o.Account = cmp.Or(o.Account, "super")
	o.AccountPassword = cmp.Or(o.AccountPassword, "super")
	o.ModeCommand = cmp.Or(o.ModeCommand, "set.miner.power_mode")
	return o
}

// Server is the firmware of one machine. Its Spec wants profiles named low, normal and high, and a StandbyW of about 13 W:
// a stopped Whatsminer is reported to draw that.
type Server struct {
	m *miners.Machine
	h *miners.Host
	o Opts

	mu     sync.Mutex
	q      Quirks
	boot   time.Time // when the controller came up, as last seen
	words  int       // salts made
	salt2  string
	salt3  string
	live   map[string]time.Time // tokens and when they end
	tokens []Token
	writes []Write

	want  setting // what was asked for
	shown setting // what is in force: behind want while the machine obeys late
	led   string

	turn    int       // of the last stop, start or restart: an older one that waits is void
	stopped time.Time // the last stop
	ready   time.Time // until then btminer restarts
	shut    time.Time // until then 4028 refuses
}

// New serves a machine's ports.
func New(m *miners.Machine, h *miners.Host, o Opts) *Server {
	s := &Server{m: m, h: h, o: o.filled(), q: usual(), live: map[string]time.Time{}, led: "auto"}
	s.q.RejectsV2 = s.o.Firmware >= lateFirmware
	t := m.Look()
	s.boot = t.At.Add(-t.Up)
	s.salt2, s.salt3 = s.word(), s.word()
	s.want = setting{mode: t.Target.Name, limit: noLimit, percent: 100}
	s.shown = s.want
	if s.o.V2 {
		h.HandleRPC(PortV2, s.answer2)
	}
	if s.o.V3 {
		h.Handle(PortV3, s.serve3)
	}
	return s
}

// Write is one write that came in.
type Write struct {
	At       time.Time
	Port     int
	Command  string // its name; empty: it could not be read
	Clear    string // the JSON, decrypted
	Accepted bool
	Code     int    // what the answer said, or would have said
	Why      string // not accepted
}

// Token is one v2 token that was handed out.
type Token struct {
	At   time.Time
	Sign string // what a client must send
}

// Writes are all writes, the refused ones among them.
func (s *Server) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Tokens are all tokens that v2 handed out, the ended ones among them.
func (s *Server) Tokens() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tokens)
}

// Change puts quirks in force or takes them away.
func (s *Server) Change(f func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.q)
}

func (s *Server) note(w Write) {
	w.At = s.m.Now()
	s.writes = append(s.writes, w)
}

func (s *Server) locked() bool { return !s.o.Unlocked || s.m.Has(miners.Locked) }
