//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mosquitto is a real broker in a process of its own, and what its clients need to reach it.
type mosquitto struct {
	t      *testing.T
	port   string
	dir    string
	client []string // options of mosquitto_pub and mosquitto_sub
	cmd    *exec.Cmd
}

// newMosquitto starts a broker on a free loopback port. lines are added to its configuration.
func newMosquitto(t *testing.T, lines ...string) *mosquitto {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{t: t, dir: t.TempDir()}
	_, m.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	m.client = []string{"-h", "127.0.0.1", "-p", m.port}
	conf := []string{"listener " + m.port + " 127.0.0.1", "log_dest file " + m.path("log")}
	if os.Geteuid() == 0 {
		conf = append(conf, "user root") // it would become another user, who cannot read its files
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "allow_anonymous") }) {
		conf = append(conf, "allow_anonymous true")
	}
	m.write("mosquitto.conf", strings.Join(append(conf, lines...), "\n")+"\n")
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			log, _ := os.ReadFile(m.path("log"))
			t.Logf("the broker's log:\n%s", log)
		}
	})
	m.start()
	return m
}

// persistent are the lines of a broker that writes its database at every change, at most a second late.
func persistent(t *testing.T) []string {
	t.Helper()
	return []string{"persistence true", "persistence_location " + t.TempDir() + "/", "autosave_interval 1", "autosave_on_changes true"}
}

func (m *mosquitto) path(name string) string { return filepath.Join(m.dir, name) }

func (m *mosquitto) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// setting is what the agent's configuration says about this broker.
func (m *mosquitto) setting() string { return fmt.Sprintf("broker: %q", "mqtt://127.0.0.1:"+m.port) }

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command("mosquitto", "-c", m.path("mosquitto.conf"))
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, 10*time.Second, "mosquitto to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+m.port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends the broker as a power cut does: nothing is written.
func (m *mosquitto) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

func (m *mosquitto) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// pub runs mosquitto_pub with QoS 1 and what it gets on its standard input. It returns when the broker has
// acknowledged, or with the reason why not.
func (m *mosquitto) pub(input string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "mosquitto_pub", slices.Concat(m.client, []string{"-q", "1"}, args)...)
	c.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		return fmt.Errorf("mosquitto_pub: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// order publishes commands, one after the other on one connection.
func (m *mosquitto) order(payloads ...string) {
	m.t.Helper()
	if err := m.try(payloads...); err != nil {
		m.t.Fatal(err)
	}
}

// try is order where the broker may be away.
func (m *mosquitto) try(payloads ...string) error {
	return m.pub(strings.Join(payloads, "\n")+"\n", "-l", "-t", topic.Command())
}

// eventually looks again and again, because what it looks at is another process.
func eventually(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if err := within(limit, cond); err != nil {
		t.Fatalf("waited %v for %s", limit, what)
	}
}

var errLate = errors.New("it did not come in time")

func within(limit time.Duration, cond func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return errLate
		}
	}
	return nil
}

// pass lets time go by: what must not happen gets the chance to.
func pass(d time.Duration) { <-time.After(d) }
