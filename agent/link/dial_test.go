package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBrokerAddresses(t *testing.T) {
	for s, want := range map[string]endpoint{
		"mqtt://broker":          {addr: "broker:1883", host: "broker"},
		"mqtt://10.0.0.1:11883/": {addr: "10.0.0.1:11883", host: "10.0.0.1"},
		"mqtts://broker.lan":     {addr: "broker.lan:8883", host: "broker.lan", secure: true},
		"mqtts://[fd00::1]:1":    {addr: "[fd00::1]:1", host: "fd00::1", secure: true},
	} {
		if got, err := parseBroker(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "broker", "broker:1883", "http://broker", "mqtt://", "mqtt://broker/topic", "mqtt://b?x=1", "mqtt://u:hunter2@b",
		"mqtt://b#x", "mqtt://u:hunter2@b:port",
	} {
		_, err := parseBroker(s)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := Dialer(nil, TLS{}); err == nil {
		t.Error("no broker: accepted")
	}
	if _, err := Dialer([]string{"mqtt://b"}, TLS{Cert: "x"}); err == nil {
		t.Error("certificate without key: accepted")
	}
}

// listen gives a loopback listener whose connections say who they are.
func listen(t *testing.T, name string, cfg *tls.Config) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if cfg != nil {
				c = tls.Server(c, cfg)
			}
			_, _ = c.Write([]byte(name))
			c.Close()
		}
	}()
	return l.Addr().String()
}

// who dials once and reads the name of what answered.
func who(t *testing.T, dial func(context.Context) (net.Conn, error)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	var b [8]byte
	n, err := c.Read(b[:])
	if n == 0 {
		return err.Error()
	}
	return string(b[:n])
}

func TestBrokersTakeTurns(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	closed.Close()
	dial, err := Dialer([]string{"mqtt://" + listen(t, "a", nil), "mqtt://" + gone, "mqtt://" + listen(t, "b", nil)}, TLS{})
	if err != nil {
		t.Fatal(err)
	}
	got := who(t, dial) + who(t, dial) + who(t, dial) + who(t, dial)
	if got != "abab" {
		t.Errorf("%s", got)
	}
	c, err := dial(t.Context()) // a
	if err != nil {
		t.Fatal(err)
	}
	c.(*given).keep() // the connection has held
	c.Close()
	if got := who(t, dial) + who(t, dial); got != "ab" {
		t.Errorf("after a connection to a that held: %s", got)
	}
	dial, err = Dialer([]string{"mqtt://" + gone, "mqtt://" + gone + "/"}, TLS{})
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, dial); strings.Count(got, "refused") != 2 || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	dial, err = Dialer([]string{"mqtt://" + gone}, TLS{})
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, dial); !strings.Contains(got, "refused") {
		t.Error(got)
	}
}

// authority is a certificate authority in a directory.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	tmpl := a.template("test authority")
	tmpl.IsCA, tmpl.KeyUsage, tmpl.BasicConstraintsValid = true, x509.KeyUsageCertSign, true
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return k
}

func (a *authority) template(cn string) *x509.Certificate {
	a.n++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{cn}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, name), b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.pem and name.key.
func (a *authority) issue(name, cn string) {
	a.t.Helper()
	k := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, a.template(cn), a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	if der, err = x509.MarshalPKCS8PrivateKey(k); err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".key", "PRIVATE KEY", der)
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) server(name string) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
		MaxVersion: tls.VersionTLS12, // so that a refused client certificate shows in the handshake
	}
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.issue("broker", "broker")
	ours.issue("agent", agent)
	theirs.issue("agent", agent)
	addr := listen(t, "ok", ours.server("broker"))
	files := TLS{CA: ours.path("ca.pem"), Cert: ours.path("agent.pem"), Key: ours.path("agent.key")}
	for name, c := range map[string]struct {
		change func(*TLS)
		want   string // part of what is read, or of the error
	}{
		"good":                 {func(*TLS) {}, "ok"},
		"server name":          {func(f *TLS) { f.ServerName = "broker" }, "ok"},
		"another server name":  {func(f *TLS) { f.ServerName = "elsewhere" }, "elsewhere"},
		"unknown authority":    {func(f *TLS) { f.CA = theirs.path("ca.pem") }, "unknown authority"},
		"system's authorities": {func(f *TLS) { f.CA = "" }, "unknown authority"},
		"no certificate":       {func(f *TLS) { f.Cert, f.Key = "", "" }, "tls: "},
		"foreign certificate":  {func(f *TLS) { f.Cert, f.Key = theirs.path("agent.pem"), theirs.path("agent.key") }, "tls: "},
		"missing file":         {func(f *TLS) { f.CA = "/nonexistent" }, "no such file"},
		"key as authority":     {func(f *TLS) { f.CA = f.Key }, "no certificate in"},
		"mismatched pair":      {func(f *TLS) { f.Key = theirs.path("agent.key") }, "tls: "},
	} {
		f := files
		c.change(&f)
		dial, err := Dialer([]string{"mqtts://" + addr}, f)
		if err != nil {
			t.Fatal(err)
		}
		if got := who(t, dial); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A certificate replaced on disk is used from the next attempt on.
func TestRenewedCertificateIsTaken(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.issue("broker", "broker")
	theirs.issue("agent", agent)
	addr := listen(t, "ok", ours.server("broker"))
	dial, err := Dialer([]string{"mqtts://" + addr},
		TLS{CA: ours.path("ca.pem"), Cert: theirs.path("agent.pem"), Key: theirs.path("agent.key")})
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, dial); !strings.Contains(got, "tls") {
		t.Fatalf("foreign certificate: %s", got)
	}
	theirs.cert, theirs.key = ours.cert, ours.key
	theirs.issue("agent", agent)
	if got := who(t, dial); got != "ok" {
		t.Errorf("after the renewal: %s", got)
	}
}
