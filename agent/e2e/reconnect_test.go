package e2e

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"rackagent/agent"
)

// lived is how long a connection lives before it is cut: the agent takes one that lives 10 s for a good one, and begins
// its timetable of attempts anew. A second more is left for a busy machine.
const lived = 11 * time.Second

// back is where the bare client says that it is there again.
const back = "bench/back"

// BenchmarkReconnect measures from a cut connection to the first word of the next one that the operator hears: of the
// agent its birth, and of a bare paho client, with its own timetable and one subscription, a message. Each round takes
// the 11 s that a connection has to live first.
func BenchmarkReconnect(b *testing.B) {
	s := newStage(b)
	var agents, bares cutter
	s.change = func(w *agent.World) {
		dial := w.Dial
		w.Dial = func(ctx context.Context) (net.Conn, error) { return agents.take(dial(ctx)) }
	}
	s.settle(s.operator.Subscribe(back, 1, func(_ mqtt.Client, m mqtt.Message) { s.heard <- heard{m.Topic(), m.Payload(), time.Now()} }))
	s.start()
	s.bare(&bares)
	agentBack := func(h heard) bool { // the will of the cut connection is on the same topic
		return h.topic == topic.Up("state") && strings.Contains(string(h.payload), `"state":"online"`)
	}
	var agentTimes, bareTimes times
	for b.Loop() {
		s.live()
		bareTimes = append(bareTimes, s.after(&bares, "the bare client", func(h heard) bool { return h.topic == back }))
		agentTimes = append(agentTimes, s.after(&agents, "the agent", agentBack))
	}
	bareTimes.report(b, "bare")
	agentTimes.report(b, "reconnect")
	b.ReportMetric(agentTimes.median()/bareTimes.median(), "ratio")
	b.ReportMetric(0, "ns/op") // it would be the life of the connection
}

// live lets a connection live, and throws away what is heard.
func (s *stage) live() {
	end := time.After(lived)
	for {
		select {
		case <-s.heard:
		case <-end:
			return
		}
	}
}

// bare is a client that does nothing but come back.
func (s *stage) bare(c *cutter) {
	s.b.Helper()
	address := s.world.Broker().Address()
	o := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("bare").SetProtocolVersion(4).SetAutoReconnect(true).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.take(net.Dial("tcp", address)) })
	o.SetOnConnectHandler(func(m mqtt.Client) {
		m.Subscribe(ping+"/bare", 1, nil).Wait()
		m.Publish(back, 1, false, "here")
	})
	m := mqtt.NewClient(o)
	s.settle(m.Connect())
	s.b.Cleanup(func() { m.Disconnect(0) })
}

// cutter cuts the newest connection of a client, which sees what it would see of a broker that left.
type cutter struct {
	mu     sync.Mutex
	newest *severed
}

func (c *cutter) take(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = &severed{Conn: conn}
	return c.newest, nil
}

// cut cuts it, and tells when.
func (c *cutter) cut() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	c.newest.gone.Store(true)
	_ = c.newest.Conn.Close()
	return at
}

// after cuts, and is the time from there to a message that fits.
func (s *stage) after(c *cutter, whose string, fits func(heard) bool) time.Duration {
	s.b.Helper()
	at := c.cut()
	return s.hear(whose, func(h heard) bool { return h.at.After(at) && fits(h) }).at.Sub(at)
}

// severed is a connection whose other end may go.
type severed struct {
	net.Conn
	gone atomic.Bool
}

func (s *severed) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil && s.gone.Load() {
		return n, io.EOF
	}
	return n, err
}
