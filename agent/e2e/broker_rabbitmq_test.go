//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rabbitmqServer is Debian's, without the script before it that changes the user and the directory.
const rabbitmqServer = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// TestRabbitMQ is the suite against RabbitMQ, with config/brokers/rabbitmq.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	p := ports(t, 3)
	b.port = p[0]
	b.urls = []string{"mqtts://127.0.0.1:" + b.port}
	env := append(os.Environ(), rabbitEnv(b, p[1], p[2])...)
	// Erlang's own directory of nodes; else the first node would start one that outlives the test.
	names := newDaemon(t, filepath.Join(b.dir, "epmd.log"), func() *exec.Cmd {
		c := exec.Command("epmd")
		c.Env = env
		return c
	})
	names.start()
	eventually(t, 10*time.Second, "epmd to listen", func() bool { return listens(p[2]) })
	d := newDaemon(t, filepath.Join(b.dir, "log"), func() *exec.Cmd {
		c := exec.Command(rabbitmqServer)
		c.Env = env
		return c
	})
	complete := func() int { // starts; who comes while it still starts may be left waiting
		text, _ := os.ReadFile(d.log)
		return strings.Count(string(text), "Server startup complete")
	}
	b.start = func() {
		before := complete()
		d.start()
		eventually(t, 2*time.Minute, "RabbitMQ to work", func() bool {
			return complete() > before && mosquittoClients{}.publish(b.as("ctl"), gpu3.Command(), "x", false) == acknowledged
		})
	}
	b.kill = func() { d.end(syscall.SIGKILL) }
	b.deniedPublish, b.deniedSubscribe, b.stolenID = cutOff, cutOff, noSession
	b.throwsOut, b.exactRetained, b.survivesKill = true, true, true
	suite(t, b)
}

// rabbitEnv puts a node into the broker's directory and on loopback.
func rabbitEnv(b *broker, dist, epmd string) []string {
	conf := b.ship("rabbitmq/rabbitmq.conf", "rabbitmq.conf",
		"= 8883", "= 127.0.0.1:"+b.port, "/etc/rabbitmq/tls", b.tls,
		"/etc/rabbitmq/definitions.json", b.ship("rabbitmq/definitions.json", "definitions.json"))
	at := func(name string) string { return filepath.Join(b.dir, name) }
	return []string{
		"HOME=" + b.dir, // of the Erlang cookie
		"RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_CONFIG_FILE=" + conf,
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + b.ship("rabbitmq/enabled_plugins", "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + at("db"), "RABBITMQ_LOG_BASE=" + at("logs"), "RABBITMQ_LOGS=-", "RABBITMQ_PID_FILE=" + at("pid"),
		"RABBITMQ_NODENAME=rabbit@localhost", "RABBITMQ_DIST_PORT=" + dist, "ERL_EPMD_PORT=" + epmd, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"detached=1", // the script becomes the node, which can then be killed
	}
}
