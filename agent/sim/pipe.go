package sim

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is what one direction of a connection holds before a writer waits: arbitrary, of the order of a
// socket's buffers on Linux. net.Pipe holds nothing, so two ends that write at the same time wait for each other for
// ever, which no TCP connection does.
const pipeBuffer = 256 << 10

// newPipe is a connection inside the process. It waits on nothing but the process's own goroutines and timers, so it
// works under testing/synctest, where a socket does not.
func newPipe() (client, server net.Conn) {
	up, down := newStream(), newStream()
	return &pipeEnd{in: down, out: up, name: "client"}, &pipeEnd{in: up, out: down, name: "server"}
}

// pipeEnd is one end.
type pipeEnd struct {
	in, out *stream
	name    string
}

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }

// Close ends both directions: the other end reads what is left, and then EOF.
func (p *pipeEnd) Close() error {
	p.in.abandon()
	p.out.end()
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr  { return pipeAddr(p.name) }
func (p *pipeEnd) RemoteAddr() net.Addr { return pipeAddr("pipe") }

func (p *pipeEnd) SetDeadline(t time.Time) error {
	p.in.reader.set(t)
	p.out.writer.set(t)
	return nil
}

func (p *pipeEnd) SetReadDeadline(t time.Time) error  { p.in.reader.set(t); return nil }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { p.out.writer.set(t); return nil }

type pipeAddr string

// Network and String name an address that leads nowhere else.
func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// stream is one direction.
type stream struct {
	mu     sync.Mutex
	moved  *sync.Cond // something changed
	data   []byte
	ended  bool // the writer closed
	left   bool // the reader closed
	reader limit
	writer limit
}

func newStream() *stream {
	s := &stream{}
	s.moved = sync.NewCond(&s.mu)
	s.reader.s, s.writer.s = s, s
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.left:
			return 0, net.ErrClosed
		case s.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			s.moved.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.moved.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(b) {
		switch room := pipeBuffer - len(s.data); {
		case s.ended:
			return n, net.ErrClosed
		case s.left:
			return n, io.ErrClosedPipe
		case s.writer.passed():
			return n, os.ErrDeadlineExceeded
		case room > 0:
			part := b[n:min(n+room, len(b))]
			s.data = append(s.data, part...)
			n += len(part)
			s.moved.Broadcast()
		default:
			s.moved.Wait()
		}
	}
	return n, nil
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.moved.Broadcast()
}

func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	s.moved.Broadcast()
}

// limit is a deadline of one side of a stream, guarded by the stream's lock.
type limit struct {
	s     *stream
	at    time.Time
	timer *time.Timer
}

func (l *limit) passed() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }

func (l *limit) set(t time.Time) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.at = t
	if !t.IsZero() {
		l.timer = time.AfterFunc(time.Until(t), func() {
			l.s.mu.Lock()
			defer l.s.mu.Unlock()
			l.s.moved.Broadcast()
		})
	}
	l.s.moved.Broadcast()
}
