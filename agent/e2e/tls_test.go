//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority issues certificates into a directory: NAME.pem and NAME.key.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// server and client fill in what a certificate is for.
func server() *x509.Certificate {
	return &x509.Certificate{
		DNSNames: []string{"broker.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func client() *x509.Certificate {
	return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// issue makes a key and its certificate, the first one signed by itself.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.last++
	c.SerialNumber, c.Subject = big.NewInt(a.last), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.KeyUsage |= x509.KeyUsageDigitalSignature
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.save(name+".pem", "CERTIFICATE", der)
	a.save(name+".key", "PRIVATE KEY", private)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) save(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// The users of the guarded broker, with their passwords.
var users = map[string]string{"r1": "correct-horse-1", "r2": "battery-2", "ops": "staple-3"}

// acl confines each agent to its own topics; ops may do everything.
const acl = `user ops
topic readwrite #
user r1
topic write rackagent/v1/test/r1/up/#
topic read rackagent/v1/test/r1/down/#
user r2
topic write rackagent/v1/test/r2/up/#
topic read rackagent/v1/test/r2/down/#
`

// guarded is a broker that asks for a certificate and a password, and confines its users.
func guarded(t *testing.T, a *authority) *mosquitto {
	t.Helper()
	a.issue("broker", server())
	for user, password := range users {
		a.issue(user, client())
		args := []string{"-b", a.path("passwords"), user, password}
		if _, err := os.Stat(a.path("passwords")); err != nil {
			args = append([]string{"-c"}, args...)
		}
		if said, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, said)
		}
	}
	if err := os.WriteFile(a.path("acl"), []byte(acl), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMosquitto(t, "allow_anonymous false", "password_file "+a.path("passwords"), "acl_file "+a.path("acl"),
		"cafile "+a.path("ca.pem"), "certfile "+a.path("broker.pem"), "keyfile "+a.path("broker.key"),
		"require_certificate true", "tls_version tlsv1.2")
	m.client = append(m.client, as(a, "ops")...)
	return m
}

// as are the options with which mosquitto's clients log in.
func as(a *authority, user string) []string {
	return []string{"--cafile", a.path("ca.pem"), "--cert", a.path(user + ".pem"), "--key", a.path(user + ".key"), "-u", user, "-P", users[user]}
}

// TestTheGuardedBroker goes the product's way: everything is named by the configuration and read from files, at each
// attempt anew. With a wrong password or a broker of another authority there is no session and the reason is told;
// a password that is put right is taken without a restart. Secrets are not logged.
func TestTheGuardedBroker(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	m := guarded(t, a)
	w := m.watch()
	secret := a.path("password")
	setting := func(ca string) string {
		return fmt.Sprintf(`broker: "mqtts://127.0.0.1:%s", ca_file: %q, cert_file: %q, key_file: %q, server_name: broker.example, user: r1, password_file: %q`,
			m.port, ca, a.path("r1.pem"), a.path("r1.key"), secret)
	}
	write := func(password string) {
		if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	write(users["r1"])
	stranger := newRig(t, setting(newAuthority(t).path("ca.pem")), period, rackWorld(0))
	stranger.start()
	eventually(t, 10*time.Second, "the broker's certificate to be refused", func() bool {
		return strings.Contains(stranger.agent.Status().LinkError, "certificate")
	})
	stranger.judge(t, 0)

	write("wrong-password")
	r := newRig(t, setting(a.path("ca.pem")), period, rackWorld(0))
	r.start()
	eventually(t, 10*time.Second, "the password to be refused", func() bool { return r.agent.Status().LinkError != "" })
	if w.births() != 0 {
		t.Errorf("a birth was heard: %s", w)
	}
	write(users["r1"])
	eventually(t, 10*time.Second, "the agent's birth", func() bool { return w.births() > 0 })

	neighbour := *m
	neighbour.client = append([]string{"-h", "127.0.0.1", "-p", m.port}, as(a, "r2")...)
	neighbour.order(cut("forged", 1)) // acknowledged and dropped
	m.order(cut("c1", 3))
	w.expect(t, "c1", "succeeded")
	if got := w.states("forged"); got != "" {
		t.Errorf("a neighbour's command was answered: %s", got)
	}
	for _, password := range []string{users["r1"], "wrong-password"} {
		if strings.Contains(r.log.String()+stranger.log.String()+w.String(), password) {
			t.Error("a password stands in the log or in a message")
		}
	}
	r.judge(t, 1)
}
