package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/drivers/pdu"
	"rackagent/drivers/psu"
)

const (
	pduModels  = "../../../drivers/pdu/models"
	pduGoldens = "../../../../drivers/pdu/testdata/" // from testdata
	psuModels  = "../../../drivers/psu/models"
)

// badPSU has one mistake of each of the kinds that a person makes.
const badPSU = `model: CRPS
manufacturer: " ACME"
products: [""]
texts: {MFR_ID: 40, READ_VIN: 2}
reads: [STATUS_WORD, READ_VINN, READ_VOUT, READ_VOUT, READ_EIN, READ_TEMPERATURE_1, MFR_ID]
writes: [CLEAR_FAULTS]
may_clear_faults: true
pec: maybe
page_delay_ms: 20
access_delay_ms: 2000
vout: {format: linear, exponent: 20}
temperatures: [inlet, inlet]
nameplate: {vin_v: 264, iin_a: 12, pin_w: 2200, vout_v: -12, iout_a: 164, temperature_c: 130, fan_rpm: 40000}
`

// An operator who reads these knows what the board does. A new model needs a file of its own here and no Go.
func TestModelsShipped(t *testing.T) {
	for _, name := range pdu.Shipped() {
		golden(t, pduGoldens+name, typed(t, "models", "check", filepath.Join(pduModels, name+".yaml")))
	}
	for _, name := range psu.Shipped() {
		golden(t, "models-"+name, typed(t, "models", "check", filepath.Join(psuModels, name+".yaml")))
	}
	golden(t, "models-list", typed(t, "models", "list"))
}

func TestModelsWithMistakes(t *testing.T) {
	golden(t, pduGoldens+"mistakes", typed(t, "models", "check", "../../../drivers/pdu/testdata/mistakes.yaml"))
	t.Run("files of many kinds", func(t *testing.T) { // in a directory of their own, so that their names do not change
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(t.TempDir())
		write(t, "psu.yaml", badPSU)
		write(t, "empty.yaml", "")
		write(t, "no.yaml", "model: no\n")
		write(t, "unknown-key.yaml", "model: ac9\nmanufacturer: X\nproduct: Y\nnominal_w: 230\noutlets: []\n")
		write(t, "broken.yaml", "model: ac9\noutlets: [\n")
		write(t, "config.yaml", "schema: 1\nsite: test\nbuses: []\n")
		s := typed(t, "models", "check", "psu.yaml", "empty.yaml", "no.yaml", "unknown-key.yaml", "broken.yaml", "config.yaml", "absent.yaml")
		j := typed(t, "models", "check", "--json", "psu.yaml", "absent.yaml")
		t.Chdir(here)
		golden(t, "models-mistakes", s)
		golden(t, "models-mistakes-json", j)
	})
}

// Of a model that is good, what is not right about the file is noted.
func TestModelsNotes(t *testing.T) {
	data, err := pdu.Source("ac8")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	changed := strings.Replace(string(data), "settling_ms: 300", "settling_ms: 400", 1)
	for _, c := range []struct {
		name, text string
		notes      []string
	}{
		{"ac8.yaml", string(data), nil},
		{"mine.yaml", string(data), []string{"must be called ac8.yaml"}},
		{"ac8.yaml", changed, []string{"another PDU model named ac8 comes with the program already"}},
		{"ac9.yaml", strings.Replace(string(data), "model: ac8", "model: ac9", 1), []string{"ac8 says of its boards that they are Rackagent AC8 too"}},
	} {
		s := typed(t, "models", "check", "--json", file(c.name, c.text))
		var got []modelJudged
		if err := json.Unmarshal([]byte(s.out), &got); err != nil || len(got) != 1 || !got[0].Good || s.status != exitOK || got[0].PDU == nil {
			t.Fatalf("%s: %v\n%s%s", c.name, err, s.out, s.err)
		}
		if len(got[0].Notes) != len(c.notes) || len(c.notes) > 0 && !strings.Contains(got[0].Notes[0], c.notes[0]) {
			t.Errorf("%s: %q", c.name, got[0].Notes)
		}
	}
}

// What is shown is the file, byte by byte, and is judged good when it is copied.
func TestModelsShow(t *testing.T) {
	for dir, names := range map[string][]string{pduModels: pdu.Shipped(), psuModels: psu.Shipped()} {
		for _, name := range names {
			s := typed(t, "models", "show", name)
			want, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
			if err != nil || s.status != exitOK || s.out != string(want) {
				t.Errorf("%s: %d, %v\n%s", name, s.status, err, s.err)
			}
			copied := filepath.Join(t.TempDir(), name+".yaml")
			write(t, copied, s.out)
			if s := typed(t, "models", "check", copied); s.status != exitOK || strings.Contains(s.out, "note") {
				t.Errorf("%s: %s", name, s.out)
			}
			var shown struct{ Name, Kind, File string }
			if s := typed(t, "models", "show", "--json", name); json.Unmarshal([]byte(s.out), &shown) != nil || shown.Name != name || !bytes.Equal([]byte(shown.File), want) {
				t.Errorf("%s: %s", name, s.out)
			}
		}
	}
	golden(t, "models-show-unknown", typed(t, "models", "show", "ac9"))
	for _, name := range psu.Shipped() {
		if _, err := pdu.Source(name); err == nil {
			t.Errorf("%s is the name of a PDU model and of a PSU profile: which one is shown?", name)
		}
	}
}

// No two models say the same of their boards: whoever finds a board could not tell which it is.
func TestModelsTellBoardsApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range pdu.Shipped() {
		m, err := pdu.LoadModel(name)
		if err != nil {
			t.Fatal(err)
		}
		board := m.Manufacturer + " " + m.Product
		if seen[board] != "" {
			t.Errorf("%s and %s are both %s", name, seen[board], board)
		}
		seen[board] = name
	}
}

func TestModelsListForScripts(t *testing.T) {
	s := typed(t, "models", "list", "--json")
	var got struct {
		PDUs []pduSummary
		PSUs []psuSummary
	}
	if err := json.Unmarshal([]byte(s.out), &got); err != nil {
		t.Fatalf("%v\n%s", err, s.out)
	}
	if len(got.PDUs) != len(pdu.Shipped()) || len(got.PSUs) != len(psu.Shipped()) {
		t.Fatalf("%s", s.out)
	}
	for _, p := range got.PDUs {
		if len(p.Outlets) == 0 || len(p.Banks) == 0 || len(p.Segments) == 0 {
			t.Errorf("%+v", p)
		}
		for _, o := range p.Outlets {
			if o.SwitchedBy == "" || o.AtRest == "" || o.Proof == "" {
				t.Errorf("%s: %+v", p.Name, o)
			}
		}
	}
}
