package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rfc8037Key is the private key of RFC 8037 appendix A.1, with a kid and an issuer, which the RFC leaves out.
const rfc8037Key = `{"kty":"OKP","crv":"Ed25519","kid":"alice-1","iss":"alice",` +
	`"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

// rfc8037Public is the public key of appendix A.2, likewise.
const rfc8037Public = `{"kty":"OKP","crv":"Ed25519","kid":"alice-1","iss":"alice","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

func TestDecodeKey(t *testing.T) {
	for text, private := range map[string]bool{rfc8037Key: true, rfc8037Public: false} {
		k, err := DecodeKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if k.ID != "alice-1" || k.Issuer != "alice" || !bytes.Equal(k.Public, public(rfc8037(t))) || k.HasPrivate() != private {
			t.Errorf("%s", text)
		}
		if got := string(k.Reveal()); got != text+"\n" {
			t.Errorf("written again:\n%s", got)
		}
	}
	foreign := `{"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig","alg":"EdDSA","key_ops":["verify"],"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	if k, err := DecodeKey([]byte(foreign)); err != nil || k.Issuer != "" {
		t.Errorf("of another tool: %v", err)
	}
}

// TestAKeySigns: the frozen command, by the key as its file has it. The signature of RFC 8037 appendix A.4 covers what is
// below.
func TestAKeySigns(t *testing.T) {
	k, err := DecodeKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := k.Sign([]byte(goodCommand))
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.Sign([]byte(goodCommand))
	if err != nil || !bytes.Equal(signed, again) {
		t.Errorf("not the same bytes: %v", err)
	}
	frozen, err := os.ReadFile(filepath.Join("testdata", "v1", "signed-cut.jws"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signed, frozen) {
		t.Errorf("%s", signed)
	}
	k, err = DecodeKey([]byte(rfc8037Public))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign([]byte(goodCommand)); !errors.Is(err, ErrNoPrivate) {
		t.Errorf("a public key signs: %v", err)
	}
}

// TestRFC8037Signature is appendix A.4: the same key, by the library that verifies and signs here.
func TestRFC8037Signature(t *testing.T) {
	const input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
	const want = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	k, err := DecodeKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	if got := b64(ed25519.Sign(ed25519.NewKeyFromSeed(k.seed[:]), []byte(input))); got != want {
		t.Error(got)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	change := func(old, put string) string { return strings.Replace(rfc8037Key, old, put, 1) }
	for name, c := range map[string]struct{ file, want string }{
		"nothing":           {"", "not one JSON value"},
		"PEM":               {"-----BEGIN PRIVATE KEY-----\n", "not one JSON value"},
		"a set":             {`[` + rfc8037Key + `]`, "not a JSON object"},
		"two":               {rfc8037Key + rfc8037Key, "not one JSON value"},
		"a member twice":    {change(`"iss"`, `"iss":"bob","iss"`), "twice"},
		"RSA":               {change("OKP", "RSA"), "kty: want OKP"},
		"no type":           {change(`"kty":"OKP",`, ""), "kty: is missing"},
		"X25519":            {change("Ed25519", "X25519"), "crv: want Ed25519"},
		"no kid":            {change(`"kid":"alice-1",`, ""), "kid: is missing"},
		"kid with a space":  {change("alice-1", "alice 1"), "kid: want"},
		"issuer of its own": {change(`"iss":"alice"`, `"iss":"local/alice"`), "iss: want"},
		"no x":              {change(`,"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`, ""), "x: is missing"},
		"x is short":        {change("11qYAYKx", ""), "x: want"},
		"x is not base64":   {change("11qYAYKx", "11qY+YKx"), "x: want"},
		"x of another key":  {change("11qYAYKx", "11qYAYKy"), "x is not the public half of d"},
		"d is short":        {change("nWGxne_9", ""), "d: want"},
		"d is a number":     {change(`"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`, "7"), "d: want"},
		"low order":         {strings.Replace(rfc8037Public, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", strings.Repeat("A", 43), 1), "x is no public key"},
		"too big":           {change(`"kid"`, `"note":"`+strings.Repeat("x", maxKeyBytes)+`","kid"`), "bytes, at most"},
	} {
		k, err := DecodeKey([]byte(c.file))
		if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), c.want) || k.HasPrivate() || k.Public != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "nWGxne_9") {
			t.Errorf("%s: the private half is told: %v", name, err)
		}
	}
}

func TestNewKey(t *testing.T) {
	random := bytes.NewReader(bytes.Repeat([]byte{7}, 32))
	k, err := NewKey("bob-2026", "bob", random)
	if err != nil || !k.HasPrivate() {
		t.Fatal(err)
	}
	again, err := DecodeKey(k.Reveal())
	if err != nil || again.X() != k.X() || *again.seed != *k.seed {
		t.Error(err)
	}
	if _, err := NewKey("bob-2026", "bob", random); err == nil {
		t.Error("a key without randomness")
	}
	for _, c := range []struct{ kid, issuer string }{{"", "bob"}, {"b b", "bob"}, {"bob", ""}, {"bob", "local/bob"}, {"bob", "uid:0"}} {
		if _, err := NewKey(c.kid, c.issuer, bytes.NewReader(make([]byte, 32))); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestKeysDoNotPrint holds every usual way of a value into a log.
func TestKeysDoNotPrint(t *testing.T) {
	k, err := DecodeKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "in", struct{ K Key }{k}, "at", &k)
	asJSON, err := json.Marshal(map[string]any{"key": k, "at": &k})
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ k Key }{k}
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %#v ", k, k, k, k, k, k, k, &k, hidden, hidden) + log.String() + string(asJSON)
	for _, secret := range []string{"nWGxne_9", strings.Trim(fmt.Sprintf("%d", k.seed[:4]), "[]"), fmt.Sprintf("%x", k.seed[:4]), fmt.Sprintf("%#v", k.seed[:3])[7:20]} {
		if strings.Contains(all, secret) {
			t.Errorf("%s stands in\n%s", secret, all)
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte(rfc8037Key))
	f.Add([]byte(rfc8037Public))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := DecodeKey(file)
		if err != nil {
			if !errors.Is(err, ErrKey) || len(err.Error()) > 256 {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeKey(k.Reveal())
		if err != nil || again.ID != k.ID || again.Issuer != k.Issuer || again.X() != k.X() || again.HasPrivate() != k.HasPrivate() {
			t.Fatalf("%s: %v", k.Reveal(), err)
		}
	})
}
