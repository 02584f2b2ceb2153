package miners

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Host is the network side of a machine: its ports, and what is wrong with the wires. Dial is what a client gets.
type Host struct {
	m *Machine

	mu    sync.Mutex
	ports map[int]func(net.Conn)
	webs  []*http.Server
	open  map[*wire]struct{}
	tries int // connections that were asked for
	held  int // that clients have not closed
	most  int // that clients held at once
	wg    sync.WaitGroup
}

// NewHost has no port open.
func NewHost(m *Machine) *Host {
	return &Host{m: m, ports: map[int]func(net.Conn){}, open: map[*wire]struct{}{}}
}

// Handle serves the connections to a port. serve owns the connection and closes it.
func (h *Host) Handle(port int, serve func(net.Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports[port] = serve
}

// HandleHTTP serves a port with a web server.
func (h *Host) HandleHTTP(port int, web http.Handler) {
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: web, ReadHeaderTimeout: time.Minute}
	h.wg.Go(func() { _ = s.Serve(l) })
	h.Handle(port, func(c net.Conn) {
		select {
		case l.conns <- c:
		case <-l.done:
			_ = c.Close()
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.webs = append(h.webs, s)
}

// Dial connects to a port, by whatever name the host has.
func (h *Host) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.tries++
	serve := h.ports[n]
	h.mu.Unlock()
	phase := h.m.Look().Phase
	switch {
	case h.m.Has(Vanished), phase == Off:
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
	case serve == nil, h.m.Has(Refuses), phase == Booting:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	c := &wire{Conn: server, h: h}
	h.mu.Lock()
	h.open[c] = struct{}{}
	h.held++
	h.most = max(h.most, h.held)
	h.mu.Unlock()
	h.wg.Go(func() { serve(c) })
	return &held{Conn: client, h: h}, nil
}

// held is the client's end of a connection.
type held struct {
	net.Conn
	h    *Host
	once sync.Once
}

// Close gives the connection up.
func (c *held) Close() error {
	c.once.Do(func() {
		c.h.mu.Lock()
		c.h.held--
		c.h.mu.Unlock()
	})
	return c.Conn.Close()
}

// Tries is how many connections were asked for.
func (h *Host) Tries() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries
}

// Most is how many connections clients held at once.
func (h *Host) Most() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most
}

// Open is how many connections clients hold now.
func (h *Host) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// Close ends all connections and waits for their servers.
func (h *Host) Close() {
	h.mu.Lock()
	open, webs := slices.Collect(maps.Keys(h.open)), h.webs
	h.mu.Unlock()
	for _, w := range webs {
		_ = w.Close()
	}
	for _, c := range open {
		_ = c.Close()
	}
	h.wg.Wait()
}

// wire is the miner's end of a connection, with what is wrong with it.
type wire struct {
	net.Conn
	h    *Host
	once sync.Once
	sent bool // something was written: for the one goroutine that writes
}

// Close ends the connection.
func (w *wire) Close() error {
	w.once.Do(func() {
		w.h.mu.Lock()
		delete(w.h.open, w)
		w.h.mu.Unlock()
	})
	return w.Conn.Close()
}

const (
	dawdle = 25 * time.Second
	flood  = 4 << 10 // bytes at a time
)

// Write answers, or does whatever is wrong with the wires instead.
func (w *wire) Write(b []byte) (int, error) {
	has, first := w.h.m.Has, !w.sent
	w.sent = true
	switch {
	case has(Hangs):
		_, err := io.Copy(io.Discard, w.Conn) // until the client gives up
		return 0, errors.Join(io.ErrClosedPipe, err)
	case has(HangsUp):
		return 0, errors.Join(io.ErrClosedPipe, w.Close())
	case has(CutsOff):
		n, err := w.Conn.Write(b[:len(b)/2])
		return n, errors.Join(io.ErrClosedPipe, err, w.Close())
	case has(Dribbles):
		return w.dribble(b)
	case has(Floods):
		return w.flood(b)
	}
	if first && has(Dawdles) {
		time.Sleep(dawdle)
	}
	return w.Conn.Write(b)
}

func (w *wire) dribble(b []byte) (int, error) {
	for i := range b {
		if _, err := w.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// flood leaves the end of the answer out, and the rest never ends.
func (w *wire) flood(b []byte) (int, error) {
	if _, err := w.Conn.Write(bytes.TrimRight(b, "\x00\n}]")); err != nil {
		return 0, err
	}
	junk := bytes.Repeat([]byte{' '}, flood)
	for {
		if _, err := w.Conn.Write(junk); err != nil {
			return 0, err
		}
	}
}

// pipes is a listener whose connections are brought to it.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept waits for the next one.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listening.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr names nothing.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "miner", Net: "unix"} }
