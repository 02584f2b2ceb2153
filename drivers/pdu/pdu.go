package pdu

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"rackagent/drivers"
	"rackagent/drivers/chip/at24"
	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/chip/tca9555"
	"rackagent/drivers/chip/tmp75"
	"rackagent/drivers/fru"
	"rackagent/drivers/i2cbus"
)

// Opts says which PDU this is.
type Opts struct {
	Name  string // for error texts
	Model *Model
}

// PDU is one PDU. Its methods may be called from any goroutine.
type PDU struct {
	name    string
	model   *Model
	act     i2cbus.Conn
	poll    i2cbus.Conn
	relays  tca9555.Opts
	memory  *at24.Dev // nil: none
	meters  []*meter
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
	p := &PDU{
		name: o.Name, model: o.Model, act: act, poll: poll,
		relays: tca9555.Opts{Name: o.Name + " relays", Addr: o.Model.relays},
	}
	if _, err := tca9555.New(act, p.relays); err != nil {
		return nil, err
	}
	conn, err := p.segments()
	if err != nil {
		return nil, err
	}
	return p, errors.Join(p.addMemory(conn), p.addMeters(conn), p.addSensors(conn))
}

// segments gives the way from a channel number to its handle. All channels share one mux, whose doubt about what
// is selected is shared with it.
func (p *PDU) segments() (func(place) (i2cbus.Conn, error), error) {
	var mux *pca9548.Dev
	if p.model.mux != 0 {
		var err error
		if mux, err = pca9548.New(p.poll, pca9548.Opts{Name: p.name + " mux", Addr: p.model.mux}); err != nil {
			return nil, err
		}
	}
	return func(at place) (i2cbus.Conn, error) {
		if at.channel == upstream {
			return p.poll, nil
		}
		return mux.Port(at.channel)
	}, nil
}

func (p *PDU) addMemory(conn func(place) (i2cbus.Conn, error)) error {
	e := p.model.eeprom
	if e == nil {
		return nil
	}
	bus, err := conn(e.place)
	if err != nil {
		return err
	}
	p.memory, err = at24.New(bus, at24.Opts{Name: p.name + " fru", Addr: e.addr, Part: e.part})
	return err
}

func (p *PDU) addMeters(conn func(place) (i2cbus.Conn, error)) error {
	for i, spec := range p.model.meters {
		bus, err := conn(spec.place)
		if err != nil {
			return err
		}
		spec.opts.Name = fmt.Sprintf("%s meter %d", p.name, i)
		p.meters = append(p.meters, newMeter(bus, spec.opts, p.model, i))
	}
	return nil
}

func (p *PDU) addSensors(conn func(place) (i2cbus.Conn, error)) error {
	for i, at := range p.model.sensors {
		bus, err := conn(at)
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
