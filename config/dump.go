package config

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Dump prints the effective configuration: YAML with defaults filled in and no comments, keys in the order of
// the types, secrets starred. Reading it again gives the same configuration. It is meant for configurations
// without errors: in others a password may stand where a path belongs.
func (c *Config) Dump() []byte {
	var b bytes.Buffer
	shown := *c
	shown.MQTT.Broker = starred(c.MQTT.Broker)
	shown.MQTT.Brokers = nil
	for _, b := range c.MQTT.Brokers {
		shown.MQTT.Brokers = append(shown.MQTT.Brokers, starred(b))
	}
	writeRecord(&b, reflect.ValueOf(shown), "")
	return b.Bytes()
}

// Hash is the SHA-256 of what Dump prints. It changes with every effective value and with nothing else: not
// with comments, nor with a default written out. Contents of the files that the configuration names are not
// part of it. Arming is bound to it, so what came later, backlog and telemetry.change_s, counts only where it is not the default.
func (c *Config) Hash() [sha256.Size]byte {
	text, d := c.Dump(), Defaults()
	for _, later := range []struct {
		isDefault bool
		keys      any
		indent    string
	}{
		{c.Backlog == d.Backlog, struct {
			Backlog Backlog `yaml:"backlog"`
		}{d.Backlog}, ""},
		{c.Telemetry.ChangeS == d.Telemetry.ChangeS, struct {
			ChangeS float64 `yaml:"change_s"`
		}{d.Telemetry.ChangeS}, "  "},
	} {
		if later.isDefault {
			b := bytes.NewBufferString("\n")
			writeRecord(b, reflect.ValueOf(later.keys), later.indent)
			text = bytes.Replace(text, b.Bytes(), []byte("\n"), 1)
		}
	}
	return sha256.Sum256(text)
}

var userinfo = regexp.MustCompile(`//.*@`)

// starred hides what stands before the host of an address. Check refuses such an address, but it may be
// printed before that.
func starred(address string) string { return userinfo.ReplaceAllString(address, "//"+stars+"@") }

// writeRecord writes the keys of a struct, one a line, each after the indent.
func writeRecord(b *bytes.Buffer, v reflect.Value, indent string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := keyOf(f)
		if name == "" || strings.HasSuffix(f.Tag.Get("yaml"), ",omitempty") && empty(v.Field(i)) {
			continue
		}
		b.WriteString(indent + name + ":")
		writeValue(b, v.Field(i), indent)
	}
}

func empty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// writeValue writes what follows "key:", up to the end of the line or of the block.
func writeValue(b *bytes.Buffer, v reflect.Value, indent string) {
	const deeper = "  "
	switch {
	case v.Kind() == reflect.Struct:
		b.WriteByte('\n')
		writeRecord(b, v, indent+deeper)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		b.WriteByte('\n')
		for i := range v.Len() {
			var entry bytes.Buffer
			writeRecord(&entry, v.Index(i), indent+deeper+deeper)
			b.WriteString(indent + deeper + "- ")
			b.Write(bytes.TrimLeft(entry.Bytes(), " "))
		}
	default:
		b.WriteString(" " + inline(v) + "\n")
	}
}

// inline writes a scalar, a list of texts or a table of texts on one line.
func inline(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return inline(v.Elem())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Uint16:
		return Address(v.Uint()).String()
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return number(v.Float())
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, inline(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		table := v.Interface().(map[string]string)
		var items []string
		for _, k := range slices.Sorted(maps.Keys(table)) {
			items = append(items, textual(k)+": "+textual(table[k]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return textual(v.String())
	}
}

// unquotable are texts that every YAML reader takes for the same text without quotes.
var unquotable = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._-]*$`)

// textual writes a text. Texts hold no control characters, so a backslash and a quote are all there is to escape.
func textual(s string) string {
	reserved := slices.Contains([]string{"true", "false", "null"}, strings.ToLower(s))
	if unquotable.MatchString(s) && !ambiguous.MatchString(s) && !reserved {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
