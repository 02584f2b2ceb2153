package pdu

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"periph.io/x/conn/v3/physic"

	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/adm1272"
	"rackagent/drivers/chip/mcp39f521"
	"rackagent/drivers/chip/pca9548"
)

// Parts that a model file may name as a meter.
const (
	partADE = "ade7953"
	partMCP = "mcp39f521"
	partADM = "adm1272"
)

func meterParts() []string { return []string{partADE, partMCP, partADM} }

// known tells whether there is such a part.
func (e meterEntry) known() bool { return slices.Contains(meterParts(), e.part()) }

// homeless tells whether the file does not say where the part is, although it may be in several places.
func (e meterEntry) homeless() bool { return e.part() != partADE && e.Address == nil }

// addresses is where a metering part can sit.
func (e meterEntry) addresses() (first, last int) {
	switch e.part() {
	case partMCP:
		return mcp39f521.FirstAddr, mcp39f521.LastAddr
	case partADM:
		return 0x08, 0x77 // by straps
	default:
		return ade7953.Address, ade7953.Address
	}
}

// switches tells whether the part can also be the switch of its outlet.
func (e meterEntry) switches() bool { return e.part() == partADM }

// keys are those that a part takes beyond part, address, mux and channel.
func (e meterEntry) keys() []string {
	switch e.part() {
	case partMCP:
		return nil
	case partADM:
		return []string{"shunt_ohm", "range_v", "range_mv"}
	default:
		return []string{"divider", "a", "b"}
	}
}

// MeterClass is the largest error of a meter's active power and energy by its part's data sheet, in percent of the
// reading, on a calibrated board; 0: not known. Shunt and divider come on top. ADE7953 (revision C, page 1): 0.1 % over
// 3000:1. MCP39F521 (DS20005442, page 1): 0.1 % over 4000:1. It panics where the model has no such meter.
func (m *Model) MeterClass(meter int) float64 {
	if s := m.meters[meter]; s.ade != nil || s.mcp != nil {
		return 0.1
	}
	return 0
}

// meter checks the keys of one meter, which differ from part to part.
func (c *checker) meter(f *modelFile, i int, m meterEntry) {
	key := fmt.Sprintf("meters[%d]", i)
	if !m.known() {
		c.bad(key+".part", "%q is none of %q", m.Part, meterParts())
		return
	}
	c.strangers(key, m)
	if m.homeless() {
		c.bad(key+".address", "missing")
	}
	if dc := f.Current == currentDC; dc != (m.part() == partADM) {
		c.bad(key+".part", "%s does not measure this kind of current", withArticle(m.part()))
	}
	switch m.part() {
	case partADE:
		c.ade(f, key, m)
	case partADM:
		c.within(key+".shunt_ohm", m.ShuntOhm, 1e-6, 1)
		c.oneOf(key+".range_v", fmt.Sprint(m.RangeV), "60", "100")
		c.oneOf(key+".range_mv", fmt.Sprint(m.RangeMV), "15", "30")
		if float64(m.RangeV) < 1.1*f.NominalV {
			c.bad(key+".range_v", "full scale is %d V, below 1.1 x nominal_v", m.RangeV)
		}
	}
}

// strangers reports keys of another part.
func (c *checker) strangers(key string, m meterEntry) {
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		common := slices.Contains([]string{"part", "address", "mux", "channel"}, name)
		if !v.Field(i).IsZero() && !common && !slices.Contains(m.keys(), name) {
			c.bad(key+"."+name, "%s takes no %s", withArticle(m.part()), name)
		}
	}
}

func (e meterEntry) spec() meterSpec {
	s := meterSpec{place: placeAt(e.address(), e.Mux, e.Channel)}
	switch e.part() {
	case partMCP:
		s.mcp = &mcp39f521.Opts{Addr: s.addr}
	case partADM:
		s.adm = &adm1272.Opts{Addr: s.addr, Part: adm1272.ADM1272, ShuntOhm: e.ShuntOhm, VoltageRange: e.RangeV, CurrentRange: e.RangeMV}
	default:
		input := func(i *inputEntry) ade7953.Channel {
			return ade7953.Channel{FullScaleI: ade7953.FullScaleCurrent(i.Gain, i.ShuntOhm), Gain: i.Gain}
		}
		s.ade = &ade7953.Opts{FullScaleV: ade7953.FullScaleVoltage(e.Divider), A: input(e.A), B: input(e.B)}
	}
	return s
}

// fullScale is the largest current that a meter shows at an input; false where a model does not say.
func (e meterEntry) fullScale(input string) (amps float64, ok bool) {
	switch {
	case e.part() == partADM && e.ShuntOhm > 0:
		return float64(e.RangeMV) / 1000 / e.ShuntOhm, true
	case e.part() == partADE:
		in := e.A
		if input == inputB {
			in = e.B
		}
		if in == nil || in.Gain < 1 || in.ShuntOhm < 1e-6 {
			return 0, false // said at the meter
		}
		return float64(ade7953.FullScaleCurrent(in.Gain, in.ShuntOhm)) / float64(physic.Ampere), true
	default:
		return 0, false
	}
}

func muxParts() []string {
	return []string{string(pca9548.PCA9545), string(pca9548.PCA9546), string(pca9548.PCA9548)}
}

func muxChannels(part string) int { return pca9548.Part(part).Channels() }
