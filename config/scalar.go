package config

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decimal is the one way to write a number: YAML readers disagree on 010, 1_000, 1e3, +1, .5 and 12:30.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// ambiguous are plain texts that YAML 1.1 readers take for a boolean, a number or a date, and YAML 1.2 readers
// for a text (YAML 1.1 types bool, int, float, timestamp).
var ambiguous = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|=`,
	`[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?`,
	`[-+]?\.[0-9][0-9_]*([eE][-+]?[0-9]+)?`,
	`[-+]?0[xob][0-9a-fA-F_]+`,
	`[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`,
	`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?`,
}, "|") + `)$`)

// scalar decodes a text, a number or true and false.
func (d *decoder) scalar(n ast.Node, path string, to reflect.Value) {
	switch to.Kind() {
	case reflect.String:
		d.text(n, path, to)
	case reflect.Bool:
		d.boolean(n, path, to)
	case reflect.Uint16:
		d.address(n, path, to)
	default:
		d.number(n, path, to)
	}
}

func (d *decoder) text(n ast.Node, path string, to reflect.Value) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		hint := ""
		if t := n.GetToken(); t != nil && plain(n) {
			hint = "quote it if it is meant as a text"
		}
		d.src.fail(placeOfNode(n), path, hint, "want a text, got %s", d.describe(n, path))
		return
	}
	switch {
	case !quoted(s) && ambiguous.MatchString(s.Value):
		d.src.fail(placeOfNode(n), path, "put it in quotes",
			"%s without quotes is not a text to every YAML reader", d.show(s.Value, path, "this", ""))
	case strings.ContainsFunc(s.Value, hidden):
		d.src.fail(placeOfNode(n), path, "", "the text holds an invisible character")
	default:
		to.SetString(s.Value)
	}
}

func (d *decoder) boolean(n ast.Node, path string, to reflect.Value) {
	t := n.GetToken()
	if b, ok := n.(*ast.BoolNode); ok && (t.Value == "true" || t.Value == "false") {
		to.SetBool(b.Value)
		return
	}
	d.src.fail(placeOfNode(n), path, "write true or false", "want true or false, got %s", d.describe(n, path))
}

func (d *decoder) number(n ast.Node, path string, to reflect.Value) {
	if s, ok := n.(*ast.StringNode); ok && quoted(s) || !plain(n) {
		hint := ""
		if ok && decimal.MatchString(s.Value) {
			hint = "take the quotes off"
		}
		d.src.fail(placeOfNode(n), path, hint, "want a number, got %s", d.describe(n, path))
		return
	}
	written := n.GetToken().Value
	if !decimal.MatchString(written) {
		d.src.fail(placeOfNode(n), path, "write digits, and a point where needed: 250 or 0.8",
			"want a plain decimal number, got %s", d.show(written, path, "something else", ""))
		return
	}
	if to.CanInt() {
		d.whole(n, path, to, written)
		return
	}
	v, err := strconv.ParseFloat(written, 64)
	if err != nil {
		d.src.fail(placeOfNode(n), path, "", "the number is out of range")
		return
	}
	to.SetFloat(v + 0) // turns -0 into 0
}

// hexAddress is the one way to write an address; YAML readers agree on it being a number.
var hexAddress = regexp.MustCompile(`^0x[0-9a-fA-F]{2}$`)

// address decodes a 7-bit I2C address. The reserved ones at both ends are no device's (UM10204, section 3.1.12).
func (d *decoder) address(n ast.Node, path string, to reflect.Value) {
	const hint = "write it as 0x48, without quotes"
	s, isText := n.(*ast.StringNode)
	if !plain(n) || isText && quoted(s) || !hexAddress.MatchString(n.GetToken().Value) {
		d.src.fail(placeOfNode(n), path, hint, "want an address, got %s", d.describe(n, path))
		return
	}
	v, _ := strconv.ParseUint(n.GetToken().Value[2:], 16, 16)
	if v < 0x08 || v > 0x77 {
		d.src.fail(placeOfNode(n), path, "", "devices have addresses from 0x08 to 0x77")
		return
	}
	to.SetUint(v)
}

func (d *decoder) whole(n ast.Node, path string, to reflect.Value, written string) {
	bits := 32 // so that a file means the same on every machine
	if to.Kind() == reflect.Int64 {
		bits = 64
	}
	v, err := strconv.ParseInt(written, 10, bits)
	switch {
	case err == nil:
		to.SetInt(v)
	case strings.Contains(written, "."):
		d.src.fail(placeOfNode(n), path, "", "want a whole number, got %s", written)
	default:
		d.src.fail(placeOfNode(n), path, "", "the number is out of range")
	}
}

// plain tells scalars, all but texts in quotes being written as they are meant.
func plain(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return true
	default:
		return false
	}
}

func quoted(s *ast.StringNode) bool {
	return s.Token.Type == token.SingleQuoteType || s.Token.Type == token.DoubleQuoteType
}

// describe says what stands in the file where something else is wanted.
func (d *decoder) describe(n ast.Node, path string) string {
	switch n := n.(type) {
	case *ast.MappingNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return d.show(n.Value, path, "a text", "the text ")
	case *ast.BoolNode:
		return "the boolean " + n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return d.show(n.GetToken().Value, path, "a number", "the number ")
	default:
		return "something else"
	}
}

// show quotes a value for a finding, after some words. Values of mqtt stay out, since a password may have got
// there by mistake; then other words take their place.
func (d *decoder) show(value, path, instead, words string) string {
	if secretive(path) {
		return instead
	}
	return words + quote(value)
}

// secretive tells the paths whose values no finding repeats.
func secretive(path string) bool { return path == "mqtt" || strings.HasPrefix(path, "mqtt.") }
