package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"rackagent/agent"
	"rackagent/config"
	"rackagent/drivers/board"
)

type devicesCmd struct {
	Suggest bool     `help:"Also ask what answers on the buses, reading only, and propose entries for the configuration."`
	Bus     []string `help:"With --suggest: only this bus, by device path or adapter name; may be repeated. Default: all." placeholder:"NAME" sep:"none"`
	Socket  string   `help:"The agent's local socket. Default: the configuration's." placeholder:"PATH"`
	JSON    bool     `help:"Print one JSON object."`
}

// Help is shown by rackagent devices --help.
func (devicesCmd) Help() string {
	return `Lists what the board has: I2C buses with their adapters' names, what the adapters can do and which addresses a kernel driver holds, and GPIO lines. ` +
		`Of each configured PDU it reads the board's memory and the relay bank, and nothing else: a meter is not asked, since reading one may mean configuring it first. ` +
		`While an agent runs here its buses are left alone, and what it says of its devices is shown instead.

With --suggest, and only while no agent runs here, the other addresses are asked what is there: never one that a kernel driver owns or the configuration names, where relays, muxes, meters or digital potentiometers may be only whether anybody answers, elsewhere one identification register or two. ` +
		`Nothing is written but the number of such a register, and none of those gets even that. A few parts take a lone byte for a command: the converters MAX519 at 0x2a and PCF8591 at 0x48 to 0x4f. If the board has one that matters, leave its bus out with --bus. ` +
		`Not found are air sensors, meters, relay expanders, fan controllers at 0x2c to 0x2f, and what hangs behind a mux that no kernel driver operates.`
}

// devicesFound is what there is.
type devicesFound struct {
	Buses []busFound    `json:"buses"`
	Lines []lineFound   `json:"gpio"`
	Agent *agent.Status `json:"agent,omitempty"` // of the running agent, instead of PDUs
	PDUs  []pduFound    `json:"pdus,omitempty"`
	Note  string        `json:"note,omitempty"` // why no PDU was asked
	// Suggested is what --suggest found; nil: not asked for.
	Suggested *suggested `json:"suggested,omitempty"`
}

// busFound is one I2C adapter.
type busFound struct {
	Device    string            `json:"device"`
	Adapter   string            `json:"adapter,omitempty"`
	Functions string            `json:"functions"`
	Kernel    map[string]string `json:"kernel,omitempty"` // address to kernel driver
	Error     string            `json:"error,omitempty"`
}

// lineFound is one GPIO line.
type lineFound struct {
	Line    string `json:"line"`
	Name    string `json:"name,omitempty"`
	Refused string `json:"refused,omitempty"` // why it cannot be an input
}

// Run lists what there is.
func (c devicesCmd) Run(ctx context.Context, a *app) error {
	hw, err := a.hardware(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	adapters, err := hw.Buses()
	if err != nil {
		return err
	}
	found := devicesFound{Buses: busesFound(adapters), Lines: linesFound(hw.Inputs())}
	after := c.pdus(ctx, a, hw, &found)
	if c.Suggest {
		if found.Suggested, err = c.suggest(ctx, a, hw, adapters, found.Agent != nil); err != nil {
			return err
		}
	}
	if c.JSON {
		err = a.json(found)
	} else {
		found.print(a)
	}
	return errors.Join(err, after)
}

// pdus asks the running agent, or else the configured PDUs themselves. The error is about the configuration.
func (c devicesCmd) pdus(ctx context.Context, a *app, hw hardware, found *devicesFound) error {
	conf, _, err := a.load()
	if errors.Is(err, fs.ErrNotExist) {
		found.Note = "there is no configuration " + a.Config + " yet; it names PDUs to look for"
		return nil
	}
	if err == nil && conf == nil {
		err = errors.New(a.Config + " cannot be read")
	}
	if err != nil {
		return loadFailure(err)
	}
	st, runs, err := runningAgent(ctx, a.socket(c.Socket))
	switch {
	case runs:
		found.Agent = &st
	case err != nil:
		found.Note = "whether an agent runs here cannot be told, so no bus was opened: " + err.Error()
	default:
		found.PDUs = readPDUs(ctx, hw, conf)
	}
	return nil
}

func busesFound(adapters []board.Adapter) []busFound {
	out := make([]busFound, 0, len(adapters))
	for _, b := range adapters {
		f := busFound{Device: b.Path, Adapter: b.Name, Functions: b.Funcs.String()}
		for address, driver := range b.Owned {
			if f.Kernel == nil {
				f.Kernel = make(map[string]string)
			}
			f.Kernel[fmt.Sprintf("0x%02x", address)] = driver
		}
		if b.Err != nil {
			f.Functions, f.Error = "not known", b.Err.Error()
		}
		out = append(out, f)
	}
	return out
}

func linesFound(lines []board.Line) []lineFound {
	out := make([]lineFound, 0, len(lines))
	for _, l := range lines {
		f := lineFound{Line: l.String()}
		if l.Name != f.Line {
			f.Name = l.Name
		}
		if l.Refused != nil {
			f.Refused = l.Refused.Error()
		}
		out = append(out, f)
	}
	return out
}

// configuredOn finds a bus of the configuration.
func configuredOn(c *config.Config, name string) (config.Bus, bool) {
	for _, b := range c.Buses {
		if b.Name == name {
			return b, true
		}
	}
	return config.Bus{}, false
}
