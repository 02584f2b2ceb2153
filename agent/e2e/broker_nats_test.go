//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// natsServer builds the server from the module beside this one, which keeps it out of the agent's.
var natsServer = sync.OnceValues(func() (string, error) {
	path, err := cache("nats-server")
	if err != nil {
		return "", err
	}
	said, err := exec.Command("go", "build", "-C", "nats", "-trimpath", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, said)
	}
	return path, nil
})

// TestNATS is the suite against a cluster of three NATS servers, with config/brokers/nats. The agent knows all nodes
// and goes to the first; everybody else is at the last.
func TestNATS(t *testing.T) {
	t.Parallel()
	server, err := natsServer()
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t)
	nodes := make([]*daemon, 3)
	p := ports(t, 9) // of node i: MQTT, NATS's own, routes
	// One authority for what the nodes say to each other, another one for their clients.
	cluster := filepath.Join(b.dir, "cluster")
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		certs(t, cluster, "node", name, name+".ams1", "127.0.0.1")
		pairs := []string{
			"0.0.0.0:8883", "127.0.0.1:" + p[3*i], "127.0.0.1:4222", "127.0.0.1:" + p[3*i+1], "0.0.0.0:6222", "127.0.0.1:" + p[3*i+2],
			"/etc/nats/tls", b.tls, "/etc/nats/cluster", cluster, "/var/lib/nats", filepath.Join(b.dir, name, "store"),
		}
		for j := range nodes {
			if j != i {
				pairs = append(pairs, fmt.Sprintf("n%d.ams1:6222", j), "127.0.0.1:"+p[3*j+2])
			}
		}
		b.ship("nats/users.conf", name+"/users.conf")
		conf := b.ship("nats/"+name+".conf", name+"/nats.conf", pairs...)
		nodes[i] = newDaemon(t, filepath.Join(b.dir, name, "log"), func() *exec.Cmd { return exec.Command(server, "-c", conf) })
		b.urls = append(b.urls, "mqtts://127.0.0.1:"+p[3*i])
	}
	b.port = p[6]
	works := func(i int) bool {
		as := b.as("ctl")
		as.port = p[3*i]
		return mosquittoClients{}.publish(as, gpu3.Command(), "x", false) == acknowledged
	}
	b.start = func() {
		for _, n := range nodes {
			n.start()
		}
		for i := range nodes {
			eventually(t, time.Minute, "the cluster to work", func() bool { return works(i) })
		}
	}
	all := func(s syscall.Signal) func() {
		return func() {
			for _, n := range nodes {
				_ = n.cmd.Process.Signal(s)
			}
			for _, n := range nodes {
				n.end(s)
			}
		}
	}
	b.stop, b.kill = all(syscall.SIGTERM), all(syscall.SIGKILL)
	b.deniedPublish, b.deniedSubscribe, b.stolenID = acknowledged, refused, granted
	b.throwsOut, b.survivesKill = true, true
	suite(t, b,
		part{"a client's certificate is no node's", func(s *scene) {
			node := login{cert: filepath.Join(cluster, "n0.pem"), key: filepath.Join(cluster, "n0.key")}
			if err := comeAsNode(p[8], node); err != nil {
				s.t.Errorf("a node's certificate: %v", err)
			}
			if err := comeAsNode(p[8], b.as("r18")); err == nil || !strings.Contains(err.Error(), "tls: ") {
				s.t.Errorf("a client's certificate: %v", err)
			}
		}},
		part{"one node is killed", func(s *scene) {
			s.oneNodeKilled(func() { nodes[0].end(syscall.SIGKILL) })
			nodes[0].start()
			eventually(s.t, time.Minute, "the node to be back", func() bool { return works(0) })
		}},
	)
}

// oneNodeKilled: in the middle of fifty commands the first node dies, at which the agent is. It goes to another one, what
// it had not acknowledged comes again, and each command ends once.
func (s *scene) oneNodeKilled(kill func()) {
	r := s.rack()
	r.join(s.t, s.w)
	first := r.agent.Status().Broker
	o := newOperator(s.send, s.w, "k", 50)
	o.send(o.ids[:20]...)
	var killed time.Time
	o.insist(s.t, func(round int) {
		if round == 8 {
			o.send(o.ids[30:35]...) // these are on their way when it is killed
			kill()
			killed = time.Now()
		}
	})
	o.endOnce(s.t)
	if now := r.agent.Status().Broker; now == first || r.agent.Status().Link != "up" {
		s.t.Errorf("the agent was at %s and is at %s: %s", first, now, r.agent.Status().Link)
	}
	s.t.Logf("all fifty had ended %s after the kill", time.Since(killed).Round(100*time.Millisecond))
	if got := s.kept(r17.Up("state")); !strings.Contains(got, `"state":"online"`) {
		s.t.Errorf("retained: %s", got)
	}
	r.judge(s.t, 50, ambiguous)
}

// comeAsNode opens the cluster's port as another node does, up to the first word of the node that is there.
func comeAsNode(port string, as login) error {
	pair, err := tls.LoadX509KeyPair(as.cert, as.key)
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
	if err := s.Handshake(); err != nil {
		return err
	}
	_, err = s.Read(make([]byte, 1))
	return err
}
