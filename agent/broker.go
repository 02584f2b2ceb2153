package agent

import (
	"context"
	"time"

	"rackagent/agent/command"
	"rackagent/agent/link"
	"rackagent/agent/rack"
	"rackagent/agent/telemetry"
	"rackagent/agent/wire"
	"rackagent/firmware"
)

// dialBroker builds the link, if there is a broker at all.
func (a *Agent) dialBroker() error {
	if a.world.Dial == nil {
		return nil
	}
	l, err := link.New(link.Opts{
		Site: a.conf.Site, Agent: a.conf.Agent, ClientID: a.conf.MQTT.ClientID, Dial: a.world.Dial, Look: a.world.Look,
		User: a.conf.MQTT.User, Password: a.world.Password, Spread: a.conf.MQTT.Spread(), Log: a.log,
		Will:     func(conn int) []byte { return a.state(wire.Offline, wire.ReasonLost, conn, time.Now()).Encode() },
		Farewell: func(conn int) []byte { return a.sentState(wire.Offline, wire.ReasonShutdown, conn, time.Now()) },
		OnUp:     a.births,
		Inbound:  a.inbound,
		Event:    a.out.event,
		Alarm:    a.out.alarm,
		SelfTest: selfTest(a.conf.MQTT.SelfTest),
		Dropped:  a.dropped,
		Quarantined: func(m link.Message) {
			if m.Class == link.ClassBackfill {
				m.Delivered() // set aside and told: what is stored behind it goes on
			}
			a.out.event(rack.Event{Kind: rack.EventLink, Severity: rack.Error, At: time.Now(), Device: m.Topic, Text: "the broker cuts the connection at this message; it is not sent again"})
		},
	})
	if err != nil {
		return err
	}
	a.link = l
	a.out.link.Store(l)
	return nil
}

// selfTest reads the configuration: no key is no demand.
func selfTest(key *bool) link.SelfTest {
	switch {
	case key == nil:
		return link.SelfTestLearn
	case *key:
		return link.SelfTestDemand
	default:
		return link.SelfTestOff
	}
}

// Bounds of what waits for the first sweep; both arbitrary. A rack with a dead device must not wait for ever.
const (
	earlyMessages = 256
	earlyLimit    = 3 * time.Second
)

// inbound takes a message from the broker to the desk. Before the first sweep it waits: what a broker kept for an agent
// that was away arrives within milliseconds, and would be refused for want of readings.
func (a *Agent) inbound(m link.Inbound) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taking {
		return a.offer(m)
	}
	if len(a.early) >= earlyMessages {
		return false
	}
	a.early = append(a.early, m)
	return true
}

// takeCommands lets the desk have what came in, in order, once all devices were read or the limit has passed.
func (a *Agent) takeCommands(ctx context.Context) error {
	for deadline := time.Now().Add(earlyLimit); time.Now().Before(deadline) && !a.swept(); {
		select {
		case <-ctx.Done():
			return nil // not acknowledged: the broker delivers them to the next life
		case <-time.After(50 * time.Millisecond):
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taking = true
	for _, m := range a.early {
		a.offer(m)
	}
	a.early = nil
	return nil
}

func (a *Agent) offer(m link.Inbound) bool {
	return a.desk.Offer(command.Inbound{
		Topic: m.Topic, Payload: m.Payload, Retained: m.Retained, Received: m.Received, Origin: rack.OriginMQTT, Ack: m.Ack,
	})
}

func (a *Agent) dropped(c link.Class, n int) {
	if c == link.ClassTelemetry {
		return // telemetry numbers its batches and reports losses itself
	}
	a.out.event(rack.Event{Kind: rack.EventTelemetryLost, Severity: rack.Warn, At: time.Now(), Device: c.String(), Reason: "queue", Text: "messages waited too long for the broker and are gone"})
	a.numbers.dropped(c, n)
}

// births are the first messages of every connection: state, what there is, what is wrong.
func (a *Agent) births(conn int) []link.Message {
	now := time.Now()
	a.mu.Lock()
	a.birth, a.conn = now, conn
	a.mu.Unlock()
	a.stateChanged()
	out := []link.Message{
		{Topic: "state", Payload: a.sentState(wire.Online, "", conn, now), Retain: true, Class: link.ClassResult},
		{Topic: "info", Payload: a.info().Encode(), Retain: true, Class: link.ClassInfo},
	}
	if a.swept() { // before that, what stands from an earlier life is not known to be over
		return append(out, a.out.retained(a.alarmKeys())...)
	}
	return append(out, a.out.retained(nil)...)
}

// newestBirth is the moment of the newest birth: the zero of an unsynchronised clock.
func (a *Agent) newestBirth() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.birth
}

func (a *Agent) state(state, reason string, conn int, at time.Time) wire.State {
	mode := wire.ModeNormal
	if a.journal.Observing() {
		mode = wire.ModeObserving
	}
	return wire.State{
		State: state, Reason: reason, Boot: a.boot, Conn: conn, At: at, Clock: a.world.Clock(), Software: a.build.Version,
		Mode: mode, Unsigned: a.conf.Commands.Unsigned, Audit: a.anchor(),
	}
}

// sentState is a state that the agent sends itself, at the moment that it is about.
func (a *Agent) sentState(state, reason string, conn int, now time.Time) []byte {
	s := a.state(state, reason, conn, now)
	s.Sent = now
	return s.Encode()
}

// stateChanged has up/state told again. It returns at once.
func (a *Agent) stateChanged() {
	select {
	case a.stateDue <- struct{}{}:
	default:
	}
}

// infoChanged has up/info told again. It returns at once.
func (a *Agent) infoChanged() {
	select {
	case a.infoDue <- struct{}{}:
	default:
	}
}

// tellInfo publishes up/info whenever something of it has changed.
func (a *Agent) tellInfo(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.infoDue:
			a.out.send(link.Message{Topic: "info", Payload: a.info().Encode(), Retain: true, Class: link.ClassInfo})
		}
	}
}

// willDelay is how long after a birth the broker may still publish the will of the connection before it: seen at brokers
// when a session is taken over. Arbitrary.
const willDelay = 3 * time.Second

// heartbeat is the time between two up/state of a live connection. A consumer may take an agent for silent after three
// of them; the proof that a node is off asks for 30 s.
const heartbeat = 10 * time.Second

// tellState tells up/state once more after a birth, so that a late will does not stay as the last word, and then as a
// heartbeat with the state of the clock.
func (a *Agent) tellState(ctx context.Context) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.stateDue:
			again = time.After(willDelay)
			continue
		case <-again:
			again = nil
		case <-beat.C:
		}
		a.beat(time.Now())
	}
}

// beat tells up/state, if there is a connection: a later one begins with its own.
func (a *Agent) beat(now time.Time) {
	if a.link.State() != link.StateUp {
		return
	}
	a.mu.Lock()
	conn, birth := a.conn, a.birth
	a.mu.Unlock()
	s := a.state(wire.Online, "", conn, birth)
	s.Sent = now
	a.out.send(link.Message{Topic: "state", Payload: s.Encode(), Retain: true, Class: link.ClassResult, Until: now.Add(heartbeat)})
}

// info says what there is: devices, points, layout, limits, software of the agent and of the boards.
func (a *Agent) info() wire.Info {
	i := wire.Info{
		At: time.Now(), Boot: a.boot, Verbs: wire.Verbs(), Layout: a.inv.Layout, Limits: command.Limits(), Unsigned: a.conf.Commands.Unsigned, Keys: keyIDs(a.conf.Commands), Key: a.world.Key,
		Heartbeat: heartbeat,
		Software:  wire.Software{Name: "rackagent", Version: a.build.Version, Revision: a.build.Revision, Go: a.build.Go},
		Wiring:    make(map[rack.OutletID]rack.Wiring),
		Meanings:  make(map[rack.Point]rack.Meaning),
	}
	s := a.loop.Snapshot()
	i.Locks = s.Locks()
	for _, p := range a.inv.Layout.PDUs {
		i.Devices = append(i.Devices, wire.Device{Name: p.Name, Kind: "pdu", Model: p.Model, Serial: p.Serial, Bus: p.Bus})
		for _, o := range p.Outlets {
			if w, _ := s.Wiring(o.ID); w == rack.WiringUnproven {
				i.Wiring[o.ID] = w
			}
		}
	}
	for _, s := range a.conf.Sensors {
		i.Devices = append(i.Devices, wire.Device{Name: s.Name, Kind: "sensor", Model: s.Part, Bus: a.conf.BusOf(s.Bus, s.Via)})
	}
	for _, d := range a.inv.Devices {
		for _, p := range d.Points {
			i.Points = append(i.Points, p.Point)
			i.Meanings[p.Point] = p.Meaning
		}
	}
	for _, item := range a.items() {
		i.Firmware = append(i.Firmware, wireItem(item))
	}
	return i
}

// items is the inventory of software and parts.
func (a *Agent) items() []firmware.Item {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []firmware.Found
	for _, p := range a.inv.Layout.PDUs {
		id, ok := a.idents[p.Name]
		if !ok {
			continue
		}
		found = append(found, firmware.Found{Part: firmware.Part{ID: "pdu/" + p.Name, Component: "pdu", Hardware: p.Model, Source: "fru"}, Ident: id.Ident, At: id.at, Err: id.err})
	}
	return append([]firmware.Item{a.self}, firmware.Items(found)...)
}

func wireItem(i firmware.Item) wire.Firmware {
	return wire.Firmware{
		ID: i.ID, Component: i.Component, Hardware: i.Hardware, Manufacturer: i.Manufacturer, Model: i.Model, Serial: i.Serial,
		Version: i.Version, Digest: i.Digest, State: string(i.State), Updateable: i.Updateable, Source: i.Source, ReadAt: i.ReadAt,
		Quality: rack.Quality(i.Quality), Reason: i.Reason,
	}
}

func (a *Agent) telemetryOpts() telemetry.Opts {
	return telemetry.Opts{
		Epoch: randomWord(4), Period: a.conf.Telemetry.Period(), Look: a.conf.Telemetry.Change(), Readings: a.poller.All, Events: a.out.event,
		Encode: func(ep string, seq int64, ts time.Time, readings []rack.Reading) ([]byte, error) {
			return wire.Telemetry{Epoch: ep, Seq: uint64(seq), At: ts, Readings: readings}.Encode(), nil
		},
		Send: func(b telemetry.Batch, delivered func()) error {
			if a.link == nil {
				return link.ErrFull
			}
			return a.link.Send(link.Message{Topic: "tele", Payload: b.Payload, Class: link.ClassTelemetry, Delivered: delivered})
		},
	}
}
