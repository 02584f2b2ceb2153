package sim

import (
	"bytes"
	"log/slog"
	"net"
	"sync"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// door is the broker's only listener: connections are handed to it, whether they came over loopback or inside the
// process.
type door struct {
	address string
	arrived chan *held // unbuffered: a connection is handed over or refused, never parked
	done    chan struct{}
	served  chan struct{} // closed when Serve has returned
	once    sync.Once

	sessions sync.WaitGroup // those in the broker's hands

	mu     sync.Mutex
	conns  map[*held]bool
	hold   bool
	closed bool
}

func newDoor(address string) *door {
	return &door{
		address: address, arrived: make(chan *held), done: make(chan struct{}), served: make(chan struct{}), conns: map[*held]bool{},
	}
}

// ID, Address and Protocol say who is listening.
func (d *door) ID() string       { return "sim" }
func (d *door) Address() string  { return d.address }
func (d *door) Protocol() string { return "tcp" }

// Init has nothing to open.
func (d *door) Init(*slog.Logger) error { return nil }

// Serve gives connections to the broker until the door closes.
func (d *door) Serve(establish listeners.EstablishFn) {
	defer close(d.served)
	for {
		select {
		case c := <-d.arrived:
			d.sessions.Go(func() {
				_ = establish(d.ID(), c) // the error says how the session ended, which the broker's hooks tell too
				d.gone(c)
			})
		case <-d.done:
			return
		}
	}
}

// Close turns everybody out, also those who have not said who they are, and returns when all sessions have ended.
//
// It does not use the function it is given. That one takes the broker's list of clients with a read lock, and once
// more inside (mochi 2.7.9, Clients.GetByListener and Len): a session that ends in between waits for the write lock,
// and then all wait for ever. Closed connections end the sessions as well.
func (d *door) Close(listeners.CloseFn) {
	d.once.Do(func() {
		close(d.done)
		d.mu.Lock()
		d.closed = true
		for c := range d.conns {
			_ = c.Close() // nothing is lost by a connection that was closed already
		}
		d.mu.Unlock()
		<-d.served
		d.sessions.Wait()
	})
}

// admit hands a connection over; false where the door is closed.
func (d *door) admit(conn net.Conn) bool {
	c := &held{Conn: conn, door: d, open: make(chan struct{})}
	if !d.enter(c) {
		_ = conn.Close() // nothing was said on it
		return false
	}
	select {
	case d.arrived <- c:
		return true
	case <-d.done:
		d.gone(c)
		return false
	}
}

// enter puts a connection on the list; false where the door is closed.
func (d *door) enter(c *held) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.conns[c] = true
	c.holding = d.hold
	if !d.hold {
		close(c.open)
	}
	return true
}

func (d *door) gone(c *held) {
	_ = c.Close() // nothing is lost by a connection that was closed already
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// setHold stops or releases all connections, those to come included.
func (d *door) setHold(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = on
	for c := range d.conns {
		c.setHold(on)
	}
}

// cut closes all connections without a word.
func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		_ = c.Conn.Close() // nothing is lost by a connection that was closed already
	}
}

// held is the broker's end of a connection, which can be made to stand still: what the client sends is not read, and
// what the broker says does not leave, as with a stopped process whose sockets live on.
type held struct {
	net.Conn
	door *door

	mu      sync.Mutex
	holding bool
	closed  bool
	open    chan struct{} // closed while data may flow
	waiting bytes.Buffer  // said while held
}

// Read waits while the connection is held, also when data came meanwhile.
func (c *held) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	open := c.open
	c.mu.Unlock()
	<-open
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed // what came during a hold that ended so was never read
	}
	return n, err
}

// Write never waits for the hold: the broker holds locks here.
func (c *held) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.holding {
		defer c.mu.Unlock()
		return c.waiting.Write(b)
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Close also ends a hold.
func (c *held) Close() error {
	c.mu.Lock()
	c.closed = true
	c.release()
	c.mu.Unlock()
	return c.Conn.Close()
}

// release lets a waiting Read go on; the caller holds the lock.
func (c *held) release() {
	if c.holding {
		c.holding = false
		close(c.open)
	}
}

func (c *held) setHold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case on && !c.holding && !c.closed:
		c.holding = true
		c.open = make(chan struct{})
	case !on && c.holding:
		c.release()
		_, _ = c.waiting.WriteTo(c.Conn) // a client that has left cannot be told
	}
}
