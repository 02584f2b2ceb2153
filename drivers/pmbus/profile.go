package pmbus

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Checking is whether transfers carry a packet error code.
type Checking uint8

// The choices.
const (
	CheckIfAble Checking = iota // if CAPABILITY says so and a first code is right
	CheckNever                  // for parts that claim it and get it wrong
	CheckAlways                 // the same as CheckIfAble, but a part that cannot is the wrong part
)

// Profile is what may be said to one kind of part. It is copied by New.
type Profile struct {
	// Reads and Writes are the commands that the part may be sent; any other is refused before a byte goes out. One of
	// CAPABILITY and PMBUS_REVISION must be readable, since emptying a part's queue takes a register of one byte.
	// Forbidden commands cannot be among the writes; PAGE goes by Pages alone.
	Reads, Writes []Command
	Names         map[Command]string // how errors spell the maker's own commands
	Pages         []byte             // what OnPage may select; empty: the part has none
	Checking      Checking
	PageDelay     time.Duration // after PAGE was written
	AccessDelay   time.Duration // from the end of one transfer to the next
	// Proof is read when the queue was emptied; the part answers in step again if it gives exactly these bytes, for a
	// block its count first. Empty: nothing is read. Port.Remember replaces it.
	Proof Proof
}

// Proof is a register whose bytes are known beforehand.
type Proof struct {
	Command Command
	Answer  []byte
}

// rules are a Profile that was checked.
type rules struct {
	reads, writes [256]bool
	pages         [256]bool
	p             Profile
}

func (p Profile) rules() (*rules, error) {
	r := &rules{p: p}
	r.p.Names, r.p.Proof.Answer = maps.Clone(p.Names), bytes.Clone(p.Proof.Answer)
	for _, c := range p.Reads {
		r.reads[c] = true
	}
	for _, c := range p.Writes {
		if c.Forbidden() {
			return nil, fmt.Errorf("%v is never sent to any part", c)
		}
		if c == PAGE {
			return nil, errors.New("PAGE is written by OnPage alone")
		}
		r.writes[c] = true
	}
	for _, n := range p.Pages {
		if n == everyPage {
			return nil, fmt.Errorf("page %02x means all of them and cannot be read", everyPage)
		}
		r.pages[n] = true
	}
	if !r.reads[CAPABILITY] && !r.reads[PMBUS_REVISION] {
		return nil, errors.New("neither CAPABILITY nor PMBUS_REVISION may be read")
	}
	return r, nil
}

// everyPage is the page that means all.
const everyPage = 0xff
