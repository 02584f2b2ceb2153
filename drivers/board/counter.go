package board

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"rackagent/drivers"
)

// Edge is which changes of a line count.
type Edge uint8

// The edges, of the level at the pin.
const (
	Rising Edge = iota
	Falling
	Both
)

// longestDebounce bounds CounterOpts.Debounce: the kernel takes 32 bits of microseconds, which is over an hour. Arbitrary.
const longestDebounce = time.Second

// CounterOpts says what is counted. The zero value counts rising edges as they come.
type CounterOpts struct {
	Edge Edge
	// Debounce is for how long a level must stand to count. The GPIO chip does that, or else the kernel. A reed contact
	// bounces for about a millisecond; a flow meter at 100 Hz has 5 ms per level (both arbitrary here).
	Debounce time.Duration
}

// ErrEvents says that the kernel's events contradict each other, so that no count can be told.
var ErrEvents = errors.New("the numbers of the line's events do not go up")

// Counter counts the edges of an input, such as the pulses of a flow meter. Its methods may be called from any goroutine.
type Counter struct {
	line Line
	from pulses
	done chan struct{} // closed when the reading goroutine has ended
	once func() error

	mu   sync.Mutex // guards what follows
	n    uint64
	last uint32 // number of the latest event on the line
	at   time.Time
	lost uint64
	err  error // why counting has ended
}

// pulses is where edges come from: a requested line.
type pulses interface {
	source
	events() io.Reader // of struct gpio_v2_line_event; close ends a read
}

// Counter takes a line for counting: by name, or as "/dev/gpiochip0:17". A line that is an output or has another user is
// refused and left as it is. Who calls it closes the counter.
func (b *Board) Counter(name string, o CounterOpts) (*Counter, error) {
	line, err := ofChip(name)
	if err != nil {
		return nil, err
	}
	if o.Edge > Both || o.Debounce < 0 || o.Debounce > longestDebounce {
		return nil, line.fault("take line", refused(drivers.Unsupported, fmt.Errorf("edge %d, debounce %s: not known or outside 0 to %s", o.Edge, o.Debounce, longestDebounce)))
	}
	from, err := line.takePulses(o)
	if err != nil {
		return nil, line.fault("take line", err)
	}
	return newCounter(line, from), nil
}

func newCounter(line Line, from pulses) *Counter {
	c := &Counter{line: line, from: from, done: make(chan struct{})}
	c.once = sync.OnceValue(c.shut)
	go c.run()
	return c
}

// Count gives the edges so far, and when the last of them was heard of (zero: none yet). An error means that edges may
// have gone by unseen since at: the count then is what it was, and no flow can be made of it. Whether the line is still
// there is asked for each time, since older kernels do not end the wait for events of a chip that is gone.
func (c *Counter) Count() (n uint64, at time.Time, err error) {
	_, lost := c.from.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.err
	if err == nil && lost != nil {
		err = lost
	}
	if err != nil {
		err = c.line.fault("count", err)
	}
	return c.n, c.at, err
}

// Lost is how many of the edges were counted by the kernel and their events thrown away because nobody took them in time.
// They are in the count.
func (c *Counter) Lost() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Close gives the line back.
func (c *Counter) Close() error { return c.once() }

func (c *Counter) shut() error {
	c.end(os.ErrClosed)
	err := c.from.close()
	<-c.done
	return err
}

// String is the line's.
func (c *Counter) String() string { return c.line.String() }

// run takes events until there are no more.
func (c *Counter) run() {
	defer close(c.done)
	events := bufio.NewReaderSize(c.from.events(), eventBuffer*eventSize)
	var e [eventSize]byte
	for {
		_, err := io.ReadFull(events, e[:])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a line has no end
		}
		if err == nil {
			err = c.take(e[:], time.Now())
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// end keeps the first reason why counting has ended.
func (c *Counter) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// struct gpio_v2_line_event (Linux, include/uapi/linux/gpio.h), the same on every architecture.
const (
	eventSize   = 48
	eventNumber = 20 // line_seqno: number of the event on its line, from 1
	// eventBuffer is how many events the kernel keeps: a quarter of a second at 1 kHz, arbitrary.
	eventBuffer = 256
)

// take counts an event. Its number tells how many came before it, also of those that were thrown away.
func (c *Counter) take(e []byte, now time.Time) error {
	number := binary.NativeEndian.Uint32(e[eventNumber:])
	c.mu.Lock()
	defer c.mu.Unlock()
	more := number - c.last
	if more == 0 || more > 1<<31 {
		return fmt.Errorf("%w: %d after %d", ErrEvents, number, c.last)
	}
	c.n += uint64(more)
	c.lost += uint64(more) - 1
	c.last, c.at = number, now
	return nil
}
