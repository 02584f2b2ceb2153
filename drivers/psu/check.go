package psu

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"rackagent/drivers/pmbus"
)

// Words of model files.
const (
	pecAuto = "auto"
	pecYes  = "yes"
	pecNo   = "no"

	formatVoutMode = "vout_mode"
	formatLinear   = "linear"
	formatLinear11 = "linear11"
	formatDirect   = "direct"
)

// maxDelay keeps a supply from holding its bus: 20 ms is what the slowest known one needs (Linux driver fsp-3y).
const maxDelay = 100 * time.Millisecond

// nameRule is what names in topics look like.
var nameRule = regexp.MustCompile(`^[a-z0-9-]{1,23}$`)

// checker turns a file into a model and collects what is wrong with it.
type checker struct {
	file     string
	mistakes []error
}

func (c *checker) bad(line int, key, format string, args ...any) {
	c.mistakes = append(c.mistakes, &Mistake{File: c.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) name(key string, e entry[string]) {
	if !nameRule.MatchString(e.value) {
		c.bad(e.line, key, "%q is not a name: 1 to 23 of a-z, 0-9 and -", e.value)
	}
}

// within also refuses what is not a number.
func (c *checker) within(key string, e entry[float64], low, high float64) float64 {
	if e.line == 0 && low > 0 {
		c.bad(0, key, "missing")
	} else if !(e.value >= low && e.value <= high) {
		c.bad(e.line, key, "%v is outside %v to %v", e.value, low, high)
	}
	return e.value
}

func (c *checker) model(f *modelFile) *Model {
	c.name("model", f.Model)
	m := &Model{Name: f.Model.value, Manufacturer: f.Manufacturer.value, Products: f.Products.value, Page: -1}
	for _, p := range f.Products.value {
		if p == "" {
			c.bad(f.Products.line, "products", "an empty product is any product")
		}
	}
	m.reads = c.commands("reads", f.Reads)
	m.writes = c.writes(f.Writes)
	m.texts = c.texts(f.Texts)
	if f.MayClear.line == 0 {
		c.bad(0, "may_clear_faults", "missing")
	}
	if f.MayClear.value {
		c.bad(f.MayClear.line, "may_clear_faults", "must be false: CLEAR_FAULTS is sent to no supply")
	}
	m.checking = c.pec(f.PEC)
	if f.Page.line != 0 {
		m.Page = f.Page.value
		if m.Page < 0 || m.Page > 0xfe {
			c.bad(f.Page.line, "page", "%d is outside 0 to 254", m.Page)
		}
	}
	m.pageDelay, m.accessDelay = c.delay("page_delay_ms", f.PageDelayMS), c.delay("access_delay_ms", f.AccessDelayMS)
	m.vout = c.vout(f.VOUT)
	m.energy = c.energy(f.Energy)
	for _, t := range f.Temperatures {
		c.name("temperatures", t)
		m.Temperatures = append(m.Temperatures, t.value)
	}
	m.Nameplate = c.nameplate(f.Nameplate)
	c.complete(f, m)
	return m
}

func (c *checker) commands(key string, list []entry[string]) []pmbus.Command {
	var out []pmbus.Command
	for _, e := range list {
		at, ok := pmbus.ParseCommand(e.value)
		switch {
		case !ok:
			c.bad(e.line, key, "%q is no command: a name of PMBus part II, or a code such as d4h for one that has none", e.value)
		case slices.Contains(out, at):
			c.bad(e.line, key, "%v stands there twice", at)
		default:
			out = append(out, at)
		}
	}
	return out
}

func (c *checker) writes(list entry[[]entry[string]]) []pmbus.Command {
	if list.line == 0 {
		c.bad(0, "writes", "missing: an empty list says that nothing is written")
	}
	out := c.commands("writes", list.value)
	for _, e := range list.value {
		if at, ok := pmbus.ParseCommand(e.value); ok && (at.Forbidden() || at == pmbus.PAGE) {
			c.bad(e.line, "writes", "%v is never in a list of writes", at)
		}
	}
	return out
}

// identity lists the texts that identify a supply.
func identity() []pmbus.Command {
	return []pmbus.Command{pmbus.MFR_ID, pmbus.MFR_MODEL, pmbus.MFR_SERIAL, pmbus.MFR_REVISION}
}

func (c *checker) texts(e entry[map[string]int]) map[pmbus.Command]int {
	out := make(map[pmbus.Command]int)
	for name, n := range e.value {
		at, ok := pmbus.ParseCommand(name)
		if !ok || !slices.Contains(identity(), at) {
			c.bad(e.line, "texts."+name, "is none of %v", identity())
		} else if n < 1 || n > 32 {
			c.bad(e.line, "texts."+name, "%d is outside 1 to 32", n)
		}
		out[at] = n
	}
	return out
}

func (c *checker) pec(e entry[string]) pmbus.Checking {
	switch e.value {
	case pecAuto:
		return pmbus.CheckIfAble
	case pecYes:
		return pmbus.CheckAlways
	case pecNo:
		return pmbus.CheckNever
	}
	c.bad(e.line, "pec", "%q is none of %q", e.value, []string{pecAuto, pecYes, pecNo})
	return pmbus.CheckNever
}

func (c *checker) delay(key string, e entry[float64]) time.Duration {
	return time.Duration(c.within(key, e, 0, float64(maxDelay.Milliseconds())) * float64(time.Millisecond))
}

// vout gives the decoder of READ_VOUT, nil for the one that VOUT_MODE names.
func (c *checker) vout(e entry[formatEntry]) pmbus.Decode {
	f := e.value
	switch f.Format {
	case formatVoutMode, formatLinear11:
		if f.Exponent != nil || f.M != nil || f.B != nil || f.R != nil {
			c.bad(e.line, "vout", "%s takes no numbers", f.Format)
		}
		if f.Format == formatLinear11 {
			return pmbus.Linear11
		}
		return nil
	case formatLinear:
		if f.Exponent == nil || *f.Exponent < -16 || *f.Exponent > 15 || f.M != nil || f.B != nil || f.R != nil {
			c.bad(e.line, "vout", "linear takes an exponent of -16 to 15 and nothing else")
			return nil
		}
		n := *f.Exponent
		return func(word uint16) (float64, bool) { return pmbus.ULinear16(word, n), true }
	case formatDirect:
		return c.direct("vout", e).Decode
	}
	c.bad(e.line, "vout", "format %q is none of %q", f.Format, []string{formatVoutMode, formatLinear, formatLinear11, formatDirect})
	return nil
}

func (c *checker) direct(key string, e entry[formatEntry]) pmbus.Direct {
	f := e.value
	word := func(v *int, low, high int) bool { return v != nil && *v >= low && *v <= high }
	if f.Exponent != nil || !word(f.M, math.MinInt16, math.MaxInt16) || *f.M == 0 || !word(f.B, math.MinInt16, math.MaxInt16) || !word(f.R, -12, 12) {
		c.bad(e.line, key, "direct takes m and b of 16 bits, m not 0, r of -12 to 12 and nothing else")
		return pmbus.Direct{M: 1}
	}
	return pmbus.Direct{M: float64(*f.M), B: float64(*f.B), R: *f.R}
}

// energy gives the scale of the accumulators, nil where the file has none.
func (c *checker) energy(e entry[formatEntry]) *energyScale {
	switch {
	case e.line == 0:
		return nil
	case e.value.Format == formatLinear:
		if f := e.value; f.Exponent != nil || f.M != nil || f.B != nil || f.R != nil {
			c.bad(e.line, "energy", "linear takes no numbers")
		}
		return &energyScale{linear: true}
	case e.value.Format == formatDirect:
		return &energyScale{power: c.direct("energy", e)}
	}
	c.bad(e.line, "energy", "format %q is none of %q", e.value.Format, []string{formatLinear, formatDirect})
	return nil
}

func (c *checker) nameplate(e nameplateEntry) Nameplate {
	rating := func(key string, v entry[float64]) float64 { return c.within("nameplate."+key, v, 1e-3, 1e5) }
	return Nameplate{
		VinV: rating("vin_v", e.VinV), IinA: rating("iin_a", e.IinA), PinW: rating("pin_w", e.PinW),
		VoutV: rating("vout_v", e.VoutV), IoutA: rating("iout_a", e.IoutA), PoutW: rating("pout_w", e.PoutW),
		TemperatureC: c.within("nameplate.temperature_c", e.TemperatureC, 1, 200),
		FanRPM:       rating("fan_rpm", e.FanRPM),
	}
}

// complete checks what belongs together.
func (c *checker) complete(f *modelFile, m *Model) {
	line := 0
	if len(f.Reads) > 0 {
		line = f.Reads[0].line
	}
	need := func(at pmbus.Command, why string) {
		if !m.may(at) {
			c.bad(line, "reads", "%v is missing, %s", at, why)
		}
	}
	need(pmbus.STATUS_WORD, "which tells a supply from a bus that nobody drives")
	need(pmbus.MFR_ID, "which tells one supply from another")
	need(pmbus.MFR_MODEL, "which tells one supply from another")
	switch {
	case m.checking == pmbus.CheckAlways:
		need(pmbus.CAPABILITY, "which says whether the supply checks packets")
	case !m.may(pmbus.CAPABILITY):
		need(pmbus.PMBUS_REVISION, "and so is CAPABILITY: one of them is read after an answer broke off")
	}
	if m.vout == nil && m.may(pmbus.READ_VOUT) {
		need(pmbus.VOUT_MODE, "which vout.format names")
	}
	if (m.may(pmbus.READ_EIN) || m.may(pmbus.READ_EOUT)) && m.energy == nil {
		c.bad(f.Energy.line, "energy", "READ_EIN or READ_EOUT is read, and nothing says in which format")
	}
	if n := m.sensors(); len(m.Temperatures) != n {
		at := 0
		if len(f.Temperatures) > 0 {
			at = f.Temperatures[0].line
		}
		c.bad(at, "temperatures", "%d names for %d of READ_TEMPERATURE_1 to 3, which are read in order", len(m.Temperatures), n)
	}
	for i, name := range m.Temperatures {
		if slices.Contains(m.Temperatures[:i], name) {
			c.bad(f.Temperatures[i].line, "temperatures", "%q stands there twice", name)
		}
	}
	if m.Page < 0 && m.pageDelay > 0 {
		c.bad(f.PageDelayMS.line, "page_delay_ms", "there is no page")
	}
	if strings.TrimSpace(m.Manufacturer) != m.Manufacturer {
		c.bad(f.Manufacturer.line, "manufacturer", "blanks around it are none of the supply's")
	}
}
