package link

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	maxFrame   = 256 << 10        // remaining length of an inbound frame
	writeLimit = 10 * time.Second // for every write; paho bounds those of PUBLISH only
)

// errClosed is what a reader gets after this side has closed. It is not net.ErrClosed, because paho takes that
// text for the end of an orderly Disconnect and would not notice that the connection is gone.
var errClosed = &failure{why: ReasonStopped, err: errors.New("closed by this side")}

// conn is a broker connection with limits: on the frames that come in, and on the time a write may take. It
// remembers the first reason why it ended. One goroutine reads; any may write, close and kill.
type conn struct {
	net.Conn
	broker string // its address; empty: not known
	keep   func() // Run calls it once the connection has held

	// The reader's own.
	r    *bufio.Reader
	head []byte // of the present frame, not yet handed out
	buf  [5]byte
	body int // bytes of the present frame still to come

	writing chan struct{} // holds one token while a write runs: a mutex that synctest can see through

	mu      sync.Mutex
	waiting bool // the reader is inside Read
	closed  bool
	cause   error // the first
}

func newConn(c net.Conn) *conn {
	return &conn{Conn: c, keep: func() {}, r: bufio.NewReaderSize(c, 4<<10), writing: make(chan struct{}, 1)}
}

// Read hands out whole frames piece by piece, after their header has been judged.
func (c *conn) Read(p []byte) (int, error) {
	c.setWaiting(true)
	defer c.setWaiting(false)
	if len(c.head) == 0 && c.body == 0 {
		if err := c.header(); err != nil {
			return 0, c.end(err)
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.r.Read(p[:min(len(p), c.body)])
	c.body -= n
	return n, c.end(err)
}

// header reads type and remaining length of the next frame (MQTT 3.1.1, 2.2).
func (c *conn) header() error {
	first, err := c.r.ReadByte()
	if err != nil {
		return err
	}
	c.head = append(c.buf[:0], first)
	length := 0
	for shift := 0; ; shift += 7 {
		if shift > 21 {
			return &failure{why: ReasonMalformed, err: errors.New("remaining length of over 4 bytes")}
		}
		b, err := c.r.ReadByte()
		if err != nil {
			return err
		}
		c.head = append(c.head, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
	}
	c.body = length
	return judge(first, length)
}

// judge lets through what a broker sends to a client that publishes and subscribes with QoS 1, one filter at a
// time. paho trusts the rest too much: a SUBACK with one code too many ends the process.
func judge(first byte, length int) error {
	ok := false
	switch first {
	case 0x20, 0x40, 0xb0: // CONNACK, PUBACK, UNSUBACK
		ok = length == 2
	case 0x90: // SUBACK
		ok = length == 3
	case 0xd0: // PINGRESP
		ok = length == 0
	case 0x30, 0x31, 0x32, 0x33, 0x3a, 0x3b: // PUBLISH, QoS 0 and 1
		if length > maxFrame {
			return &failure{why: ReasonOversize, err: fmt.Errorf("inbound PUBLISH of %d bytes", length)}
		}
		ok = length >= 2
	}
	if !ok {
		return &failure{why: ReasonMalformed, err: fmt.Errorf("inbound frame 0x%02x of %d bytes", first, length)}
	}
	return nil
}

// Write sends all of p or ends the connection.
func (c *conn) Write(p []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, c.end(err)
	}
	n, err := c.Conn.Write(p)
	if err != nil && reasonOf(err) == ReasonSilent {
		err = &failure{why: ReasonStuck, err: err}
	}
	return n, c.end(err)
}

// SetDeadline bounds reading only; Write has its own limit.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: Write has its own limit, and paho would lift that of another goroutine's write.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// Close ends the connection; a Read that waits gets errClosed.
func (c *conn) Close() error { return c.kill(errClosed) }

// kill ends the connection for a reason. If paho closes while its reader waits for bytes and nothing went wrong
// before, a ping was not answered.
func (c *conn) kill(why error) error {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = why
		if c.waiting && errors.Is(why, errClosed) {
			c.cause = &failure{why: ReasonSilent, err: errors.New("no answer to a ping")}
		}
	}
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

// end notes the first error and passes it on. After a close the error is never the system's own.
func (c *conn) end(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = err
	}
	if c.closed {
		return errClosed
	}
	return err
}

func (c *conn) setWaiting(on bool) {
	c.mu.Lock()
	c.waiting = on
	c.mu.Unlock()
}

// ended tells why the connection ended, nil while it has not.
func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
