package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"rackagent/agent"
	"rackagent/agent/journal"
	"rackagent/agent/poll"
	"rackagent/config"
)

type runCmd struct{}

// Help is shown by rackagent run --help.
func (runCmd) Help() string {
	return `Runs until SIGTERM or SIGINT, then ends in order: the write in flight is finished and recorded, and no outlet is moved. ` +
		`A second signal ends it at once. Logs go to standard error.

Exit status: 0 after a signal, 1 for a wrong configuration, 75 if another agent runs on the same state directory, 2 otherwise.`
}

// Run runs the agent.
func (runCmd) Run(ctx context.Context, a *app) error {
	given, err := inherited()
	if err != nil {
		return fmt.Errorf("sockets given by systemd: %w", err)
	}
	conf, warnings, err := a.mustLoad()
	if err != nil {
		return err
	}
	log := logger(a.err)
	for _, f := range warnings {
		log.Warn("configuration", "finding", f.String())
	}
	warnOther(log, conf.Local, given)
	d, err := openDoors(ctx, conf, given)
	if err != nil {
		return err
	}
	defer d.close()
	return a.serve(ctx, conf, d, log)
}

// serve runs the agent in the real world, with systemd listening.
func (a *app) serve(ctx context.Context, conf *config.Config, d doors, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	clock := watchClock(a.clocks)
	ready := make(chan struct{})
	world, err := a.world(conf, d, clock, log)
	if err != nil {
		return err
	}
	world.Ready = func() { close(ready) }
	ag, err := agent.New(conf, world)
	if err != nil {
		return err
	}
	notifier, err := a.notifier(log)
	if err != nil {
		return fmt.Errorf("systemd's watchdog: %w", err)
	}
	beside.Go(func() { clock.run(ctx) })
	beside.Go(func() {
		notifier.Run(ctx, ag.Alive, func() string { return statusLine(ag.Status()) }, ready)
	})
	return explain(ag.Run(ctx))
}

// world is the real one.
func (a *app) world(conf *config.Config, d doors, clock *clockWatch, log *slog.Logger) (agent.World, error) {
	hw, err := a.hardware(log)
	if err != nil {
		return agent.World{}, err
	}
	dial, look, err := dialer(conf.MQTT, ownNames(conf), bestTime(clock.now, conf.StateDir))
	if err != nil {
		return agent.World{}, err
	}
	b := &buses{hardware: hw}
	return agent.World{
		Bus: b.open, Recover: b.recover, Sysfs: os.DirFS("/sys"), Counter: counters(hw), Owned: b.ownedOn, Opened: register(log), Dial: dial, Look: look, Password: password(conf.MQTT), Clock: clock.now, Line: lines(hw),
		Key: ownKey(conf, log), DialMiner: new(net.Dialer).DialContext, MinerPassword: minerPassword, Local: opener(d.local), Metrics: opener(d.metrics), Log: log,
	}, nil
}

// explain gives an error of the agent its status and what to do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, journal.ErrInUse):
		return &failure{err: err, hint: "another agent runs on this state directory; systemctl status rackagent shows it", status: exitInUse}
	case errors.Is(err, journal.ErrForeign):
		return &failure{err: err, hint: "site, agent and state_dir of the configuration belong together: give this agent a state_dir of its own", status: exitUsage}
	default:
		return err
	}
}

// statusLine is what systemctl shows: rack r17: 1/1 buses, 7/7 devices, broker up.
func statusLine(s agent.Status) string {
	var buses, devices int
	for _, b := range s.Buses {
		if b.HungS == nil && b.BadS == nil && b.Error == "" {
			buses++
		}
	}
	for _, d := range s.Devices {
		if d.State == string(poll.StateOK) {
			devices++
		}
	}
	line := fmt.Sprintf("rack %s: %d/%d buses, %d/%d devices, broker %s", s.Agent, buses, len(s.Buses), devices, len(s.Devices), s.Link)
	if s.Observing {
		line += "; OBSERVING: the journal was lost, nothing is switched"
	}
	return line
}
