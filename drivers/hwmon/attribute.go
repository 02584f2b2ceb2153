package hwmon

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"rackagent/drivers"
)

// Bounds of what is read. Arbitrary: well above what a part has.
const (
	longest      = 256 // bytes of an attribute
	longestLabel = 40  // bytes
	mostChannels = 128
	highest      = 999 // number of a channel
)

// measure is how the kernel writes one kind of reading.
type measure struct {
	kind     Kind
	prefix   string  // of the attribute's name
	scale    float64 // attribute units per unit of the kind
	min, max int64   // beyond which a reading is none, in attribute units; arbitrary but for absolute zero
}

// measures lists the kinds in the order of the channels (Linux, Documentation/hwmon/sysfs-interface): mV, mA, uW, uJ,
// thousandths of a degree Celsius, rpm.
func measures() []measure {
	return []measure{
		{Volts, "in", 1e3, -10_000_000, 10_000_000},
		{Amps, "curr", 1e3, -10_000_000, 10_000_000},
		{Watts, "power", 1e6, -1_000_000_000_000, 1_000_000_000_000},
		{Joules, "energy", 1e6, 0, 1<<63 - 1},
		{TempC, "temp", 1e3, -273_150, 1_000_000},
		{RPM, "fan", 1, 0, 1_000_000},
	}
}

func measureOf(k Kind) (measure, bool) {
	for _, m := range measures() {
		if m.kind == k {
			return m, true
		}
	}
	return measure{}, false
}

// attribute reads the name of a reading: "temp1_input".
func attribute(name string) (kind Kind, n int, ok bool) {
	stem, ok := strings.CutSuffix(name, "_input")
	if !ok {
		return "", 0, false
	}
	for _, m := range measures() {
		digits, is := strings.CutPrefix(stem, m.prefix)
		if !is {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n > highest || strconv.FormatUint(n, 10) != digits {
			return "", 0, false
		}
		return m.kind, int(n), true
	}
	return "", 0, false
}

// file is the name of an attribute.
func file(k Kind, n int, what string) string {
	m, _ := measureOf(k)
	return fmt.Sprintf("%s%d_%s", m.prefix, n, what)
}

// order sorts channels by kind and number.
func order(a, b Channel) int {
	rank := func(c Channel) int {
		return slices.IndexFunc(measures(), func(m measure) bool { return m.kind == c.Kind })
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.N, b.N))
}

// Parse reads an attribute: a decimal number and a line feed. What is no such number is Corrupt, what no part can
// measure Implausible.
func Parse(k Kind, text string) (value float64, raw int64, f drivers.Fault) {
	m, ok := measureOf(k)
	if !ok {
		return 0, 0, drivers.Unsupported
	}
	digits := strings.TrimSuffix(text, "\n")
	raw, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || digits[0] == '+':
		return 0, 0, drivers.Corrupt
	case raw < m.min || raw > m.max:
		return 0, 0, drivers.Implausible
	}
	return float64(raw) / m.scale, raw, drivers.None
}

// printable takes out of a label what cannot be shown, and bounds it.
func printable(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for s = strings.TrimSpace(s); len(s) > longestLabel; {
		_, last := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-last]
	}
	return s
}

// faultOf says what the errno of a read means: that of the part's bus, which kernel drivers hand through (Linux,
// Documentation/i2c/fault-codes), ENODATA for a channel that is off or has no sensor, or that the device has gone.
func faultOf(err error) drivers.Fault {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return drivers.NoAnswer
	case errors.Is(err, fs.ErrPermission):
		return drivers.Unsupported
	case !errors.As(err, &errno):
		return drivers.BusFault
	}
	switch errno {
	case syscall.ENXIO, errRemoteIO, syscall.ENODEV:
		return drivers.NoAnswer
	case syscall.EAGAIN:
		return drivers.Arbitration
	case syscall.ETIMEDOUT:
		return drivers.Timeout
	case syscall.EBADMSG, syscall.EPROTO:
		return drivers.Corrupt
	case syscall.ENODATA:
		return drivers.Implausible
	case syscall.EOPNOTSUPP, syscall.EINVAL:
		return drivers.Unsupported
	default:
		return drivers.BusFault
	}
}
