package backlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"slices"
	"time"
)

const (
	stateName  = "state"
	stateMagic = "RABKSTA1"
	slotSize   = 16 << 10
	slotHead   = 24
	// persistEvery bounds how much is sent twice after a crash, and how often the state is written.
	persistEvery = 10 * time.Second
)

// saved is what the log knows beside its segments. Its loss costs duplicates, and the report of one crash.
type saved struct {
	stateJSON
	gen   uint64 // of the slot it came from
	dirty bool
	at    time.Time // of the last saving
	there bool      // the file is
}

type stateJSON struct {
	Epoch  string          `json:"epoch"`           // of the life that wrote this
	Ended  bool            `json:"ended,omitempty"` // that life ended in order
	Stored int64           `json:"stored,omitempty"`
	Place  uint64          `json:"place"`            // the first segment with something that has not arrived
	Serial uint64          `json:"serial,omitempty"` // that segment's
	Offset int64           `json:"offset,omitempty"` // how far it has arrived
	Done   map[string]seqs `json:"done,omitempty"`   // arrived, but stored behind the place
}

// persist saves the state when it has changed, now and then; it answers when it wants to be asked again.
func (l *Log) persist(now time.Time) time.Duration {
	if !l.state.dirty {
		return idle
	}
	if wait := l.state.at.Add(persistEvery).Sub(now); wait > 0 {
		return wait
	}
	l.try(now, func() error { return l.save(now, false) })
	return idle
}

// save writes the slot that is not the newest. A crash leaves one of the two.
func (l *Log) save(now time.Time, ended bool) error {
	j := stateJSON{Epoch: l.o.Epoch, Ended: ended, Stored: l.stored, Place: l.next, Done: l.done}
	if len(l.segs) > 0 {
		j.Place, j.Serial, j.Offset = l.segs[0].from, l.segs[0].serial, l.reader.at
	}
	body, err := json.Marshal(j)
	if err == nil && len(body) > slotSize-slotHead {
		j.Done = nil
		body, err = json.Marshal(j)
	}
	if err != nil {
		return err
	}
	if !l.state.there {
		if err := l.o.Disk.Create(stateName, 2*slotSize); err != nil {
			return err
		}
		l.state.there = true
	}
	f, err := l.o.Disk.Open(stateName)
	if err != nil {
		return err
	}
	gen := l.state.gen + 1
	err = errors.Join(l.flush(f, slot(gen, body), int64(gen%2)*slotSize), f.Close())
	if err == nil {
		l.state = saved{stateJSON: j, gen: gen, at: now, there: true}
	}
	return err
}

func slot(gen uint64, body []byte) []byte {
	b := []byte(stateMagic)
	b = binary.BigEndian.AppendUint64(b, gen)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, body))
	return append(b, body...)
}

// readState reads the newer of the two slots; false if there is none.
func readState(b []byte) (s saved, ok bool) {
	for i := range 2 {
		if len(b) < (i+1)*slotSize {
			break
		}
		at := b[i*slotSize:][:slotSize]
		n := binary.BigEndian.Uint32(at[16:])
		if string(at[:8]) != stateMagic || n > slotSize-slotHead {
			continue
		}
		body := at[slotHead:][:n]
		if binary.BigEndian.Uint32(at[20:]) != crc32.Update(crc32.Checksum(at[:20], castagnoli), castagnoli, body) {
			continue
		}
		gen := binary.BigEndian.Uint64(at[8:])
		var j stateJSON
		if ok && gen < s.gen || json.Unmarshal(body, &j) != nil {
			continue
		}
		s, ok = saved{stateJSON: j, gen: gen}, true
	}
	return s, ok
}

func (l *Log) loadState(names []string) error {
	l.state = saved{there: slices.Contains(names, stateName)}
	if !l.state.there {
		return nil
	}
	f, err := l.o.Disk.Open(stateName)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := f.Size(); err != nil || n != 2*slotSize {
		l.state.there = false // a crash while it was made
		return err
	}
	b := make([]byte, 2*slotSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	if s, ok := readState(b); ok {
		l.state = s
	}
	l.state.there = true
	return nil
}
