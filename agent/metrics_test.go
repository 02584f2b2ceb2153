package agent_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"rackagent/agent"
)

// pipes is a listener inside the process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

func TestMetricsAndHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		r.change = func(w *agent.World) { w.Metrics = func(context.Context) (net.Listener, error) { return p, nil } }
		r.start()
		r.send("c1", "outlet.cut", "outlet/pdu-a.3")
		r.await("c1")
		client := http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
		get := func(path string) string {
			t.Helper()
			res, err := client.Get("http://agent" + path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s %v\n%s", path, res.Status, err, b)
			}
			return string(b)
		}
		if got := get("/healthz"); got != "ok\n" {
			t.Errorf("health: %q", got)
		}
		text := get("/metrics")
		for _, want := range []string{
			`rackagent_reading{device="pdu-a",quantity="relay",index="3"} 0`,
			`rackagent_reading{device="pdu-a",quantity="relay",index="1"} 1`,
			`rackagent_events_total{kind="relay_moved"} 1`,
			`rackagent_device_state{device="pdu-a/bank",state="ok"} 1`,
			`rackagent_bus_hung{bus="main"} 0`,
			`rackagent_mqtt_up 1`,
			`rackagent_alive 1`,
			`rackagent_feed_limit_amperes{feed="feed-a"} 128`,
			`rackagent_feed_reserved_amperes{feed="feed-a"} 90`,
			`rackagent_feed_measured_amperes{feed="feed-a"}`,
			`rackagent_feed_measured_watts{feed="feed-a"} 19`,
			`rackagent_feed_assumed_watts{feed="feed-a"} 0`,
			`rackagent_audit_failing 0`,
			`rackagent_journal_commit_seconds_count`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no line %s in\n%s", want, text)
			}
		}
		r.close()
	})
}
