package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/config"
	"rackagent/drivers/board"
)

const example = "../../../config/example.yaml"

// broken has one mistake of each of the kinds that a person makes.
const broken = `schema: 1
site: AMS1
agent: r17
mqtt:
  broker: mqtt://broker.ams1:1883
  user: r17
  password_file: /etc/rackagent/credentials/mqtt.password
comands: {unsigned: true}
buses:
  - {name: main, device: 1}
feeds:
  - {name: bank-a, lines: [L1], volts_v: 230, rating_a: 32}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: PA-0001, banks: {a: bank-b}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.9], wiring: declared, max_w: 600}
  - {name: asic-2, class: asic, outlets: [pdu-a.2], wiring: declared, max_w: 600}
  - {name: asic-3, class: asic, outlets: [pdu-a.2], wiring: declared, max_w: 600}
`

func brokenFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, broken)
	return path
}

func TestCheck(t *testing.T) {
	bad := brokenFile(t)
	golden(t, "check-broken", typed(t, "check", "--config", bad))
	golden(t, "check-broken-json", typed(t, "check", "--json", "--config", bad))
	golden(t, "check-example", typed(t, "check", "--config", example))
	golden(t, "check-example-here", typed(t, "check", "--here", "--config", example))
	golden(t, "check-no-file", typed(t, "check", "--config", "/nowhere/config.yaml"))
	golden(t, "check-no-file-json", typed(t, "check", "--json", "--config", "/nowhere/config.yaml"))
	r := newRig(t)
	golden(t, "check-good", r.types("check", "--here"))
}

// What the agent would never do, told before somebody waits for it.
func TestCheckOfWhatCannotWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	collides := strings.Replace(exampleText(t), "\n# Parts that are only read", "\n  - {name: pdu-b, model: ac8, bus: main, serial: PA-0002, banks: {a: bank-a}}\n\n# Parts that are only read", 1)
	write(t, path, collides)
	golden(t, "check-collision", typed(t, "check", "--config", path))
	golden(t, "run-collision", typed(t, "run", "--config", path))
	heavy := strings.NewReplacer(
		"max_w: 1600", "max_w: 5000", // 22.9 A: below bank-a's 25.6 A and row-4's 24 A, above the outlets' 16 A
		"outlets: [pdu-a.2], wiring: declared, max_w: 600, surge_w: 300", "outlets: [pdu-a.2], wiring: declared, max_w: 3400, surge_w: 2000", // 24.7 A
		"share_a: 25.2", "share_a: 24",
		"on_power_return: hold       # default", "on_power_return: restore # asked for",
	).Replace(exampleText(t))
	write(t, path, heavy)
	golden(t, "check-too-heavy", typed(t, "check", "--config", path))
}

// Two parts with one address, one of them on a channel of a mux that the kernel operates on the other's bus.
func TestCheckFindsWhatTwoBusesReach(t *testing.T) {
	r := newRig(t)
	write(t, r.config, strings.NewReplacer(
		"    # adapter: bcm2835 (i2c@7e804000)   # instead of device\n", "  - {name: behind, device: /dev/i2c-5}\n",
		"sensors:\n", "sensors:\n  - {name: twin, part: tmp75, bus: behind, address: 0x4c}\n",
	).Replace(exampleText(t)))
	hw := r.hardware()
	hw.adapters = append(hw.adapters, board.Adapter{Path: "/dev/i2c-5", Above: []string{"/dev/i2c-1"}})
	o := r.outside()
	o.hardware = hardwareOf(hw)
	s := in(t.Context(), o, "check", "--config", r.config)
	if s.status != exitOK || !strings.Contains(s.out, "sensor twin on bus behind and sensor exhaust on bus main have the address 0x4c") {
		t.Errorf("%d\n%s%s", s.status, s.out, s.err)
	}
}

// The effective configuration, read again, is the same.
func TestDump(t *testing.T) {
	s := typed(t, "check", "--dump", "--config", example)
	if s.status != exitOK || s.err != "" {
		t.Fatalf("%d %s", s.status, s.err)
	}
	copied := filepath.Join(t.TempDir(), "config.yaml")
	write(t, copied, s.out)
	if again := typed(t, "check", "--dump", "--config", copied); again.out != s.out {
		t.Errorf("the dump of the dump differs:\n%s\n%s", s.out, again.out)
	}
	if bad := typed(t, "check", "--dump", "--config", brokenFile(t)); bad.status != exitUsage || strings.Contains(bad.out, "\nbuses:") {
		t.Errorf("a configuration with errors was dumped: %d\n%s", bad.status, bad.out)
	}
}

// A secret that everybody can read is told, with what to type; and no secret ever.
func TestCheckTriesFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := file("open", "hunter2", 0o644)
	text := strings.NewReplacer(
		"/etc/rackagent/credentials/mqtt.password", open,
		"/etc/rackagent/credentials/ca.pem", file("ca", "hunter2", 0o644),
		"# cert_file: /etc/rackagent/credentials/mqtt.pem", "cert_file: "+file("cert", "hunter2", 0o644),
		"# key_file: /etc/rackagent/credentials/mqtt.key", "key_file: "+file("key", "hunter2", 0o600),
	).Replace(exampleText(t))
	path := filepath.Join(dir, "config.yaml")
	write(t, path, text)
	for severity, args := range map[config.Severity][]string{config.Warning: nil, config.Error: {"--here"}} {
		s := typed(t, append([]string{"check", "--json", "--config", path}, args...)...)
		if strings.Contains(s.out+s.err, "hunter2") {
			t.Fatalf("a secret was printed:\n%s", s.out)
		}
		var found []findingJSON
		if err := json.Unmarshal([]byte(s.out), &found); err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		for _, f := range found {
			if strings.HasPrefix(f.Path, "mqtt.") && f.Severity == severity {
				texts[f.Path] = f.Text
			}
		}
		for key, want := range map[string]string{
			"mqtt.password_file": "chmod 0640 " + open, "mqtt.ca_file": "it holds no certificate", "mqtt.cert_file": "find any PEM data",
		} {
			if !strings.Contains(texts[key], want) {
				t.Errorf("%s, %s: %q", severity, key, texts[key])
			}
		}
		if len(texts) != 3 {
			t.Errorf("%s: %v", severity, texts)
		}
	}
}

func exampleText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
