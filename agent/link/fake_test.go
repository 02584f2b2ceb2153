package link

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// fake is a broker that does what its script says, over pipes. Without a script it accepts, grants, acknowledges and
// answers pings, and remembers what it was told.
type fake struct {
	t *testing.T
	// on is asked first about every packet; true means it has dealt with it.
	on func(c *fakeConn, p packets.ControlPacket) bool

	mu    sync.Mutex
	conns []*fakeConn
	dials []time.Time
	down  bool
	wg    sync.WaitGroup
}

var errDown = errors.New("no broker here")

// fakeConn is one connection, seen from the broker.
type fakeConn struct {
	net.Conn
	n       int // from 1
	at      time.Time
	connect *packets.ConnectPacket
	got     []*packets.PublishPacket // in the order of arrival
	acks    []uint16                 // PUBACKs received
	orderly bool                     // DISCONNECT came
	ended   time.Time
}

func (f *fake) dial(context.Context) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down {
		return nil, errDown
	}
	agent, broker := net.Pipe()
	c := &fakeConn{Conn: broker, n: len(f.conns) + 1, at: time.Now()}
	f.conns = append(f.conns, c)
	f.wg.Go(func() { f.serve(c) })
	return agent, nil
}

func (f *fake) serve(c *fakeConn) {
	defer c.Close()
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			f.mu.Lock()
			c.ended = time.Now()
			f.mu.Unlock()
			return
		}
		f.note(c, p)
		if f.on == nil || !f.on(c, p) {
			c.answer(p)
		}
	}
}

func (f *fake) note(c *fakeConn, p packets.ControlPacket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch p := p.(type) {
	case *packets.ConnectPacket:
		c.connect = p
	case *packets.PublishPacket:
		c.got = append(c.got, p)
	case *packets.PubackPacket:
		c.acks = append(c.acks, p.MessageID)
	case *packets.DisconnectPacket:
		c.orderly = true
	}
}

// answer does what a broker does.
func (c *fakeConn) answer(p packets.ControlPacket) {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		c.send(packets.NewControlPacket(packets.Connack))
	case *packets.SubscribePacket:
		c.suback(p, 1)
	case *packets.PublishPacket:
		c.puback(p)
	case *packets.PingreqPacket:
		c.send(packets.NewControlPacket(packets.Pingresp))
	case *packets.UnsubscribePacket:
		a := packets.NewControlPacket(packets.Unsuback).(*packets.UnsubackPacket)
		a.MessageID = p.MessageID
		c.send(a)
	}
}

func (c *fakeConn) send(p packets.ControlPacket) { _ = p.Write(c) }

func (c *fakeConn) connack(code byte) {
	a := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	a.ReturnCode = code
	c.send(a)
}

func (c *fakeConn) suback(p *packets.SubscribePacket, code byte) {
	a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	a.MessageID, a.ReturnCodes = p.MessageID, []byte{code}
	c.send(a)
}

func (c *fakeConn) puback(p *packets.PublishPacket) {
	a := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	a.MessageID = p.MessageID
	c.send(a)
}

// publish sends a message to the agent.
func (c *fakeConn) publish(topic, payload string, id uint16, mod ...func(*packets.PublishPacket)) {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.MessageID = topic, []byte(payload), 1, id
	for _, m := range mod {
		m(p)
	}
	c.send(p)
}

// raw sends bytes as they are.
func (c *fakeConn) raw(b ...byte) { _, _ = c.Write(b) }

// last is the newest connection.
func (f *fake) last() *fakeConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.conns) == 0 {
		f.t.Fatal("no connection was made")
	}
	return f.conns[len(f.conns)-1]
}

func (f *fake) nth(n int) *fakeConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.conns) < n {
		f.t.Fatalf("%d connections, want at least %d", len(f.conns), n)
	}
	return f.conns[n-1]
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fake) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// offsets are the dials since a moment.
func (f *fake) offsets(since time.Time) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []time.Duration
	for _, d := range f.dials {
		if !d.Before(since) {
			out = append(out, d.Sub(since))
		}
	}
	return out
}

// pubs are the publishes that one connection brought, in order.
func (f *fake) pubs(c *fakeConn) []*packets.PublishPacket {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(c.got)
}

// payloads are what one connection was told on topics below up/, in order.
func (f *fake) payloads(c *fakeConn) []string {
	var out []string
	for _, p := range f.pubs(c) {
		out = append(out, string(p.Payload))
	}
	return out
}

func (f *fake) acksOf(c *fakeConn) []uint16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(c.acks)
}

// handshakeOnly answers CONNECT, SUBSCRIBE and PINGREQ and nothing else.
func handshakeOnly(c *fakeConn, p packets.ControlPacket) bool {
	_, isPublish := p.(*packets.PublishPacket)
	return isPublish
}

// readOnly is a connection whose peer has said all it has to say.
type readOnly struct {
	net.Conn
	r io.Reader
}

func (c readOnly) Read(p []byte) (int, error) { return c.r.Read(p) }
