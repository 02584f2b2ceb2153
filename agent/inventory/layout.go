package inventory

import (
	"slices"

	"rackagent/agent/rack"
	"rackagent/config"
	"rackagent/drivers/pdu"
)

// layout copies the configuration into the agent's words. Nobody below sees the YAML types.
func layout(c *config.Config, units map[string]*unit, apis map[string]rack.API) *rack.Layout {
	l := &rack.Layout{Site: c.Site, Agent: c.Agent, Stagger: c.Power.Stagger()}
	for _, f := range c.Feeds {
		l.Feeds = append(l.Feeds, rack.Feed{
			Name: f.Name, Parent: f.Parent, Lines: f.Lines, VoltsV: f.VoltsV,
			RatingA: f.RatingA, Continuous: f.Continuous, ShareA: f.ShareA,
		})
	}
	for _, p := range c.PDUs {
		l.PDUs = append(l.PDUs, pduOf(units[p.Name]))
	}
	for _, n := range c.Nodes {
		node := nodeOf(n)
		if api, ok := apis[n.Name]; ok {
			node.API = &api
		}
		l.Nodes = append(l.Nodes, node)
	}
	for _, g := range c.Groups {
		l.Groups = append(l.Groups, rack.Group{Name: g.Name, Nodes: g.Nodes})
	}
	return l.Indexed()
}

func pduOf(u *unit) rack.PDU {
	m := u.pdu.Model()
	p := rack.PDU{Name: u.conf.Name, Model: m.Name, Serial: u.conf.Serial, Bus: u.bus, Settling: m.Settling, Period: u.period}
	for i, s := range m.Supplies {
		p.Supplies = append(p.Supplies, rack.Supply{ID: rack.MeterID{PDU: p.Name, N: i + 1}, Name: s.Bank, NoiseW: s.NoiseW})
	}
	for _, o := range m.Outlets {
		p.Outlets = append(p.Outlets, rack.Outlet{
			ID: rack.OutletID{PDU: u.conf.Name, N: o.N}, Feed: u.conf.Banks[o.Bank], RatingA: o.RatingA, Continuous: o.Continuous, Metered: o.Metered, NoiseW: o.NoiseW,
			RelayBank: u.bankN(o.RelayBank), Supply: 1 + slices.IndexFunc(m.Supplies, func(s pdu.Supply) bool { return s.Bank == o.Bank }),
		})
	}
	return p
}

func nodeOf(n config.Node) rack.Node {
	out := rack.Node{
		Name: n.Name, Class: rack.Class(n.Class), MaxW: n.MaxW, SurgeW: n.SurgeW, SurgeFor: n.SurgeFor(), MinOff: n.MinOff(),
		OnPowerReturn: rack.PowerReturn(n.OnPowerReturn), Wiring: rack.Wiring(n.Wiring),
	}
	for _, s := range n.Outlets {
		id, err := rack.ParseOutletID(s)
		if err != nil {
			continue // the check has refused it
		}
		out.Outlets = append(out.Outlets, id)
	}
	return out
}
