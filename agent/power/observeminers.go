package power

import "rackagent/agent/rack"

// observeMiner takes what a miner says of itself.
func (m *Machine) observeMiner(r rack.Reading) {
	node, ok := m.world.Layout.Node(r.Point.Device)
	if !ok || node.API == nil {
		return
	}
	v := m.world.Nodes[node.Name]
	switch r.Point.Quantity {
	case rack.AsleepFlag:
		v.Asleep = newer(v.Asleep, r)
	case rack.Hashing:
		v.Hashing = newer(v.Hashing, r)
	}
	m.world.Nodes[node.Name] = v
}
