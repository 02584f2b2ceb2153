package scan

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// requested are the bytes that may be sent, once more and independently of the package: everything before the placeholder.
func requested() []string {
	return []string{
		"{\"command\":\"version\"}\n", "{\"command\":\"config\"}\n", "{\"command\":\"devdetails\"}\n",
		"{\"cmd\":\"get_version\"}\n", "{\"cmd\":\"get_miner_info\"}\n", "{\"cmd\":\"devdetails\"}\n",
		"\x19\x00\x00\x00{\"cmd\":\"get.device.info\"}",
		"GET / HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		"GET /cgi-bin/get_system_info.cgi HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		"GET /api/v1/info HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		"GET /api/v1/model HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		"GET /api/v1/version/ HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		"GET /api/system/info HTTP/1.1\r\nHost: HOST\r\nUser-Agent: rackagent\r\nAccept: */*\r\nConnection: close\r\n\r\n",
	}
}

// network has a machine at some addresses, and nobody at the others. It keeps what was sent and holds it to what may be.
type network struct {
	t *testing.T

	mu    sync.Mutex
	hosts map[string]func(ctx context.Context, network, address string) (net.Conn, error)
	asked map[string][]string // by host: the requests, in order
	began []time.Time         // of connections to 4028
	per   map[string]int      // open connections
	open  int
	most  int // at once
	mostP int // at once at one port of one host
}

func newNetwork(t *testing.T) *network {
	return &network{t: t, hosts: map[string]func(context.Context, string, string) (net.Conn, error){}, asked: map[string][]string{}, per: map[string]int{}}
}

// Dial connects. Where nobody is, nothing comes back.
func (n *network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !slices.Contains([]string{"4028", "4433", "80"}, port) {
		n.t.Errorf("dialled %s", address)
	}
	n.mu.Lock()
	if port == "4028" {
		n.began = append(n.began, time.Now())
	}
	dial := n.hosts[host]
	n.open++
	n.per[address]++
	n.most, n.mostP = max(n.most, n.open), max(n.mostP, n.per[address])
	n.mu.Unlock()
	gone := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open--
		n.per[address]--
	}
	if dial == nil {
		<-ctx.Done()
		gone()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		gone()
		return nil, err
	}
	return &tapped{Conn: c, n: n, host: host, gone: gone}, nil
}

// tapped is a connection whose bytes are looked at.
type tapped struct {
	net.Conn
	n    *network
	host string
	gone func()
	sent bytes.Buffer
	once sync.Once
}

func (c *tapped) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.Conn.Write(b)
}

func (c *tapped) Close() error {
	c.once.Do(func() {
		c.gone()
		c.n.came(c.host, c.sent.String())
	})
	return c.Conn.Close()
}

func (n *network) came(host, sent string) {
	if sent == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[host] = append(n.asked[host], sent)
	if !slices.Contains(requested(), strings.ReplaceAll(sent, "Host: "+host, "Host: HOST")) {
		n.t.Errorf("to %s was sent what may not be: %q", host, sent)
	}
}

// refusing is a machine that is there and listens nowhere.
func refusing(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// failing is a way that this machine does not have.
func failing(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EMFILE}
}

// serves is a machine with servers of a test's own.
func serves(wg *sync.WaitGroup, servers map[int]func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		p, _ := strconv.Atoi(port)
		serve := servers[p]
		if serve == nil {
			return nil, syscall.ECONNREFUSED
		}
		client, server := net.Pipe()
		wg.Go(func() {
			defer server.Close()
			serve(server)
		})
		return client, nil
	}
}

// says is a server that reads a request and answers the same whatever it is.
func says(reply string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = c.Write([]byte(reply))
		}
	}
}

// netConn is short for what servers get.
type netConn = net.Conn

func antminerSpec() miners.Spec {
	return miners.Spec{
		Model: "Antminer S19 Pro", MAC: "02:00:5e:10:00:01", Serial: "SN1", NominalTHs: 110, NominalW: 3250, StandbyW: 25, Boot: time.Minute,
		Ramp: time.Minute, Fall: time.Second, Profiles: []miners.Profile{{Name: "low", W: 2500, THs: 90}, {Name: "normal", W: 3250, THs: 110}},
	}
}

func whatsminerSpec() miners.Spec {
	return miners.Spec{
		Model: "M56S_VH30", MAC: "02:00:5e:10:00:02", Serial: "SN2", NominalTHs: 120, NominalW: 3300, StandbyW: 13, Boot: time.Minute,
		Ramp: time.Minute, Fall: time.Second, Profiles: []miners.Profile{{Name: "low", W: 2500, THs: 90}, {Name: "normal", W: 3300, THs: 120}, {Name: "high", W: 3600, THs: 130}},
	}
}
