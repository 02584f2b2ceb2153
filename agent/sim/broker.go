package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// BrokerOpts are what a broker asks of its clients. Without a user it lets everybody in.
type BrokerOpts struct {
	User     string
	Password string
}

// Broker is an MQTT broker in the process, for demonstrations and tests. It keeps nothing over a restart: sessions
// and retained messages are gone, as with a broker without persistence. It listens on loopback only.
//
// Every message is recorded twice in the world's record: as it comes in, and once for each client it goes out to.
type Broker struct {
	o    BrokerOpts
	now  func() time.Time
	note func(time.Time, Event)

	mu      sync.Mutex
	server  *mqtt.Server // nil while stopped
	door    *door
	tcp     net.Listener // nil without loopback
	accepts sync.WaitGroup
	address string
}

func newBroker(o BrokerOpts, now func() time.Time, note func(time.Time, Event)) *Broker {
	return &Broker{o: o, now: now, note: note}
}

// ErrRunning is returned by Start for a broker that runs.
var ErrRunning = errors.New("broker is running")

const (
	// never is ten years, in seconds: the broker publishes its $SYS topics at its start and not again, and forgets no
	// retained message for its age, which by default it does after a day.
	never = 10 * 365 * 24 * 3600
	// maxPacket is 1 MiB: arbitrary, far above what an agent takes.
	maxPacket = 1 << 20
)

// Start begins to serve. The address is host:port on loopback, port 0 for any free one; empty means connections
// inside the process only, see Pipe.
func (b *Broker) Start(address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return ErrRunning
	}
	var tcp net.Listener
	if address != "" {
		var err error
		if tcp, err = listenLoopback(address); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		address = tcp.Addr().String()
	}
	b.tcp, b.address = tcp, address
	if err := b.serve(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// listenLoopback refuses addresses that other machines could reach.
func listenLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q is not loopback", address)
	}
	return net.Listen("tcp", address)
}

// serve starts the server behind its door.
func (b *Broker) serve() error {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumMessageExpiryInterval = never
	limits.MaximumPacketSize = maxPacket
	server := mqtt.New(&mqtt.Options{
		Capabilities:           limits,
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: never,
		InlineClient:           true,
	})
	if err := server.AddHook(&witness{broker: b}, nil); err != nil {
		return err
	}
	d := newDoor(b.address)
	if err := server.AddListener(d); err != nil {
		return err
	}
	if err := server.Serve(); err != nil {
		return err
	}
	b.server, b.door = server, d
	if b.tcp != nil {
		tcp := b.tcp
		b.accepts.Go(func() { accept(tcp, d) })
	}
	return nil
}

// accept lets clients in from loopback until the listener closes.
func accept(tcp net.Listener, d *door) {
	for {
		conn, err := tcp.Accept()
		if err != nil {
			return // closed by Stop
		}
		if !d.admit(conn) {
			return
		}
	}
}

// Address is where the broker listens on loopback; empty without.
func (b *Broker) Address() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.address
}

// Pipe is a client's end of a new connection inside the process. A stopped broker refuses it, as a port nobody
// listens on.
func (b *Broker) Pipe() (net.Conn, error) {
	b.mu.Lock()
	d := b.door
	b.mu.Unlock()
	client, server := newPipe()
	if d == nil || !d.admit(server) {
		return nil, fmt.Errorf("broker: %w", syscall.ECONNREFUSED)
	}
	return client, nil
}

// Publish sends a message as if a client called "inline" had.
func (b *Broker) Publish(topic string, payload []byte, qos byte, retain bool) error {
	b.mu.Lock()
	s := b.server
	b.mu.Unlock()
	if s == nil {
		return fmt.Errorf("broker: %w", syscall.ECONNREFUSED)
	}
	return s.Publish(topic, payload, retain, qos)
}

// Hold makes the broker stand still with its connections open, as a stopped process or a dead network does; Resume
// lets it go on. New connections are taken and held too.
func (b *Broker) Hold() { b.withDoor(func(d *door) { d.setHold(true) }) }

// Resume ends a Hold.
func (b *Broker) Resume() { b.withDoor(func(d *door) { d.setHold(false) }) }

// Cut closes all connections at once, without a word to the clients.
func (b *Broker) Cut() { b.withDoor((*door).cut) }

func (b *Broker) withDoor(f func(*door)) {
	b.mu.Lock()
	d := b.door
	b.mu.Unlock()
	if d != nil {
		f(d)
	}
}

// Stop ends the broker and all its connections; a stopped one stays as it is.
func (b *Broker) Stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil
	}
	var errs []error
	if b.tcp != nil {
		errs = append(errs, b.tcp.Close())
		b.tcp = nil
	}
	errs = append(errs, b.server.Close())
	b.accepts.Wait()
	b.server, b.door = nil, nil
	return errors.Join(errs...)
}

// Restart stops the broker and starts it at the same address, with nothing remembered.
func (b *Broker) Restart() error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.Start(b.Address())
}
