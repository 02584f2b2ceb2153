//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/wire"
)

// shipped is where the configurations of the brokers are. They are used as they are, with other paths and ports.
const shipped = "../../config/brokers"

// The agents that those configurations know.
var (
	r17  = wire.Topic("ams1", "r17")
	r18  = wire.Topic("ams1", "r18")
	gpu3 = wire.Topic("ams1", "gpu-3")
)

// everybody has a certificate of the site's authority.
var everybody = []string{"r17", "r18", "gpu-3", "ctl", "reader"}

// broker is one kind of broker, with what there is to know about it.
type broker struct {
	t    *testing.T
	dir  string   // scratch
	tls  string   // certificates, as certs.sh made them
	urls []string // for the agent: all nodes
	port string   // for everybody else

	start, kill func()
	stop        func() // in order; nil: it takes so long to start that killing it once must do

	// What a client is told that publishes or subscribes where it may not.
	deniedPublish, deniedSubscribe outcome
	// What a client is told that comes with another one's client id, and what it means for the one that had it.
	stolenID  outcome
	throwsOut bool
	// Retained messages are not sent to a subscription with a wildcard.
	exactRetained bool
	// A killed broker still has the sessions and what is retained.
	survivesKill bool
}

// outcome is what a client was told.
type outcome string

const (
	acknowledged outcome = "acknowledged"
	granted      outcome = "granted"
	refused      outcome = "refused"
	cutOff       outcome = "cut"
	noSession    outcome = "no session"
)

// newBroker makes the certificates.
func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir()}
	b.tls = filepath.Join(b.dir, "tls")
	certs(t, b.tls, "broker", "broker", "broker.ams1", "127.0.0.1")
	certs(t, b.tls, append([]string{"client"}, everybody...)...)
	return b
}

// certs runs the script that is shipped.
func certs(t *testing.T, dir string, args ...string) {
	t.Helper()
	if said, err := exec.Command(filepath.Join(shipped, "certs.sh"), append([]string{dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("certs.sh: %v: %s", err, said)
	}
}

// ship copies a configuration that is shipped, with paths and ports of this test: pairs of an old and a new text. Each
// must be there.
func (b *broker) ship(from, to string, pairs ...string) string {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(shipped, from))
	if err != nil {
		b.t.Fatal(err)
	}
	text := string(raw)
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(text, pair[0]) {
			b.t.Fatalf("%s has no %q", from, pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	path := filepath.Join(b.dir, to)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// ports gives free ones of loopback.
func ports(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		list = append(list, port)
	}
	return list
}

// daemon is a program that runs for the time of a test, and can be started again.
type daemon struct {
	t    *testing.T
	log  string
	make func() *exec.Cmd
	cmd  *exec.Cmd
}

// newDaemon gives one that does not run yet.
func newDaemon(t *testing.T, log string, make func() *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, log: log, make: make}
	t.Cleanup(func() {
		d.end(syscall.SIGKILL)
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-6000):])
		}
	})
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = d.make()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// end sends a signal and waits.
func (d *daemon) end(s syscall.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(s)
	_ = d.cmd.Wait()
	d.cmd = nil
}

func listens(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// login is how somebody comes to the broker.
type login struct {
	port, ca, cert, key string // cert may be empty
	id                  string
	keep                bool   // the session of that id, instead of a new one
	user, password      string // sent where not empty
}

// as is an honest one.
func (b *broker) as(name string) login {
	return login{
		port: b.port, id: name, ca: filepath.Join(b.tls, "ca.pem"),
		cert: filepath.Join(b.tls, name+".pem"), key: filepath.Join(b.tls, name+".key"),
	}
}

// outsider is an MQTT client by other people. listen subscribes with QoS 1, calls during when it knows what came of
// that, waits a little, and gives everything that it was sent.
type outsider interface {
	publish(as login, topic, payload string, retain bool) outcome
	listen(as login, filter string, during func()) (outcome, []message)
}

// The outsiders by name.
const (
	mosquittos = "mosquitto's clients"
	mqttJS     = "MQTT.js"
)

// outsiders are all of them.
func outsiders(t *testing.T) map[string]outsider {
	t.Helper()
	return map[string]outsider{mosquittos: mosquittoClients{}, mqttJS: nodeClient{nodeModules(t)}}
}

const (
	listenLimit = 20 * time.Second       // for an answer to CONNECT and SUBSCRIBE
	linger      = 500 * time.Millisecond // for a message that was published to come
	clientLimit = 40 * time.Second       // for a program to end
)

// mosquittoClients are mosquitto_pub and mosquitto_sub, in MQTT 3.1.1.
type mosquittoClients struct{}

func (l login) options() []string {
	o := []string{"-h", "127.0.0.1", "-p", l.port, "--cafile", l.ca, "-i", l.id, "-q", "1"}
	if l.keep {
		o = append(o, "-c")
	}
	if l.cert != "" {
		o = append(o, "--cert", l.cert, "--key", l.key)
	}
	if l.user != "" {
		o = append(o, "-u", l.user)
	}
	if l.password != "" {
		o = append(o, "-P", l.password)
	}
	return o
}

// publish tells by mosquitto_pub's exit status and words: 0 acknowledged; "The connection was lost" after CONNACK.
func (mosquittoClients) publish(as login, topic, payload string, retain bool) outcome {
	args := append(as.options(), "-d", "-t", topic, "-s")
	if retain {
		args = append(args, "-r")
	}
	said, err := program(payload, nil, "mosquitto_pub", args...)
	switch {
	case err == nil:
		return acknowledged
	case strings.Contains(said, "received CONNACK (0)"):
		return cutOff
	default:
		return noSession
	}
}

func (mosquittoClients) listen(as login, filter string, during func()) (outcome, []message) {
	var got outcome
	cmd := subscriber(as, "-t", filter)
	connects := 0
	return hearken(cmd, during, func(line string) (outcome, *message) {
		switch {
		case strings.HasPrefix(line, "Subscribed ") && strings.HasSuffix(line, ": 128"):
			got = refused
		case strings.HasPrefix(line, "Subscribed "):
			got = granted
		case strings.HasSuffix(line, "sending CONNECT"):
			if connects++; connects > 1 && got == "" {
				got = cutOff // it has come a second time
			}
		case strings.HasPrefix(line, "Connection error"), strings.HasPrefix(line, "Error:"):
			got = noSession
		case strings.HasPrefix(line, "0 "), strings.HasPrefix(line, "1 "):
			f := strings.SplitN(line+"  ", " ", 3)
			return got, &message{f[0] == "1", f[1], strings.TrimSuffix(f[2], "  ")}
		}
		return got, nil
	})
}

// subscriber is a mosquitto_sub whose words come line by line: what it does, and messages as "RETAINED TOPIC PAYLOAD".
func subscriber(as login, args ...string) *exec.Cmd {
	return exec.Command("stdbuf", slices.Concat([]string{"-oL", "mosquitto_sub"}, as.options(), []string{"-d", "-F", "%r %t %p"}, args)...)
}

// program runs one to its end.
func program(input string, env []string, name string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientLimit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin, c.Env = strings.NewReader(input), append(os.Environ(), env...)
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err = c.Run()
	return b.String(), err
}

// hearken runs a listener. read makes sense of its lines: what came of SUBSCRIBE, and messages.
func hearken(cmd *exec.Cmd, during func(), read func(line string) (outcome, *message)) (outcome, []message) {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return outcome(err.Error()), nil
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return outcome(err.Error()), nil
	}
	known, done := make(chan struct{}), make(chan struct{})
	var got outcome
	var heard []message
	go func() {
		defer close(done)
		for s := lines(pipe); s.Scan(); {
			o, m := read(s.Text())
			if m != nil {
				heard = append(heard, *m)
			}
			if got == "" && o != "" {
				got = o
				close(known)
			}
		}
	}()
	select {
	case <-known:
	case <-done:
	case <-time.After(listenLimit):
	}
	if during != nil {
		during()
	}
	select {
	case <-done:
	case <-time.After(linger):
	}
	_ = cmd.Process.Kill()
	<-done
	_ = cmd.Wait()
	return got, heard
}

func lines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	return s
}

// nodeClient is MQTT.js, run by node/outsider.js.
type nodeClient struct{ modules string }

// nodeModules has npm fetch what node/package-lock.json names, once for all tests of this working copy.
func nodeModules(t *testing.T) string {
	t.Helper()
	dir, err := fetched()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "node_modules")
}

// cache is a directory that git does not see.
func cache(name string) (string, error) { return filepath.Abs(filepath.Join("../../.cache", name)) }

var fetched = sync.OnceValues(func() (string, error) {
	dir, err := cache("outsider")
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		return "", err
	}
	if had, err := os.ReadFile(filepath.Join(dir, "fetched.json")); err == nil && bytes.Equal(had, lock) {
		return dir, nil
	}
	spec, err := os.ReadFile("node/package.json")
	if err != nil {
		return "", err
	}
	err = errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "package.json"), spec, 0o600),
		os.WriteFile(filepath.Join(dir, "package-lock.json"), lock, 0o600))
	if err != nil {
		return "", err
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if said, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, said)
	}
	return dir, os.WriteFile(filepath.Join(dir, "fetched.json"), lock, 0o600)
})

func (n nodeClient) env(as login) []string {
	return []string{
		"NODE_PATH=" + n.modules, "URL=mqtts://127.0.0.1:" + as.port, "CA=" + as.ca, "CERT=" + as.cert, "KEY=" + as.key,
		"ID=" + as.id, "KEEP=" + map[bool]string{true: "1"}[as.keep], "USERNAME=" + as.user, "PASSWORD=" + as.password,
	}
}

// told is one line of outsider.js.
type told struct {
	What     outcome `json:"what"`
	Why      string  `json:"why"`
	Topic    string  `json:"topic"`
	Payload  string  `json:"payload"`
	Retained bool    `json:"retained"`
}

func (n nodeClient) publish(as login, topic, payload string, retain bool) outcome {
	said, err := program(payload, n.env(as), "node", "node/outsider.js", "publish", topic, fmt.Sprint(retain))
	var x told
	if err != nil || json.Unmarshal([]byte(said), &x) != nil {
		return outcome(fmt.Sprintf("%v: %s", err, said))
	}
	return x.What
}

func (n nodeClient) listen(as login, filter string, during func()) (outcome, []message) {
	cmd := exec.Command("node", "node/outsider.js", "listen", filter)
	cmd.Env = append(os.Environ(), n.env(as)...)
	return hearken(cmd, during, func(line string) (outcome, *message) {
		var x told
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			return outcome(line), nil
		}
		if x.What == "message" {
			return "", &message{x.Retained, x.Topic, x.Payload}
		}
		return x.What, nil
	})
}
