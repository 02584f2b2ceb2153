package config

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Parse decodes a configuration, fills in defaults and applies every rule but those that need to know the PDU
// models. name is what findings call the file.
//
// The Config is nil only where the text is not YAML with keys in it. Otherwise it is returned with all its
// mistakes, so that Check can find more of them: it must not be used while HasErrors tells of the findings.
func Parse(name string, b []byte) (*Config, []Finding) {
	src := newSource(name)
	root := parseYAML(src, b)
	if root == nil {
		return nil, sorted(src.findings)
	}
	preset := Defaults()
	c := &preset.Config
	c.src = src
	d := decoder{src: src, lines: strings.Split(string(b), "\n")}
	if _, ok := entries(root); !ok {
		src.fail(placeOfNode(root), "", "example.yaml shows what belongs here", "want keys and values")
		return nil, sorted(src.findings)
	}
	d.decode(root, "", reflect.ValueOf(c).Elem())
	c.complete(preset, src.has)
	return c, c.Check(Catalogue{})
}

// decoder walks the tree of the file and the types of Config side by side.
type decoder struct {
	src   *source
	lines []string
}

// decode puts one value of the file where it belongs.
func (d *decoder) decode(n ast.Node, path string, to reflect.Value) {
	n = bare(n)
	at := placeOfNode(n)
	d.src.at[path] = at
	switch n.(type) {
	case nil, *ast.AliasNode, *ast.LiteralNode:
		d.src.broken[path] = true // reported by refuseExtras
		return
	case *ast.NullNode:
		d.src.fail(at, path, "give it a value or leave the key out", "there is no value here")
		return
	}
	switch to.Kind() {
	case reflect.Pointer: // a key whose absence is a third value
		to.Set(reflect.New(to.Type().Elem()))
		d.decode(n, path, to.Elem())
	case reflect.Struct:
		d.record(n, path, to)
	case reflect.Slice:
		d.list(n, path, to)
	case reflect.Map:
		d.table(n, path, to)
	default:
		d.scalar(n, path, to)
	}
}

// record decodes keys into the fields of a struct.
func (d *decoder) record(n ast.Node, path string, to reflect.Value) {
	values, ok := entries(n)
	if !ok {
		d.src.fail(placeOfNode(n), path, "", "want keys and values, got %s", d.describe(n, path))
		return
	}
	fields := fieldsOf(to.Type())
	for name, v := range d.keys(values, path) {
		if f, ok := fields[name]; ok {
			d.decode(v.Value, key(path, name), to.Field(f))
			continue
		}
		d.src.fail(placeOfNode(v.Key), key(path, name), suggest(name, to.Type()), "unknown key")
	}
}

// list decodes a sequence; an empty one is the same as none.
func (d *decoder) list(n ast.Node, path string, to reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.src.fail(placeOfNode(n), path, "write [A, B], or one line with a dash for each", "want a list, got %s", d.describe(n, path))
		return
	}
	if len(seq.Values) == 0 {
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(seq.Values), len(seq.Values)))
	for i, v := range seq.Values {
		d.decode(v, index(path, i), to.Index(i))
	}
}

// table decodes keys that the file chooses itself, each with a text.
func (d *decoder) table(n ast.Node, path string, to reflect.Value) {
	values, ok := entries(n)
	if !ok {
		d.src.fail(placeOfNode(n), path, "write {KEY: VALUE}", "want keys and values, got %s", d.describe(n, path))
		return
	}
	if len(values) == 0 {
		return
	}
	to.Set(reflect.MakeMap(to.Type()))
	for name, v := range d.keys(values, path) {
		text := reflect.New(to.Type().Elem()).Elem()
		d.decode(v.Value, key(path, name), text)
		to.SetMapIndex(reflect.ValueOf(name), text)
	}
}

// keys yields the entries of a mapping by name and reports those that are not plain, or written twice.
func (d *decoder) keys(values []*ast.MappingValueNode, path string) func(yield func(string, *ast.MappingValueNode) bool) {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		first := map[string]place{}
		for _, v := range values {
			at := placeOfNode(v.Key)
			name, ok := d.keyName(v, path)
			if !ok {
				continue
			}
			if p, twice := first[name]; twice {
				d.src.fail(at, key(path, name), "delete one of the two", "this key stands already on line %d", p.line)
				continue
			}
			first[name] = at
			if !yield(name, v) {
				return
			}
		}
	}
}

// keyName reads a key, or reports why it cannot be one.
func (d *decoder) keyName(v *ast.MappingValueNode, path string) (string, bool) {
	text, ok := v.Key.(*ast.StringNode)
	at, colon := placeOfNode(v.Key), placeOf(v.Start)
	switch {
	case !ok && extra(v.Key): // reported by refuseExtras
	case !ok:
		d.src.fail(at, key(path, v.Key.GetToken().Value), "put it in quotes", "a key must be a text")
	case !quoted(text) && ambiguous.MatchString(text.Value):
		d.src.fail(at, key(path, text.Value), "put it in quotes", "this key is not a text to every YAML reader")
	case strings.ContainsFunc(text.Value, hidden):
		d.src.fail(at, key(path, text.Value), "", "the key holds an invisible character")
	case d.glued(colon): // readers disagree on {a:1}: one key "a", or one key "a:1"
		d.src.fail(colon, key(path, text.Value), "", "a space is missing after the colon")
	default:
		return text.Value, true
	}
	return "", false
}

func extra(k ast.MapKeyNode) bool {
	switch k.(type) {
	case *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return true
	default:
		return false
	}
}

// glued tells whether something other than a space follows the character at a place.
func (d *decoder) glued(at place) bool {
	if at.line > len(d.lines) {
		return false
	}
	line := []rune(strings.TrimRight(d.lines[at.line-1], "\r"))
	return at.column < len(line) && line[at.column-1] == ':' && !strings.ContainsRune(" \t", line[at.column])
}

// bare takes off anchors and tags, which refuseExtras has reported, so that what they hold is judged too.
func bare(n ast.Node) ast.Node {
	for {
		switch w := n.(type) {
		case *ast.AnchorNode:
			n = w.Value
		case *ast.TagNode:
			n = w.Value
		default:
			return n
		}
	}
}

// entries gives the keys and values of a mapping.
func entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	m, ok := bare(n).(*ast.MappingNode)
	if !ok {
		return nil, false
	}
	return m.Values, true
}

// placeOfNode gives where a value begins. A block mapping begins at its first key; the library gives the colon.
func placeOfNode(n ast.Node) place {
	if n == nil {
		return place{1, 1}
	}
	if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
		return placeOf(m.Start)
	}
	if values, ok := entries(n); ok && len(values) > 0 {
		return placeOf(values[0].Key.GetToken())
	}
	return placeOf(n.GetToken())
}
