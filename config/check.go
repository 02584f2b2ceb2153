package config

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Check applies every rule and returns everything that is wrong with the configuration, in the order of the
// file: what decoding found and what the rules find. The zero Catalogue leaves out the rules about models and
// parts. The result takes the place of the findings that Parse or Load returned.
func (c *Config) Check(known Catalogue) []Finding {
	src := c.src
	if src == nil {
		src = newSource("config")
	}
	k := &checker{c: c, src: src, catalogue: known, findings: slices.Clone(src.findings), gpio: map[string]string{}}
	if k.version() {
		k.agent()
		k.mqtt()
		k.doors()
		k.commands()
		k.times()
		k.buses()
		k.feeds()
		k.muxes()
		k.pdus()
		k.sensors()
		k.nodes()
		k.groups()
		k.miners()
		k.interlocks()
	}
	return sorted(k.findings)
}

// checker collects findings about one configuration.
type checker struct {
	c         *Config
	src       *source
	catalogue Catalogue
	findings  []Finding
	gpio      map[string]string // GPIO lines to the paths of the keys that took them
}

func (k *checker) add(severity Severity, path, hint, format string, args ...any) {
	if k.src.isBroken(path) {
		return // the value is not what the file says
	}
	f := Finding{File: k.src.file, Path: path, Severity: severity, Text: fmt.Sprintf(format, args...), Hint: hint}
	if k.c.src != nil {
		at := k.src.where(path)
		f.Line, f.Column = at.line, at.column
	}
	k.findings = append(k.findings, f)
}

func (k *checker) errorf(path, hint, format string, args ...any) {
	k.add(Error, path, hint, format, args...)
}

func (k *checker) warnf(path, hint, format string, args ...any) {
	k.add(Warning, path, hint, format, args...)
}

// given reports a key that must be there and is not. It tells whether there is a value to judge.
func (k *checker) given(path string, empty bool) bool {
	if empty && !k.src.has(path) {
		k.errorf(path, "", "this key is missing")
		return false
	}
	return !k.src.isBroken(path)
}

// nameRule is the alphabet of names: they are topic levels, so no / + # and no capitals to mix up.
var nameRule = regexp.MustCompile(`^[a-z0-9-]{1,23}$`)

// name judges a required name.
func (k *checker) name(path, value string) {
	if k.given(path, value == "") && !nameRule.MatchString(value) {
		k.errorf(path, "", "%s is not a name: 1 to 23 characters out of a-z, 0-9 and -", quote(value))
	}
}

// unique reports a value that an earlier entry has already; seen maps values to the paths of their first use.
func (k *checker) unique(seen map[string]string, path, value, what string) {
	if value == "" || k.src.isBroken(path) {
		return
	}
	if first, twice := seen[value]; twice {
		k.errorf(path, "", "%s is also the %s of %s", quote(value), what, k.mention(first))
		return
	}
	seen[value] = around(path)
}

// mention names another entry by its path and line.
func (k *checker) mention(path string) string {
	if k.c.src == nil {
		return path
	}
	return path + " on line " + strconv.Itoa(k.src.where(path).line)
}

// span judges a number that has a default, or is required and given.
func (k *checker) span(path string, v, low, high float64, unit string) {
	if v < low || v > high || math.IsNaN(v) {
		k.errorf(path, "", "%s is outside %s to %s%s", number(v), number(low), number(high), unit)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// file judges a path that is empty or absolute. The value is not repeated: it may be a secret typed in the
// wrong place.
func (k *checker) file(at, value string) {
	if k.src.has(at) && value == "" || value != "" && !absolute(value) {
		k.errorf(at, "the key takes the path of a file, not its content", "not an absolute path without . and ..")
	}
}

func absolute(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && p != "/" }

func (k *checker) version() bool {
	if !k.given("schema", k.c.Schema == 0) || k.c.Schema == SchemaVersion {
		return true
	}
	k.errorf("schema", "", "this agent reads schema %d, not %d; nothing else was judged", SchemaVersion, k.c.Schema)
	return false
}

func (k *checker) agent() {
	k.name("site", k.c.Site)
	k.name("agent", k.c.Agent)
	if !absolute(k.c.StateDir) {
		k.errorf("state_dir", "", "%s is not an absolute path without . and ..", quote(k.c.StateDir))
	}
}

// times judges periods; all bounds are arbitrary but the two that are explained.
func (k *checker) times() {
	k.span("telemetry.period_s", k.c.Telemetry.PeriodS, 1, 3600, " s")
	if c := k.c.Telemetry.ChangeS; c != 0 {
		k.span("telemetry.change_s", c, 0.2, 60, " s, and not 0, which tells values by the period only")
	}
	if b := k.c.Backlog.BudgetMiB; b != 0 && (b < 8 || b > 16_384) {
		k.errorf("backlog.budget_mib", "0 keeps nothing on disk", "%d is neither 0 nor within 8 to 16384 MiB", b)
	}
	// A cut is settled by two samples within 5 s.
	k.span("poll.outlet_period_s", k.c.Poll.OutletPeriodS, 0.2, 5, " s")
	k.span("poll.identity_period_s", k.c.Poll.IdentityPeriodS, 10, 86_400, " s")
	// The inrush of one power supply lasts up to 40 ms; makers of switched PDUs leave 100 ms.
	k.span("power.stagger_ms", float64(k.c.Power.StaggerMS), 100, 60_000, " ms")
	if k.c.Power.FeedControl != "" {
		oneOf(k, "power.feed_control", k.c.Power.FeedControl, FeedAlarm, FeedShed)
	}
}

// buses judges the list of buses.
func (k *checker) buses() {
	names, devices, adapters := map[string]string{}, map[string]string{}, map[string]string{}
	for i, b := range k.c.Buses {
		at := index("buses", i)
		k.name(at+".name", b.Name)
		k.unique(names, at+".name", b.Name, "name")
		k.unique(devices, at+".device", b.Device, "device")
		k.unique(adapters, at+".adapter", b.Adapter, "adapter")
		k.bus(at, b)
	}
}

func (k *checker) bus(at string, b Bus) {
	const (
		hint  = `write device: "/dev/i2c-1", or adapter: with the name from /sys/class/i2c-adapter/i2c-1/name`
		moves = "%s is no name of a bus; a number alone may belong to another bus at the next boot"
	)
	device, adapter := k.written(at+".device", b.Device), k.written(at+".adapter", b.Adapter)
	switch {
	case device && adapter:
		k.errorf(at+".adapter", "keep one of the two", "device names this bus already")
	case !device && !adapter:
		k.errorf(at, hint, "neither device nor adapter names this bus")
	case device && isNumber(b.Device):
		k.errorf(at+".device", hint, moves, quote(b.Device))
	case device && (!strings.HasPrefix(b.Device, "/dev/") || !absolute(b.Device)):
		k.errorf(at+".device", hint, "%s is not a path below /dev", quote(b.Device))
	case adapter && isNumber(b.Adapter):
		k.errorf(at+".adapter", hint, moves, quote(b.Adapter))
	}
	scl, sda := k.written(at+".scl_line", b.SCLLine), k.written(at+".sda_line", b.SDALine)
	switch {
	case scl && !sda:
		k.errorf(at+".scl_line", "clocks need both lines", "there is no sda_line")
	case sda && !scl:
		k.errorf(at+".sda_line", "clocks need both lines", "there is no scl_line")
	case scl && b.SCLLine == b.SDALine:
		k.errorf(at+".sda_line", "", "%s is also the scl_line", quote(b.SDALine))
	default:
		k.line(at+".scl_line", b.SCLLine)
		k.line(at+".sda_line", b.SDALine)
	}
}

// line reports a GPIO line that another key has already: clocks meant for one bus would pull at the other, and at a
// sensor's contact.
func (k *checker) line(path, value string) {
	if value == "" || k.src.isBroken(path) {
		return
	}
	if first, twice := k.gpio[value]; twice {
		entry := around(first)
		k.errorf(path, "", "%s is also the %s of %s", quote(value), strings.TrimPrefix(first, entry+"."), k.mention(entry))
		return
	}
	k.gpio[value] = path
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789 ") == "" }

// written tells whether an optional text is there, be it empty or broken.
func (k *checker) written(path, value string) bool { return value != "" || k.src.has(path) }
