package journal

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// vector is one frozen key and value of testdata/v1. The files are never edited: a change that breaks one needs a
// new schema, and vectors of its own beside these.
type vector struct {
	bucket     string
	key, value []byte
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var v vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "bucket":
			v.bucket = rest
		case "key":
			v.key = unhex(t, rest)
		case "value":
			v.value = unhex(t, rest)
		}
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frozen are the records the vectors hold, by file name.
func frozen() map[string]rack.Record {
	w := func(v float64) *float64 { return &v }
	ms := func(v int64) *int64 { return &v }
	word := func(v uint16) *uint16 { return &v }
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	gen := int64(18)
	target := rack.OutletTarget(rack.OutletID{PDU: "pdu-a", N: 3})
	command := rack.Command{
		ID: "01JD9XB7", Op: rack.OpCycle, Target: target, Args: rack.Args{DeadlineS: 60, OffS: 12.5, Force: true},
		Exp: at.Add(time.Minute), Issuer: "ctl-1", Issued: at.Add(-time.Second), Seq: 4711, Aud: "ams1/r17", AudBoot: "01JD9X3M",
		If: &rack.If{Gen: &gen, State: "running"}, Why: "grid event 5521 <&> „ö“", Origin: rack.OriginMQTT, Signed: true,
		Hash: rack.HashOf([]byte("payload")), Received: at,
	}
	plan := rack.Plan{Command: "01JD9XB7", Made: at, DeadlineMS: 60_000, Targets: []rack.TargetPlan{{
		Target: target, Node: "asic-1", Steps: []rack.Step{
			{Do: rack.DoCut, On: target.Outlet, Proof: "two samples below 62.4 W", LimitMS: 5000, Undo: "none", BeforeW: w(3120), Hot: true},
			{
				Do: rack.DoEnergise, On: target.Outlet, Proof: "above 5 W", LimitMS: 10_000, WaitMS: 12_500,
				Feeds: []rack.FeedLoad{{Feed: "f1", W: 3276, A: 14.993, LimitA: 25.6}},
			},
		},
	}}}
	record := func(kind rack.RecordKind) rack.Record { return rack.Record{Kind: kind, At: at, Boot: "boot-1"} }
	with := func(kind rack.RecordKind, f func(*rack.Record)) rack.Record {
		r := record(kind)
		f(&r)
		return r
	}
	order := rack.Order{Kind: rack.OrderLimit, Target: rack.NodeTarget("asic-1"), Value: 2400, Until: at.Add(time.Hour), Command: "01JD9XB7"}
	return map[string]rack.Record{
		"accepted": with(rack.RecordAccepted, func(r *rack.Record) { r.ID, r.Command, r.Plan = command.ID, &command, &plan }),
		"rejected": with(rack.RecordRejected, func(r *rack.Record) {
			c := command
			c.ID, c.If, c.Dry = "01JD9XB8", nil, true
			r.ID, r.Command = c.ID, &c
			r.Outcome = &rack.Outcome{
				Command: c.ID, State: rack.StateRejected, N: 1, Code: rack.CodeMinOff, Text: "off since 4 s, at least 10 s", At: at,
				Earliest: at.Add(6 * time.Second),
			}
		}),
		"progress": with(rack.RecordProgress, func(r *rack.Record) {
			r.ID = command.ID
			r.Progress = &rack.Progress{Target: target, Step: 1, Fact: rack.FactAdopt, PDU: "pdu-a", Latch: word(0xfffb), Direction: word(0)}
		}),
		"ended": with(rack.RecordEnded, func(r *rack.Record) {
			r.ID = command.ID
			r.Outcome = &rack.Outcome{
				Command: command.ID, State: rack.StateFailed, N: 5, Code: rack.CodeWelded, Text: "opened, and watts stayed", At: at.Add(5 * time.Second),
				Targets: []rack.TargetResult{{
					Target: target, State: rack.StateFailed, Code: rack.CodeWelded, Recovered: true,
					Steps: []rack.StepResult{{
						Do: rack.DoCut, On: target, Taken: ms(1767323045700), Confirmed: ms(1767323045710),
						Proof: &rack.Proof{Meter: "pdu-a.3", BeforeW: w(3120), AfterW: w(3118)}, Hot: true,
					}},
				}},
			}
		}),
		"acked":    with(rack.RecordAcked, func(r *rack.Record) { r.ID = command.ID }),
		"order":    with(rack.RecordOrder, func(r *rack.Record) { r.ID, r.Order, r.Lowers = command.ID, &order, true }),
		"released": with(rack.RecordReleased, func(r *rack.Record) { r.ID, r.Order = "01JD9XB9", &order }),
		"wiring": with(rack.RecordWiring, func(r *rack.Record) {
			r.Outlet, r.Wiring, r.Serial, r.Reason = target.Outlet, rack.WiringUnproven, "SN-0042", "outlet pdu-a.4 fell instead"
		}),
		"withdraw": with(rack.RecordWithdraw, func(r *rack.Record) { r.ID, r.Outlet, r.Reason = command.ID, target.Outlet, "welded" }),
		"observed": with(rack.RecordObserved, func(r *rack.Record) { r.ID, r.By, r.Reason = "01JD9XBA", "uid:1000", "walked the rack" }),
	}
}

// TestVectors decodes each frozen value, compares it with what it is meant to say, and encodes it to the same bytes.
func TestVectors(t *testing.T) {
	t.Run("v1", func(t *testing.T) { vectorsOf(t, "testdata/v1/*.hex", frozen()) })
	t.Run("v2", func(t *testing.T) { vectorsOf(t, "testdata/v2/*.hex", frozen2()) })
	t.Run("v2 of miners", func(t *testing.T) { vectorsOf(t, "testdata/v2/miners/*.hex", frozenOfMiners()) })
}

// frozenOfMiners are the records that came with what is said to miners; they need no other schema.
func frozenOfMiners() map[string]rack.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	drew := 3210.5
	asleep := rack.Command{
		ID: "01JD9XC3", Op: rack.OpSleep, Target: rack.NodeTarget("asic-1"), Exp: at.Add(time.Minute), Origin: rack.OriginMQTT,
		Hash: rack.HashOf([]byte("payload")), Received: at,
	}
	sleeping := rack.Plan{Command: asleep.ID, Made: at, DeadlineMS: 52_000, Targets: []rack.TargetPlan{{
		Target: asleep.Target, Node: "asic-1", Steps: []rack.Step{
			{Do: rack.DoSleep, Node: "asic-1", Proof: "it says that it sleeps, and two samples after that below 421 W", LimitMS: 52_000, BeforeW: &drew},
		},
	}}}
	return map[string]rack.Record{
		"told": {Kind: rack.RecordAccepted, At: at, Boot: "boot-1", ID: asleep.ID, Command: &asleep, Plan: &sleeping, Lowers: true},
		"slept": {Kind: rack.RecordOrder, At: at, Boot: "boot-1", ID: asleep.ID, Lowers: true, Order: &rack.Order{
			Kind: rack.OrderSlept, Target: asleep.Target, Value: drew, Command: asleep.ID, By: "unsigned", Before: `{"dialect":"luxos","profile":"290MHz"}`,
		}},
	}
}

// frozen2 are the records that came with schema 2.
func frozen2() map[string]rack.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	before := 1400.0
	command := rack.Command{
		ID: "01JD9XC1", Op: rack.OpCut, Target: rack.NodeTarget("gpu-1"), Args: rack.Args{Force: true}, Exp: at.Add(time.Minute),
		Issuer: "alice", Issued: at.Add(-time.Second), Seq: 4712, Aud: "ams1/r17", Why: "smoke", Origin: rack.OriginMQTT, Signed: true,
		Key: "alice-2026", Role: "operator", Hash: rack.HashOf([]byte("payload")), Received: at,
	}
	approved := command
	approved.Approval = &rack.Approval{By: "carol", Key: "carol-2026", Command: "01JD9XC2", Sha256: command.Hash, At: at.Add(25 * time.Second)}
	plan := rack.Plan{Command: command.ID, Made: at.Add(25 * time.Second), DeadlineMS: 10_000, Targets: []rack.TargetPlan{{
		Target: command.Target, Node: "gpu-1", Steps: []rack.Step{
			{Do: rack.DoCut, On: rack.OutletID{PDU: "pdu-a", N: 7}, Proof: "two samples below 28 W", LimitMS: 10_000, BeforeW: &before},
		},
	}}}
	return map[string]rack.Record{
		"waiting":  {Kind: rack.RecordWaiting, At: at, Boot: "boot-1", ID: command.ID, Command: &command, Until: command.Exp, Lowers: true},
		"approved": {Kind: rack.RecordAccepted, At: at, Boot: "boot-1", ID: command.ID, Command: &approved, Plan: &plan, Lowers: true},
	}
}

func vectorsOf(t *testing.T, glob string, records map[string]rack.Record) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) != len(records) {
		t.Fatalf("%d files for %d records, %v", len(files), len(records), err)
	}
	for n, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".hex")
		t.Run(name, func(t *testing.T) {
			want, ok := records[name]
			if !ok {
				t.Fatal("no such record")
			}
			v := readVector(t, path)
			got, err := decode(v.value)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("decoded\n got %s\nwant %s", text(got), text(want))
			}
			back, err := encode(got)
			if err != nil || !bytes.Equal(back, v.value) {
				t.Errorf("encoded again, %v\n got %x\nwant %x", err, back, v.value)
			}
			bucket, letter, _ := place(want.Kind)
			if key := keyOf(subjectOf(&want), uint64(n+1), letter); bucket != v.bucket || !bytes.Equal(key, v.key) {
				t.Errorf("bucket %s, key %x, want %s, %x", bucket, key, v.bucket, v.key)
			}
			if subject, p := readPart(v.key, v.value); p.err != nil || subject != subjectOf(&want) || p.seq != uint64(n+1) {
				t.Errorf("read as %q %d: %v", subject, p.seq, p.err)
			}
			if err := wellFormed(&got); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFrozenJournal opens a whole journal of schema 1 as it was written, and goes on with it.
func TestFrozenJournal(t *testing.T) {
	dir := memoryDir(t)
	put(t, dir, fileJournal, gunzip(t, "testdata/v1/journal.db.gz"))
	put(t, dir, fileMarker, get(t, "testdata/v1", fileMarker))
	j, f := open(t, optsAt(dir))
	defer run(t, j)()
	if f.First || f.Lost || f.Observing || len(f.Damaged) > 0 || len(f.Unfinished) != 1 || len(f.Unacked) != 6 ||
		len(f.Orders) != 2 || len(f.Wiring) != 2 || len(f.Withdrawn) != 1 {
		t.Errorf("%s", text(f))
	}
	want := loadedOf(everything())
	for _, e := range j.List(100) {
		if text(e) != text(want[e.Command.ID]) {
			t.Errorf("got  %s\nwant %s", text(e), text(want[e.Command.ID]))
		}
	}
	mustKeep(t, j, acked("c-rej"), ended("c-open", rack.StateUnknown))
}

// TestFrozenJournal2 does the same with a journal of schema 2, which holds what schema 1 cannot: testdata/v2/journal.db.gz
// was made of everything2, with entries pruned after it.
func TestFrozenJournal2(t *testing.T) {
	dir := memoryDir(t)
	put(t, dir, fileJournal, gunzip(t, "testdata/v2/journal.db.gz"))
	put(t, dir, fileMarker, get(t, "testdata/v2", fileMarker))
	j, f := open(t, optsAt(dir))
	defer run(t, j)()
	if f.First || f.Lost || f.Observing || f.Migrated || len(f.Damaged) > 0 || len(f.Waiting) != 1 || len(f.Unfinished) != 2 || len(f.Unacked) != 7 {
		t.Errorf("%s", text(f))
	}
	if want := map[rack.SeqOf]int64{{Issuer: "alice", Key: "alice-1"}: 7, {Issuer: "bob"}: 9, {Issuer: "bob", AudBoot: "boot-1"}: 3}; text(f.Seqs) != text(want) {
		t.Errorf("%s, want %s", text(f.Seqs), text(want))
	}
	want := loadedOf(everything2())
	list := j.List(100)
	for _, e := range list {
		if text(e) != text(want[e.Command.ID]) {
			t.Errorf("got  %s\nwant %s", text(e), text(want[e.Command.ID]))
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d entries, want %d", len(list), len(want))
	}
	mustKeep(t, j, approved("w-open"))
}

// everything2 is everything, and what came with schema 2: as frozen as the file.
func everything2() []rack.Record {
	lapsed := refused("w-lapsed", rack.StateExpired, rack.CodeExpired)
	return append(everything(), waiting("w-open"), waiting("w-begun"), approved("w-begun"), waiting("w-lapsed"), lapsed)
}

// loadedOf puts records together by other means than the journal's.
func loadedOf(recs []rack.Record) map[string]*rack.Entry {
	out := map[string]*rack.Entry{}
	for _, r := range recs {
		var until time.Time
		if e := out[r.ID]; e != nil {
			until = e.Until
		}
		switch r.Kind {
		case rack.RecordWaiting:
			out[r.ID] = &rack.Entry{Command: *r.Command, Waiting: true, Until: r.Until, Boot: "boot-1"}
		case rack.RecordAccepted:
			out[r.ID] = &rack.Entry{Command: *r.Command, Plan: *r.Plan, Until: until, Boot: "boot-1"}
		case rack.RecordRejected:
			out[r.ID] = &rack.Entry{Command: *r.Command, Outcome: r.Outcome, Until: until, Boot: "boot-1"}
		case rack.RecordProgress:
			out[r.ID].Progress = append(out[r.ID].Progress, *r.Progress)
		case rack.RecordEnded:
			out[r.ID].Outcome = r.Outcome
		case rack.RecordAcked:
			out[r.ID].Acked = true
		}
	}
	return out
}

func gunzip(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestChecksum pins the polynomial with the check value of CRC-32C, 0xE3069283 over "123456789" (RFC 3720,
// appendix B.4, names the polynomial; the check value is that of the CRC catalogues).
func TestChecksum(t *testing.T) {
	if got := checksum([]byte("1----23456789")); got != 0xE3069283 {
		t.Errorf("%#x", got)
	}
	if got := keyHash("12345", []byte("6789")); got == 0xE3069283 {
		t.Error("the zero byte between bucket and key is not in the sum")
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	good, err := encode(acked("c"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(body string) []byte {
		b := append([]byte{valueVersion, 0, 0, 0, 0}, body...)
		return versioned(b, valueVersion)
	}
	for name, c := range map[string]struct {
		value []byte
		want  error
	}{
		"nothing":               {nil, ErrDamaged},
		"four bytes":            {good[:4], ErrDamaged},
		"no body":               {sealed(""), ErrDamaged},
		"a byte less":           {good[:len(good)-1], ErrDamaged},
		"a byte more":           {append(bytes.Clone(good), ' '), ErrDamaged},
		"version 0":             {versioned(good, 0), ErrDamaged},
		"version 2":             {versioned(good, 2), errNewerValue},
		"version 2, bad sum":    {append([]byte{2}, good[1:]...), ErrDamaged},
		"no JSON":               {sealed("{"), ErrDamaged},
		"two values":            {sealed("{}{}"), ErrDamaged},
		"a target that is none": {sealed(`{"kind":"progress","progress":{"t":"/"}}`), ErrDamaged},
		"larger than allowed":   {sealed(`{"reason":"` + strings.Repeat("x", maxValue) + `"}`), ErrDamaged},
	} {
		if _, err := decode(c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := decode(sealed(`{"kind":"acked","at":"2026-01-02T03:04:05Z","boot":"b","id":"c","added later":1}`)); err != nil {
		t.Errorf("a member that is not known must be ignored: %v", err)
	}
}

func TestKeys(t *testing.T) {
	for _, kind := range []rack.RecordKind{
		rack.RecordAccepted, rack.RecordRejected, rack.RecordProgress, rack.RecordEnded, rack.RecordAcked,
		rack.RecordOrder, rack.RecordReleased, rack.RecordWiring, rack.RecordWithdraw, rack.RecordObserved,
	} {
		_, letter, ok := place(kind)
		subject, seq, got, fine := splitKey(keyOf("pdu-a.3", 0x0102030405060708, letter))
		if !ok || !fine || subject != "pdu-a.3" || seq != 0x0102030405060708 || got != kind {
			t.Errorf("%s: %q %#x %s", kind, subject, seq, got)
		}
	}
	for _, k := range []string{
		"", "a", "\x00\x00\x00\x00\x00\x00\x00\x00\x01a", "c\x00\x00\x00\x00\x00\x00\x00\x00\x01?",
		"c\x01\x00\x00\x00\x00\x00\x00\x00\x01a", "c\x00d\x00\x00\x00\x00\x00\x00\x00\x00\x01a",
	} {
		if s, _, _, ok := splitKey([]byte(k)); ok {
			t.Errorf("%q is taken for a key of %q", k, s)
		}
	}
}

// FuzzDecode: no input makes decode panic, and what it takes survives being written again.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/v[12]/*.hex")
	for _, path := range files {
		f.Add(readVector(f, path).value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= valueHead {
			b = versioned(b, b[0]) // past the checksum, where the decoder is
		}
		r, err := decode(b)
		if err != nil {
			return
		}
		_ = wellFormed(&r)
		again, err := encode(r)
		if err != nil {
			return // what JSON reads and does not write, such as a year past 9999
		}
		back, err := decode(again)
		if err != nil {
			t.Fatalf("cannot read back %q: %v", again, err)
		}
		if third, err := encode(back); err != nil || !bytes.Equal(third, again) {
			t.Fatalf("not stable, %v\n%q\n%q", err, again, third)
		}
	})
}

// FuzzKey: no key makes splitKey or readPart panic, and what splitKey takes is what keyOf makes.
func FuzzKey(f *testing.F) {
	f.Add([]byte("c\x00\x00\x00\x00\x00\x00\x00\x00\x01a"))
	f.Fuzz(func(t *testing.T, k []byte) {
		readPart(k, nil)
		subject, seq, kind, ok := splitKey(k)
		if !ok {
			return
		}
		_, letter, _ := place(kind)
		if !bytes.Equal(keyOf(subject, seq, letter), k) {
			t.Fatalf("%x", k)
		}
	})
}

// FuzzVerify: no file makes verify panic or allocate beyond the file's size, and what it takes bbolt's Check takes.
func FuzzVerify(f *testing.F) {
	whole := gunzip(f, "testdata/v1/journal.db.gz")
	f.Add(uint32(0), []byte{})
	f.Add(uint32(2*4096), []byte{1, 2, 3})
	dir := memoryDir(f)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		file := bytes.Clone(whole)
		copy(file[int(at)%len(file):], patch)
		if verify(bytes.NewReader(file), int64(len(file))) == nil {
			put(t, dir, fileJournal, file)
			mustCheck(t, filepath.Join(dir, fileJournal))
		}
	})
}
