// Package psu reads power supplies with a PMBus interface, such as the common redundant ones of servers (CRPS) and the
// rectifiers of open racks. What a supply may be asked, and what its answers mean, is a model file; a supply of a new kind
// needs a file and no Go.
//
// A supply is only read. There is no verb for OPERATION, and CLEAR_FAULTS is sent to none: outputs of a shipped supply
// glitch on it (Linux driver delta-ahe50dc-fan). Status bits other than Off and PowerNotGood therefore say that something
// happened since somebody else cleared them, not that it lasts.
//
// A supply without input and without standby power does not answer at all. Absent and dead are told apart by a presence
// line, not here.
package psu

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/pmbus"
)

const (
	maxTemperatures = 3
	maxFans         = 2
)

// Opts says which supply it is.
type Opts struct {
	Name  string // for error texts
	Addr  uint16
	Model *Model
}

// Dev is one supply. It remembers whether the supply checks its transfers and may be used from several goroutines.
type Dev struct {
	port  *pmbus.Port
	conn  i2cbus.Conn
	model *Model
}

// New checks the options and touches nothing.
func New(conn i2cbus.Conn, o Opts) (*Dev, error) {
	if conn == nil {
		return nil, fmt.Errorf("psu %q: no bus", o.Name)
	}
	if o.Model == nil {
		return nil, fmt.Errorf("psu %q: no model", o.Name)
	}
	port, err := pmbus.New(conn, "psu", o.Name, o.Addr, o.Model.profile())
	if err != nil {
		return nil, err
	}
	return &Dev{port: port, conn: conn, model: o.Model}, nil
}

// String names the device as its errors do.
func (d *Dev) String() string { return d.port.String() }

// Model is what the supply was taken for.
func (d *Dev) Model() *Model { return d.model }

// Identify reads the texts that name the supply and compares maker and product with the model. It also finds out whether
// the supply checks its transfers. A text that the model does not list as readable stays empty.
func (d *Dev) Identify(ctx context.Context) (drivers.Ident, error) {
	if err := d.port.Negotiate(ctx); err != nil {
		return drivers.Ident{}, err
	}
	maker, err := d.manufacturer(ctx)
	if err != nil {
		return drivers.Ident{}, err
	}
	id := drivers.Ident{Manufacturer: maker}
	for _, t := range []struct {
		at pmbus.Command
		to *string
	}{{pmbus.MFR_MODEL, &id.Product}, {pmbus.MFR_SERIAL, &id.Serial}, {pmbus.MFR_REVISION, &id.Version}} {
		if !d.model.may(t.at) {
			continue
		}
		if *t.to, err = d.port.Text(ctx, "identify", t.at, d.model.texts[t.at]); err != nil {
			return drivers.Ident{}, err
		}
	}
	begins := func(p string) bool { return strings.HasPrefix(id.Product, p) }
	if len(d.model.Products) > 0 && !slices.ContainsFunc(d.model.Products, begins) {
		return drivers.Ident{}, d.port.Fail("identify", pmbus.MFR_MODEL, drivers.WrongDevice, fmt.Errorf("%q is none of %q", id.Product, d.model.Products))
	}
	return id, nil
}

// manufacturer reads MFR_ID, and remembers it as what the supply proves itself with after an answer broke off.
func (d *Dev) manufacturer(ctx context.Context) (string, error) {
	raw, err := d.port.AnyBlock(ctx, "identify", pmbus.MFR_ID, d.model.texts[pmbus.MFR_ID])
	if err != nil {
		return "", err
	}
	maker, ok := pmbus.Text(raw)
	if !ok {
		return "", d.port.Fail("identify", pmbus.MFR_ID, drivers.Corrupt, fmt.Errorf("%x is no text", raw))
	}
	if want := d.model.Manufacturer; want != "" && maker != want {
		return "", d.port.Fail("identify", pmbus.MFR_ID, drivers.WrongDevice, fmt.Errorf("%q instead of %q", maker, want))
	}
	d.port.Remember(pmbus.Proof{Command: pmbus.MFR_ID, Answer: append([]byte{byte(len(raw))}, raw...)})
	return maker, nil
}

// Measurement is one sample. What the model does not list as readable is nil.
type Measurement struct {
	Status  pmbus.StatusWord
	Details map[pmbus.Command]byte // the status registers that Status points to and the model lists
	Faults  []string               // the bits of all of them in words, sorted

	VIN, VOUT    *pmbus.Voltage
	IIN, IOUT    *pmbus.Current
	PIN, POUT    *pmbus.Power
	Temperatures [maxTemperatures]*pmbus.Temperature // named by Model.Temperatures
	Fans         [maxFans]*pmbus.Speed
	EIN, EOUT    *pmbus.Energy // see Model.Accumulator
}

// Sense reads the status and everything the model lists. Values that the nameplate does not allow, and an input voltage
// of exactly 0 that no status bit explains, are drivers.Implausible one by one.
func (d *Dev) Sense(ctx context.Context) (Measurement, error) {
	var m Measurement
	read := func(p *pmbus.Port) error {
		s := p.Series(ctx, "read").ConfirmZeros()
		m = d.sense(s)
		return s.Err()
	}
	var err error
	if d.model.Page >= 0 {
		err = d.port.OnPage(ctx, d.conn, byte(d.model.Page), read)
	} else {
		err = read(d.port)
	}
	if err != nil {
		return Measurement{}, err
	}
	return m, nil
}

func (d *Dev) sense(s *pmbus.Series) Measurement {
	m := Measurement{Status: s.Status()}
	d.details(s, &m)
	n := d.model.Nameplate
	linear := func(rating float64) pmbus.Decode { return plausible(pmbus.Linear11, rating) }
	if d.model.may(pmbus.READ_VIN) {
		m.VIN = s.Voltage(pmbus.READ_VIN, linear(n.VinV))
		unexplained(m.VIN, m.Status)
	}
	if d.model.may(pmbus.READ_IIN) {
		m.IIN = s.Current(pmbus.READ_IIN, linear(n.IinA))
	}
	if d.model.may(pmbus.READ_PIN) {
		m.PIN = s.Power(pmbus.READ_PIN, linear(n.PinW))
	}
	if d.model.may(pmbus.READ_VOUT) {
		m.VOUT = d.vout(s)
	}
	if d.model.may(pmbus.READ_IOUT) {
		m.IOUT = s.Current(pmbus.READ_IOUT, linear(n.IoutA))
	}
	if d.model.may(pmbus.READ_POUT) {
		m.POUT = s.Power(pmbus.READ_POUT, linear(n.PoutW))
	}
	for i := range d.model.sensors() {
		m.Temperatures[i] = s.Temperature(pmbus.READ_TEMPERATURE_1+pmbus.Command(i), pmbus.Decode(pmbus.Linear11).Within(coldest, n.TemperatureC))
	}
	for i := range m.Fans {
		if at := pmbus.READ_FAN_SPEED_1 + pmbus.Command(i); d.model.may(at) {
			m.Fans[i] = s.Speed(at, linear(n.FanRPM))
		}
	}
	d.energy(s, &m)
	return m
}

// details reads what STATUS_WORD points to.
func (d *Dev) details(s *pmbus.Series, m *Measurement) {
	m.Faults = m.Status.Names()
	for _, at := range m.Status.Details() {
		if !d.model.may(at) {
			continue
		}
		if m.Details == nil {
			m.Details = make(map[pmbus.Command]byte)
		}
		m.Details[at] = s.Byte(at)
		m.Faults = append(m.Faults, pmbus.StatusNames(at, m.Details[at])...)
	}
	slices.Sort(m.Faults)
	m.Faults = slices.Compact(m.Faults)
}

// vout reads READ_VOUT. The format that VOUT_MODE names is asked for with every sample: a supply that was swapped may have
// another one.
func (d *Dev) vout(s *pmbus.Series) *pmbus.Voltage {
	decode := d.model.vout
	if decode == nil {
		mode := pmbus.VoutMode(s.Byte(pmbus.VOUT_MODE))
		var ok bool
		if decode, ok = mode.Decode(); !ok {
			return &pmbus.Voltage{Fault: unusable(mode)}
		}
	}
	return s.Voltage(pmbus.READ_VOUT, plausible(decode, d.model.Nameplate.VoutV))
}

// unusable says why a VOUT_MODE names no format that can be read.
func unusable(mode pmbus.VoutMode) drivers.Fault {
	if mode == 0xff {
		return drivers.Implausible // nobody drives the line
	}
	return drivers.Unsupported
}

func (d *Dev) energy(s *pmbus.Series, m *Measurement) {
	a, ok := d.model.Accumulator()
	if !ok {
		return
	}
	if d.model.may(pmbus.READ_EIN) {
		m.EIN = s.Energy(pmbus.READ_EIN, a)
	}
	if d.model.may(pmbus.READ_EOUT) {
		m.EOUT = s.Energy(pmbus.READ_EOUT, a)
	}
}

// Limits of what is believed, all arbitrary: how far above its rating a supply goes for a moment, how far below zero the
// offset of an idle one's reading may be, and what no supply in a rack is colder than.
const (
	overload = 1.2
	offset   = 0.02
	coldest  = -40
)

func plausible(d pmbus.Decode, rating float64) pmbus.Decode {
	return d.Within(-offset*rating, overload*rating)
}

// unexplained refuses an input voltage of exactly 0 while no bit says that the input is missing: a supply that answers has
// power from somewhere, and 0000 is also what registers hold that were not filled yet.
func unexplained(v *pmbus.Voltage, status pmbus.StatusWord) {
	const missing = pmbus.StatusInput | pmbus.StatusVinUV | pmbus.StatusOff
	if v != nil && v.Fault == drivers.None && v.Value == 0 && status&missing == 0 {
		v.Fault = drivers.Implausible
	}
}

var _ fmt.Stringer = (*Dev)(nil)
