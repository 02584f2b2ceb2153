package journal

import (
	"cmp"
	"maps"
	"slices"

	"rackagent/agent/rack"
)

// mark is one number of one issuer; the zero mark is of a command that has none.
type mark struct {
	of  rack.SeqOf
	seq int64
}

// markOf is the number that a signed command took.
func markOf(c *rack.Command) mark {
	if c.Key == "" || c.Uncounted {
		return mark{}
	}
	return mark{of: rack.SeqOf{Issuer: c.Issuer, Key: c.Key, AudBoot: c.AudBoot}, seq: c.Seq}
}

// marks are the highest numbers taken, by issuer and key. They belong to the writer.
type marks map[rack.SeqOf]int64

// maxMarks bounds what is kept of issuers whose commands are pruned. Arbitrary: far more than a site has keys.
const maxMarks = 256

// markJSON is one mark as bucketMeta holds it.
type markJSON struct {
	Issuer  string `json:"iss"`
	Key     string `json:"kid,omitempty"` // empty: whichever of the issuer's
	AudBoot string `json:"aud_boot,omitempty"`
	Seq     int64  `json:"seq"`
}

func (m markJSON) of() rack.SeqOf {
	return rack.SeqOf{Issuer: m.Issuer, Key: m.Key, AudBoot: m.AudBoot}
}

func (m marks) see(one mark) {
	if one.of.Issuer == "" {
		return
	}
	if high, any := m[one.of]; !any || one.seq > high {
		m[one.of] = one.seq
	}
}

// take follows committed records.
func (m marks) take(written []item) {
	for _, it := range written {
		m.see(it.mark)
	}
}

func (m marks) highest() map[rack.SeqOf]int64 { return maps.Clone(map[rack.SeqOf]int64(m)) }

// bounded leaves out what cannot matter any more: numbers bound to another boot than this one, as such a command is
// refused whatever its number; and, of more than maxMarks, the lowest: where numbers are times, those are the oldest.
func (m marks) bounded(boot string) marks {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(of rack.SeqOf, _ int64) bool { return of.AudBoot != "" && of.AudBoot != boot })
	if over := len(out) - maxMarks; over > 0 {
		for _, l := range out.byNumber()[:over] {
			delete(out, l.of())
		}
	}
	return out
}

func (m marks) byNumber() []markJSON {
	list := m.list()
	slices.SortStableFunc(list, func(a, b markJSON) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

// list is in order of issuer, key and boot, so that the same marks are the same bytes.
func (m marks) list() []markJSON {
	out := make([]markJSON, 0, len(m))
	for of, seq := range m {
		out = append(out, markJSON{Issuer: of.Issuer, Key: of.Key, AudBoot: of.AudBoot, Seq: seq})
	}
	slices.SortFunc(out, func(a, b markJSON) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Key, b.Key), cmp.Compare(a.AudBoot, b.AudBoot))
	})
	return out
}

// marks are those of the entries, and those that outlived theirs.
func (c *contents) marks() marks {
	m := marks{}
	for _, l := range c.seqs {
		m.see(mark{of: l.of(), seq: l.Seq})
	}
	for i := range c.entries {
		m.see(markOf(&c.entries[i].entry.Command))
	}
	return m
}
