package config

import (
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// FuzzParse gives Parse any bytes.
func FuzzParse(f *testing.F) {
	f.Add(readFile(f, "example.yaml"))
	f.Add([]byte(small))
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) { holds(t, schema, text) })
}

// holds checks that no text makes Parse panic, that every finding is one line with a place in the file, and
// that a text without errors means the same to everybody: printed back and read again, to the schema, and to
// the library's own decoder.
func holds(t *testing.T, schema *jsonschema.Schema, text []byte) (accepted bool) {
	t.Helper()
	c, findings := Parse("f.yaml", text)
	lineCount := strings.Count(string(text), "\n") + 1
	for _, f := range findings {
		if s := f.String(); strings.ContainsFunc(s, hidden) || f.Text == "" || f.Line < 1 || f.Line > lineCount || f.Column < 1 {
			t.Errorf("finding %q at %d:%d", s, f.Line, f.Column)
		}
	}
	if c == nil && !HasErrors(findings) {
		t.Error("neither a configuration nor a reason")
	}
	if c == nil || HasErrors(findings) {
		return false
	}
	if err := validate(schema, text); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
	sameToTheLibrary(t, c, text)
	dump := c.Dump()
	again, findings := Parse("dump.yaml", dump)
	if HasErrors(findings) {
		t.Fatalf("its dump is refused:\n%s\n%s", lines(findings), dump)
	}
	if c.src, again.src = nil, nil; !reflect.DeepEqual(c, again) || c.Hash() != again.Hash() {
		t.Errorf("%+v became\n%+v", c, again)
	}
	return true
}

// TestRandomEdits puts odd values, keys and line breaks where plain ones belong, from a fixed seed. Plain fuzzing
// rarely gets past the YAML reader.
func TestRandomEdits(t *testing.T) {
	schema := compileSchema(t)
	r := rand.New(rand.NewPCG(1, 2))
	word := regexp.MustCompile(`[A-Za-z0-9_./:-]+`)
	odd := []string{
		"1", "0", "-0", "0.5", "1e3", "010", "0x1F", "1_0", ".5", "5.", "+1", ".inf", ".nan", "99999999999999999999", "1:30", "2026-01-01",
		"true", "True", "no", "on", "y", "~", "null", "", "a", "a-b", "A", "é", "\"a\"", "'a'", "''", "\"\\x41\"", "\"\\u00e9\"", "\"\\0\"", "'it''s'", "\"a\\\\b\"",
		"[]", "{}", "[a]", "{a: b}", "{a:b}", "{a}", "[a, b]", "[,]", "&x a", "*x", "!!str a", "!a", "<<", "? a", "|", ">", "@", "%", "- a", "a: b", "a #b", "a#b",
		"pdu-a.2", "pdu-a.8", "bank-a", "row", "main", "none", "declared", "unproven", "hold", "restore", "asic", "gpu", "L2", "200", "20", "/x", "/dev/x",
		"mqtt://127.0.0.1:1883", "mqtts://[::1]:8883", "MQTTS://b:1", "mqtts://b:1#", "127.0.0.1:1", "\n", "\n  ", "\n    ", "\n- ", "#", "\r\n", "a\n  b",
		"name", "class", "max_w", "surge_w", "surge_s", "share_a", "continuous", "parent", "adapter", "identity", "user", "min_off_s",
	}
	accepted := 0
	for range 2000 {
		text := small
		for range 1 + r.IntN(2) {
			words := word.FindAllStringIndex(text, -1)
			at := words[r.IntN(len(words))]
			text = text[:at[0]] + odd[r.IntN(len(odd))] + text[at[1]:]
		}
		if holds(t, schema, []byte(text)) {
			accepted++
		}
		if t.Failed() {
			t.Fatalf("with\n%s", text)
		}
	}
	if accepted < 20 {
		t.Errorf("only %d edits were accepted, so little was compared", accepted)
	}
}

// sameToTheLibrary decodes the text with go-yaml and compares.
func sameToTheLibrary(t *testing.T, c *Config, text []byte) {
	t.Helper()
	preset := Defaults()
	other := preset.Config
	if err := yaml.UnmarshalWithOptions(text, &other, yaml.Strict()); err != nil {
		t.Errorf("go-yaml refuses it: %v", err)
		return
	}
	other.complete(preset, c.src.has)
	other.MQTT.SpreadS += 0 // the one key that may be zero and could be -0
	mine := *c
	for _, c := range []*Config{&mine, &other} {
		c.src = nil
	}
	if string(mine.Dump()) != string(other.Dump()) {
		t.Errorf("read as\n%s\ngo-yaml reads\n%s", mine.Dump(), other.Dump())
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"size", strings.Repeat("#\n", maxBytes), "f.yaml:1:1: the file is larger than 256 KiB\n"},
		{"a long line", "a: " + strings.Repeat("x", maxColumn), "f.yaml:1:1001: the line is longer than 1000 characters\n"},
		{"many keys", strings.Repeat("a: 1\n", maxTokens), "f.yaml:10001:1: the file holds too many values or nests them too deeply\n"},
		{"brackets", strings.Repeat("[\n", maxBytes/2), "f.yaml:9:1: the file holds too many values or nests them too deeply\n"},
		{"dashes", strings.Repeat("- ", maxColumn/2), "f.yaml:1:1: want keys and values (example.yaml shows what belongs here)\n"},
		{"nothing", "", "f.yaml:1:1: the file holds no keys (example.yaml shows what belongs here)\n"},
		{"comments", "# a\n\n# b\n", "f.yaml:1:1: the file holds no keys (example.yaml shows what belongs here)\n"},
		{"a word", "hello", "f.yaml:1:1: want keys and values (example.yaml shows what belongs here)\n"},
	} {
		config, findings := Parse("f.yaml", []byte(c.text))
		if got := lines(findings); got != c.want || config != nil {
			t.Errorf("%s: got %s want %s", c.name, got, c.want)
		}
	}
}

func TestWindowsLineEndsAreTaken(t *testing.T) {
	c, findings := Parse("f.yaml", []byte(strings.ReplaceAll(small, "\n", "\r\n")))
	plain, _ := Parse("f.yaml", []byte(small))
	if len(findings) > 0 || c.Hash() != plain.Hash() {
		t.Error(lines(findings))
	}
}

// TestAllAtOnce is what an operator reads after a bad day: every mistake, in the order of the file.
func TestAllAtOnce(t *testing.T) {
	const name = "testdata/all-at-once.yaml"
	c, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	config, _ := Parse("all-at-once.yaml", c)
	golden(t, "testdata/all-at-once.txt", lines(config.Check(Catalogue{Model: ac8})))
}

func TestMinusZeroIsZero(t *testing.T) {
	a, _ := Parse("f.yaml", []byte(strings.Replace(small, "  broker:", "  spread_s: -0\n  broker:", 1)))
	b, _ := Parse("f.yaml", []byte(small))
	if a.Hash() != b.Hash() || strings.Contains(string(a.Dump()), "-0\n") {
		t.Errorf("%s", a.Dump())
	}
}
