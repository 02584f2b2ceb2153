package wire

import (
	"encoding/json"
	"maps"
	"slices"

	"rackagent/agent/rack"
)

// MaxPartBytes bounds one message on up/cmd/ID; a longer state is sent in parts with the same n.
const MaxPartBytes = 60 << 10

const (
	// maxItemBytes is where the steps of one target are divided. What it leaves of a part is for the head, whose
	// texts come to under 6 KiB even if every byte of them is escaped.
	maxItemBytes = 48 << 10
	// itemBytes is what stands around an item: a comma and, for a board, its name.
	itemBytes = 32
	// frameBytes is what stands around all items of a part: keys and brackets.
	frameBytes = 128
)

// statusOut is one part as it is written; the items of each list stand in the order of the outcome.
type statusOut struct {
	statusHead
	Targets []json.RawMessage          `json:"targets,omitempty"`
	Plan    *planOut                   `json:"plan,omitempty"`
	List    []json.RawMessage          `json:"list,omitzero"` // empty, not absent, where nothing is to be listed
	Ident   map[string]json.RawMessage `json:"ident,omitempty"`
}

type planOut struct {
	planHead
	Targets []json.RawMessage `json:"targets"`
}

// EncodeStatus writes an outcome as messages for up/cmd/ID, each at most MaxPartBytes long. Words longer than 512
// bytes (256 in a step) are cut. A target whose steps are too many for one part comes in several.
func EncodeStatus(o rack.Outcome, h StatusHead) [][]byte {
	all := items(o)
	head := headOf(o, h)
	head.Part, head.Parts = maxParts, maxParts // as wide as they can get, for measuring
	empty := len(encode(partOf(head, o))) + frameBytes
	var parts []statusOut
	part, size := partOf(head, o), empty
	for _, it := range all {
		need := len(it.raw) + itemBytes
		if size > empty && size+need > MaxPartBytes {
			parts = append(parts, part)
			part, size = partOf(head, o), empty
		}
		it.put(&part)
		size += need
	}
	return number(append(parts, part))
}

// partOf begins a part: what all parts repeat, and nothing of the lists.
func partOf(head statusHead, o rack.Outcome) statusOut {
	part := statusOut{statusHead: head, Ident: map[string]json.RawMessage{}}
	if o.Listed != nil {
		part.List = []json.RawMessage{}
	}
	if p := o.Plan; p != nil {
		made := planHead{Made: millis(p.Made), DeadlineS: seconds(p.DeadlineMS)}
		part.Plan = &planOut{planHead: made, Targets: []json.RawMessage{}}
	}
	return part
}

func number(parts []statusOut) [][]byte {
	messages := make([][]byte, len(parts))
	for i := range parts {
		parts[i].Part, parts[i].Parts = i+1, len(parts)
		messages[i] = encode(parts[i])
	}
	return messages
}

// item is a piece of an outcome that stays in one message.
type item struct {
	of    list
	board string // for inIdent
	raw   json.RawMessage
}

type list int

const (
	inTargets list = iota
	inPlan
	inList
	inIdent
)

func (it item) put(part *statusOut) {
	switch it.of {
	case inTargets:
		part.Targets = append(part.Targets, it.raw)
	case inPlan:
		part.Plan.Targets = append(part.Plan.Targets, it.raw)
	case inList:
		part.List = append(part.List, it.raw)
	case inIdent:
		part.Ident[it.board] = it.raw
	}
}

func items(o rack.Outcome) []item {
	var all []item
	for _, t := range o.Targets {
		for _, raw := range pieces(targetOf(t), targetJSON.halves) {
			all = append(all, item{of: inTargets, raw: raw})
		}
	}
	if o.Plan != nil {
		for _, t := range o.Plan.Targets {
			for _, raw := range pieces(planTargetOf(t), planTargetJSON.halves) {
				all = append(all, item{of: inPlan, raw: raw})
			}
		}
	}
	for _, l := range o.Listed {
		all = append(all, item{of: inList, raw: encode(summaryOf(l))})
	}
	for _, board := range slices.Sorted(maps.Keys(o.Ident)) {
		all = append(all, item{of: inIdent, board: board, raw: encode(identOf(o.Ident[board]))})
	}
	return all
}

// pieces writes v whole, or its halves if it is too long.
func pieces[T any](v T, halves func(T) []T) []json.RawMessage {
	raw := encode(v)
	if len(raw) <= maxItemBytes {
		return []json.RawMessage{raw}
	}
	split := halves(v)
	if split == nil {
		return []json.RawMessage{raw}
	}
	return append(pieces(split[0], halves), pieces(split[1], halves)...)
}

// halves divides a target's steps; nil if it has too few.
func (t targetJSON) halves() []targetJSON {
	half := len(t.Steps) / 2
	if half == 0 {
		return nil
	}
	first, second := t, t
	first.Steps, second.Steps = t.Steps[:half], t.Steps[half:]
	return []targetJSON{first, second}
}

func (t planTargetJSON) halves() []planTargetJSON {
	half := len(t.Steps) / 2
	if half == 0 {
		return nil
	}
	first, second := t, t
	first.Steps, second.Steps = t.Steps[:half], t.Steps[half:]
	return []planTargetJSON{first, second}
}
