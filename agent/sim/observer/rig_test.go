package observer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rackConfig is the configuration of the rack in the tests: three miners, an outlet without a node, two outlets that a
// node was declared for and one that none was, a server on 7 and 8.
const rackConfig = `
schema: 1
site: demo
agent: r1
mqtt: {broker: "mqtt://127.0.0.1:1883"}
http: {listen: ""}
commands: {unsigned: true}
poll: {outlet_period_s: 1, identity_period_s: 60}
buses: [{name: main, adapter: sim-i2c-0}]
feeds:
  - {name: row, lines: [L1, L2, L3], volts_v: 400, rating_a: 160}
  - {name: feed-a, parent: row, lines: [L1], volts_v: 230, rating_a: 100, continuous: 1}
pdus:
  - {name: pdu-a, model: ac8, bus: main, serial: SIM-0001, banks: {a: feed-a}}
nodes:
  - {name: asic-1, class: asic, outlets: [pdu-a.1], wiring: declared, max_w: 3300, surge_w: 150, surge_s: 20}
  - {name: asic-2, class: asic, outlets: [pdu-a.2], wiring: declared, max_w: 3300, surge_w: 150, surge_s: 20}
  - {name: asic-3, class: asic, outlets: [pdu-a.3], wiring: declared, max_w: 3300, surge_w: 150, surge_s: 20, min_off_s: 30}
  - {name: asic-5, class: asic, outlets: [pdu-a.5], wiring: declared, max_w: 3300}
  - {name: asic-6, class: asic, outlets: [pdu-a.6], max_w: 100}
  - {name: gpu-1, class: gpu, outlets: [pdu-a.7, pdu-a.8], wiring: declared, max_w: 3300}
`

// runningLatch is the latch with every contact closed.
const runningLatch = 0xFF3F

// rig is a hand-made run: it does what an agent would do, well or badly.
type rig struct {
	t      *testing.T
	w      *sim.World
	begun  time.Time
	config string
	model  string // of the one PDU
	book   ledger
	latch  uint16
	sent   map[string]string   // payload by command id
	by     map[string]any      // what a record says of who signed it, by command id
	about  map[string][]string // targets of its plan by command id
	n      map[string]int      // newest number of a command's states
	states []State
	leave  func() // ends the agent's session with the broker
}

// story plays a run with the demonstration's board in a bubble and judges it.
func story(t *testing.T, play func(*rig), change ...func(*sim.Config)) []Violation {
	t.Helper()
	c := sim.Demo(7)
	for _, f := range change {
		f(&c)
	}
	return enact(t, c, "ac8", rackConfig, func(r *rig) {
		r.read(6, 2)
		r.read(2, 2)
		play(r)
	})
}

// enact plays a run in a world with one PDU of a model, and judges it.
func enact(t *testing.T, c sim.Config, model, config string, play func(*rig)) []Violation {
	t.Helper()
	var out []Violation
	synctest.Test(t, func(t *testing.T) {
		c.StateDir = t.TempDir()
		w, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, w: w, begun: time.Now(), config: config, model: model, latch: runningLatch, sent: map[string]string{}, by: map[string]any{}, about: map[string][]string{}, n: map[string]int{}}
		r.book.boot = "boot-1"
		r.must(w.Broker().Start(""))
		r.leave = r.subscribe("r1")
		play(r)
		time.Sleep(time.Second)
		r.leave()
		out = Observe(r.evidence())
		r.must(w.Close())
	})
	return out
}

// evidence writes the final journal and gathers everything.
func (r *rig) evidence() Evidence {
	r.t.Helper()
	model, err := os.ReadFile("../../../drivers/pdu/models/" + r.model + ".yaml")
	r.must(err)
	r.book.write(r.t, r.w.StateDir())
	return Evidence{
		World: r.w, Config: []byte(r.config), Models: map[string][]byte{r.model: model},
		States: append(r.states, State{Path: r.w.StateDir(), Seq: Final}), From: r.begun,
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// subscribe is a client that takes the commands, as MQTT 3.1.1 packets, section 3.1 and 3.8.
func (r *rig) subscribe(id string) (leave func()) {
	r.t.Helper()
	conn, err := r.w.Broker().Pipe()
	r.must(err)
	text := func(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }
	packet := func(kind byte, body string) string { return string([]byte{kind, byte(len(body))}) + body }
	_, err = io.WriteString(conn, packet(0x10, text("MQTT")+"\x04\x02\x00\x00"+text(id))+packet(0x82, "\x00\x01"+text("rackagent/v1/demo/r1/down/#")+"\x00"))
	r.must(err)
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(io.Discard, conn) }()
	synctest.Wait()
	return func() { r.must(conn.Close()); <-done }
}

// tx is one transfer on the bus; its error is the caller's to judge.
func (r *rig) tx(w []byte, n int) ([]byte, error) {
	r.t.Helper()
	b, err := r.w.Bus(sim.DemoBus)
	r.must(err)
	got := make([]byte, n)
	return got, b.Tx(context.Background(), 0x20, w, got)
}

// put is one write to an address, which must succeed.
func (r *rig) put(addr uint16, w ...byte) {
	r.t.Helper()
	r.must(r.bus().Tx(context.Background(), addr, w, nil))
}

func (r *rig) read(reg byte, n int) []byte {
	r.t.Helper()
	got, err := r.tx([]byte{reg}, n)
	r.must(err)
	return got
}

// write writes a register pair.
func (r *rig) write(reg byte, v uint16) {
	r.t.Helper()
	_, err := r.tx([]byte{reg, byte(v), byte(v >> 8)}, 0)
	r.must(err)
}

// relay opens or closes one outlet by the latch.
func (r *rig) relay(n int, closed bool) {
	r.t.Helper()
	if closed == (n < 7) { // 7 and 8 are closed without current
		r.latch |= 1 << (n - 1)
	} else {
		r.latch &^= 1 << (n - 1)
	}
	r.write(2, r.latch)
}

const root = "rackagent/v1/demo/r1/"

func (r *rig) publish(topic, payload string, retain bool) {
	r.t.Helper()
	r.must(r.w.Broker().Publish(root+topic, []byte(payload), 0, retain))
	synctest.Wait()
}

// order is a command's payload, good for a minute.
func (r *rig) order(id, op, target string) string {
	p := fmt.Sprintf(`{"v":1,"id":%q,"op":%q,"target":%q,"exp":%d}`, id, op, target, time.Now().Add(time.Minute).UnixMilli())
	r.sent[id] = p
	return p
}

// send brings a command to the agent.
func (r *rig) send(id, op, target string) {
	r.t.Helper()
	r.publish("down/cmd", r.order(id, op, target), false)
}

// accept records a command with its plan, and tells so.
func (r *rig) accept(id, op, target string, steps ...string) {
	r.t.Helper()
	r.recordAccepted(id, op, target, steps...)
	r.tell(id, "accepted", "")
}

func (r *rig) recordAccepted(id, op, target string, steps ...string) {
	r.recordPlan(id, op, target, map[string]any{"t": target, "steps": planned(steps...)})
}

// planned are the steps of one target, as "cut pdu-a.1".
func planned(steps ...string) []any {
	var out []any
	for _, s := range steps {
		do, on, _ := strings.Cut(s, " ")
		out = append(out, map[string]any{"do": do, "on": on, "proof": "watts", "limit_ms": 5000, "before_w": nil})
	}
	return out
}

// recordPlan records a command with the targets of its plan.
func (r *rig) recordPlan(id, op, target string, targets ...map[string]any) {
	for _, t := range targets {
		r.about[id] = append(r.about[id], t["t"].(string))
	}
	command := map[string]any{
		"id": id, "op": op, "target": target, "exp": time.Now().Add(time.Minute), "origin": "mqtt",
		"hash": rack.HashOf([]byte(r.sent[id])), "received": time.Now(), "args": map[string]any{},
	}
	if by, ok := r.by[id].(map[string]any); ok {
		maps.Copy(command, by)
	}
	r.book.add("command", id, 'a', "accepted", map[string]any{
		"id": id, "command": command,
		"plan": map[string]any{
			"id": id, "made": time.Now(), "deadline_ms": 40000, "targets": targets,
		},
	})
}

// tell publishes a state of a command.
func (r *rig) tell(id, state, code string, targets ...any) {
	r.t.Helper()
	r.n[id]++
	r.retell(id, state, code, r.n[id], false, targets...)
}

func (r *rig) retell(id, state, code string, n int, dup bool, targets ...any) {
	r.t.Helper()
	b, err := json.Marshal(map[string]any{
		"v": 1, "id": id, "st": state, "n": n, "ts": time.Now().UnixMilli(), "boot": r.book.boot, "dup": dup, "code": code, "txt": "",
		"part": 1, "parts": 1, "targets": targets,
	})
	r.must(err)
	r.publish("up/cmd/"+id, string(b), false)
}

// step is the result of one step, settled now.
func step(do string, n int) map[string]any {
	return map[string]any{"do": do, "on": fmt.Sprintf("outlet/pdu-a.%d", n), "taken": nil, "confirmed": nil, "settled": time.Now().UnixMilli()}
}

// by is the result of a step with the meter that proved it.
func by(meter string, s map[string]any) map[string]any {
	s["proof"] = map[string]any{"meter": meter, "before_w": 1, "after_w": 1}
	return s
}

// end records a result of one target and tells it.
func (r *rig) end(id, state, code string, steps ...map[string]any) {
	r.t.Helper()
	r.recordEnded(id, state, code, steps...)
	r.tell(id, state, code)
	r.book.add("command", id, 'k', "acked", map[string]any{"id": id})
}

func (r *rig) recordEnded(id, state, code string, steps ...map[string]any) {
	target := "node/any"
	if about := r.about[id]; len(about) > 0 {
		target = about[0]
	}
	r.recordResult(id, state, code, map[string]any{"t": target, "st": state, "code": code, "steps": steps})
}

// recordResult records a result with the results of its targets.
func (r *rig) recordResult(id, state, code string, targets ...map[string]any) {
	r.book.add("command", id, 'e', "ended", map[string]any{"id": id, "outcome": map[string]any{
		"id": id, "st": state, "n": r.n[id] + 1, "code": code, "at": time.Now(), "targets": targets,
	}})
}

// cut cuts a miner's outlet as it should be done.
func (r *rig) cut(id string, n int) {
	r.t.Helper()
	target := fmt.Sprintf("outlet/pdu-a.%d", n)
	r.send(id, "outlet.cut", target)
	r.accept(id, "outlet.cut", target, fmt.Sprintf("cut pdu-a.%d", n))
	r.relay(n, false)
	time.Sleep(time.Second)
	r.end(id, "succeeded", "", step("cut", n))
}

// energise energises a miner's outlet as it should be done, if it is time.
func (r *rig) energise(id string, n int) {
	r.t.Helper()
	target := fmt.Sprintf("outlet/pdu-a.%d", n)
	r.send(id, "outlet.energise", target)
	r.accept(id, "outlet.energise", target, fmt.Sprintf("energise pdu-a.%d", n))
	r.relay(n, true)
	time.Sleep(time.Second)
	r.end(id, "succeeded", "", step("energise", n))
}

// copy keeps the state directory as it is.
func (r *rig) copy() {
	r.t.Helper()
	r.book.write(r.t, r.w.StateDir())
	s, err := Copy(r.w, r.w.StateDir(), filepath.Join(r.t.TempDir(), "copy"))
	r.must(err)
	r.states = append(r.states, s)
}

// ledger writes journals as their format describes them, by other means than the reader's.
type ledger struct {
	boot string
	all  []line
	spin func(map[string]any) // changes a tally before it is written
}

type line struct {
	bucket     string
	key, value []byte
}

// add makes a record, of now.
func (l *ledger) add(bucket, subject string, letter byte, kind string, members map[string]any) {
	members["kind"], members["at"], members["boot"] = kind, time.Now(), l.boot
	body, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	key := append([]byte(subject), 0)
	key = binary.BigEndian.AppendUint64(key, uint64(len(l.all)+1))
	l.all = append(l.all, line{bucket, append(key, letter), seal(body)})
}

// seal puts the version and the checksum before a body.
func seal(body []byte) []byte {
	sum := crc32.Checksum(append([]byte{1}, body...), crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32([]byte{1}, sum), body...)
}

// write puts everything into a new file.
func (l *ledger) write(t testing.TB, dir string) {
	t.Helper()
	file := filepath.Join(dir, "journal.db")
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // both meta pages are valid
		if err := db.Update(l.fill); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "site"), []byte(`{"schema":1,"site":"demo","agent":"r1"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) fill(tx *bbolt.Tx) error {
	var sum uint64
	for _, name := range []string{"command", "order", "wiring", "withdraw", "observed", "meta"} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	lines := append(slices.Clone(l.all), line{"meta", []byte("identity"), seal([]byte(`{"schema":1,"site":"demo","agent":"r1"}`))})
	for _, x := range lines {
		sum += uint64(crc32.Checksum([]byte(x.bucket+"\x00"+string(x.key)), crc32.MakeTable(crc32.Castagnoli)))
		if err := tx.Bucket([]byte(x.bucket)).Put(x.key, x.value); err != nil {
			return err
		}
	}
	tally := map[string]any{"tx": tx.ID(), "seq": len(l.all), "keys": len(lines), "sum": sum}
	if l.spin != nil {
		l.spin(tally)
	}
	body, err := json.Marshal(tally)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte("meta")).Put([]byte("tally"), seal(body))
}

// rules lists which rules were broken, each once.
func rules(vs []Violation) []string {
	var out []string
	for _, v := range vs {
		if !slices.Contains(out, v.Rule) {
			out = append(out, v.Rule)
		}
	}
	slices.Sort(out)
	return out
}

// expect compares the rules broken with those that should be, and looks for words in one of their texts.
func expect(t *testing.T, vs []Violation, words string, want ...string) {
	t.Helper()
	slices.Sort(want)
	got := rules(vs)
	found := slices.ContainsFunc(vs, func(v Violation) bool { return strings.Contains(v.Text, words) })
	if !slices.Equal(got, want) || (len(want) > 0 && !found) {
		t.Errorf("broken: %q, want %q, one with %q", got, want, words)
		for _, v := range vs {
			t.Log(v)
		}
	}
}

// energiseLater waits for the longest minimum off time first.
func (r *rig) energiseLater(id string, n int) {
	r.t.Helper()
	time.Sleep(31 * time.Second)
	r.energise(id, n)
}
