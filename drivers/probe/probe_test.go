package probe_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"rackagent/drivers"
	"rackagent/drivers/drivertest"
	"rackagent/drivers/i2cbus"
	"rackagent/drivers/probe"
)

var update = flag.Bool("update", false, "write the golden files anew")

// plug is a PCF8574, or a digital potentiometer: no registers, every byte that comes is taken for the setting.
type plug struct {
	mu   sync.Mutex
	came []byte
}

func (p *plug) Tx(w, r []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came = append(p.came, w...)
	for i := range r {
		r[i] = 0xff
	}
	return nil
}

func (p *plug) Reset() {}

// allowed is what may be written where, and how many bytes, told once more and independently of the package's own table.
// Everything else is forbidden.
func allowed(addr uint16, w []byte) bool {
	in := func(first, last uint16) bool { return addr >= first && addr <= last }
	switch {
	case in(0x00, 0x08), addr == 0x0c, in(0x30, 0x3f), addr == 0x61, in(0x78, 0xffff):
		return false // not even a read
	case in(0x20, 0x27), addr == 0x2a, in(0x2c, 0x2f), in(0x60, 0x77):
		return len(w) == 0
	case len(w) != 1:
		return false
	}
	switch p := w[0]; {
	case in(0x10, 0x1f) && (p == 0x99 || p == 0x9a), in(0x58, 0x5f) && (p == 0x99 || p == 0x9a):
		return true
	case in(0x50, 0x57):
		return p == 0x00 || p == 0x80
	case in(0x1c, 0x1f) && p >= 0xfd:
		return true
	case in(0x40, 0x4f) && (p >= 0xfd || p == 0x3e || p == 0x3f):
		return true
	default:
		return in(0x48, 0x4f) && (p == 0x02 || p == 0x03)
	}
}

// judge holds the record of a bus to what is allowed.
func judge(t *testing.T, trace *drivertest.Trace, skipped ...uint16) {
	t.Helper()
	for _, x := range trace.Transfers() {
		if !allowed(x.Addr, x.W) || len(x.R) == 0 || slices.Contains(skipped, x.Addr) {
			t.Errorf("sent what must not be sent: %v", x)
		}
	}
}

// rack is a bus full of parts, among them those that act on any byte.
type rack struct {
	trace *drivertest.Trace
	bus   *drivertest.Bus
	chips map[uint16]drivertest.Chip
}

func newRack() *rack {
	r := &rack{trace: new(drivertest.Trace), chips: map[uint16]drivertest.Chip{}}
	r.bus = drivertest.NewBus("rack", drivertest.BusOpts{Recorder: r.trace})
	return r
}

func (r *rack) put(addr uint16, c drivertest.Chip) {
	r.chips[addr] = c
	r.bus.Attach(fmt.Sprintf("0x%02x", addr), addr, c)
}

func image(t *testing.T, f drivertest.FRU) []byte {
	t.Helper()
	b, err := f.Image()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func memory(t *testing.T, pointer int, content []byte) *drivertest.AT24 {
	t.Helper()
	m, err := drivertest.NewAT24(drivertest.AT24Opts{Size: 256, PointerBytes: pointer, PageSize: 8, Image: content})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func pmbusAt(addr uint16) drivertest.PMBusOpts { return drivertest.PMBusOpts{Addr: addr} }

// full puts one part of every kind on a bus.
func full(t *testing.T) *rack {
	r := newRack()
	load := drivertest.ConstantLoad(54, 20)
	room := func(time.Time) float64 { return 25 }
	ac8 := drivertest.FRU{Manufacturer: "Rackagent", Product: "AC8", Serial: "PA-0007", Part: "RA-8"}

	r.put(0x10, drivertest.NewADM1272(drivertest.ADM1272Opts{PMBusOpts: pmbusAt(0x10), Load: load}))
	r.put(0x11, drivertest.NewADM1278(drivertest.ADM1272Opts{PMBusOpts: pmbusAt(0x11), Load: load}))
	r.put(0x12, drivertest.NewLTC4286(drivertest.LTC4286Opts{PMBusOpts: pmbusAt(0x12), Load: load}))
	r.put(0x13, drivertest.NewLM5066I(drivertest.LM5066Opts{PMBusOpts: pmbusAt(0x13), Load: load}))
	r.put(0x14, drivertest.NewLM5066(drivertest.LM5066Opts{PMBusOpts: pmbusAt(0x14), Load: load}))
	r.put(0x1c, drivertest.NewTMP423(nil, 25, 30, 35, 40))
	r.put(0x1d, drivertest.NewADM1275(drivertest.ADM1272Opts{PMBusOpts: pmbusAt(0x1d), Load: load}))
	r.put(0x1e, drivertest.NewEMC1414(nil, 25, 30, 35, 40))

	relays := drivertest.NewPCA9554(nil)
	relays.Load(0x5a, 0x00)
	r.put(0x20, relays)
	r.put(0x21, new(plug))
	wide := drivertest.NewTCA9555(nil)
	wide.Load(0xa55a, 0x0000)
	r.put(0x22, wide)
	r.put(0x23, drivertest.NewMCP23017(nil))
	r.put(0x24, drivertest.NewMAX31790(drivertest.MAX31790Opts{}))
	r.put(0x2a, drivertest.NewTMP421(nil, 25, 30))
	r.put(0x2c, drivertest.NewEMC2305(drivertest.EMC2305Opts{}))
	r.put(0x2e, new(plug))             // as an AD5246
	r.put(0x2f, new(plug))             // as an MCP4017
	more := drivertest.NewPCA9554(nil) // as a PCA9554A
	more.Load(0xc3, 0x00)
	r.put(0x38, more)
	r.put(0x39, new(plug)) // as a PCF8574A

	r.put(0x40, drivertest.NewINA226(drivertest.INA226Opts{ShuntOhm: 0.001}))
	r.put(0x41, drivertest.NewINA3221([3]drivertest.INA3221Channel{}, nil))
	r.put(0x42, drivertest.NewINA228(drivertest.INA228Opts{ShuntOhm: 0.001}))
	r.put(0x43, drivertest.NewINA238(drivertest.INA228Opts{ShuntOhm: 0.001}))
	r.put(0x44, drivertest.NewSHT4x(1234, nil))
	r.put(0x45, drivertest.NewINA237(drivertest.INA228Opts{ShuntOhm: 0.001}))
	r.put(0x48, drivertest.NewTMP75(room, nil))
	r.put(0x49, drivertest.NewLM75(drivertest.LM75Opts{Celsius: 25}))
	r.put(0x4a, drivertest.NewADS1115(drivertest.ADS1115Opts{}))
	r.put(0x4c, drivertest.NewTMP422(nil, 25, 30, 35))
	r.put(0x4d, drivertest.NewEMC2305(drivertest.EMC2305Opts{}))
	r.put(0x4e, drivertest.NewEMC1412(nil, 25, 30))
	r.put(0x4f, drivertest.NewEMC1413(nil, 25, 30, 35))

	r.put(0x50, memory(t, 1, image(t, ac8)))
	r.put(0x51, memory(t, 1, nil))
	r.put(0x52, memory(t, 2, image(t, ac8)))
	r.put(0x53, memory(t, 1, []byte("not a record of anything")))
	torn := image(t, ac8)
	torn[20] ^= 0x10
	r.put(0x54, memory(t, 1, torn))
	r.put(0x55, memory(t, 1, image(t, ac8))) // a kernel driver's, below

	r.put(0x58, drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: pmbusAt(0x58)}))
	r.put(0x59, drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x59, QueuesUnread: true}}))
	r.put(0x5a, drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: pmbusAt(0x5a), LikeAHE50DC: true, Manufacturer: "DELTA", Model: "AHE-50DC"}))
	r.put(0x5b, drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: pmbusAt(0x5b), Manufacturer: "Murata-PS", Model: "MWOCP68-3600-D-RM"}))
	r.put(0x60, drivertest.NewPCA9552(nil))
	r.put(0x61, new(plug))

	mux := drivertest.NewPCA9548()
	mux.Channel(0).Attach("ade7953", 0x38, drivertest.NewADE7953(drivertest.ADE7953Opts{}))
	r.put(0x70, mux)
	if err := mux.Tx([]byte{0x01}, nil); err != nil { // the meter answers beside the expander at its address
		t.Fatal(err)
	}
	r.put(0x74, drivertest.NewMCP39F521(drivertest.MCP39F521Opts{}))
	r.put(0x76, drivertest.NewBME280(drivertest.BME280Opts{}))
	return r
}

// recognise probes the rack's bus as its owner would.
func (r *rack) recognise(ctx context.Context, skip ...uint16) ([]probe.Found, error) {
	owner := i2cbus.New(r.bus, i2cbus.Opts{})
	defer owner.Close()
	return probe.Recognise(ctx, owner.Poll(), func(addr uint16) bool { return slices.Contains(skip, addr) })
}

// state is everything of the rack that a byte too many would change.
func (r *rack) state() string {
	var b strings.Builder
	for addr := range uint16(0x80) {
		switch c := r.chips[addr].(type) {
		case *drivertest.Expander8:
			fmt.Fprintf(&b, "%02x: latch %02x, direction %02x, polarity %02x\n", addr, c.Output(), c.Direction(), c.Polarity())
		case *drivertest.TCA9555:
			fmt.Fprintf(&b, "%02x: latch %04x, direction %04x\n", addr, c.Output(), c.Direction())
		case *drivertest.MCP23017:
			fmt.Fprintf(&b, "%02x: pins %+v\n", addr, c.Pins())
		case *drivertest.PCA9552:
			fmt.Fprintf(&b, "%02x: pins %+v\n", addr, c.Pins())
		case *plug:
			fmt.Fprintf(&b, "%02x: bytes %x\n", addr, c.came)
		case *drivertest.Mux:
			fmt.Fprintf(&b, "%02x: channels %02x\n", addr, c.Control())
		case *drivertest.AT24:
			fmt.Fprintf(&b, "%02x: memory %x\n", addr, c.Memory())
		case *drivertest.MCP39F521:
			fmt.Fprintf(&b, "%02x: forbidden commands %x\n", addr, c.Forbidden())
		case *drivertest.ADM1272:
			fmt.Fprintf(&b, "%02x: output %t, clears %d\n", addr, c.Output(), c.Clears())
		case *drivertest.LM5066:
			fmt.Fprintf(&b, "%02x: output %t, clears %d\n", addr, c.Output(), c.Clears())
		case *drivertest.LTC4286:
			fmt.Fprintf(&b, "%02x: output %t, clears %d\n", addr, c.Output(), c.Clears())
		case *drivertest.CRPS:
			fmt.Fprintf(&b, "%02x: output %t, clears %d\n", addr, c.Output(), c.Clears())
		}
	}
	return b.String()
}

func listed(found []probe.Found) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "0x%02x  %-10s  %-8s  %s\n", f.Addr, f.Confidence, f.Part, f.Why)
	}
	return b.String()
}

// A bus full of parts is recognised, nothing moves, and the record shows no byte that could have moved anything.
func TestABusFullOfParts(t *testing.T) {
	r := full(t)
	before := r.state()
	found, err := r.recognise(t.Context(), 0x55)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, r.trace, 0x55)
	if after := r.state(); after != before {
		t.Errorf("something moved; before\n%s\nafter\n%s", before, after)
	}
	for _, addr := range []uint16{0x21, 0x2e, 0x2f, 0x39, 0x61} {
		if p := r.chips[addr].(*plug); len(p.came) > 0 {
			t.Errorf("the pins at 0x%02x got %x", addr, p.came)
		}
	}
	golden(t, "bus.golden", listed(found))
	if v := r.bus.Violations(); len(v) > 0 {
		t.Errorf("%v", v)
	}
}

// The judge of the test above finds what it is there for.
func TestTheJudgeIsAwake(t *testing.T) {
	for _, c := range []struct {
		addr uint16
		w    []byte
		ok   bool
	}{
		{0x20, nil, true},
		{0x20, []byte{0x00}, false},
		{0x2c, nil, true},
		{0x2c, []byte{0xfe}, false},
		{0x2f, []byte{0xfd}, false},
		{0x38, nil, false},
		{0x48, []byte{0x02}, true},
		{0x48, []byte{0x02, 0x00}, false},
		{0x50, []byte{0x00, 0x00}, false},
		{0x58, []byte{0x01}, false},
		{0x70, []byte{0x01}, false},
		{0x61, nil, false},
		{0x40, []byte{0x02}, false},
	} {
		if allowed(c.addr, c.w) != c.ok {
			t.Errorf("0x%02x %x", c.addr, c.w)
		}
	}
}

// A supply that queues what was left unread answers in step afterwards.
func TestNothingIsLeftUnread(t *testing.T) {
	for _, maker := range []string{"A", "AB", "ABC", "ABCD", "ABCDE", "Murata-PS", strings.Repeat("M", 32)} {
		r := newRack()
		supply := drivertest.NewCRPS(drivertest.CRPSOpts{
			PMBusOpts: drivertest.PMBusOpts{Addr: 0x5f, QueuesUnread: true}, Manufacturer: maker, Model: "X" + maker[1:],
		})
		r.put(0x5f, supply)
		found, err := r.recognise(t.Context())
		if err != nil || len(found) != 1 || found[0].Ident.Manufacturer != maker || found[0].Confidence != probe.Identified {
			t.Errorf("%q: %v, %v", maker, found, err)
		}
		judge(t, r.trace)
		got := []byte{0}
		if err := supply.Tx([]byte{0x20}, got); err != nil || got[0] != 0x17 { // VOUT_MODE
			t.Errorf("%q: the next read gives %x: %v", maker, got, err)
		}
	}
}

// A supply that was left out of step by somebody else is not named by what it hands out.
func TestAStaleAnswerIsNoName(t *testing.T) {
	r := newRack()
	supply := drivertest.NewCRPS(drivertest.CRPSOpts{PMBusOpts: drivertest.PMBusOpts{Addr: 0x58, QueuesUnread: true}})
	r.put(0x58, supply)
	if err := supply.Tx([]byte{0x99}, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	found, err := r.recognise(t.Context())
	if err != nil || len(found) != 1 || found[0].Confidence != probe.Answers {
		t.Errorf("%v, %v", found, err)
	}
}

// Where one device spoils its own transfers the others are still asked; where it is the bus, the asking ends.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name   string
			fault  drivertest.Fault
			want   drivers.Fault // of the scan
			failed int           // addresses
			others bool          // the part after it is found
		}{
			{"one address in vain", drivertest.Fault{Kind: drivertest.FaultTimeout, Addr: 0x48}, drivers.None, 1, true},
			{"one address spoils the bus's answer", drivertest.Fault{Kind: drivertest.FaultBusError, Addr: 0x48}, drivers.None, 1, true},
			{"a line is held", drivertest.Fault{Kind: drivertest.FaultStuck}, drivers.BusFault, 2, false},
			{"every address takes a second", drivertest.Fault{Kind: drivertest.FaultTimeout}, drivers.Timeout, 2, false},
			{"a transfer does not return", drivertest.Fault{Kind: drivertest.FaultHangHard, Addr: 0x48}, drivers.Hung, 0, false},
			{"data is refused", drivertest.Fault{Kind: drivertest.FaultNackData, Addr: 0x48}, drivers.None, 0, true},
		} {
			r := newRack()
			r.put(0x48, drivertest.NewTMP75(func(time.Time) float64 { return 25 }, nil))
			r.put(0x4c, drivertest.NewTMP421(nil, 25, 30))
			injected := r.bus.Inject(c.fault)
			began := time.Now()
			found, err := r.recognise(t.Context())
			injected.Clear()
			synctest.Wait()
			failed := 0
			for _, f := range found {
				if f.Confidence == probe.Failed {
					failed++
				}
			}
			others := slices.ContainsFunc(found, func(f probe.Found) bool { return f.Part == "tmp421" })
			if drivers.FaultOf(err) != c.want || failed != c.failed || others != c.others {
				t.Errorf("%s: %v\n%s", c.name, err, listed(found))
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("%s: it took %s", c.name, d)
			}
			judge(t, r.trace)
		}
	})
}

// slow is a bus on which every absent device costs a second, as on adapters that report silence only when they give up.
type slow struct{ *drivertest.Bus }

func (s slow) Tx(ctx context.Context, addr uint16, w, r []byte) error {
	time.Sleep(time.Second)
	return s.Bus.Tx(ctx, addr, w, r)
}

// No bus takes longer than the limit, and a context ends the asking before that.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{time.Hour, 3 * time.Second} {
			r := newRack()
			owner := i2cbus.New(slow{r.bus}, i2cbus.Opts{})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			began := time.Now()
			_, err := probe.Recognise(ctx, owner.Poll(), func(uint16) bool { return false })
			if took := time.Since(began); !errors.Is(err, drivers.Cancelled) || took > min(limit, probe.Limit)+2*time.Second {
				t.Errorf("%s: %v", took, err)
			}
			cancel()
			owner.Close()
			judge(t, r.trace)
		}
	})
}

// held is a bus whose data line is low: every byte is acknowledged and reads as zeros.
type held struct{ sent [][]byte }

func (h *held) Tx(_ uint16, w, r []byte) error {
	h.sent = append(h.sent, bytes.Clone(w))
	clear(r)
	return nil
}

func (h *held) SetSpeed(physic.Frequency) error                        { return drivers.Unsupported }
func (h *held) String() string                                         { return "held" }
func (h *held) Do(_ context.Context, job func(tx i2c.Bus) error) error { return job(h) }

func TestABusThatAcknowledgesEverything(t *testing.T) {
	_, err := probe.Recognise(t.Context(), new(held), func(uint16) bool { return false })
	if !errors.Is(err, drivers.Implausible) {
		t.Errorf("%v", err)
	}
}

// Nothing is asked of an address that is to be skipped, and nothing at all where no address is left.
func TestSkip(t *testing.T) {
	r := full(t)
	owner := i2cbus.New(r.bus, i2cbus.Opts{})
	defer owner.Close()
	found, err := probe.Recognise(t.Context(), owner.Poll(), func(uint16) bool { return true })
	if err != nil || len(found) > 0 || len(r.trace.Transfers()) > 0 {
		t.Errorf("%v, %v, %d transfers", found, err, len(r.trace.Transfers()))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
