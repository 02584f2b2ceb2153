package rack

import (
	"strings"
	"testing"
)

// Two banks below a row; a server on both; an outlet without a node; a feed without any.
func TestMembers(t *testing.T) {
	id := func(n int) OutletID { return OutletID{PDU: "p", N: n} }
	l := Layout{
		Feeds: []Feed{{Name: "row"}, {Name: "a", Parent: "row"}, {Name: "b", Parent: "row"}, {Name: "spare", Parent: "row"}, {Name: "other"}},
		PDUs: []PDU{{Name: "p", Outlets: []Outlet{
			{ID: id(1), Feed: "a"}, {ID: id(2), Feed: "a"}, {ID: id(3), Feed: "b"}, {ID: id(4), Feed: "b"},
		}}},
		Nodes: []Node{
			{Name: "m1", Class: ClassASIC, Outlets: []OutletID{id(1)}},
			{Name: "g1", Class: ClassGPU, Outlets: []OutletID{id(2), id(3)}},
		},
		Groups: []Group{{Name: "all", Nodes: []string{"g1", "m1"}}, {Name: "m", Nodes: []string{"m1"}}},
	}
	for target, want := range map[string]string{
		"group/all": "g1 m1", "group/m": "m1", "group/none": "-",
		"feed/row": "m1 g1", "feed/a": "m1 g1", "feed/b": "g1", "feed/spare": "", "feed/other": "", "feed/none": "-",
		"rack": "m1 g1", "node/m1": "-", "outlet/p.1": "-",
	} {
		for _, layout := range []*Layout{&l, l.Indexed()} {
			tg, err := ParseTarget(target)
			if err != nil {
				t.Fatal(err)
			}
			nodes, ok := layout.Members(tg)
			var names []string
			for _, n := range nodes {
				names = append(names, n.Name)
			}
			got := strings.Join(names, " ")
			if !ok {
				got = "-"
			}
			if got != want {
				t.Errorf("%s: %q, want %q", target, got, want)
			}
			if tg.Several() != (tg.Kind != TargetNode && tg.Kind != TargetOutlet) {
				t.Errorf("%s: Several is %v", target, tg.Several())
			}
		}
	}
}
