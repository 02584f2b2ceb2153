package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/sim"
	"rackagent/agent/wire"
	"rackagent/drivers"
	"rackagent/drivers/board"
	"rackagent/drivers/i2cbus"
	"rackagent/systemd"
)

// envChild makes the test binary the product, in a process of its own that can be killed. Its value is the directory
// with config.yaml and with the socket "bus", at whose other end the rack is: relays and loads outlive the process.
const envChild = "RACKAGENT_TEST_CHILD"

func child() int {
	dir := os.Getenv(envChild)
	hw := fakeHardware{
		adapters: []board.Adapter{{Path: "/dev/i2c-1", Name: "sim-i2c-0"}},
		bus: func(string) (i2cbus.Transport, error) {
			c, err := net.Dial("unix", filepath.Join(dir, "bus"))
			if err != nil {
				return nil, err
			}
			return &farBus{Conn: c, out: gob.NewEncoder(c), in: gob.NewDecoder(c)}, nil
		},
	}
	config := filepath.Join(dir, "config.yaml")
	return execute(context.Background(), []string{"run", "--config", config}, outside{
		out: os.Stdout, err: os.Stderr, clocks: clocks{timesync: config}, hardware: hardwareOf(hw), group: group,
		notifier: func(log *slog.Logger) (*systemd.Notifier, error) {
			return &systemd.Notifier{Log: log, Send: func(state string) error {
				_, err := fmt.Println(state)
				return err
			}}, nil
		},
	})
}

// question and answer are one transfer on its way to the rack and back.
type question struct {
	Addr uint16
	W    []byte
	N    int
}

type answer struct {
	R     []byte
	Fault drivers.Fault
}

// farBus is the product's end.
type farBus struct {
	net.Conn
	out *gob.Encoder
	in  *gob.Decoder
}

func (b *farBus) Tx(_ context.Context, addr uint16, w, r []byte) error {
	if err := b.out.Encode(question{addr, w, len(r)}); err != nil {
		return err
	}
	var a answer
	if err := b.in.Decode(&a); err != nil {
		return err
	}
	copy(r, a.R)
	if a.Fault != drivers.None {
		return &drivers.Error{Op: "transfer", Device: b.String(), Fault: a.Fault}
	}
	return nil
}

func (b *farBus) String() string { return "sim-i2c-0" }

// nearBus is the rack's end. done is called after each transfer, before the other end hears of it, and says whether that
// has gone.
type nearBus struct {
	world *sim.World
	done  func(question) (gone bool)
}

func (n nearBus) serve(c net.Conn) error {
	defer c.Close()
	in, out := gob.NewDecoder(c), gob.NewEncoder(c)
	bus, err := n.world.Bus("sim-i2c-0")
	if err != nil {
		return err
	}
	for {
		var q question
		if err := in.Decode(&q); err != nil {
			return err
		}
		a := answer{R: make([]byte, q.N)}
		a.Fault = drivers.FaultOf(bus.Tx(context.Background(), q.Addr, q.W, a.R))
		if n.done(q) {
			return nil
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// underWay are the states before the end, with their targets: whether the first of them left the process before it was killed
// is chance.
var underWay = regexp.MustCompile(`(?m)^(accepted|running)\n( .*\n)*`)

// TestKilledAtTheWrite kills the product with signal 9 when the relay has the write that cuts an outlet and nobody was
// told, and starts another on what is left. No restart moves a relay, and the command ends exactly once, by what was
// measured.
func TestKilledAtTheWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	// A sample is fresh for three periods: long enough for a busy machine to get to the command.
	write(t, r.config, strings.Replace(string(text), "outlet_period_s: 0.2", "outlet_period_s: 1", 1))
	killed := r.startsToBeKilled()
	ended := make(chan said, 1)
	go func() { ended <- r.types("command", "outlet.cut", "outlet/pdu-a.3", "--id", "cut-0001") }()
	select {
	case <-killed:
	case s := <-ended:
		t.Fatalf("the command ended before anybody was killed: %+v", s)
	}
	r.ages(time.Second) // RestartSec= of the unit
	r.runs()
	s := <-ended
	s.out = underWay.ReplaceAllString(s.out, "")
	golden(t, "killed-at-the-write", s)
	r.judges()
}

// startsToBeKilled starts the product in a process of its own, which is killed after the first write that takes the
// current from the coil of outlet 3. killed is closed when it is dead.
func (r *rig) startsToBeKilled() (killed <-chan struct{}) {
	r.t.Helper()
	l, err := net.Listen("unix", filepath.Join(r.dir, "bus"))
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+r.dir)
	log := new(strings.Builder)
	cmd.Stderr = log
	told, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	dead := make(chan struct{})
	near := nearBus{world: r.world, done: func(q question) bool {
		// The expander's Output Port 0 is register 2 (TCA9555 data sheet, SCPS200, table 2); outlet 3 is its bit 2.
		cuts := q.Addr == 0x20 && len(q.W) >= 2 && q.W[0] == 2 && q.W[1]&(1<<2) == 0
		return cuts && cmd.Process.Kill() == nil
	}}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(dead)
		defer l.Close()
		c, err := l.Accept()
		if err == nil {
			err = near.serve(c)
		}
		var exit *exec.ExitError
		if end := cmd.Wait(); err != nil || !errors.As(end, &exit) || exit.Exited() {
			r.t.Errorf("not killed at the write: %v, %v\n%s", err, end, log)
		}
	})
	r.t.Cleanup(wg.Wait)
	for lines := bufio.NewScanner(told); lines.Scan() && lines.Text() != "READY=1"; {
	}
	r.awaitBirth()
	return dead
}

// judges looks at the rack and at what the broker saw.
func (r *rig) judges() {
	r.t.Helper()
	moved := r.world.Rack().Contacts()
	if len(moved) != 1 || moved[0].Outlet != (rack.OutletID{PDU: "pdu-a", N: 3}) || moved[0].Closed {
		r.t.Errorf("contacts moved: %+v", moved)
	}
	writes, ends := 0, map[string]int{}
	for _, e := range r.world.Trace().Entries() {
		switch e := e.Event.(type) {
		case sim.Transfer:
			if e.Addr == 0x20 && len(e.W) > 1 {
				writes++
			}
		case sim.Message:
			if st, err := wire.DecodeStatus(e.Payload); err == nil && !e.Out && st.Command == "cut-0001" && st.State.Terminal() {
				st.Dup = false // a repeat says the same
				ends[string(wire.EncodeStatus(st.Outcome, st.StatusHead)[0])]++
			}
		}
	}
	if writes != 1 {
		r.t.Errorf("%d writes to the relays, want 1", writes)
	}
	if len(ends) != 1 {
		r.t.Errorf("the command ended in %d ways: %v", len(ends), ends)
	}
}
