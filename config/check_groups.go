package config

import "slices"

// groups judges the list of groups.
func (k *checker) groups() {
	names := map[string]string{}
	for i, g := range k.c.Groups {
		at := index("groups", i)
		k.name(at+".name", g.Name)
		k.unique(names, at+".name", g.Name, "name")
		k.members(at+".nodes", g.Nodes)
	}
}

// members judges the nodes of one group. A node may be in several groups.
func (k *checker) members(at string, nodes []string) {
	if !k.given(at, len(nodes) == 0) {
		return
	}
	if len(nodes) == 0 {
		k.errorf(at, "write for example [asic-1, asic-2]", "a group has at least one node")
	}
	for j, node := range nodes {
		path := index(at, j)
		switch {
		case slices.Contains(nodes[:j], node):
			k.errorf(path, "", "node %s stands here twice", quote(node))
		case !k.nodeNamed(node) && !k.src.isBroken("nodes"):
			k.errorf(path, "", "no node is named %s", quote(node))
		}
	}
}

func (k *checker) nodeNamed(name string) bool {
	return slices.ContainsFunc(k.c.Nodes, func(n Node) bool { return n.Name == name && name != "" })
}
