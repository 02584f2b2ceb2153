package backlog

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

var writeVectors = flag.Bool("write-vectors", false, "write testdata/v1 anew: only for a new version of the format")

const vectorSerial = 0x1122334455667788

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func vectorBatches() []Batch {
	return []Batch{
		{Epoch: "k3f9", Seq: 17, At: at(1795411616214), Payload: []byte(`{"v":1,"ep":"k3f9","seq":17,"ts":1795411616214,"d":{}}`)},
		{Epoch: "k3f9", Seq: 18, At: at(1795411621214), Payload: []byte(`{"v":1,"ep":"k3f9","seq":18,"ts":1795411621214,"d":{}}`)},
	}
}

func vectorGap() rack.Gap {
	return rack.Gap{
		Epoch: "k3f9", From: 19, To: 31, Count: 7, Why: rack.GapThinned, Every: 10 * time.Second, Since: at(1795411626214), Until: at(1795411686214),
	}
}

// vectors are one of each thing on the disk.
func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	records, err := newPacker().pack(vectorBatches())
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	return map[string][]byte{
		"header":  header{serial: vectorSerial, from: 3, to: 5, gen: 2}.append(nil),
		"batches": records[0].append(nil, vectorSerial),
		"gap":     gapRecord(vectorGap(), 3, 5).append(nil, vectorSerial),
		"end":     record{kind: kindEnd}.append(nil, vectorSerial),
		"slot":    slot(7, []byte(`{"epoch":"k3f9","stored":18,"place":3,"serial":1234605616436508552,"offset":64,"done":{"k3f9":[[17,17]]}}`)),
	}
}

// TestFrozenVectors reads what version 1 has written. If it fails, the code is changed back, never the vector.
func TestFrozenVectors(t *testing.T) {
	for name, b := range vectors(t) {
		file := filepath.Join("testdata", "v1", name+".hex")
		if *writeVectors {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(b)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		frozen, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if name != "batches" && !bytes.Equal(frozen, b) { // a compressor may come to other bytes; both must be read
			t.Errorf("%s is written otherwise:\n%x\n%x", name, b, frozen)
		}
		reads(t, name, frozen)
	}
}

func reads(t *testing.T, name string, b []byte) {
	t.Helper()
	switch name {
	case "header":
		if h, ok := readHeader(b); !ok || h != (header{serial: vectorSerial, from: 3, to: 5, gen: 2}) {
			t.Errorf("%+v %t", h, ok)
		}
	case "slot":
		two := make([]byte, 2*slotSize)
		copy(two[slotSize:], b)
		s, ok := readState(two)
		want := stateJSON{Epoch: "k3f9", Stored: 18, Place: 3, Serial: vectorSerial, Offset: 64, Done: map[string]seqs{"k3f9": {{17, 17}}}}
		if !ok || s.gen != 7 || !reflect.DeepEqual(s.stateJSON, want) {
			t.Errorf("%+v %t", s, ok)
		}
	default:
		r, ok := readRecord(b, 0, vectorSerial)
		if !ok || r.end != int64(len(b)) {
			t.Fatalf("%s: %+v %t", name, r, ok)
		}
		switch r.kind {
		case kindBatches:
			if got, err := r.batches(); err != nil || !reflect.DeepEqual(got, vectorBatches()) {
				t.Errorf("%+v %v", got, err)
			}
		case kindGap:
			if g, frees, err := r.gap(); err != nil || g != vectorGap() || !reflect.DeepEqual(frees, []uint64{3, 5}) {
				t.Errorf("%+v %v %v", g, frees, err)
			}
		}
	}
}

// FuzzSegment reads any bytes as a segment: no panic, bounded memory, and what is read can be written again.
func FuzzSegment(f *testing.F) {
	records, err := newPacker().pack(vectorBatches())
	if err != nil {
		f.Fatal(err)
	}
	var b []byte
	for _, r := range append(records, gapRecord(vectorGap(), 3, 5), record{kind: kindEnd}) {
		b = r.append(b, vectorSerial)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		readHeader(b)
		readState(b)
		p := readPage(b, vectorSerial, 0)
		for _, r := range p.records {
			batches, err := r.batches()
			n := 0
			for _, b := range batches {
				n += len(b.Payload)
			}
			if n > maxRaw {
				t.Fatalf("%d bytes", n)
			}
			if r.kind == kindBatches && err == nil {
				again, err := newPacker().pack(batches)
				if err != nil || len(again) == 0 {
					continue // an epoch or numbers that nobody writes
				}
				if got, err := again[0].batches(); err != nil || len(got) == 0 {
					t.Fatal(err)
				}
			}
			_, _, _ = r.gap()
		}
		// The content of a block, whatever its frame.
		r := record{kind: kindBatches, epoch: "k", first: 1, last: 1 << 40, count: 1, body: b}
		_, _ = r.batches()
	})
}
