package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/agent/wire"
	"rackagent/config"
)

// rfc8037Key is the key of RFC 8037 appendix A.1, which is for examples only; the configuration of the example holds its
// public half.
const rfc8037Key = `{"kty":"OKP","crv":"Ed25519","kid":"alice-2026","iss":"alice",` +
	`"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}` + "\n"

// keyFile writes a key file.
func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alice.jwk")
	write(t, path, text)
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeysShow(t *testing.T) {
	public := strings.Replace(rfc8037Key, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",`, "", 1)
	golden(t, "keys-show", typed(t, "keys", "show", keyFile(t, rfc8037Key, 0o600)))
	golden(t, "keys-show-open", typed(t, "keys", "show", keyFile(t, rfc8037Key, 0o644)))
	golden(t, "keys-show-public", typed(t, "keys", "show", "--role", "approver", keyFile(t, strings.Replace(public, `"iss":"alice",`, "", 1), 0o644)))
	golden(t, "keys-show-pem", typed(t, "keys", "show", keyFile(t, "-----BEGIN PRIVATE KEY-----\n", 0o600)))
	golden(t, "keys-show-none", typed(t, "keys", "show", filepath.Join(t.TempDir(), "alice.jwk")))
}

// A new key is a file of its own that the configuration's lines fit to; it is not made twice.
func TestKeysNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bob.jwk")
	s := typed(t, "keys", "new", "--kid", "@7", "--issuer", "bob", "--role", "approver", path)
	if s.status != exitOK || s.err != "" {
		t.Fatalf("%+v", s)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	k, err := wire.DecodeKey(text)
	if err != nil || !k.HasPrivate() || k.ID != "@7" || k.Issuer != "bob" {
		t.Errorf("%v, %v", k, err)
	}
	parsed, findings := config.Parse("test", []byte("schema: 1\nsite: test\nagent: r1\n"+s.out))
	for _, f := range append(findings, parsed.Check(config.Catalogue{})...) {
		if f.Severity == config.Error && strings.HasPrefix(f.Path, "commands") {
			t.Errorf("%s", f)
		}
	}
	if len(parsed.Commands.Keys) != 1 {
		t.Fatalf("%+v", parsed.Commands)
	}
	got := parsed.Commands.Keys[0]
	if got.KID != "@7" || got.Issuer != "bob" || got.Role != "approver" || got.Public != k.X() {
		t.Errorf("%+v", got)
	}
	if secret := string(text[strings.Index(string(text), `"d":"`)+5:][:20]); strings.Contains(s.out, secret) {
		t.Error("the private half is printed")
	}
	if shown := typed(t, "keys", "show", "--role", "approver", path); !strings.HasSuffix(s.out, shown.out) {
		t.Errorf("shown otherwise:\n%s\n%s", s.out, shown.out)
	}
	again := typed(t, "keys", "new", "--kid", "b", "--issuer", "bob", path)
	if now, err := os.ReadFile(path); again.status != exitUsage || string(now) != string(text) || err != nil {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestKeysNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"kid":       {"--kid", "a b", "--issuer", "alice", dir + "/k"},
		"issuer":    {"--kid", "a", "--issuer", "local/alice", dir + "/k"},
		"directory": {"--kid", "a", "--issuer", "alice", dir + "/none/k"},
	} {
		s := typed(t, append([]string{"keys", "new"}, args...)...)
		if s.status == exitOK || s.out != "" || s.err == "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
