package wire

import (
	"time"

	"rackagent/agent/rack"
)

// Schema names the version of these payloads, as the schemas in schema/ do.
const Schema = "rackagent/v1"

// Info is the payload of up/info: what this agent is, what it does, and what the positions in its telemetry mean.
type Info struct {
	At       time.Time
	Boot     string
	Software Software
	Verbs    []rack.Op // that it takes
	Layout   *rack.Layout
	// Wiring is what has become known about outlets' wiring, where that differs from the configuration.
	Wiring   map[rack.OutletID]rack.Wiring
	Devices  []Device
	Points   []rack.Point // everything telemetry will hold
	Meanings map[rack.Point]rack.Meaning
	Limits   Limits
	Firmware []Firmware
	Unsigned bool // commands are taken without a signature
	// Heartbeat is the time between two up/state of a live connection; an agent is silent after three times that.
	Heartbeat time.Duration
	Keys      []string // ids of the keys whose commands are taken
	Key       Key      // the agent's own; without a private half: it has none. Its public half is told
	Locks     []rack.Order
}

// Software is the program that speaks.
type Software struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Revision string `json:"rev,omitempty"` // of the source
	Go       string `json:"go,omitempty"`
}

// Device is something the agent reads or switches.
type Device struct {
	Name   string `json:"name"` // as in telemetry
	Kind   string `json:"kind"` // "pdu"
	Model  string `json:"model,omitempty"`
	Serial string `json:"serial,omitempty"` // as the configuration names it
	Bus    string `json:"bus,omitempty"`
}

// Limits are what a sender of commands has to keep to.
type Limits struct {
	CommandBytes int `json:"command_bytes"`
	LifeS        int `json:"life_s"`       // exp after receipt, at most
	FirmLifeS    int `json:"firm_life_s"`  // the same for a firm target
	RatePerS     int `json:"rate_per_s"`   // commands, on average
	Burst        int `json:"burst"`        // commands at once
	StatusBytes  int `json:"status_bytes"` // one part of a state, at most
}

// Firmware is one line of the inventory; names follow the properties of Redfish SoftwareInventory (DMTF DSP0268).
type Firmware struct {
	ID           string // "agent", "os", "mcu/a1"
	Component    string // "agent", "mcu", "bios"
	Hardware     string
	Manufacturer string
	Model        string
	Serial       string
	Version      string // unchanged as the device gives it
	Digest       string // "sha256:..." of the running image where it can be computed
	State        string // "current", "outdated", "unknown" ...
	Updateable   bool
	Source       string // where the version was read
	ReadAt       time.Time
	Quality      rack.Quality
	Reason       string // of a quality that is not ok
}

type infoJSON struct {
	V        int                             `json:"v"`
	Schema   string                          `json:"schema"`
	At       int64                           `json:"ts"`
	Boot     string                          `json:"boot"`
	Site     string                          `json:"site"`
	Agent    string                          `json:"agent"`
	Software Software                        `json:"sw"`
	Unsigned bool                            `json:"unsigned,omitempty"`
	Keys     []string                        `json:"kids,omitempty"`
	Key      *keyJSON                        `json:"key,omitempty"`
	Verbs    []rack.Op                       `json:"verbs"`
	Limits   Limits                          `json:"limits"`
	Devices  []Device                        `json:"devices"`
	Points   map[string]map[string]pointJSON `json:"points"`
	Feeds    []feedJSON                      `json:"feeds"`
	Outlets  []outletJSON                    `json:"outlets"`
	Nodes    []nodeJSON                      `json:"nodes"`
	Groups   []groupJSON                     `json:"groups,omitempty"`
	Locks    []lockJSON                      `json:"locks,omitempty"`
	StaggerS thousandths                     `json:"stagger_s"`
	BeatS    thousandths                     `json:"heartbeat_s,omitzero"`
	Firmware []firmwareJSON                  `json:"firmware"`
}

// keyJSON is the public half of the agent's own key, as the configuration of those that it passes commands on to needs it.
type keyJSON struct {
	ID     string `json:"kid"`
	Public string `json:"public"`
}

// pointJSON says what one array of telemetry holds: position k, from 1, is the value of outlet (bank, sensor) k.
type pointJSON struct {
	Unit string `json:"unit"`
	Of   string `json:"of"`
	N    int    `json:"n"` // positions
	// Of electrical quantities: the kind of current and of power, and the error class in percent where it is known.
	Current  rack.Current `json:"current,omitempty"`
	Power    rack.Power   `json:"power,omitempty"`
	ClassPct float64      `json:"class_pct,omitempty"`
	Names    []string     `json:"names,omitempty"` // what hangs at each position; empty: not named
}

type feedJSON struct {
	Name    string      `json:"name"`
	Parent  string      `json:"parent,omitempty"`
	Lines   []string    `json:"lines"`
	Volts   tenths      `json:"volts_v"`
	RatingA thousandths `json:"rating_a"`
	LimitA  thousandths `json:"limit_a"` // continuous limit or share
}

type outletJSON struct {
	ID      rack.OutletID `json:"id"`
	Feed    string        `json:"feed"`
	RatingA thousandths   `json:"rating_a"`
	Metered bool          `json:"metered"`
	Node    string        `json:"node,omitempty"`
	Wiring  rack.Wiring   `json:"wiring"`
}

type nodeJSON struct {
	Name          string           `json:"name"`
	Class         rack.Class       `json:"class"`
	Firm          bool             `json:"firm"`
	Outlets       []rack.OutletID  `json:"outlets"`
	MaxW          tenths           `json:"max_w"`
	SurgeW        tenths           `json:"surge_w,omitzero"`
	SurgeS        thousandths      `json:"surge_s,omitzero"`
	MinOffS       thousandths      `json:"min_off_s"`
	OnPowerReturn rack.PowerReturn `json:"on_power_return,omitempty"`
}

type groupJSON struct {
	Name  string   `json:"name"`
	Nodes []string `json:"nodes"`
}

// lockJSON is a maintenance lock in force.
type lockJSON struct {
	Target rack.Target `json:"target"`
	ID     string      `json:"id"` // of the command that set it
	By     string      `json:"by,omitempty"`
	Since  int64       `json:"since,omitzero"`
	Why    string      `json:"why,omitempty"`
}

type firmwareJSON struct {
	ID           string       `json:"id"`
	Component    string       `json:"component"`
	Hardware     string       `json:"hardware,omitempty"`
	Manufacturer string       `json:"manufacturer,omitempty"`
	Model        string       `json:"model,omitempty"`
	Serial       string       `json:"serial,omitempty"`
	Version      string       `json:"version,omitempty"`
	Digest       string       `json:"digest,omitempty"`
	State        string       `json:"state"`
	Updateable   bool         `json:"updateable"`
	Source       string       `json:"source,omitempty"`
	ReadAt       int64        `json:"read_at,omitzero"`
	Quality      rack.Quality `json:"quality"`
	Reason       string       `json:"reason,omitempty"`
}

// Encode writes the message.
func (i Info) Encode() []byte {
	out := infoJSON{
		V: 1, Schema: Schema, At: millis(i.At), Boot: i.Boot, Site: i.Layout.Site, Agent: i.Layout.Agent, Software: i.Software,
		Unsigned: i.Unsigned, Keys: i.Keys, Verbs: append([]rack.Op{}, i.Verbs...), Limits: i.Limits, Devices: append([]Device{}, i.Devices...),
		Points: pointsOf(i.Points, i.Meanings), Feeds: []feedJSON{}, Outlets: i.outlets(), Nodes: []nodeJSON{},
		StaggerS: seconds(i.Layout.Stagger.Milliseconds()), BeatS: seconds(i.Heartbeat.Milliseconds()), Firmware: []firmwareJSON{},
	}
	if i.Key.HasPrivate() {
		out.Key = &keyJSON{ID: i.Key.ID, Public: i.Key.X()}
	}
	for _, f := range i.Layout.Feeds {
		out.Feeds = append(out.Feeds, feedJSON{
			Name: f.Name, Parent: f.Parent, Lines: append([]string{}, f.Lines...), Volts: tenths(f.VoltsV),
			RatingA: thousandths(f.RatingA), LimitA: thousandths(f.LimitA()),
		})
	}
	for _, n := range i.Layout.Nodes {
		out.Nodes = append(out.Nodes, nodeOf(n))
	}
	for _, g := range i.Layout.Groups {
		out.Groups = append(out.Groups, groupJSON{Name: g.Name, Nodes: append([]string{}, g.Nodes...)})
	}
	for _, o := range i.Locks {
		out.Locks = append(out.Locks, lockJSON{Target: o.Target, ID: o.Command, By: o.By, Since: millis(o.Since), Why: cut(o.Why, maxWords)})
	}
	for _, f := range i.Firmware {
		out.Firmware = append(out.Firmware, firmwareOf(f))
	}
	return encode(out)
}

func pointsOf(points []rack.Point, meanings map[rack.Point]rack.Meaning) map[string]map[string]pointJSON {
	out := map[string]map[string]pointJSON{}
	for _, p := range points {
		if out[p.Device] == nil {
			out[p.Device] = map[string]pointJSON{}
		}
		out[p.Device][string(p.Quantity)] = out[p.Device][string(p.Quantity)].with(p, meanings[p])
	}
	return out
}

// with adds one position.
func (j pointJSON) with(p rack.Point, m rack.Meaning) pointJSON {
	q := quantityOf(p.Quantity)
	j.Unit, j.Of, j.N = q.unit, q.of, max(j.N, p.Index)
	j.Current, j.Power, j.ClassPct = m.Current, m.Power, max(j.ClassPct, m.ClassPct)
	if m.Label != "" {
		for len(j.Names) < p.Index {
			j.Names = append(j.Names, "")
		}
		j.Names[p.Index-1] = m.Label
	}
	return j
}

// outlets lists all outlets with what is known about their wiring. One that feeds no configured node is unproven.
func (i Info) outlets() []outletJSON {
	out := []outletJSON{}
	for _, p := range i.Layout.PDUs {
		for _, o := range p.Outlets {
			line := outletJSON{ID: o.ID, Feed: o.Feed, RatingA: thousandths(o.RatingA), Metered: o.Metered, Wiring: rack.WiringUnproven}
			if n, ok := i.Layout.NodeOf(o.ID); ok {
				line.Node, line.Wiring = n.Name, n.Wiring
			}
			if w, ok := i.Wiring[o.ID]; ok {
				line.Wiring = w
			}
			out = append(out, line)
		}
	}
	return out
}

func nodeOf(n rack.Node) nodeJSON {
	return nodeJSON{
		Name: n.Name, Class: n.Class, Firm: n.Class.Firm(), Outlets: append([]rack.OutletID{}, n.Outlets...), MaxW: tenths(n.MaxW),
		SurgeW: tenths(n.SurgeW), SurgeS: seconds(n.SurgeFor.Milliseconds()), MinOffS: seconds(n.MinOff.Milliseconds()),
		OnPowerReturn: n.OnPowerReturn,
	}
}

func firmwareOf(f Firmware) firmwareJSON {
	return firmwareJSON{
		ID: f.ID, Component: f.Component, Hardware: f.Hardware, Manufacturer: f.Manufacturer, Model: f.Model, Serial: f.Serial,
		Version: f.Version, Digest: f.Digest, State: f.State, Updateable: f.Updateable, Source: f.Source,
		ReadAt: millis(f.ReadAt), Quality: f.Quality, Reason: f.Reason,
	}
}
