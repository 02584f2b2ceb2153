package rack

import "slices"

// Group is a set of nodes that commands may name as one target.
type Group struct {
	Name  string
	Nodes []string // in the order in which they are energised
}

// Several tells whether a target may stand for more than one node: a group, a feed, the rack.
func (t Target) Several() bool {
	return t.Kind == TargetGroup || t.Kind == TargetFeed || t.Kind == TargetRack
}

// Members lists the nodes that a group, a feed or the rack stands for: those of the group in its order, those with an
// outlet on the feed or below it, or all, in the order of the layout. Outlets that feed no node are in none of them.
// false: the layout has no such group or feed.
func (l *Layout) Members(t Target) ([]Node, bool) {
	switch t.Kind {
	case TargetGroup:
		return l.group(t.Name)
	case TargetFeed:
		if _, ok := l.Feed(t.Name); !ok {
			return nil, false
		}
		return l.nodesWhere(func(n Node) bool { return l.onFeed(n, t.Name) }), true
	case TargetRack:
		return l.nodesWhere(func(Node) bool { return true }), true
	default:
		return nil, false
	}
}

func (l *Layout) group(name string) ([]Node, bool) {
	i := slices.IndexFunc(l.Groups, func(g Group) bool { return g.Name == name })
	if i < 0 {
		return nil, false
	}
	var out []Node
	for _, member := range l.Groups[i].Nodes {
		if n, ok := l.Node(member); ok {
			out = append(out, n)
		}
	}
	return out, true
}

func (l *Layout) nodesWhere(wanted func(Node) bool) []Node {
	var out []Node
	for _, n := range l.Nodes {
		if wanted(n) {
			out = append(out, n)
		}
	}
	return out
}

// onFeed tells whether any outlet of a node hangs on a feed or below it.
func (l *Layout) onFeed(n Node, feed string) bool {
	return slices.ContainsFunc(n.Outlets, func(id OutletID) bool {
		o, ok := l.Outlet(id)
		return ok && slices.ContainsFunc(l.Levels(o.Feed), func(f Feed) bool { return f.Name == feed })
	})
}
