package board

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/pin"

	"rackagent/drivers"
)

// Level is what a line is known to be. It is the level at the pin; what it means is the configuration's matter.
type Level uint8

// The levels. The zero Level is Unknown.
const (
	Unknown Level = iota
	Low
	High
)

// String gives the word.
func (l Level) String() string {
	switch l {
	case Low:
		return "low"
	case High:
		return "high"
	default:
		return "unknown"
	}
}

var (
	// ErrOutput refuses a line that drives something: to make it an input would let go of that.
	ErrOutput = errors.New("the line is an output at present")
	// ErrInUse refuses a line that has another user.
	ErrInUse = errors.New("the line is in use")
	// ErrFunction refuses a pin that is not a plain input, or does not say what it is.
	ErrFunction = errors.New("the pin is not a plain input at present")
	// ErrLowOrFailed is why a low line reads Unknown where periph's Read has no way to report a failure.
	ErrLowOrFailed = errors.New("the line is low, or the read failed: periph reports both as low")
)

// Line is a GPIO line of the board.
type Line struct {
	Name   string // as the device tree or periph names it; may be empty
	Chip   string // "/dev/gpiochip0"; empty for a pin that only periph knows
	Offset int    // on the chip
	// Refused is why Input would not take the line; nil: it can be read.
	Refused error
}

// String is the name by which Input finds exactly this line.
func (l Line) String() string {
	if l.Chip == "" {
		return l.Name
	}
	return fmt.Sprintf("%s:%d", l.Chip, l.Offset)
}

// Input is a line that is being read.
type Input struct {
	line Line
	source
}

// source is where levels come from.
type source interface {
	read() (Level, error)
	close() error
}

// Read reads the line. The error is nil exactly when the level is known; it says why not otherwise.
func (i *Input) Read() (Level, error) {
	level, err := i.read()
	if err != nil {
		return Unknown, i.line.fault("read line", err)
	}
	return level, nil
}

// Close releases the line.
func (i *Input) Close() error { return i.close() }

// String is the line's.
func (i *Input) String() string { return i.line.String() }

// Inputs lists the board's lines for people, those that cannot be inputs with the reason. It takes no line.
func (b *Board) Inputs() []Line {
	lines := chipLines()
	for i := range lines {
		lines[i].Refused = lines[i].vacant()
	}
	known := func(name string) bool {
		return slices.ContainsFunc(lines, func(l Line) bool { return l.Name == name })
	}
	for _, p := range gpioreg.All() {
		if !known(p.Name()) && !sideDoor(p) {
			lines = append(lines, Line{Name: p.Name(), Refused: plainInput(p)})
		}
	}
	return lines
}

// Input takes a line for reading: by name, or as "/dev/gpiochip0:17". The line keeps its bias. A line that is an
// output or has another user is refused and left as it is.
func (b *Board) Input(name string) (*Input, error) {
	line, p, err := findLine(name, chipLines())
	if err != nil {
		return nil, &drivers.Error{Op: "find line", Device: strconv.Quote(name), Fault: drivers.Unsupported, Err: err}
	}
	var s source
	if p != nil {
		s, err = takePin(p)
	} else {
		s, err = line.take()
	}
	if err != nil {
		return nil, line.fault("take line", err)
	}
	return &Input{line: line, source: s}, nil
}

// fault names line and operation in an error from below.
func (l Line) fault(op string, err error) error {
	e := &drivers.Error{Op: op, Device: l.String(), Fault: drivers.FaultOf(err), Err: err}
	if inner, ok := err.(*drivers.Error); ok { //nolint:errorlint // only the outermost layer is ours to replace
		e.Err = inner.Err
	}
	return e
}

// findLine looks a name up among the lines of chips, whose reads can fail visibly, and then among the pins that
// only periph knows. p is nil for a line of a chip.
func findLine(name string, lines []Line) (line Line, p gpio.PinIO, err error) {
	if err := checkName(name); err != nil {
		return Line{}, nil, err
	}
	if line, ok := chipAndOffset(name); ok {
		return line, nil, nil
	}
	var found []Line
	for _, l := range lines {
		if l.named(name) {
			found = append(found, l)
		}
	}
	if len(found) > 1 {
		return Line{}, nil, fmt.Errorf("%w, take chip and line instead: %v", ErrAmbiguous, found)
	}
	if len(found) == 1 {
		return found[0], nil, nil
	}
	if p := gpioreg.ByName(name); p != nil && !sideDoor(p) {
		return Line{Name: name}, p, nil
	}
	return Line{}, nil, ErrNotFound
}

// named tells whether the line has the name, also where periph put the chip's name before it because another
// chip's line had the name first.
func (l Line) named(name string) bool {
	chip := strings.TrimPrefix(l.Chip, "/dev/")
	return l.Name == name || l.Name == chip+"-"+name
}

// chipAndOffset reads "/dev/gpiochip0:17".
func chipAndOffset(name string) (Line, bool) {
	chip, digits, ok := strings.Cut(name, ":")
	if !ok || !strings.HasPrefix(chip, "/dev/gpiochip") {
		return Line{}, false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return Line{}, false
	}
	return Line{Chip: chip, Offset: int(n)}, true
}

// periphPin reads a pin that has no line on a chip (of a processor that periph reads by its registers, or of a
// bridge behind USB).
type periphPin struct{ p gpio.PinIO }

func takePin(p gpio.PinIO) (source, error) {
	if err := plainInput(p); err != nil {
		return nil, err
	}
	if err := p.In(gpio.PullNoChange, gpio.NoEdge); err != nil {
		return nil, &drivers.Error{Op: "configure", Fault: drivers.BusFault, Err: err}
	}
	return periphPin{p}, nil
}

// plainInput refuses a pin that In would change: an output, or one that serves a bus.
func plainInput(p gpio.PinIO) error {
	f, ok := p.(pin.PinFunc)
	if !ok {
		return refused(drivers.Unsupported, fmt.Errorf("%w: it does not say what it is", ErrFunction))
	}
	switch now := f.Func(); now {
	case gpio.IN, gpio.IN_HIGH, gpio.IN_LOW:
		return nil
	case gpio.OUT, gpio.OUT_HIGH, gpio.OUT_LOW, gpio.OUT_OC:
		return refused(drivers.Foreign, ErrOutput)
	default:
		return refused(drivers.Foreign, fmt.Errorf("%w: %q", ErrFunction, now))
	}
}

func refused(f drivers.Fault, err error) error {
	return &drivers.Error{Op: "check", Fault: f, Err: err}
}

func (s periphPin) read() (Level, error) {
	if s.p.Read() == gpio.High {
		return High, nil
	}
	return Unknown, &drivers.Error{Op: "read", Fault: drivers.Unsupported, Err: ErrLowOrFailed}
}

func (s periphPin) close() error { return s.p.Halt() }
