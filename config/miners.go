package config

import (
	"net"
	"regexp"
	"slices"
	"time"
)

// Miner is the interface of a node of class asic: where it is, and how to speak to it.
type Miner struct {
	Node string `yaml:"node"`
	API  string `yaml:"api"`           // the firmware's interface
	Host string `yaml:"host"`          // address or name, without a port
	MAC  string `yaml:"mac,omitempty"` // lower case with colons; another one at the address is not the node. Empty: whoever answers
	// User and PasswordFile, a path or credential:NAME; without them the firmware's factory login is tried.
	User         string  `yaml:"user,omitempty"`
	PasswordFile string  `yaml:"password_file,omitempty"`
	PeriodS      float64 `yaml:"period_s"` // between two readings
	// FanW is what its fans may go on drawing for FanS after a sleep.
	FanW float64 `yaml:"fan_w"`
	FanS float64 `yaml:"fan_s"`
}

// Period is PeriodS as a duration.
func (m Miner) Period() time.Duration { return seconds(m.PeriodS) }

// FanFor is FanS as a duration.
func (m Miner) FanFor() time.Duration { return seconds(m.FanS) }

var (
	macRule      = regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`)
	hostNameRule = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,252})$`) // RFC 1123, roughly
)

// miners judges the list of miners.
func (k *checker) miners() {
	hosts, macs := map[string]string{}, map[string]string{}
	names := map[string]string{} // a miner stands in telemetry under its node's name, beside these
	for i, p := range k.c.PDUs {
		names[p.Name] = index("pdus", i)
	}
	for i, s := range k.c.Sensors {
		names[s.Name] = index("sensors", i)
	}
	for i, m := range k.c.Miners {
		at := index("miners", i)
		k.minersNode(at+".node", m.Node)
		k.unique(names, at+".node", m.Node, "name")
		if k.given(at+".api", m.API == "") && len(k.catalogue.Miners) > 0 && !slices.Contains(k.catalogue.Miners, m.API) {
			k.errorf(at+".api", k.known("interfaces", k.catalogue.Miners), "no interface is named %s", quote(m.API))
		}
		if k.given(at+".host", m.Host == "") && net.ParseIP(m.Host) == nil && !hostNameRule.MatchString(m.Host) {
			k.errorf(at+".host", "without a port", "not an address or a host name")
		}
		k.unique(hosts, at+".host", m.Host, "host")
		if k.written(at+".mac", m.MAC) && !macRule.MatchString(m.MAC) {
			k.errorf(at+".mac", "write 02:00:5e:10:00:01, in lower case", "not a MAC address")
		}
		k.unique(macs, at+".mac", m.MAC, "MAC")
		if k.written(at+".user", m.User) && !userRule.MatchString(m.User) {
			k.errorf(at+".user", "", "not 1 to 128 printable characters without spaces")
		}
		k.credential(at+".password_file", m.PasswordFile)
		k.span(at+".period_s", m.PeriodS, 2, 3600, " s")
		k.span(at+".fan_w", m.FanW, 0, 1000, " W")
		k.span(at+".fan_s", m.FanS, 0, 600, " s")
	}
}

// minersNode judges the node of a miner.
func (k *checker) minersNode(at, name string) {
	if !k.given(at, name == "") || k.src.isBroken("nodes") {
		return
	}
	i := slices.IndexFunc(k.c.Nodes, func(n Node) bool { return n.Name == name })
	switch {
	case i < 0:
		k.errorf(at, "", "no node is named %s", quote(name))
	case k.c.Nodes[i].Class != ClassASIC:
		k.errorf(at, "", "%s is no miner: its class is %s", name, k.c.Nodes[i].Class)
	}
}
