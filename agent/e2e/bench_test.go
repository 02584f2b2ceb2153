package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
)

// BenchmarkCommandToFirstWrite measures from the operator's publish to the moment at which the first write to the
// relays is handed to the bus: broker, checks, plan, journal on disk, firm guard, what the bus is busy with (the reading
// of a meter is not split), fresh reading of the relay bank. The outlet is open already, and is written all the same.
func BenchmarkCommandToFirstWrite(b *testing.B) {
	s := newStage(b)
	s.start()
	s.cut()
	var echo, write, sync times
	for b.Loop() {
		s.pace()
		payload, wrote, _, _ := s.cut()
		write = append(write, wrote)
		echo = append(echo, s.echo(payload))
		sync = append(sync, s.sync())
	}
	echo.report(b, "echo")
	write.report(b, "write")
	b.ReportMetric(sync.median(), "fsync-ms")
	b.ReportMetric(write.median()/echo.median(), "ratio")
	b.ReportMetric(0, "ns/op") // it would be the pace
}

// BenchmarkCommandToResult measures what the operator hears: that a cut is accepted, that it has ended, and that a cut of
// a server is rejected. The end holds the meter's settling time (300 ms by the PDU's model) and the samples after it, so
// it says little about the agent; the ratio is that of accepted.
func BenchmarkCommandToResult(b *testing.B) { newStage(b).results() }

// BenchmarkSignedCommandToResult is BenchmarkCommandToResult with an Ed25519 signature on each command. The echo carries
// the signed bytes.
func BenchmarkSignedCommandToResult(b *testing.B) { newSignedStage(b).results() }

func (s *stage) results() {
	b := s.b
	s.start()
	s.cut()
	var echo, accepted, end, rejected, sync times
	for b.Loop() {
		s.pace()
		payload, _, took, ended := s.cut()
		accepted, end = append(accepted, took), append(end, ended)
		echo = append(echo, s.echo(payload))
		rejected = append(rejected, s.refused())
		sync = append(sync, s.sync())
	}
	echo.report(b, "echo")
	accepted.report(b, "accepted")
	end.report(b, "end")
	rejected.report(b, "rejected")
	b.ReportMetric(sync.median(), "fsync-ms")
	b.ReportMetric(accepted.median()/echo.median(), "ratio")
	b.ReportMetric(0, "ns/op") // it would be the pace
}

// refused is the time from the publish of a command that may not be carried out to its rejection.
func (s *stage) refused() time.Duration {
	s.b.Helper()
	id, payload := s.command("outlet.cut", "node/gpu-1")
	began := time.Now()
	s.operator.Publish(topic.Command(), 1, false, payload)
	state, at := s.told(id, rack.State.Terminal)
	if state != rack.StateRejected {
		s.b.Fatalf("command %s: %s", id, state)
	}
	return at.Sub(began)
}

// BenchmarkStartToFirstPublish measures from New to the first message that the operator hears of an agent with a
// history: journal opened and checked, connection, subscription, birth. ready is when all devices have been read.
func BenchmarkStartToFirstPublish(b *testing.B) {
	s := newStage(b)
	s.start()
	s.cut()
	s.rest()
	var first, ready times
	for b.Loop() {
		began := time.Now()
		s.launch()
		first = append(first, s.hear("a message of the agent", func(heard) bool { return true }).at.Sub(began))
		<-s.ready
		ready = append(ready, time.Since(began))
		s.rest()
	}
	first.report(b, "start")
	ready.report(b, "ready")
	b.ReportMetric(0, "ns/op") // it would count the stop as well
}

// rest stops the agent and waits for its last word.
func (s *stage) rest() {
	s.b.Helper()
	s.stop()
	s.hear("the farewell", func(h heard) bool {
		return h.topic == topic.Up("state") && strings.Contains(string(h.payload), `"`+wire.ReasonShutdown+`"`)
	})
}

// BenchmarkIdle64 measures memory and processor time of an agent that polls 64 values a second and publishes them every
// second. The simulated rack and the broker run in the same process and are in the numbers: they are upper bounds.
func BenchmarkIdle64(b *testing.B) { newStage(b).idle(benchPeriod) }

// BenchmarkIdle1000 is BenchmarkIdle64 with a thousand values a second: six PDUs of 24 outlets on a bus each, 172 values
// of each PDU every 1.03 s.
func BenchmarkIdle1000(b *testing.B) {
	world, edits := wideRack()
	newStageOf(b, widePeriod, world, edits...).idle(widePeriod)
}

// widePDUs and widePeriod, in s, make a thousand values a second.
const (
	widePDUs   = 6
	widePeriod = 1.03
)

// wideRack is a rack of PDUs of 24 outlets with 180 W on each. Nobody has told the agent what hangs there.
func wideRack() (world sim.Config, edits []string) {
	world = sim.Config{Seed: 1, BitRate: benchBits}
	var buses, feeds, pdus strings.Builder
	for i := range widePDUs {
		pdu, bus, serial := fmt.Sprintf("pdu-%d", i), fmt.Sprintf("sim-i2c-%d", i), fmt.Sprintf("SIM-%04d", i)
		var lines [3]string
		for l := range lines {
			lines[l] = fmt.Sprintf("feed-%d-%d", i, l)
			world.Feeds = append(world.Feeds, sim.Feed{Name: lines[l], Volts: 230, Hertz: 50})
			fmt.Fprintf(&feeds, "  - {name: %s, lines: [L%d], volts_v: 230, rating_a: 160}\n", lines[l], l+1)
		}
		world.Boards = append(world.Boards, sim.AC24(pdu, bus, serial, lines[0], lines[1], lines[2]))
		for n := 1; n <= 24; n++ {
			load := &sim.Resistive{Name: fmt.Sprintf("%s-load-%d", pdu, n), W: 180}
			world.Loads = append(world.Loads, sim.Plug{Load: load, Outlets: []rack.OutletID{{PDU: pdu, N: n}}})
		}
		fmt.Fprintf(&buses, "  - {name: bus-%d, adapter: %s}\n", i, bus)
		fmt.Fprintf(&pdus, "  - {name: %s, model: ac24, bus: bus-%d, serial: %s, banks: {a: %s, b: %s, c: %s}}\n", pdu, i, serial, lines[0], lines[1], lines[2])
	}
	_, small, _ := strings.Cut(rackYAML, "buses:\n")
	return world, []string{small, buses.String() + "feeds:\n" + feeds.String() + "pdus:\n" + pdus.String()}
}

// idle measures an agent that nobody commands. periodS is the time between two samples of an outlet.
func (s *stage) idle(periodS float64) {
	b := s.b
	debug.FreeOSMemory() // what other benchmarks left
	bare := resident()
	s.start()
	values := s.values()
	s.operator.Disconnect(0)
	debug.FreeOSMemory()
	const window = 250 * time.Millisecond
	tick := time.NewTicker(window)
	defer tick.Stop()
	began, used := time.Now(), processor(b)
	for b.Loop() {
		<-tick.C
	}
	took := time.Since(began).Seconds()
	b.ReportMetric(float64((processor(b)-used).Microseconds())/1000/took, "cpu-ms/s")
	b.ReportMetric(resident()/(1<<20), "rss-MiB")
	b.ReportMetric(bare/(1<<20), "rss-before-MiB") // the rack, the broker and two bare clients
	b.ReportMetric(float64(values)/periodS, "values/s")
	b.ReportMetric(0, "ns/op") // it would be the window
}

// values counts what one batch of readings holds.
func (s *stage) values() (n int) {
	s.b.Helper()
	var batch struct {
		D map[string]map[string][]*float64 `json:"d"`
	}
	h := s.hear("telemetry", func(h heard) bool { return h.topic == topic.Up("tele") })
	if err := json.Unmarshal(h.payload, &batch); err != nil {
		s.b.Fatal(err)
	}
	for _, quantities := range batch.D {
		for q, list := range quantities {
			if q != string(rack.Identified) { // once a minute
				n += len(list)
			}
		}
	}
	return n
}

// processor is the time that this process has used on all processors.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory that this process holds in bytes: its resident pages (Linux, proc(5), statm), elsewhere what
// the Go runtime has mapped.
func resident() float64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			if pages, err := strconv.Atoi(f[1]); err == nil {
				return float64(pages) * float64(os.Getpagesize())
			}
		}
	}
	all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(all)
	return float64(all[0].Value.Uint64())
}
