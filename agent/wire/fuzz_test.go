package wire

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/agent/rack"
)

// seed adds the frozen vectors of one kind.
func seed(f *testing.F, kind string) {
	files, err := filepath.Glob(filepath.Join("testdata", "v1", kind+"*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	seed(f, "command")
	f.Fuzz(func(t *testing.T, payload []byte) {
		cmd, bad := DecodeCommand(payload, noon)
		switch {
		case bad == nil:
			if !rack.ValidCommandID(cmd.ID) || cmd.Exp.IsZero() || len(payload) > MaxCommandBytes {
				t.Fatalf("taken: %+v", cmd)
			}
			conform(t, "open", "command", payload)
			keepable(t, cmd, string(payload))
		case bad.Answerable:
			if !rack.ValidCommandID(bad.ID) || bad.ID != cmd.ID {
				t.Fatalf("%+v, %+v", bad, cmd)
			}
			keepable(t, cmd, string(payload))
		case bad.ID != "" || cmd.ID != "":
			t.Fatalf("an id that nobody vouches for: %+v, %+v", bad, cmd)
		}
		if bad != nil && (bad.Code == "" || bad.Text == "" || len(bad.Text) > 512) {
			t.Fatalf("%+v", bad)
		}
	})
}

func FuzzDecodeStatus(f *testing.F) {
	seed(f, "status")
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := DecodeStatus(payload)
		if err != nil {
			return
		}
		if s.Parts > maxParts || s.Part > s.Parts || !rack.ValidCommandID(s.Command) {
			t.Fatalf("%+v", s)
		}
		var whole Reassembly
		for _, m := range EncodeStatus(s.Outcome, s.StatusHead) {
			again, err := DecodeStatus(m)
			if err != nil {
				t.Fatalf("%v\n%s", err, m)
			}
			if s, ok := whole.Add(again); ok {
				steady(t, s)
			}
		}
	})
}

// steady fails unless a status that has been through the encoder once comes out of it unchanged.
func steady(t *testing.T, s Status) {
	first := EncodeStatus(s.Outcome, s.StatusHead)
	var r Reassembly
	for _, m := range first {
		again, err := DecodeStatus(m)
		if err != nil {
			t.Fatal(err)
		}
		if whole, ok := r.Add(again); ok {
			second := EncodeStatus(whole.Outcome, whole.StatusHead)
			if !bytes.Equal(bytes.Join(first, nil), bytes.Join(second, nil)) {
				t.Fatalf("%s\n%s", first, second)
			}
			return
		}
	}
	t.Fatalf("never whole: %s", strings.ToValidUTF8(string(bytes.Join(first, []byte("\n"))), "?"))
}
