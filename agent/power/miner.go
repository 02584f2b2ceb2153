package power

import (
	"context"
	"time"

	"rackagent/agent/rack"
)

// Miner is what a lane asks of the interface of one miner. Its calls are made one at a time, and bound by their context.
type Miner interface {
	// Ask reads what the miner says of itself, and what it is told to do if that is wanted.
	Ask(ctx context.Context, q Question) (Word, error)
	// Tell says a verb, once. Fault drivers.Unsure: it may have been taken.
	Tell(ctx context.Context, a Tell) (Answer, error)
}

// Word is what a miner says of itself at one moment. It proves nothing. Pointers are nil where it does not say.
type Word struct {
	At      time.Time
	Asleep  *bool // told to sleep
	Hashing *bool
	Booted  time.Time // when its controller began; zero: it does not say
	// Setting is what it is told to do, to be kept and given back; empty: not asked. Same tells that it is what the question
	// names; nil: it names nothing, or the miner does not tell.
	Setting string
	Same    *bool
}

// Answer is what a miner said to a verb.
type Answer struct {
	Taken time.Time
	Notes []string // what was out of the ordinary
}

func isTrue(b *bool) bool  { return b != nil && *b }
func isFalse(b *bool) bool { return b != nil && !*b }

// askLimit bounds one question: a status and a setting of some reports each, every one of which may take 5 s where the
// miner is slow. Arbitrary beyond that.
const askLimit = 15 * time.Second

// Limit is what a miner is to keep to: one of the two.
type Limit struct {
	W    float64
	Mode string // in the miner's own spelling
}

// Question is what is wanted of a miner beyond its state.
type Question struct {
	Whole  bool   // what it is told to do
	Before string // and whether that is this
	Limit  *Limit // or whether it keeps to this
}

// Inquire asks a lane what a miner says. The answer is a Said with the same token.
type Inquire struct {
	Token    uint64
	Node     string
	Question Question
}

// Tell asks a lane to tell a miner something. The answer is a Said with the same token.
type Tell struct {
	Token  uint64
	Node   string
	Do     rack.Verb
	Before string        // what it is to do again, for a wake or a release
	Limit  *Limit        // for a limit
	Within time.Duration // the dialect's limit of a whole write
	By     *rack.Command // that asks for it. Not to be changed
}

// Said is a lane's answer to an Inquire or a Tell.
type Said struct {
	Token  uint64
	Word   Word   // of an Inquire
	Answer Answer // of a Tell; Taken is zero: the miner did not take it, or did not say
	Err    error
}

func (Said) input()     {}
func (Inquire) action() {}
func (Tell) action()    {}
