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
		if k.written(at+".miner_user", g.MinerUser) && !userRule.MatchString(g.MinerUser) {
			k.errorf(at+".miner_user", "", "not 1 to 128 printable characters without spaces")
		}
		k.credential(at+".miner_password_file", g.MinerPasswordFile)
		k.oneLogin(i, at)
	}
}

// oneLogin refuses two groups with a login for one miner that has none of its own.
func (k *checker) oneLogin(i int, at string) {
	g := k.c.Groups[i]
	for _, other := range k.c.Groups[:i] {
		for _, node := range g.Nodes {
			both := g.logsIn() && other.logsIn() && slices.Contains(other.Nodes, node)
			if both && slices.ContainsFunc(k.c.Miners, func(m Miner) bool { return m.Node == node }) {
				k.errorf(at, "give the miner a login of its own, or take it out of one of them", "%s is in group %s, too, which has a login for its miners as well", quote(node), quote(other.Name))
			}
		}
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
