package agent

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"rackagent/agent/command"
	"rackagent/agent/link"
	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// listen opens the local socket and the metrics port. A door that cannot be opened is an error of the start: somebody
// else has it, or the configuration is wrong.
func (a *Agent) listen(edges *layer, group *errgroup.Group) error {
	if a.world.Local != nil {
		l, err := a.world.Local(edges.ctx)
		if err != nil {
			return err
		}
		s, err := local.New(local.Opts{Boot: a.boot, Desk: counter{a}, Status: a.statusJSON, Story: a.story, Log: a.log})
		if err != nil {
			return err
		}
		edges.run(group, "local socket", func(ctx context.Context) error { return s.Run(ctx, l) })
	}
	if a.world.Metrics != nil {
		l, err := a.world.Metrics(edges.ctx)
		if err != nil {
			return err
		}
		edges.run(group, "metrics", func(ctx context.Context) error { return a.serveMetrics(ctx, l) })
	}
	return nil
}

// counter is the desk as the local socket sees it.
type counter struct{ a *Agent }

// Follow puts a command before the desk and tells its states up to the terminal one. Of a cmd.get that succeeds the last
// is the recorded state of the command that it asks about.
func (c counter) Follow(ctx context.Context, r local.Request, tell func(state [][]byte) error) error {
	observing := c.a.journal.Observing()
	own, done := c.a.out.await(r.ID)
	defer done()
	about, doneAbout := c.a.out.await(r.About)
	defer doneAbout()
	c.a.desk.Offer(command.Inbound{Payload: r.Payload, Received: time.Now(), Origin: rack.OriginLocal, Issuer: r.Issuer})
	heard := 0
	for {
		s, err := next(ctx, own)
		if err != nil {
			return err
		}
		if s.N < heard { // a word on another command under this id, which the desk refused
			continue
		}
		heard = s.N
		over := s.State.Terminal()
		if over && observing && !c.a.journal.Observing() {
			c.a.accepted()
		}
		if over && s.State == rack.StateSucceeded && r.About != "" {
			if s, err = next(ctx, about); err != nil {
				return err
			}
			s.dup = true
		}
		if err := tell(wire.EncodeStatus(s.Outcome, wire.StatusHead{Boot: c.a.boot, Dup: s.dup})); err != nil || over {
			return err
		}
	}
}

// next waits for a state.
func next(ctx context.Context, states <-chan told) (told, error) {
	select {
	case <-ctx.Done():
		return told{}, context.Cause(ctx)
	case s := <-states:
		return s, nil
	}
}

// identifier asks boards who they are for the verb identify.
type identifier struct{ a *Agent }

// identifyLimit bounds one board's answer; a memory of 256 B takes 25 ms at 100 kHz.
const identifyLimit = 5 * time.Second

// Identify reads the boards that a target's outlets hang on. It returns at once.
func (i identifier) Identify(t rack.Target, report func(map[string]rack.Identity, *rack.Refusal)) {
	pdus := i.boards(t)
	if len(pdus) == 0 {
		report(nil, &rack.Refusal{Code: rack.CodeUnknownTarget, Text: t.String() + " is not configured"})
		return
	}
	i.a.core.wg.Go(func() { // poll runs there: it does not end before the desk has
		ctx, cancel := context.WithTimeout(i.a.core.ctx, identifyLimit)
		defer cancel()
		out := make(map[string]rack.Identity, len(pdus))
		for _, p := range pdus {
			id, err := i.a.inv.Identify(ctx, p.Name)
			if err != nil {
				report(nil, &rack.Refusal{Code: rack.CodeDeviceError, Text: err.Error()})
				return
			}
			out[p.Name] = rack.Identity{Serial: id.Serial, Expected: p.Serial, Product: id.Product, Wiring: i.weakest(t, p.Name)}
		}
		report(out, nil)
	})
}

// weakest is how far the wiring of the target's outlets on a board is believed.
func (i identifier) weakest(t rack.Target, pdu string) rack.Wiring {
	s := i.a.loop.Snapshot()
	weakest := rack.WiringProven
	for _, o := range i.outlets(t) {
		if o.PDU != pdu {
			continue
		}
		w, _ := s.Wiring(o)
		if w == rack.WiringUnproven || weakest == rack.WiringProven {
			weakest = w
		}
	}
	return weakest
}

func (i identifier) outlets(t rack.Target) []rack.OutletID {
	if t.Kind != rack.TargetNode {
		return []rack.OutletID{t.Outlet}
	}
	n, _ := i.a.inv.Layout.Node(t.Name)
	return n.Outlets
}

func (i identifier) boards(t rack.Target) []rack.PDU {
	l := i.a.inv.Layout
	var out []rack.PDU
	seen := make(map[string]bool)
	for _, o := range i.outlets(t) {
		if _, ok := l.Outlet(o); ok && !seen[o.PDU] {
			p, _ := l.PDU(o.PDU)
			out, seen[o.PDU] = append(out, p), true
		}
	}
	return out
}

// serveMetrics answers /metrics and /healthz until ctx ends.
func (a *Agent) serveMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		a.numbers.write(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.Alive() {
			http.Error(w, "the power loop does not turn", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	err := s.Serve(l)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Status is what the agent is doing, as the local socket tells it.
type Status struct {
	Site      string         `json:"site"`
	Agent     string         `json:"agent"`
	Boot      string         `json:"boot"`
	Version   string         `json:"version"`
	UpS       int            `json:"up_s"`
	Alive     bool           `json:"alive"`
	Observing bool           `json:"observing"`
	Clock     wire.Clock     `json:"clock"`
	Journal   string         `json:"journal"`
	Link      string         `json:"link"`
	LinkError string         `json:"link_error,omitempty"`
	Broker    string         `json:"broker,omitempty"`   // the address dialled last
	SelfTest  link.Verdict   `json:"selftest,omitempty"` // good, silent, locked
	Backlog   BacklogStatus  `json:"backlog"`
	Buses     []BusStatus    `json:"buses"`
	Devices   []DeviceStatus `json:"devices"`
	Outlets   []OutletStatus `json:"outlets"`
	Feeds     []FeedStatus   `json:"feeds,omitempty"`
	Sensors   []SensorStatus `json:"sensors,omitempty"`
	Miners    []MinerStatus  `json:"miners,omitempty"`
	Locks     []LockStatus   `json:"locks,omitempty"`
	Tripped   []TripStatus   `json:"tripped,omitempty"` // interlocks
	Alarms    []rack.Alarm   `json:"alarms"`
}

// BusStatus is one bus; hung_s is absent while it answers, error where it could be opened.
type BusStatus struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
	HungS *int   `json:"hung_s,omitempty"`
	BadS  *int   `json:"bad_s,omitempty"` // so long nothing has got through
}

// SensorStatus is one value of a sensor as known now; null: there is none, for the reason.
type SensorStatus struct {
	Point string   `json:"point"` // inlet.temp_c.1
	Label string   `json:"label,omitempty"`
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
	Why   string   `json:"why,omitempty"`
}

// DeviceStatus is the health of one device.
type DeviceStatus struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// OutletStatus is one outlet as known now; what is not known is null.
type OutletStatus struct {
	Outlet    rack.OutletID `json:"outlet"`
	Node      string        `json:"node,omitempty"`
	Class     rack.Class    `json:"class,omitempty"`
	Closed    *bool         `json:"closed"`
	PowerW    *float64      `json:"power_w"`
	Wiring    rack.Wiring   `json:"wiring"`
	Why       string        `json:"why,omitempty"` // of unproven wiring
	Withdrawn string        `json:"withdrawn,omitempty"`
}

func (a *Agent) statusJSON(context.Context) ([]byte, error) { return json.Marshal(a.Status()) }

// Status tells what the agent is doing. It may be called from any goroutine while Run runs.
func (a *Agent) Status() Status {
	st := Status{
		Site: a.conf.Site, Agent: a.conf.Agent, Boot: a.boot, Version: a.build.Version, UpS: int(time.Since(a.born).Seconds()),
		Alive: a.Alive(), Observing: a.journal.Observing(), Clock: a.world.Clock(), Journal: string(a.journal.State().Disk), Link: "none",
		Alarms: a.out.active(), Backlog: a.backlogStatus(),
	}
	if a.link != nil {
		s := a.link.Stats()
		st.Link, st.LinkError, st.Broker = string(s.State), s.LastError, s.Broker
		st.SelfTest = s.SelfTest
	}
	for _, b := range a.conf.Buses {
		bs := BusStatus{Name: b.Name, Error: a.whyClosed(b.Name)}
		stats := a.buses[b.Name].Stats()
		bs.HungS, bs.BadS = secondsSince(stats.HungSince), secondsSince(stats.BadSince)
		st.Buses = append(st.Buses, bs)
	}
	for _, d := range a.poller.Stats() {
		st.Devices = append(st.Devices, DeviceStatus{Name: d.Name, State: string(d.State), Reason: d.Reason})
	}
	st.Outlets, st.Sensors, st.Miners, st.Locks = a.outletStatus(), a.sensorStatus(), a.minerStatus(), a.lockStatus()
	st.Tripped = a.tripStatus()
	st.Feeds = a.feedStatus()
	return st
}

// LockStatus is a maintenance lock in force.
type LockStatus struct {
	Target rack.Target `json:"target"`
	ID     string      `json:"id"`
	By     string      `json:"by,omitempty"`
	Since  time.Time   `json:"since,omitzero"`
	Why    string      `json:"why,omitempty"`
}

// TripStatus is an interlock that has tripped.
type TripStatus struct {
	Name   string      `json:"name"`
	Target rack.Target `json:"target"`
	Since  time.Time   `json:"since"`
	Why    string      `json:"why"`
}

// tripStatus lists the interlocks that have tripped, by name.
func (a *Agent) tripStatus() []TripStatus {
	held := a.loop.Snapshot().Held
	var out []TripStatus
	for _, name := range slices.Sorted(maps.Keys(held)) {
		d := held[name]
		out = append(out, TripStatus{Name: name, Target: d.Target, Since: d.At, Why: d.Why})
	}
	return out
}

// lockStatus lists the maintenance locks in force.
func (a *Agent) lockStatus() []LockStatus {
	var out []LockStatus
	for _, o := range a.loop.Snapshot().Locks() {
		out = append(out, LockStatus{Target: o.Target, ID: o.Command, By: o.By, Since: o.Since, Why: o.Why})
	}
	return out
}

// secondsSince is nil for the zero time.
func secondsSince(t time.Time) *int {
	if t.IsZero() {
		return nil
	}
	s := int(time.Since(t).Seconds())
	return &s
}

// sensorStatus lists what the sensors of the configuration say now, in its order.
func (a *Agent) sensorStatus() []SensorStatus {
	sensors := make(map[string]bool)
	for _, s := range a.conf.Sensors {
		sensors[s.Name] = true
	}
	var out []SensorStatus
	for _, d := range a.inv.Devices {
		if !sensors[d.Name] {
			continue
		}
		for _, p := range d.Points {
			r, _ := a.poller.Latest(p.Point)
			s := SensorStatus{Point: p.String(), Label: p.Meaning.Label, Unit: wire.Unit(p.Quantity)}
			if r.Quality == rack.QualityOK {
				s.Value = &r.Value
			} else {
				s.Why = string(r.Quality) + ", " + r.Reason
			}
			out = append(out, s)
		}
	}
	return out
}

func (a *Agent) outletStatus() []OutletStatus {
	s := a.loop.Snapshot()
	var out []OutletStatus
	for _, p := range a.inv.Layout.PDUs {
		for _, o := range p.Outlets {
			n, _ := a.inv.Layout.NodeOf(o.ID)
			w, why := s.Wiring(o.ID)
			os := OutletStatus{Outlet: o.ID, Node: n.Name, Class: n.Class, Wiring: w, Why: why, Withdrawn: s.Outlets[o.ID].Withdrawn}
			if c, ok := s.Closed(o.ID); ok {
				os.Closed = &c
			}
			if v, ok := s.Watts(o.ID); ok {
				os.PowerW = &v
			}
			out = append(out, os)
		}
	}
	return out
}
