package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"rackagent/agent/rack"
)

// fields reads the members of one object strictly: a member is absent, or of its type and within its range. The
// first thing wrong is kept in bad, and what is read afterwards does not matter.
type fields struct {
	m    map[string]any
	path string // of this object within the payload: "" or "args."
	bad  *Refused
}

func (f *fields) refuse(code rack.Code, key, text string) {
	if f.bad == nil {
		f.bad = &Refused{Code: code, Field: f.path + key, Text: f.path + key + ": " + text}
	}
}

func (f *fields) wrong(key, want string) { f.refuse(rack.CodeBadSchema, key, "want "+want) }

// need refuses the object if one of the keys is missing.
func (f *fields) need(keys ...string) {
	for _, k := range keys {
		if _, ok := f.m[k]; !ok {
			f.refuse(rack.CodeBadSchema, k, "is missing")
		}
	}
}

// only refuses the object if it holds a key that is not listed.
func (f *fields) only(code rack.Code, keys []string, why string) {
	var unknown []string
	for k := range f.m {
		if !slices.Contains(keys, k) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return
	}
	f.refuse(code, quoted(slices.Min(unknown)), why)
}

// spelt refuses the object if it holds a key that would be one of those listed, were it written in their case.
func (f *fields) spelt(keys []string) {
	var wrong []string
	for k := range f.m {
		if !slices.Contains(keys, k) && slices.Contains(keys, fold(k)) {
			wrong = append(wrong, k)
		}
	}
	if len(wrong) > 0 {
		key := slices.Min(wrong)
		f.refuse(rack.CodeBadSchema, quoted(key), "is written "+fold(key))
	}
}

// quoted makes a key, which is the sender's own text, fit for a log.
func quoted(key string) string {
	if verb.MatchString(key) {
		return key
	}
	return cut(strconv.QuoteToASCII(key), maxName)
}

// text reads a string of low to high bytes that match accepts.
func (f *fields) text(key string, low, high int, match func(string) bool) string {
	v, ok := f.m[key]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok || len(s) < low || len(s) > high || match != nil && !match(s) {
		f.wrong(key, fmt.Sprintf("text of %d to %d bytes in the form of the contract", low, high))
		return ""
	}
	return s
}

// integer reads a whole number, written as one: neither 1.0 nor 1e3.
func (f *fields) integer(key string, low, high int64) int64 {
	v, ok := f.m[key]
	if !ok {
		return 0
	}
	number, ok := v.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if !ok || err != nil || n < low || n > high {
		f.wrong(key, fmt.Sprintf("a whole number from %d to %d", low, high))
		return 0
	}
	return n
}

// number reads a number above low and up to high.
func (f *fields) number(key string, low, high float64) float64 {
	v, ok := f.m[key]
	if !ok {
		return 0
	}
	number, ok := v.(json.Number)
	n, err := number.Float64()
	if !ok || err != nil || math.IsNaN(n) || n <= low || n > high {
		f.wrong(key, fmt.Sprintf("a number above %v, up to %v", low, high))
		return 0
	}
	return n
}

func (f *fields) flag(key string) bool {
	v, ok := f.m[key]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		f.wrong(key, "true or false")
	}
	return b
}

// object reads a member that is itself an object; an absent one is empty.
func (f *fields) object(key string) *fields {
	in := &fields{path: f.path + key + "."}
	v, ok := f.m[key]
	if !ok {
		return in
	}
	if in.m, ok = v.(map[string]any); !ok {
		f.wrong(key, "an object")
	}
	return in
}
