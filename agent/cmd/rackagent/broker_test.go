package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackagent/agent/wire"
	"rackagent/config"
)

// certify writes NAME.pem and NAME.key for a common name, good for a time, and gives the path without its end.
func certify(t *testing.T, cn string, from, to time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "client")
	write(t, path+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, path+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	if err := os.Chmod(path+".key", 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A certificate that the agent will not log in with is an error, with the reason; but not one that keeps the service from
// starting.
func TestCheckJudgesTheCertificate(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	synced := filepath.Join(t.TempDir(), "synced")
	write(t, synced, "")
	for name, c := range map[string]struct {
		cn       string
		from, to time.Time
		synced   bool
		want     string // of the finding; empty: none
		status   int
	}{
		"good":                   {"r17", now.Add(-day), now.Add(90 * day), true, "", exitOK},
		"another rack's":         {"r16", now.Add(-day), now.Add(90 * day), true, `the certificate is for somebody else: it names "r16", this agent is r17`, exitUsage},
		"expired":                {"r17", now.Add(-2 * day), now.Add(-day), true, "the certificate has expired: on ", exitUsage},
		"not yet valid":          {"r17", now.Add(day), now.Add(90 * day), true, "the certificate is not valid yet: from ", exitUsage},
		"soon over":              {"r17", now.Add(-day), now.Add(20 * day), true, "the certificate expires on ", exitOK},
		"expired, by what clock": {"r17", now.Add(-2 * day), now.Add(-day), false, "", exitOK},
	} {
		path := certify(t, c.cn, c.from, c.to)
		file := filepath.Join(t.TempDir(), "config.yaml")
		write(t, file, strings.NewReplacer(
			"# cert_file: /etc/rackagent/credentials/mqtt.pem", "cert_file: "+path+".pem",
			"# key_file: /etc/rackagent/credentials/mqtt.key", "key_file: "+path+".key",
		).Replace(exampleText(t)))
		o := outside{clocks: clocks{timesync: synced, chrony: "no address"}, hardware: bare, group: noGroup}
		if !c.synced {
			o.clocks.timesync = filepath.Join(t.TempDir(), "no", "such")
		}
		s := in(t.Context(), o, "check", "--config", file)
		if s.status != c.status || !strings.Contains(s.out, c.want) || (c.want == "") == strings.Contains(s.out, "mqtt.cert_file") {
			t.Errorf("%s: status %d\n%s%s", name, s.status, s.out, s.err)
		}
		if s := in(t.Context(), o, "check", "--start", "--config", file); s.status != exitOK || !strings.Contains(s.out, c.want) {
			t.Errorf("%s: --start: status %d\n%s%s", name, s.status, s.out, s.err)
		}
	}
}

// Without a synchronised clock the time is no earlier than what was last written.
func TestBestTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	write(t, path, "")
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	ok := false
	now := bestTime(func() wire.Clock { return wire.Clock{OK: ok} }, dir)
	if at, known := now(); known || !at.Equal(later) {
		t.Errorf("%v, known %t, want %v", at, known, later)
	}
	ok = true
	if at, known := now(); !known || time.Until(at) > time.Minute {
		t.Errorf("%v, known %t", at, known)
	}
	if at, _ := bestTime(func() wire.Clock { return wire.Clock{} }, "/nowhere")(); time.Since(at) > time.Minute {
		t.Error(at)
	}
}

// What systemd passes on is found, and looked at as any file; without it there is no broker, and the reason is told.
func TestCredentialsOfTheBroker(t *testing.T) {
	path := certify(t, "r17", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	m := config.MQTT{Broker: "mqtts://127.0.0.1:1", CertFile: "credential:client.pem", KeyFile: "credential:client.key"}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dial, look, err := dialer(m, []string{"r17"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), "LoadCredential=client.pem:PATH") || look().Err == nil {
		t.Errorf("%v, %v", err, look().Err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if _, look, _ = dialer(m, []string{"r17"}, nil); look().Err != nil || look().Leaf == nil {
		t.Errorf("%+v", look())
	}
	if err := os.Chmod(path+".key", 0o644); err != nil {
		t.Fatal(err)
	}
	if k := look(); k.Err == nil || !strings.Contains(k.Err.Error(), "chmod 0640") {
		t.Errorf("a key that everybody may read: %v", k.Err)
	}
}
