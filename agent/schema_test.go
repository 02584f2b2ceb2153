package agent_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// renumber makes a state directory one of another schema: in the journal's own record, with its checksum (FORMAT.md,
// Values), and in the marker. It gives the journal as it is then.
func renumber(t *testing.T, dir string, from, to int) []byte {
	t.Helper()
	old, now := fmt.Appendf(nil, `{"schema":%d,`, from), fmt.Appendf(nil, `{"schema":%d,`, to)
	var journal []byte
	for _, name := range []string{"site", "journal.db"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, old) {
			t.Fatalf("%s is not of schema %d", name, from)
		}
		b = bytes.ReplaceAll(b, old, now)
		for at := 0; name == "journal.db"; {
			n := bytes.Index(b[at:], now)
			if n < 0 {
				break
			}
			at += n
			value := b[at-5 : at+bytes.IndexByte(b[at:], '}')+1]
			binary.BigEndian.PutUint32(value[1:5], crc32.Checksum(append([]byte{value[0]}, value[5:]...), crc32.MakeTable(crc32.Castagnoli)))
			at++
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		journal = b
	}
	return journal
}

// TestAJournalOfAnOlderProgramIsBroughtForward: the outcomes that it holds are known, nothing is done twice, the old file
// is there and named.
func TestAJournalOfAnOlderProgramIsBroughtForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		cut := envelope("c1", "outlet.cut", "outlet/pdu-a.3", "")
		r.publish(cut, false)
		r.expect("c1", rack.StateSucceeded, "")
		time.Sleep(5 * time.Second)
		r.stop()
		old := renumber(t, r.dir, 2, 1)
		r.start()
		r.attack("the same again", cut, "c1 succeeded dup")
		r.send("c2", "outlet.cut", "outlet/pdu-a.4")
		r.expect("c2", rack.StateSucceeded, "")
		told := 0
		for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
			if !m.Out && m.Topic == topic.Up("event") && strings.Contains(string(m.Payload), "journal.db.schema-1") {
				told++
			}
		}
		kept, err := os.ReadFile(filepath.Join(r.dir, "journal.db.schema-1"))
		if err != nil || !bytes.Equal(kept, old) || told != 1 || r.agent.Status().Observing {
			t.Errorf("%v, kept as it was: %v, told %d times, %+v", err, bytes.Equal(kept, old), told, r.agent.Status())
		}
		r.close()
	})
}

// TestALaterJournalIsNotAccepted: there is no loss to accept, and the answer says what helps.
func TestALaterJournalIsNotAccepted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.socket()
	r.withoutBroker()
	r.start()
	r.stop()
	later := renumber(t, r.dir, 2, 3)
	r.start()
	client := local.Dial(path)
	defer client.Close()
	for _, op := range []string{"journal.accept", "outlet.cut"} {
		target, more := "outlet/pdu-a.3", `,"why":"smoke"`
		if op == "journal.accept" {
			target, more = "rack", `,"args":{"reason":"looked around"}`
		}
		_, last := posted(t, client, envelope("x", op, target, more))
		if last.State != rack.StateRejected || last.Code != rack.CodeObserving || !strings.Contains(last.Text, "schema 3") || !strings.Contains(last.Text, "install the later version again") {
			t.Errorf("%s: %+v", op, last)
		}
	}
	if s := r.agent.Status(); !s.Observing || len(r.relayWrites()) != 0 {
		t.Errorf("%+v, writes %v", s, r.relayWrites())
	}
	r.stop()
	if b, err := os.ReadFile(filepath.Join(r.dir, "journal.db")); err != nil || !bytes.Equal(b, later) {
		t.Errorf("the journal was changed: %v", err)
	}
	if err := r.world.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoRoomToBringAJournalForward: nothing is changed or moved, the reason is told, and a start with room goes on.
func TestNoRoomToBringAJournalForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.stop()
		old := renumber(t, r.dir, 2, 1)
		block := filepath.Join(r.dir, "journal.db.schema-1.new") // no file can be made under the name of a directory
		if err := os.Mkdir(block, 0o700); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c1", rack.StateRejected, rack.CodeObserving)
		alarms := r.agent.Status().Alarms
		if !slices.ContainsFunc(alarms, func(a rack.Alarm) bool { return a.Key == "observing" && strings.Contains(a.Text, "cannot be opened") }) {
			t.Errorf("%+v", alarms)
		}
		r.stop()
		if b, err := os.ReadFile(filepath.Join(r.dir, "journal.db")); err != nil || !bytes.Equal(b, old) || len(r.relayWrites()) != 0 {
			t.Errorf("the journal was changed, or a relay written: %v, %v", err, r.relayWrites())
		}
		if err := os.Remove(block); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.send("c2", "outlet.cut", "outlet/pdu-a.3")
		r.expect("c2", rack.StateSucceeded, "")
		r.close()
	})
}
