package observer

import (
	"strings"
	"testing"
	"time"
)

// groups is a configuration with groups: two miners, a miner beside the server.
const groups = rackConfig + `
groups:
  - {name: two, nodes: [asic-1, asic-2]}
  - {name: mixed, nodes: [asic-3, gpu-1]}
`

// several accepts a command with one target for each node.
func (r *rig) several(id, op, target string, targets ...map[string]any) {
	r.t.Helper()
	r.config = groups
	r.send(id, op, target)
	r.recordPlan(id, op, target, targets...)
	r.tell(id, "accepted", "")
}

// part is one target of a plan.
func part(node string, steps ...string) map[string]any {
	return map[string]any{"t": "node/" + node, "node": node, "steps": planned(steps...)}
}

// left is a target of a plan that is refused.
func left(node string, steps ...string) map[string]any {
	p := part(node, steps...)
	p["refused"] = map[string]any{"code": "approval_required", "txt": "alone"}
	return p
}

// ended records and tells a result with several targets, each "asic-1 succeeded".
func (r *rig) ended(id, state string, words ...string) {
	r.t.Helper()
	var targets []map[string]any
	for _, w := range words {
		node, st, _ := strings.Cut(w, " ")
		targets = append(targets, map[string]any{"t": "node/" + node, "st": st, "code": "", "steps": []any{}})
	}
	r.recordResult(id, state, "", targets...)
	r.tell(id, state, "")
	r.book.add("command", id, 'k', "acked", map[string]any{"id": id})
}

func TestSeveralTargets(t *testing.T) {
	tell(t, []tale{
		{name: "two miners at once", play: func(r *rig) {
			r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"), part("asic-2", "cut pdu-a.2"))
			r.relay(1, false)
			r.relay(2, false)
			time.Sleep(time.Second)
			r.ended("c1", "failed", "asic-1 failed", "asic-2 failed")
		}},
		{name: "the server is left out", play: func(r *rig) {
			r.several("c1", "outlet.cut", "group/mixed", part("asic-3", "cut pdu-a.3"), left("gpu-1"))
			r.relay(3, false)
			time.Sleep(time.Second)
			r.ended("c1", "failed", "asic-3 failed", "gpu-1 rejected")
		}},
		{
			name: "a miner of another group", want: []string{"S1"}, words: "command c1 is about group/two, and its plan has a step on pdu-a.3",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-3", "cut pdu-a.3"))
				r.relay(3, false)
				time.Sleep(time.Second)
				r.ended("c1", "failed", "asic-3 failed")
			},
		},
		{
			name: "an outlet without a node", want: []string{"S1", "S3"}, words: "and its plan has a step on pdu-a.4",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "rack", part("asic-4", "cut pdu-a.4"))
				r.relay(4, false)
				time.Sleep(time.Second)
				r.ended("c1", "failed", "asic-4 failed")
			},
		},
		{
			name: "a server among miners is energised", want: []string{"S1"}, words: "the server on pdu-a.7 must be left out",
			play: func(r *rig) {
				r.several("c1", "outlet.energise", "feed/row", part("gpu-1", "energise pdu-a.7"))
				r.relay(7, true)
				time.Sleep(time.Second)
				r.ended("c1", "failed", "gpu-1 failed")
			},
		},
		{
			name: "a refused target is cut", want: []string{"S1"}, words: "no accepted command has a step for opening pdu-a.2",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"), left("asic-2", "cut pdu-a.2"))
				r.relay(1, false)
				r.relay(2, false)
				time.Sleep(time.Second)
				r.ended("c1", "failed", "asic-1 failed", "asic-2 rejected")
			},
		},
		{
			name: "a refused target ends otherwise", want: []string{"S5"}, words: "its target node/asic-2 was refused when planning, and ends failed",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"), left("asic-2"))
				r.ended("c1", "failed", "asic-1 failed", "asic-2 failed")
			},
		},
		{
			name: "a target without a result", want: []string{"S5"}, words: "its target node/asic-2 has 0 results",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"), part("asic-2", "cut pdu-a.2"))
				r.ended("c1", "failed", "asic-1 failed")
			},
		},
		{
			name: "a target with two results", want: []string{"S5"}, words: "its target node/asic-1 has 2 results",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"))
				r.ended("c1", "failed", "asic-1 failed", "asic-1 unknown")
			},
		},
		{
			name: "a result without a target", want: []string{"S5"}, words: "its result names node/asic-3, which its plan does not",
			play: func(r *rig) {
				r.several("c1", "outlet.cut", "group/two", part("asic-1", "cut pdu-a.1"))
				r.ended("c1", "failed", "asic-1 failed", "asic-3 failed")
			},
		},
	})
}
