package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// implausible is the magnitude from which on a number is no measurement (arbitrary: a rack draws under 1e6 W, and
// an energy counter of 1e12 Wh would have run for a century at 1 GW).
const implausible = 1e12

// plausible tells whether v may stand on the wire.
func plausible(v float64) bool { return math.Abs(v) < implausible } // false for NaN too

// appendNumber writes v with at most digits decimals, or null.
func appendNumber(b []byte, v float64, digits int) []byte {
	if !plausible(v) {
		return append(b, "null"...)
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.ContainsRune(s, '.') {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return append(b, s...)
}

// tenths is a number written with 1 decimal, thousandths one with 3.
type (
	tenths      float64
	thousandths float64
)

// MarshalJSON rounds to 1 decimal.
func (t tenths) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(t), 1), nil }

// MarshalJSON rounds to 3 decimals.
func (t thousandths) MarshalJSON() ([]byte, error) { return appendNumber(nil, float64(t), 3), nil }

// seconds writes milliseconds as seconds, exactly.
func seconds(ms int64) thousandths { return thousandths(float64(ms) / 1000) }

// ms is the reverse of seconds.
func (t thousandths) ms() int64 { return int64(math.Round(float64(t) * 1000)) }

// millis is a point in time as it stands on the wire; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is the reverse of millis.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// cut shortens text to limit bytes at the border of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const mark = "..."
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// encode writes compact JSON. The structs of this package hold only strings, integers, booleans, maps keyed by
// strings and numbers that write themselves, for which encoding/json has no error: one that comes all the same is a
// mistake in this package, and no message at all is better than half of one.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the payload is never put into a web page as it is
	if err := e.Encode(v); err != nil {
		panic("wire: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
