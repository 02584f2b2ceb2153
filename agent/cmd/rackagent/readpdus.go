package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rackagent/config"
	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pdu"
)

// pduLimit bounds one PDU; its memory of 256 B takes 25 ms at 100 kHz, and a bus that hangs is fenced off after 3 s.
const pduLimit = 10 * time.Second

// pduFound is what one configured PDU answers.
type pduFound struct {
	Name  string         `json:"name"`
	Model string         `json:"model"`
	Bus   string         `json:"bus"`
	Board *drivers.Ident `json:"board"` // null: it did not say
	// Expected is the configured serial; empty for identity: none.
	Expected   string      `json:"expected_serial,omitempty"`
	BoardError string      `json:"board_error,omitempty"`
	Relays     []bankFound `json:"relays"`                // the relay banks that answered; null: none
	RelayError string      `json:"relay_error,omitempty"` // of the others
}

// bankFound is how a relay bank stands.
type bankFound struct {
	Controlled bool   `json:"controlled"`
	Reason     string `json:"reason,omitempty"` // why not
	Closed     []int  `json:"closed"`           // outlets; what the words make of the contacts, not what is measured
	Open       []int  `json:"open"`
	Latch      string `json:"latch"`
	Direction  string `json:"direction"`
}

// readPDUs asks every configured PDU who it is and how its relays stand.
func readPDUs(ctx context.Context, hw hardware, c *config.Config) []pduFound {
	var out []pduFound
	for _, p := range c.PDUs {
		f := pduFound{Name: p.Name, Model: p.Model, Bus: p.Bus, Expected: p.Serial}
		if err := f.read(ctx, hw, c); err != nil {
			f.BoardError, f.RelayError = err.Error(), err.Error()
		}
		out = append(out, f)
	}
	return out
}

// read opens the bus, asks, and closes it again.
func (f *pduFound) read(ctx context.Context, hw hardware, c *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, pduLimit)
	defer cancel()
	m, err := models(c).Load(f.Model)
	if err != nil {
		return err
	}
	bus, err := openToRead(ctx, hw, c, f.Bus)
	if err != nil {
		return err
	}
	defer bus.Close()
	act := i2cbus.New(unwritable{}, i2cbus.Opts{})
	defer act.Close()
	p, err := pdu.New(bus.Poll(), act.Act(), pdu.Opts{Name: f.Name, Model: m})
	if err != nil {
		return err
	}
	f.identify(ctx, p)
	for i := range m.RelayBanks() {
		f.bank(ctx, p, i)
	}
	return nil
}

func openToRead(ctx context.Context, hw hardware, c *config.Config, name string) (*i2cbus.Bus, error) {
	place, ok := configuredOn(c, name)
	if !ok {
		return nil, fmt.Errorf("no bus %q is configured", name)
	}
	b := &buses{hardware: hw}
	t, err := b.open(ctx, place)
	if err != nil {
		return nil, err
	}
	return i2cbus.New(t, i2cbus.Opts{Refuse: b.opened[name].Owned}), nil
}

func (f *pduFound) identify(ctx context.Context, p *pdu.PDU) {
	id, err := p.Identify(ctx)
	if err == nil || errors.Is(err, drivers.WrongDevice) {
		f.Board = &id
	}
	if err != nil {
		f.BoardError = err.Error()
	}
}

func (f *pduFound) bank(ctx context.Context, p *pdu.PDU, i int) {
	s, err := p.Bank(ctx, i)
	if err != nil {
		f.RelayError = err.Error()
		return
	}
	found := bankFound{
		Controlled: s.Controlled, Reason: s.Reason, Closed: []int{}, Open: []int{},
		Latch: fmt.Sprintf("0x%04x", s.Latch), Direction: fmt.Sprintf("0x%04x", s.Direction),
	}
	for i, closed := range s.Closed {
		if closed {
			found.Closed = append(found.Closed, s.Outlets[i])
		} else {
			found.Open = append(found.Open, s.Outlets[i])
		}
	}
	f.Relays = append(f.Relays, found)
}

// unwritable is the way to the relays that this program takes while it only looks: there is none.
type unwritable struct{}

// errReadOnly is what a verb that moves a relay would get.
var errReadOnly = errors.New("rackagent devices only reads")

// Tx refuses.
func (unwritable) Tx(context.Context, uint16, []byte, []byte) error {
	return &drivers.Error{Op: "transfer", Device: "relays", Fault: drivers.Unsupported, Err: errReadOnly}
}

// Close does nothing.
func (unwritable) Close() error { return nil }

// String says what it is.
func (unwritable) String() string { return "no way to the relays" }

var _ i2cbus.Transport = unwritable{}
