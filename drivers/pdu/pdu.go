package pdu

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"rackagent/drivers"
	"rackagent/drivers/chip/at24"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/chip/tmp75"
	"rackagent/drivers/fru"
	"rackagent/drivers/i2cbus"
)

// Opts says which PDU this is.
type Opts struct {
	Name  string // for error texts
	Model *Model
	// Segment is what the muxes on the PDU's bus know of each other; nil where there are no others.
	Segment *pca9548.Segment
}

// PDU is one PDU. Its methods may be called from any goroutine.
type PDU struct {
	name    string
	model   *Model
	banks   []*bank
	memory  *at24.Dev // nil: none
	meters  []meter
	sensors []*sensor

	// wrong is set while the board's memory names another product than the model: its bits are other outlets.
	wrong atomic.Bool
}

// New checks the options and touches nothing. Both handles are of the same bus; relays are switched on act,
// everything is read on poll.
func New(poll, act i2cbus.Conn, o Opts) (*PDU, error) {
	if poll == nil || act == nil || o.Model == nil {
		return nil, fmt.Errorf("pdu %q: a handle or the model is missing", o.Name)
	}
	w, err := newWiring(poll, act, o)
	if err != nil {
		return nil, err
	}
	p := &PDU{name: o.Name, model: o.Model}
	return p, errors.Join(p.addMemory(w), p.addMeters(w), p.addBanks(w), p.addSensors(w))
}

// addBanks gives every relay bank its two ways to the bus and lets its part check where it is.
func (p *PDU) addBanks(w *wiring) error {
	for i, spec := range p.model.banks {
		name := p.name + " relays"
		if len(p.model.banks) > 1 {
			name = fmt.Sprintf("%s relays %d", p.name, i+1)
		}
		b := &bank{spec: spec, name: name}
		var err error
		if b.poll, err = w.polling(spec.place); err != nil {
			return err
		}
		if b.act, err = w.acting(spec.place); err != nil {
			return err
		}
		if spec.meter != noMeter && spec.meter < len(p.meters) {
			m, ok := p.meters[spec.meter].(*hotSwapMeter)
			if !ok {
				return fmt.Errorf("%s: its meter is no hot-swap part", name)
			}
			b.hotSwap = m.dev
		}
		if _, err := b.chip(b.act); err != nil {
			return err
		}
		p.banks = append(p.banks, b)
	}
	return nil
}

func (p *PDU) addMemory(w *wiring) error {
	e := p.model.eeprom
	if e == nil {
		return nil
	}
	bus, err := w.polling(e.place)
	if err != nil {
		return err
	}
	o := e.opts()
	o.Name = p.name + " fru"
	p.memory, err = at24.New(bus, o)
	return err
}

func (p *PDU) addMeters(w *wiring) error {
	for i, spec := range p.model.meters {
		bus, err := w.polling(spec.place)
		if err != nil {
			return err
		}
		m, err := spec.meter(bus, fmt.Sprintf("%s meter %d", p.name, i), p.model, i)
		if err != nil {
			return err
		}
		p.meters = append(p.meters, m)
	}
	return nil
}

func (p *PDU) addSensors(w *wiring) error {
	for i, at := range p.model.sensors {
		bus, err := w.polling(at)
		if err != nil {
			return err
		}
		o := tmp75.Opts{Name: fmt.Sprintf("%s sensor %d", p.name, i), Addr: at.addr}
		p.sensors = append(p.sensors, &sensor{conn: bus, opts: o})
	}
	return nil
}

// String names the PDU as its errors do.
func (p *PDU) String() string { return fmt.Sprintf("pdu %q", p.name) }

// Model is what it was built from.
func (p *PDU) Model() *Model { return p.model }

// Identify reads the board's memory. drivers.WrongDevice comes together with what was read, and from then on no
// verb moves a relay until a later Identify finds the model's product. A memory that cannot be read refuses
// nothing: whether an unidentified board may be switched is not decided here. drivers.Unsupported: this model has
// no memory.
func (p *PDU) Identify(ctx context.Context) (drivers.Ident, error) {
	if p.memory == nil {
		return drivers.Ident{}, p.fail("identify", drivers.Unsupported, errors.New("the model has no memory"))
	}
	image, err := p.memory.Read(ctx, 0, min(p.memory.Size(), fru.MaxSize))
	if err != nil {
		return drivers.Ident{}, err
	}
	f, err := fru.Parse(image)
	if f.Board == nil {
		return drivers.Ident{}, p.noBoard(err)
	}
	id := drivers.Ident{
		Manufacturer: f.Board.Manufacturer, Product: f.Board.Product, Part: f.Board.PartNumber, Serial: f.Board.Serial,
	}
	wrong := id.Manufacturer != p.model.Manufacturer || id.Product != p.model.Product
	p.wrong.Store(wrong)
	if wrong {
		return id, p.fail("identify", drivers.WrongDevice, fmt.Errorf("the board is %q %q, model %s is %q %q",
			id.Manufacturer, id.Product, p.model.Name, p.model.Manufacturer, p.model.Product))
	}
	return id, nil
}

func (p *PDU) noBoard(err error) error {
	switch {
	case errors.Is(err, fru.ErrEmpty):
		return p.fail("identify", drivers.Implausible, err)
	case err == nil:
		err = errors.New("the memory holds no board area")
	}
	return p.fail("identify", drivers.Corrupt, err)
}

func (p *PDU) fail(op string, f drivers.Fault, cause error) error {
	return &drivers.Error{Op: op, Device: p.String(), Fault: f, Err: cause}
}

var _ fmt.Stringer = (*PDU)(nil)
