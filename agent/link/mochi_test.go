package link

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	mochi "github.com/mochi-mqtt/server/v2"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
)

// broker is a real MQTT broker in this process, reached through pipes.
type broker struct {
	t   *testing.T
	acl func(topic string, write bool) bool
	wg  sync.WaitGroup

	mu     sync.Mutex
	gone   bool // takes no connections
	server *mochi.Server
	conns  []net.Conn
	got    []mochipackets.Packet
}

func newMochi(t *testing.T) *broker {
	b := &broker{t: t}
	b.start()
	return b
}

// start begins with an empty memory.
func (b *broker) start() {
	b.t.Helper()
	s := mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(&access{b: b}, nil); err != nil {
		b.t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		b.t.Fatal(err)
	}
	err := s.Subscribe("rackagent/#", 1, func(_ *mochi.Client, _ mochipackets.Subscription, p mochipackets.Packet) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, p)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.server = s
	b.mu.Unlock()
}

// stop cuts everybody off and forgets everything.
func (b *broker) stop() {
	b.mu.Lock()
	s := b.server
	b.server = nil
	b.mu.Unlock()
	b.cut()
	b.wg.Wait()
	s.Close()
}

func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func (b *broker) away(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = yes
}

func (b *broker) dial(context.Context) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.server
	if s == nil || b.gone {
		return nil, errDown
	}
	near, far := net.Pipe()
	b.conns = append(b.conns, far)
	b.wg.Go(func() { _ = s.EstablishConnection("pipe", far) })
	return near, nil
}

func (b *broker) publish(topic, payload string, retain bool) {
	b.t.Helper()
	if err := b.server.Publish(topic, []byte(payload), retain, 1); err != nil {
		b.t.Fatal(err)
	}
}

// seen are the payloads on one topic, as an independent subscriber saw them.
func (b *broker) seen(topic string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.got {
		if p.TopicName == topic {
			out = append(out, string(p.Payload))
		}
	}
	return out
}

// access lets in whom the broker's acl lets in.
type access struct {
	mochi.HookBase
	b *broker
}

func (h *access) ID() string { return "test-access" }

func (h *access) Provides(b byte) bool {
	return bytes.Contains([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck}, []byte{b})
}

func (h *access) OnConnectAuthenticate(*mochi.Client, mochipackets.Packet) bool { return true }

func (h *access) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	return h.b.acl == nil || h.b.acl(topic, write)
}
