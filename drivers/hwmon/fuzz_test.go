package hwmon

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"rackagent/drivers"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{"25062\n", "-12500\n", "0", "", "\n", "9223372036854775808\n", "-0\n", "007\n", "1e3\n", "١٢\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range measures() {
			value, raw, fault := Parse(m.kind, text)
			if fault != drivers.None {
				if value != 0 || raw != 0 {
					t.Errorf("%s %q: %v and %s", m.kind, text, value, fault)
				}
				continue
			}
			if raw < m.min || raw > m.max || math.Abs(value*m.scale-float64(raw)) > 1e-9*math.Abs(float64(raw)) {
				t.Errorf("%s %q: %v, %d", m.kind, text, value, raw)
			}
			if want, err := strconv.ParseInt(strings.TrimSuffix(text, "\n"), 10, 64); err != nil || want != raw {
				t.Errorf("%s %q: %d, %d, %v", m.kind, text, raw, want, err)
			}
		}
	})
}

// Whatever a directory holds and its files say, names lead back to themselves and labels can be shown.
func FuzzDirectory(f *testing.F) {
	f.Add("temp1_input", "21500\n", "inlet\n")
	f.Add("in0_input", "-3", "\x1b[2J")
	f.Add("fan01_input", "900\n", "")
	f.Add("temp1_input/x", "1\n", "x")
	f.Fuzz(func(t *testing.T, name, text, label string) {
		if strings.ContainsAny(name, "/\\\x00") || name == "" || name == "name" || name == "." || name == ".." || !utf8.ValidString(name) {
			return
		}
		const dir = "class/hwmon/hwmon0/"
		files := fstest.MapFS{
			dir + "name": {Data: []byte("x\n")},
			dir + name:   {Data: []byte(text)},
			dir + strings.TrimSuffix(name, "_input") + "_label": {Data: []byte(label)},
		}
		d, err := New(files, Opts{Chip: "x"})
		if err != nil {
			t.Fatal(err)
		}
		found, err := d.Discover(t.Context())
		if err != nil {
			return
		}
		for _, c := range found {
			if got := file(c.Kind, c.N, "input"); got != name {
				t.Errorf("%q became %q", name, got)
			}
			if len(c.Label) > longestLabel || c.Label != printable(c.Label) {
				t.Errorf("label %q", c.Label)
			}
		}
		if got, err := d.Sense(t.Context()); err == nil && (len(got) != len(found) || math.IsNaN(got[0].Value)) {
			t.Errorf("%+v", got)
		}
	})
}
