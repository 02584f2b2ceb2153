package board

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"

	"rackagent/drivers"
)

// periphLine is a pin of periph's: it has a function and a level, and fails the way periph's pins do.
type periphLine struct {
	name    string
	fn      pin.Func
	level   gpio.Level
	inFails error
	touched bool // In was called
}

func (p *periphLine) String() string                        { return p.name }
func (p *periphLine) Name() string                          { return p.name }
func (p *periphLine) Number() int                           { return -1 }
func (p *periphLine) Halt() error                           { return nil }
func (p *periphLine) Function() string                      { return string(p.fn) }
func (p *periphLine) Func() pin.Func                        { return p.fn }
func (p *periphLine) SupportedFuncs() []pin.Func            { return nil }
func (p *periphLine) SetFunc(pin.Func) error                { return errors.New("not here") }
func (p *periphLine) Read() gpio.Level                      { return p.level }
func (p *periphLine) Pull() gpio.Pull                       { return gpio.PullNoChange }
func (p *periphLine) DefaultPull() gpio.Pull                { return gpio.PullNoChange }
func (p *periphLine) PWM(gpio.Duty, physic.Frequency) error { return errors.New("not here") }
func (p *periphLine) Out(gpio.Level) error                  { p.fn = gpio.OUT; return nil }
func (p *periphLine) WaitForEdge(time.Duration) bool        { return false }
func (p *periphLine) In(pull gpio.Pull, edge gpio.Edge) error {
	p.touched = true
	if pull != gpio.PullNoChange || edge != gpio.NoEdge {
		return errors.New("changes bias or edges")
	}
	return p.inFails
}

// mute is a pin that does not tell its function.
type mute struct{ gpio.PinIO }

func wired(t *testing.T, p gpio.PinIO) {
	t.Helper()
	if err := gpioreg.Register(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gpioreg.Unregister(p.Name()); err != nil {
			t.Error(err)
		}
	})
}

func TestPeriphPin(t *testing.T) {
	leak := &periphLine{name: "leak", fn: gpio.IN_HIGH, level: gpio.High}
	wired(t, leak)
	in, err := on(t, plant(t, nil)).Input("leak")
	if err != nil {
		t.Fatal(err)
	}
	if level, err := in.Read(); level != High || err != nil {
		t.Errorf("%v, %v", level, err)
	}
	leak.level = gpio.Low // or unplugged: periph says the same
	level, err := in.Read()
	if level != Unknown || !errors.Is(err, ErrLowOrFailed) || !strings.HasPrefix(err.Error(), "leak: read line: unsupported: ") {
		t.Errorf("%v, %v", level, err)
	}
	if in.String() != "leak" || in.Close() != nil {
		t.Errorf("%v", in)
	}
}

func TestPinsThatAreNoInputs(t *testing.T) {
	fan := &periphLine{name: "fan_en", fn: gpio.OUT_HIGH}
	sda := &periphLine{name: "GPIO2", fn: "I2C1_SDA"}
	lost := &periphLine{name: "lost", fn: gpio.IN, inFails: errors.New("sysfs-gpio (lost): no such device")}
	silent := mute{&periphLine{name: "silent"}}
	for _, p := range []gpio.PinIO{fan, sda, lost, silent} {
		wired(t, p)
	}
	b := on(t, plant(t, nil))
	for name, c := range map[string]struct {
		is    error
		fault drivers.Fault
	}{
		"fan_en": {ErrOutput, drivers.Foreign},
		"GPIO2":  {ErrFunction, drivers.Foreign},
		"silent": {ErrFunction, drivers.Unsupported},
		"lost":   {lost.inFails, drivers.BusFault},
		"absent": {ErrNotFound, drivers.Unsupported},
		"":       {ErrNoName, drivers.Unsupported},
		"17":     {ErrNumber, drivers.Unsupported},
	} {
		_, err := b.Input(name)
		if !errors.Is(err, c.is) || drivers.FaultOf(err) != c.fault {
			t.Errorf("%q: %v", name, err)
		}
	}
	if fan.touched || sda.touched {
		t.Error("a refused pin was touched")
	}
	listed := map[string]error{}
	for _, l := range b.Inputs() {
		listed[l.String()] = l.Refused
	}
	if !errors.Is(listed["fan_en"], ErrOutput) || !errors.Is(listed["GPIO2"], ErrFunction) || listed["lost"] != nil {
		t.Errorf("listed: %v", listed)
	}
}

func TestFindLine(t *testing.T) {
	lines := []Line{
		{Name: "LEAK", Chip: "/dev/gpiochip0", Offset: 4},
		{Name: "WAKE", Chip: "/dev/gpiochip0", Offset: 5},
		{Name: "gpiochip1-WAKE", Chip: "/dev/gpiochip1", Offset: 0}, // periph renames the second of a name
		{Name: "", Chip: "/dev/gpiochip1", Offset: 1},
	}
	for name, want := range map[string]string{
		"LEAK":              "/dev/gpiochip0:4",
		"gpiochip1-WAKE":    "/dev/gpiochip1:0",
		"/dev/gpiochip1:1":  "/dev/gpiochip1:1",
		"/dev/gpiochip7:63": "/dev/gpiochip7:63", // asked for when it is taken
	} {
		line, p, err := findLine(name, lines)
		if err != nil || p != nil || line.String() != want {
			t.Errorf("%q: %v, %v, %v", name, line, p, err)
		}
	}
	for name, want := range map[string]error{
		"WAKE":                 ErrAmbiguous,
		"leak":                 ErrNotFound,
		"":                     ErrNoName,
		"4":                    ErrNumber,
		"/dev/gpiochip0:":      ErrNotFound,
		"/dev/gpiochip0:-1":    ErrNotFound,
		"/dev/gpiochip0:70000": ErrNotFound,
		"/dev/mem:4":           ErrNotFound,
	} {
		if _, _, err := findLine(name, lines); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for l, want := range map[Level]string{Unknown: "unknown", Low: "low", High: "high", Level(9): "unknown"} {
		if l.String() != want {
			t.Errorf("%d: %s", l, l)
		}
	}
	if Level(0) != Unknown {
		t.Error("a level that nobody read is not unknown")
	}
}

func FuzzChipAndOffset(f *testing.F) {
	for _, s := range []string{"/dev/gpiochip0:17", "/dev/gpiochip0", "/dev/gpiochip0:", "/dev/gpiochip0:+1", "LEAK", ":1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		line, ok := chipAndOffset(name)
		if !ok {
			return
		}
		again, ok := chipAndOffset(line.String())
		if !ok || again != line || !strings.HasPrefix(line.Chip, "/dev/gpiochip") || line.Offset < 0 {
			t.Errorf("%q: %+v, %+v, %v", name, line, again, ok)
		}
	})
}

func FuzzBusNumber(f *testing.F) {
	for _, s := range []string{"i2c-0", "i2c-01", "i2c-", "i2c--1", "i2c-2147483648", "null"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := busNumber(name); ok && (n < 0 || name != fmt.Sprintf("i2c-%d", n)) {
			t.Errorf("%q: %d", name, n)
		}
	})
}
