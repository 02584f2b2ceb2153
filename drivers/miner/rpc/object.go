package rpc

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Object is a decoded JSON object. Its readers take what firmwares really send: numbers as texts, a list of one in the
// place of an object, a missing member. What is not there, or not what it should be, is nil, and never 0.
type Object map[string]any

// Number reads a number, or a text that is one.
func (o Object) Number(key string) *float64 { return number(o[key]) }

func number(v any) *float64 {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	default:
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return &f
}

// First is the first of some members that is a number.
func (o Object) First(keys ...string) *float64 {
	for _, k := range keys {
		if n := o.Number(k); n != nil {
			return n
		}
	}
	return nil
}

// Int reads a whole number.
func (o Object) Int(key string) *int {
	n := o.Number(key)
	if n == nil || *n != math.Trunc(*n) || math.Abs(*n) > 1<<53 {
		return nil
	}
	i := int(*n)
	return &i
}

// Text reads a text as it is; empty: there is none.
func (o Object) Text(key string) string {
	switch v := o[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// Bool reads true or false, also as a text or a number.
func (o Object) Bool(key string) *bool {
	yes, no := true, false
	switch v := o[key].(type) {
	case bool:
		return &v
	case string:
		switch strings.ToLower(v) {
		case "true", "1", "yes", "y":
			return &yes
		case "false", "0", "no", "n":
			return &no
		}
	case json.Number:
		switch v.String() {
		case "1":
			return &yes
		case "0":
			return &no
		}
	}
	return nil
}

// Object reads an object, or the first of a list; nil: there is none.
func (o Object) Object(key string) Object {
	switch v := o[key].(type) {
	case map[string]any:
		return v
	case []any:
		if len(v) > 0 {
			first, _ := v[0].(map[string]any)
			return first
		}
	}
	return nil
}

// List reads the objects of a list; what is none in it is left out.
func (o Object) List(key string) []Object {
	list, _ := o[key].([]any)
	var out []Object
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// Has tells whether a member is there, whatever it is.
func (o Object) Has(key string) bool {
	_, ok := o[key]
	return ok
}

// Numbers reads a list of numbers, or one number; what is none in it is left out.
func (o Object) Numbers(key string) []float64 {
	list, ok := o[key].([]any)
	if !ok {
		list = []any{o[key]}
	}
	var out []float64
	for _, v := range list {
		if n := number(v); n != nil {
			out = append(out, *n)
		}
	}
	return out
}

// MAC gives a MAC address as miners write it, in lower case with colons.
func MAC(text string) string { return strings.ToLower(strings.ReplaceAll(Plain(text), "-", ":")) }

// maxSeconds bounds a duration: over 30 years is no time that a miner ran.
const maxSeconds = 1e9

// Seconds gives a duration that a miner tells in seconds; nil: it tells none, or none that can be.
func Seconds(n *float64) *time.Duration {
	if n == nil || !(*n >= 0 && *n < maxSeconds) {
		return nil
	}
	d := time.Duration(*n * float64(time.Second))
	return &d
}
