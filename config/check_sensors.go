package config

import (
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// upsRule is what upsd takes as the name of a UPS, without spaces.
var upsRule = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// via reads MUX.N.
func splitVia(via string) (mux string, channel int, ok bool) {
	mux, digits, ok := strings.Cut(via, ".")
	n, err := strconv.Atoi(digits)
	return mux, n, ok && err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// Via reads a place behind a mux.
func (c *Config) Via(via string) (mux Mux, channel int, ok bool) {
	name, n, ok := splitVia(via)
	i := slices.IndexFunc(c.Muxes, func(m Mux) bool { return m.Name == name })
	if !ok || i < 0 {
		return Mux{}, 0, false
	}
	return c.Muxes[i], n, true
}

// BusOf follows the muxes up to the bus that something hangs on; empty where they lead nowhere.
func (c *Config) BusOf(bus, via string) string {
	for range len(c.Muxes) + 1 {
		if via == "" {
			return bus
		}
		m, _, ok := c.Via(via)
		if !ok {
			return ""
		}
		bus, via = m.Bus, m.Via
	}
	return ""
}

// muxes judges the I2C switches.
func (k *checker) muxes() {
	names := map[string]string{}
	for i, m := range k.c.Muxes {
		at := index("muxes", i)
		k.name(at+".name", m.Name)
		k.unique(names, at+".name", m.Name, "name")
		if _, known := k.catalogue.Muxes[m.Part]; k.catalogue.Muxes != nil && !known {
			k.errorf(at+".part", "", "no mux part is named %s", quote(m.Part))
		}
		k.place(at, m.Bus, m.Via)
		if k.given(at+".address", m.Address == 0) {
			k.inside(at+".address", m.Address, []Address{0x70, 0x77})
		}
		if m.Via != "" && k.c.BusOf(m.Bus, m.Via) == "" && !k.src.isBroken(at+".via") {
			if _, _, ok := k.c.Via(m.Via); ok {
				k.errorf(at+".via", "", "the muxes run in a circle or end without a bus")
			}
		}
	}
}

// place judges where something hangs: on a bus, or behind a channel of a mux.
func (k *checker) place(at, bus, via string) {
	onBus, behind := k.written(at+".bus", bus), k.written(at+".via", via)
	switch {
	case onBus && behind:
		k.errorf(at+".via", "keep one of the two", "bus says already where this hangs")
	case behind:
		k.behind(at+".via", via)
	case !onBus:
		k.errorf(at, "bus for the name of a bus, via for MUX.CHANNEL", "neither bus nor via is given")
	case !k.src.isBroken("buses") && !slices.Contains(k.busNames(), bus):
		k.errorf(at+".bus", k.known("buses", k.busNames()), "no bus is named %s", quote(bus))
	}
}

func (k *checker) behind(at, via string) {
	name, n, ok := splitVia(via)
	if !ok {
		k.errorf(at, "", "%s is not MUX.CHANNEL, for example mux-a.3", quote(via))
		return
	}
	i := slices.IndexFunc(k.c.Muxes, func(m Mux) bool { return m.Name == name })
	if i < 0 {
		if !k.src.isBroken("muxes") {
			k.errorf(at, k.known("muxes", k.muxNames()), "no mux is named %s", quote(name))
		}
		return
	}
	if channels, known := k.catalogue.Muxes[k.c.Muxes[i].Part]; known && n >= channels {
		k.errorf(at, "", "%s has channels 0 to %d", k.c.Muxes[i].Part, channels-1)
	}
}

func (k *checker) muxNames() []string {
	var names []string
	for _, m := range k.c.Muxes {
		names = append(names, m.Name)
	}
	return names
}

// inside judges an address against pairs of first and last.
func (k *checker) inside(at string, a Address, ranges []Address) {
	var words []string
	for i := 0; i+1 < len(ranges); i += 2 {
		if a >= ranges[i] && a <= ranges[i+1] {
			return
		}
		words = append(words, ranges[i].String()+" to "+ranges[i+1].String())
	}
	k.errorf(at, "", "%s is outside %s", a, strings.Join(words, ", "))
}

// sensors judges the parts that are read.
func (k *checker) sensors() {
	names := map[string]string{}
	for i, p := range k.c.PDUs { // both stand in telemetry by name
		names[p.Name] = index("pdus", i)
	}
	for i, s := range k.c.Sensors {
		at := index("sensors", i)
		k.name(at+".name", s.Name)
		k.unique(names, at+".name", s.Name, "name")
		k.span(at+".period_s", s.PeriodS, 0.1, 3600, " s")
		if !k.given(at+".part", s.Part == "") || k.catalogue.Part == nil {
			continue
		}
		part, ok := k.catalogue.Part(s.Part)
		if !ok {
			k.errorf(at+".part", k.known("parts", k.catalogue.Parts), "no part is named %s", quote(s.Part))
			continue
		}
		k.sensor(at, s, part)
	}
}

// commonKeys are the keys every sensor may have, and those that say where it is on I2C.
func commonKeys() []string { return []string{"name", "part", "period_s"} }

func placeKeys(kind PartKind) []string {
	switch kind {
	case PartI2C:
		return []string{"bus", "via", "address"}
	case PartKernel:
		return []string{"chip", "device"}
	case PartNet:
		return []string{"host"}
	default:
		return []string{"line", "active"}
	}
}

// sensor judges one entry by its part.
func (k *checker) sensor(at string, s Sensor, part Part) {
	if part.Kind == PartI2C {
		k.place(at, s.Bus, s.Via)
		if k.given(at+".address", s.Address == 0) {
			k.inside(at+".address", s.Address, part.Addresses)
		}
	}
	if part.Kind == PartLine {
		k.line(at+".line", s.Line)
	}
	takes := slices.Concat(commonKeys(), placeKeys(part.Kind), part.Keys)
	if part.Inputs > 0 {
		takes = append(takes, "inputs")
	}
	k.keys(at, reflect.ValueOf(s), s.Part, takes, part.Needs)
	k.inputs(at, s, part)
}

// keys reports what an entry says and its part does not take, and what it lacks.
func (k *checker) keys(at string, v reflect.Value, part string, takes, needs []string) {
	for i := range v.NumField() {
		name := keyOf(v.Type().Field(i))
		path := at + "." + name
		switch given := k.src.has(path) || k.c.src == nil && !v.Field(i).IsZero(); {
		case given && !slices.Contains(takes, name):
			k.errorf(path, "keys of this part: "+strings.Join(takes, ", "), "%s takes no %s", part, name)
		case !given && slices.Contains(needs, name):
			k.errorf(path, "", "%s needs %s", part, name)
		case given && slices.Contains(takes, name) && !slices.Contains(commonKeys(), name):
			k.value(path, name, v.Field(i))
		}
	}
}

// value judges what a key of a sensor or of an input holds. Bounds without a word are arbitrary.
func (k *checker) value(at, name string, v reflect.Value) {
	switch name {
	case "shunt_ohm":
		k.span(at, v.Float(), 1e-5, 10, " ohm")
	case "max_a", "full_scale_a":
		k.span(at, v.Float(), 0.01, 10_000, " A")
	case "full_scale_v":
		k.span(at, v.Float(), 1, 2_000, " V")
	case "range_v":
		k.oneOf(at, strconv.FormatInt(v.Int(), 10), "60", "100")
	case "range_mv":
		k.oneOf(at, strconv.FormatInt(v.Int(), 10), "15", "26", "30", "50")
	case "hertz":
		k.oneOf(at, strconv.FormatInt(v.Int(), 10), "50", "60")
	case "litres_per_pulse":
		k.span(at, v.Float(), 1e-6, 1_000, " l")
	case "burden_ohm":
		k.span(at, v.Float(), 10, 500, " ohm") // 20 mA at 500 ohm is 10 V
	case "ref_v":
		k.span(at, v.Float(), 1, 6, " V")
	case "active":
		k.oneOf(at, v.String(), "high", "low")
	case "host":
		if net.ParseIP(v.String()) == nil && !hostNameRule.MatchString(v.String()) {
			k.errorf(at, "", "%s is not an address or a name without a port", quote(v.String()))
		}
	case "ups":
		if !upsRule.MatchString(v.String()) {
			k.errorf(at, "", "%s is not the name of a UPS: 1 to 64 letters, digits, dots, dashes and underscores", quote(v.String()))
		}
	}
}

func (k *checker) oneOf(at, v string, words ...string) {
	if !slices.Contains(words, v) {
		k.errorf(at, "", "%s is not one of %s", quote(v), strings.Join(words, ", "))
	}
}

// inputs judges the inputs of a part that has several.
func (k *checker) inputs(at string, s Sensor, part Part) {
	used := map[string]string{}
	for i, in := range s.Inputs {
		here := index(at+".inputs", i)
		which := strconv.Itoa(in.Input)
		if part.Kind == PartKernel { // several kinds of channels have the same numbers
			which += " of " + in.Measure
		}
		switch {
		case !k.given(here+".input", in.Input == 0):
		case part.Kind == PartKernel && (in.Input < 0 || in.Input > part.Inputs || in.Input == 0 && in.Measure != "volts"):
			k.errorf(here+".input", "", "%s has inputs 1 to %d, and in0 for volts", s.Part, part.Inputs)
		case part.Kind != PartKernel && (in.Input < 1 || in.Input > part.Inputs):
			k.errorf(here+".input", "", "%s has inputs 1 to %d", s.Part, part.Inputs)
		case used[which] != "":
			k.errorf(here+".input", "", "input %s is also that of %s", which, k.mention(used[which]))
		default:
			used[which] = here
		}
		if k.written(here+".label", in.Label) && !nameRule.MatchString(in.Label) {
			k.errorf(here+".label", "", "%s is not a name: 1 to 23 characters out of a-z, 0-9 and -", quote(in.Label))
		}
		takes := append([]string{"input", "label"}, part.InputKeys...)
		var needs []string
		if slices.Contains(part.InputKeys, "measure") {
			takes, needs = k.measure(here, in, part.Kind)
		} else {
			needs = part.InputKeys
		}
		k.keys(here, reflect.ValueOf(in), s.Part, takes, needs)
	}
}

// Measures are what may hang on an analogue input; all but volts and leak are 4-20 mA loops.
func Measures() []string {
	return []string{"volts", "leak", "flow_lpm", "pressure_bar", "temp_c", "level_pct"}
}

// KernelMeasures are the kinds of the kernel's channels.
func KernelMeasures() []string { return []string{"temp", "volts", "amps", "watts", "rpm"} }

// measure tells which keys an analogue input takes and needs for what it measures.
func (k *checker) measure(at string, in Input, kind PartKind) (takes, needs []string) {
	takes = []string{"input", "label", "measure"}
	if !k.given(at+".measure", in.Measure == "") {
		return takes, nil
	}
	if kind == PartKernel {
		k.oneOf(at+".measure", in.Measure, KernelMeasures()...)
		return takes, nil
	}
	switch in.Measure {
	case "volts":
		return takes, nil
	case "leak":
		return append(takes, "ref_v"), []string{"ref_v"}
	default:
		k.oneOf(at+".measure", in.Measure, Measures()...)
		if in.High <= in.Low && k.src.has(at+".high") {
			k.errorf(at+".high", "", "%s at 20 mA is not above %s at 4 mA", number(in.High), number(in.Low))
		}
		return append(takes, "burden_ohm", "low", "high"), []string{"burden_ohm", "high"} // most begin at 0
	}
}
