package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares with a file that a person reads in review.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(readFile(t, name)); got != want {
		t.Errorf("%s differs; got\n%s", name, got)
	}
}

// small is a configuration without findings; the tests below put one mistake each into it.
const small = `schema: 1
site: ams1
agent: r17
mqtt:
  broker: mqtts://broker:8883
http: {listen: ""}
commands: {unsigned: false}
buses:
  - {name: main, device: /dev/i2c-1}
feeds:
  - {name: row, lines: [L1, L2, L3], volts_v: 400, rating_a: 63}
  - {name: bank-a, parent: row, lines: [L1], volts_v: 230, rating_a: 32}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: PA-0001, banks: {a: bank-a}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 600}
  - name: gpu-1
    class: gpu
    outlets: [pdu-a.7, pdu-a.8]
    max_w: 1600
`

func TestSmallHasNoFindings(t *testing.T) {
	c, findings := Parse("c.yaml", []byte(small))
	if len(findings) > 0 || len(c.Check(Catalogue{Model: ac8})) > 0 {
		t.Fatalf("%s%s", lines(findings), lines(c.Check(Catalogue{Model: ac8})))
	}
}

// mistake is an edit of small and everything that is to be said about it.
type mistake struct{ name, old, new, want string }

func judge(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			text := strings.Replace(small, m.old, m.new, 1)
			if text == small {
				t.Fatal("nothing was edited")
			}
			c, findings := Parse("c.yaml", []byte(text))
			if c != nil {
				findings = c.Check(Catalogue{Model: ac8})
			}
			if got := strings.TrimSpace(lines(findings)); got != m.want {
				t.Errorf("got\n%s\nwant\n%s", got, m.want)
			}
		})
	}
}
