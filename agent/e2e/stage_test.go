package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
)

const (
	// benchBits is the bit rate of the bus: I2C standard mode (NXP UM10204, table 10), so that transfers take the time
	// they take on a board.
	benchBits = 100_000
	// benchPeriod is the time between two samples in s: 58 values (6 of each outlet and its relay, the bank's control, a
	// temperature) make 64 a second.
	benchPeriod = 0.9
	// keep is how many entries of the world's record are kept: some seconds (arbitrary).
	keep = 1 << 13
	// pause is the shortest time between two rounds: an agent takes 10 commands a second.
	pause = 200 * time.Millisecond
	// patience is how long a benchmark waits for a message before it gives up (arbitrary).
	patience = 20 * time.Second

	ping, pong = "bench/ping", "bench/pong"
	// benchKey is the key that commands are signed with, where they are.
	benchKey = "bench-1"
)

// stage is a rig with the embedded broker on loopback, an operator, and a bare client that sends back what it gets.
type stage struct {
	*rig
	b        *testing.B
	operator mqtt.Client
	heard    chan heard // more than one round makes
	sent     int
	chance   *rand.Rand
	disk     *os.File
	key      ed25519.PrivateKey // nil: commands are not signed
}

// heard is a message to the operator.
type heard struct {
	topic   string
	payload []byte
	at      time.Time
}

func newStage(b *testing.B) *stage {
	b.Helper()
	return newStageOf(b, benchPeriod, rackWorld(benchBits))
}

// newSignedStage is a stage whose agent takes commands with a signature only. The seed of the key is fixed.
func newSignedStage(b *testing.B) *stage {
	b.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	s := newStageOf(b, benchPeriod, rackWorld(benchBits),
		"commands: {unsigned: true}\n", "commands: {keys: [{kid: "+benchKey+", issuer: bench, role: operator, public: "+public+"}]}\n")
	if s.conf.Commands.Unsigned || len(s.conf.Commands.Keys) != 1 {
		b.Fatalf("%+v", s.conf.Commands)
	}
	s.key = key
	return s
}

// newStageOf is a stage with another rack. edits are those of newRig.
func newStageOf(b *testing.B, periodS float64, world sim.Config, edits ...string) *stage {
	b.Helper()
	// The configuration names the broker, so its port is chosen before the world is there.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	world.TraceLimit = keep
	s := &stage{rig: newRig(b, fmt.Sprintf("broker: %q", "mqtt://"+address), periodS, world, edits...), b: b}
	s.heard, s.chance = make(chan heard, 1024), rand.New(rand.NewPCG(1, 2))
	if err := s.world.Broker().Start(address); err != nil {
		b.Fatal(err)
	}
	if s.disk, err = os.Create(filepath.Join(filepath.Dir(s.file), "sync")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.disk.Close() })
	s.operator = s.connect("operator", func(_ mqtt.Client, m mqtt.Message) {
		s.heard <- heard{m.Topic(), m.Payload(), time.Now()}
	}, topic.Up("state"), topic.Up("tele"), topic.Up("cmd")+"/+", pong)
	s.connect("echo", func(c mqtt.Client, m mqtt.Message) { c.Publish(pong, 1, false, m.Payload()) }, ping)
	return s
}

// connect gives a bare client; it leaves before the world ends.
func (s *stage) connect(id string, on mqtt.MessageHandler, filters ...string) mqtt.Client {
	s.b.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.world.Broker().Address()).
		SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false))
	s.settle(c.Connect())
	s.b.Cleanup(func() { c.Disconnect(0) })
	for _, f := range filters {
		s.settle(c.Subscribe(f, 1, on))
	}
	return c
}

func (s *stage) settle(t mqtt.Token) {
	s.b.Helper()
	if !t.WaitTimeout(patience) || t.Error() != nil {
		s.b.Fatalf("mqtt: %v", t.Error())
	}
}

// hear waits for a message that fits. What comes before it is thrown away.
func (s *stage) hear(what string, fits func(heard) bool) heard {
	s.b.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case h := <-s.heard:
			if fits(h) {
				return h
			}
		case <-limit.C:
			s.b.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// pace lets some time go by, by chance, so that commands meet the bus as they come: between two polls or in the middle
// of one.
func (s *stage) pace() { <-time.After(pause + time.Duration(s.chance.Int64N(int64(pause)))) }

// echo is the time from a publish to its echo: the floor of anything that goes to a client and back.
func (s *stage) echo(payload string) time.Duration {
	s.b.Helper()
	began := time.Now()
	s.operator.Publish(ping, 1, false, payload)
	return s.hear("the echo", func(h heard) bool { return h.topic == pong }).at.Sub(began)
}

// command makes the next command; all have the same size.
func (s *stage) command(op, target string) (id, payload string) {
	s.sent++
	id = fmt.Sprintf("b%05d", s.sent)
	if s.key == nil {
		return id, envelope(id, op, target, time.Minute, "")
	}
	body := envelope(id, op, target, time.Minute, fmt.Sprintf(`,"iss":"bench","iat":%d,"seq":%d,"aud":"test/r1"`, time.Now().UnixMilli(), s.sent))
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"EdDSA","kid":"`+benchKey+`","typ":"rackcmd+jws"}`)) + "." + b64([]byte(body))
	return id, signed + "." + b64(ed25519.Sign(s.key, []byte(signed)))
}

// told waits for the state of a command that fits.
func (s *stage) told(id string, fits func(rack.State) bool) (rack.State, time.Time) {
	s.b.Helper()
	var state rack.State
	h := s.hear("a state of command "+id, func(h heard) bool {
		if h.topic != topic.Up("cmd/"+id) {
			return false
		}
		st, err := wire.DecodeStatus(h.payload)
		state = st.State
		return err == nil && fits(st.State)
	})
	return state, h.at
}

// cut sends a cut of outlet 1 and waits for its end. All times are measured from the publish; wrote is that of the
// first write to the relays.
func (s *stage) cut() (payload string, wrote, accepted, ended time.Duration) {
	s.b.Helper()
	var since uint64
	if all := s.world.Trace().Entries(); len(all) > 0 {
		since = all[len(all)-1].Seq
	}
	id, payload := s.command("outlet.cut", "outlet/pdu-a.1")
	began := time.Now()
	s.operator.Publish(topic.Command(), 1, false, payload)
	state, at := s.told(id, func(rack.State) bool { return true })
	if state != rack.StateAccepted {
		s.b.Fatalf("command %s: %s", id, state)
	}
	_, end := s.told(id, rack.State.Terminal)
	writes := s.relayWrites(since)
	if len(writes) == 0 {
		s.b.Fatalf("command %s ended without a write", id)
	}
	return payload, writes[0].Handed.Sub(began), at.Sub(began), end.Sub(began)
}

// sync is what one write of a page to the disk costs: a record of the journal is at least two.
func (s *stage) sync() time.Duration {
	s.b.Helper()
	began := time.Now()
	_, err := s.disk.WriteAt(make([]byte, 4096), 0)
	if err == nil {
		err = s.disk.Sync()
	}
	if err != nil {
		s.b.Fatal(err)
	}
	return time.Since(began)
}

// times are what was measured in the rounds of a benchmark.
type times []time.Duration

// at gives the smallest time that a share of all does not exceed.
func (t times) at(share float64) float64 {
	if len(t) == 0 {
		return math.NaN()
	}
	all := slices.Sorted(slices.Values(t))
	i := max(0, int(math.Ceil(share*float64(len(all))))-1)
	return float64(all[i]) / float64(time.Millisecond)
}

func (t times) median() float64 { return t.at(0.5) }

// report gives median and 99th percentile in ms. Below 100 rounds the latter is the longest.
func (t times) report(b *testing.B, name string) {
	b.ReportMetric(t.median(), name+"-p50-ms")
	b.ReportMetric(t.at(0.99), name+"-p99-ms")
}
