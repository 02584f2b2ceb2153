//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMosquitto is the suite against Mosquitto, with config/brokers/mosquitto.
func TestMosquitto(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.port = ports(t, 1)[0]
	b.urls = []string{"mqtts://127.0.0.1:" + b.port}
	state := filepath.Join(b.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	acl := b.ship("mosquitto/acl", "acl")
	conf := b.ship("mosquitto/mosquitto.conf", "mosquitto.conf",
		"listener 8883", "listener "+b.port+" 127.0.0.1", "/etc/mosquitto/tls", b.tls, "/etc/mosquitto/acl", acl, "/var/lib/mosquitto", state)
	if os.Geteuid() == 0 { // it would become another user, who cannot read its files
		text, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(conf, append(text, "user root\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := newDaemon(t, filepath.Join(b.dir, "log"), func() *exec.Cmd { return exec.Command("mosquitto", "-c", conf) })
	b.start = func() {
		d.start()
		eventually(t, 10*time.Second, "mosquitto to listen", func() bool { return listens(b.port) })
	}
	b.stop, b.kill = func() { d.end(syscall.SIGTERM) }, func() { d.end(syscall.SIGKILL) }
	b.deniedPublish, b.deniedSubscribe, b.stolenID = acknowledged, granted, granted
	suite(t, b)
}
