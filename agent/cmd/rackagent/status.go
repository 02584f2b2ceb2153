package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"rackagent/agent"
	"rackagent/agent/local"
	"rackagent/agent/poll"
	"rackagent/agent/rack"
)

type statusCmd struct {
	Socket string `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON   bool   `help:"Print the agent's answer as it came."`
}

// askStatus gives the running agent's status as it came.
func (a *app) askStatus(ctx context.Context, socket string) (raw json.RawMessage, err error) {
	err = ask(ctx, a.socket(socket), func(ctx context.Context, client *local.Client) (err error) {
		raw, err = client.Status(ctx)
		return err
	})
	return raw, err
}

// Run asks and shows.
func (c statusCmd) Run(ctx context.Context, a *app) error {
	raw, err := a.askStatus(ctx, c.Socket)
	if err != nil {
		return err
	}
	if c.JSON {
		a.printf("%s\n", strings.TrimSpace(string(raw)))
		return nil
	}
	var st agent.Status
	if err := json.Unmarshal(raw, &st); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	printStatus(a, st)
	return nil
}

// printStatus shows how the rack stands. What is not known is a dash.
func printStatus(a *app, s agent.Status) {
	a.printf("rack %s/%s, %s, up %s, boot %s\n", s.Site, s.Agent, s.Version, time.Duration(s.UpS)*time.Second, s.Boot)
	if !s.Alive {
		a.printf("NOT ALIVE: the power loop or the owner of a bus stands still; journalctl -u rackagent may tell why\n")
	}
	if s.Observing {
		a.printf("OBSERVING: the journal was lost, nothing is switched until somebody types rackagent journal-accept --reason ...\n")
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "broker\t%s%s\n", s.Link, prefixed(": ", s.LinkError))
	say(w, "journal\t%s\n", s.Journal)
	say(w, "clock\t%s\n", clockWords(s))
	say(w, "buses\t%s\n", busWords(s.Buses))
	say(w, "devices\t%s\n", deviceWords(s.Devices))
	_ = w.Flush()
	printOutlets(a, s.Outlets)
	printMiners(a, s.Miners)
	printSensors(a, s.Sensors)
	printTripped(a, s.Tripped)
	printLocks(a, s.Locks)
	printAlarms(a, s.Alarms)
}

func clockWords(s agent.Status) string {
	if s.Clock.OK {
		return "synchronised, " + s.Clock.Source
	}
	return "NOT synchronised, " + s.Clock.Source + "; commands over MQTT need aud_boot"
}

func busWords(buses []agent.BusStatus) string {
	var words []string
	for _, b := range buses {
		switch {
		case b.Error != "":
			words = append(words, b.Name+" not open: "+b.Error)
		case b.HungS != nil:
			words = append(words, fmt.Sprintf("%s HUNG for %s", b.Name, time.Duration(*b.HungS)*time.Second))
		case b.BadS != nil:
			words = append(words, fmt.Sprintf("%s BAD for %s: nothing gets through", b.Name, time.Duration(*b.BadS)*time.Second))
		default:
			words = append(words, b.Name+" ok")
		}
	}
	return strings.Join(words, ", ")
}

// deviceWords counts the devices that are well and names the others.
func deviceWords(devices []agent.DeviceStatus) string {
	var bad []string
	for _, d := range devices {
		if d.State != string(poll.StateOK) {
			bad = append(bad, d.Name+" "+d.State+prefixed(" ", d.Reason))
		}
	}
	return fmt.Sprintf("%d/%d ok%s", len(devices)-len(bad), len(devices), prefixed("; ", strings.Join(bad, ", ")))
}

func printOutlets(a *app, outlets []agent.OutletStatus) {
	a.printf("\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "OUTLET\tRELAY\tWATTS\tNODE\tCLASS\tWIRING\n")
	for _, o := range outlets {
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.Outlet, relayWord(o.Closed), watts(o.PowerW), dash(o.Node), dash(string(o.Class)), wiringWords(o))
	}
	_ = w.Flush()
}

// printMiners shows the miners with an interface: a table to be read from some steps away.
func printMiners(a *app, miners []agent.MinerStatus) {
	if len(miners) == 0 {
		return
	}
	a.printf("\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "MINER\tSTATE\tOUTLET W\tTOLD W\tTH/S\tJ/TH\tAGE\n")
	for _, m := range miners {
		age := "-"
		if m.AgeS != nil {
			age = (time.Duration(*m.AgeS) * time.Second).String()
		}
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Node, minerWords(m), watts(m.OutletW), watts(m.ToldW), figure(m.THs), figure(m.JTH), age)
	}
	_ = w.Flush()
}

// minerWords is the observed state, with what the miner itself adds to it.
func minerWords(m agent.MinerStatus) string {
	state := string(m.State)
	if m.State == rack.PowerFault {
		state = "FAULT" // to be seen from afar
	}
	switch {
	case m.State == rack.PowerOff: // it cannot answer
		return state
	case m.Why != "":
		return state + " (" + m.Why + ")"
	case m.Hashing != nil && !*m.Hashing && (m.State == rack.PowerRunning || m.State == rack.PowerLimited):
		return state + ", not hashing"
	default:
		return state
	}
}

func figure(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *v)
}

func printSensors(a *app, sensors []agent.SensorStatus) {
	if len(sensors) == 0 {
		return
	}
	a.printf("\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	say(w, "SENSOR\tVALUE\tUNIT\tWHAT\n")
	for _, s := range sensors {
		value := "- (" + s.Why + ")"
		if s.Value != nil {
			value = rounded(*s.Value, 3)
		}
		say(w, "%s\t%s\t%s\t%s\n", s.Point, value, dash(s.Unit), dash(s.Label))
	}
	_ = w.Flush()
}

// printTripped shows the interlocks that have tripped: no miner under them is started.
func printTripped(a *app, tripped []agent.TripStatus) {
	if len(tripped) == 0 {
		return
	}
	a.printf("\ninterlocks that have tripped; no miner under them is started or woken\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, t := range tripped {
		say(w, "  %s\t%s\t%s\t%s\n", t.Since.Local().Format(time.DateTime), t.Name, t.Target, t.Why)
	}
	_ = w.Flush()
}

func printLocks(a *app, locks []agent.LockStatus) {
	if len(locks) == 0 {
		return
	}
	a.printf("\nlocked for maintenance; nothing of it is switched\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, l := range locks {
		since := "-"
		if !l.Since.IsZero() {
			since = l.Since.Local().Format(time.DateTime)
		}
		say(w, "  %s\t%s\t%s\t%s\t%s\n", since, l.Target, dash(l.By), dash(l.ID), dash(l.Why))
	}
	_ = w.Flush()
}

func relayWord(closed *bool) string {
	switch {
	case closed == nil:
		return "-"
	case *closed:
		return "closed"
	default:
		return "open"
	}
}

func watts(w *float64) string {
	if w == nil {
		return "-"
	}
	return rounded(*w, 1)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func wiringWords(o agent.OutletStatus) string {
	words := string(o.Wiring) + prefixed(": ", o.Why)
	if o.Withdrawn != "" {
		words += "; WITHDRAWN from switching: " + o.Withdrawn
	}
	return words
}

func printAlarms(a *app, alarms []rack.Alarm) {
	if len(alarms) == 0 {
		a.printf("\nno alarms\n")
		return
	}
	a.printf("\nalarms\n")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, m := range alarms {
		say(w, "  %s\t%s\t%s\t%s\n", m.Since.Local().Format(time.DateTime), m.Severity, m.Key, m.Text)
	}
	_ = w.Flush()
}
