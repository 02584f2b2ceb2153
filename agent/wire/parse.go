package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest (arbitrary: the contract needs 4, for proofs in statuses).
const maxDepth = 8

var (
	errNotUTF8   = errors.New("not UTF-8")
	errNotJSON   = errors.New("not one JSON value")
	errNotObject = errors.New("not a JSON object")
	errDepth     = fmt.Errorf("nested deeper than %d", maxDepth)
	errTwice     = errors.New("a key stands twice in one object")
)

// parseObject reads one JSON object, with numbers left as they stand. RFC 8259 section 4 leaves it open what a key
// that stands twice means, and readers differ; here such a payload is refused. Keys that differ in case alone
// count as the same, because encoding/json reads them so.
func parseObject(payload []byte) (map[string]any, error) {
	if !utf8.Valid(payload) {
		return nil, errNotUTF8
	}
	if !json.Valid(payload) {
		return nil, errNotJSON
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	v, err := parseValue(dec, maxDepth)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	return object, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, errNotJSON
	}
	delim, ok := tok.(json.Delim)
	switch {
	case !ok:
		return tok, nil
	case depth == 0:
		return nil, errDepth
	case delim == '{':
		return parseMembers(dec, depth-1)
	default:
		return parseElements(dec, depth-1)
	}
}

func parseMembers(dec *json.Decoder, depth int) (map[string]any, error) {
	object, seen := map[string]any{}, map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return nil, errNotJSON
		}
		if seen[fold(key)] {
			return nil, errTwice
		}
		seen[fold(key)] = true
		if object[key], err = parseValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token() // the closing brace
	return object, err
}

// fold makes keys that differ in case alone the same. It goes through upper case: the long s and the Kelvin sign fold
// too, as they do in encoding/json, and the dotless i, which does not there.
func fold(key string) string { return strings.ToLower(strings.ToUpper(key)) }

func parseElements(dec *json.Decoder, depth int) ([]any, error) {
	var array []any
	for dec.More() {
		v, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := dec.Token() // the closing bracket
	return array, err
}
