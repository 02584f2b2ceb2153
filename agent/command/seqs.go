package command

import (
	"slices"

	"rackagent/agent/rack"
)

// maxAgain bounds, for each count, the numbers that were turned away and may come again. Arbitrary: some bursts.
const maxAgain = 64

// seqs keeps how far each issuer has counted. A number is taken once and only above those taken before, so that
// neither a replay nor a late arrival has an effect; but a command that was turned away without an outcome may come
// again as it is, although later ones were taken meanwhile.
type seqs struct {
	boot  string // of this life
	high  map[rack.SeqOf]int64
	again map[rack.SeqOf][]int64
	// held are the commands, by hash, that took their number and have no record yet. It comes again if they get none.
	held map[rack.Hash]bool
}

// newSeqs goes on from what the journal holds. What came under a key that is not taken any more counts for nothing: no
// command under it can come again, and a thief must not leave its owner a number that none is above.
func newSeqs(boot string, found map[rack.SeqOf]int64, taken func(key string) bool) *seqs {
	high := map[rack.SeqOf]int64{}
	for of, seq := range found {
		if of.Key != "" && !taken(of.Key) {
			continue
		}
		of.Key = "" // the issuer counts, not the key
		if before, any := high[of]; !any || seq > before {
			high[of] = seq
		}
	}
	return &seqs{boot: boot, high: high, again: map[rack.SeqOf][]int64{}, held: map[rack.Hash]bool{}}
}

func countOf(cmd *rack.Command) rack.SeqOf {
	return rack.SeqOf{Issuer: cmd.Issuer, AudBoot: cmd.AudBoot}
}

// fresh tells whether a command's number has not been passed by.
func (s *seqs) fresh(cmd *rack.Command) bool {
	c := countOf(cmd)
	high, any := s.high[c]
	return !any || cmd.Seq > high || slices.Contains(s.again[c], cmd.Seq)
}

// take counts a command.
func (s *seqs) take(cmd *rack.Command) {
	c := countOf(cmd)
	s.again[c] = slices.DeleteFunc(s.again[c], func(n int64) bool { return n == cmd.Seq })
	if len(s.again[c]) == 0 {
		delete(s.again, c)
	}
	if high, any := s.high[c]; !any || cmd.Seq > high {
		s.high[c] = cmd.Seq
	}
	s.held[cmd.Hash] = true
}

// took tells whether a command that has no record yet took its number.
func (s *seqs) took(cmd *rack.Command) bool { return s.held[cmd.Hash] }

// keep says that a command has its record: its number does not come again.
func (s *seqs) keep(cmd *rack.Command) { delete(s.held, cmd.Hash) }

// giveBack lets the number of a command come again that was turned away without an outcome. One that had been passed by
// stays so: else whoever delays a command and floods the desk could have it taken out of order. Nothing is kept of one that
// is bound to another life: it cannot be taken in this one.
func (s *seqs) giveBack(cmd *rack.Command) {
	c := countOf(cmd)
	may := s.held[cmd.Hash] || s.fresh(cmd) && (cmd.AudBoot == "" || cmd.AudBoot == s.boot)
	delete(s.held, cmd.Hash)
	if !may || slices.Contains(s.again[c], cmd.Seq) {
		return
	}
	s.again[c] = append(s.again[c], cmd.Seq)
	if len(s.again[c]) > maxAgain {
		s.again[c] = s.again[c][1:]
	}
}
