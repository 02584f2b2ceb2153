package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"rackagent/agent/rack"
)

// rfc8037 is the key of RFC 8037 appendix A.1, which is for examples only.
func rfc8037(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if got := b64(public(key)); got != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" { // appendix A.2
		t.Fatal(got)
	}
	return key
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// compact signs any header and payload by hand, so that the test does not depend on the library that is judged.
func compact(key ed25519.PrivateKey, header, payload string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return signed + "." + b64(ed25519.Sign(key, []byte(signed)))
}

const (
	goodHeader  = `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws"}`
	goodCommand = `{"v":1,"id":"01JD9XB7","op":"outlet.cut","target":"node/asic-1","exp":1795411676000,"iss":"alice","iat":1795411616000,"seq":4711,"aud":"ams1/r17"}`
)

// open is what an agent does that trusts the key.
func open(payload string, key ed25519.PublicKey) (rack.Command, *Refused) {
	s, bad := ReadSigned([]byte(payload))
	if bad != nil {
		return rack.Command{}, bad
	}
	return s.Open(key, noon)
}

// TestSignedVector reads the frozen text, which a later version has to understand too. Ed25519 is deterministic: signing
// anew gives the same bytes.
func TestSignedVector(t *testing.T) {
	key := rfc8037(t)
	frozen, err := os.ReadFile(filepath.Join("testdata", "v1", "signed-cut.jws"))
	if err != nil {
		t.Fatal(err)
	}
	if got := compact(key, goodHeader, goodCommand); got != string(frozen) {
		t.Errorf("by hand:\n%s\nfrozen:\n%s", got, frozen)
	}
	cmd, bad := open(string(frozen), public(key))
	if bad != nil {
		t.Fatal(bad)
	}
	if cmd.ID != "01JD9XB7" || cmd.Op != rack.OpCut || cmd.Issuer != "alice" || cmd.Seq != 4711 || cmd.Aud != "ams1/r17" || cmd.Key != "alice-1" {
		t.Errorf("%+v", cmd)
	}
	if cmd.Hash != rack.HashOf(frozen) {
		t.Error("the hash is not that of the payload as received")
	}
	if cmd.Signed || cmd.Role != "" {
		t.Error("a reader grants nothing")
	}
}

func TestSign(t *testing.T) {
	key := rfc8037(t)
	signed, err := Sign([]byte(goodCommand), "alice-1", key)
	if err != nil {
		t.Fatal(err)
	}
	if cmd, bad := open(string(signed), public(key)); bad != nil || cmd.Seq != 4711 {
		t.Errorf("%+v, %v", cmd, bad)
	}
	for _, kid := range []string{"", "a b", strings.Repeat("k", 65), `a"b`} {
		if _, err := Sign([]byte(goodCommand), kid, key); err == nil {
			t.Errorf("kid %q is taken", kid)
		}
	}
	if _, err := Sign(bytes.Repeat([]byte("x"), MaxCommandBytes), "alice-1", key); err == nil {
		t.Error("a command over the bound is signed")
	}
}

// TestForgeries holds what somebody without the key may try; none becomes a command, and none chooses a topic.
func TestForgeries(t *testing.T) {
	key := rfc8037(t)
	good := compact(key, goodHeader, goodCommand)
	part := strings.Split(good, ".")
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		payload string
		code    rack.Code
	}{
		"another key":             {compact(other, goodHeader, goodCommand), rack.CodeBadSignature},
		"none, no signature":      {b64([]byte(`{"alg":"none","kid":"alice-1","typ":"rackcmd+jws"}`)) + "." + part[1] + ".", rack.CodeBadSignature},
		"none, old signature":     {b64([]byte(`{"alg":"none","kid":"alice-1","typ":"rackcmd+jws"}`)) + "." + part[1] + "." + part[2], rack.CodeBadSignature},
		"None":                    {compact(key, `{"alg":"None","kid":"alice-1","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSignature},
		"no alg":                  {compact(key, `{"kid":"alice-1","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSchema},
		"alg is a list":           {compact(key, `{"alg":["EdDSA"],"kid":"alice-1","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSchema},
		"HMAC of the public key":  {hmacOf(public(key)), rack.CodeBadSignature},
		"ECDSA":                   {ecdsaOf(t), rack.CodeBadSignature},
		"no signature":            {part[0] + "." + part[1] + ".", rack.CodeBadSignature},
		"no payload":              {part[0] + ".." + part[2], rack.CodeBadSignature},
		"payload changed":         {part[0] + "." + b64([]byte(strings.Replace(goodCommand, "asic-1", "asic-2", 1))) + "." + part[2], rack.CodeBadSignature},
		"header changed":          {b64([]byte(strings.Replace(goodHeader, "alice-1", "alice-2", 1))) + "." + part[1] + "." + part[2], rack.CodeBadSignature},
		"its own key":             {compact(other, `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(public(other))+`"}}`, goodCommand), rack.CodeBadSignature},
		"a place to fetch it":     {compact(other, `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jku":"http://x"}`, goodCommand), rack.CodeBadSignature},
		"another's key, not used": {compact(key, `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(public(other))+`"}}`, goodCommand), rack.CodeBadSignature},
		"critical member":         {compact(key, `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","crit":["exp"],"exp":1}`, goodCommand), rack.CodeBadSignature},
		"payload not encoded":     {compact(key, `{"alg":"EdDSA","kid":"alice-1","typ":"rackcmd+jws","b64":false,"crit":["b64"]}`, goodCommand), rack.CodeBadSignature},
		"kid twice":               {compact(key, `{"alg":"EdDSA","kid":"alice-1","kid":"bob-1","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSchema},
		"another type":            {compact(key, `{"alg":"EdDSA","kid":"alice-1","typ":"JWT"}`, goodCommand), rack.CodeBadSignature},
		"no type":                 {compact(key, `{"alg":"EdDSA","kid":"alice-1"}`, goodCommand), rack.CodeBadSchema},
		"no kid":                  {compact(key, `{"alg":"EdDSA","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSchema},
		"kid is a path":           {compact(key, `{"alg":"EdDSA","kid":"../../etc/x y","typ":"rackcmd+jws"}`, goodCommand), rack.CodeBadSchema},
		"other text of signature": {part[0] + "." + part[1] + "." + sameBits(t, part[2]), rack.CodeBadSchema},
		"a line feed":             {good + "\n", rack.CodeBadSchema},
		"four parts":              {good + ".", rack.CodeBadSchema},
		"five parts":              {"a.b.c.d.e", rack.CodeBadSchema},
		"too big":                 {compact(key, goodHeader, strings.Repeat(" ", 7000)+goodCommand), rack.CodeTooBig},
		"command is no command":   {compact(key, goodHeader, `{"v":1}`), rack.CodeBadSchema},
		"command is signed":       {compact(key, goodHeader, good), rack.CodeBadSchema},
		"a key twice":             {compact(key, goodHeader, strings.Replace(goodCommand, `"seq"`, `"seq":1,"seq"`, 1)), rack.CodeBadSchema},
	} {
		cmd, bad := open(c.payload, public(key))
		if bad == nil || bad.Code != c.code || bad.Answerable || bad.ID != "" {
			t.Errorf("%s: %+v, %+v", name, cmd, bad)
		}
	}
}

// TestSignedNeeds: what a signature does not make whole is answered under the id that the signer chose.
func TestSignedNeeds(t *testing.T) {
	key := rfc8037(t)
	for _, member := range []string{`"iss":"alice",`, `"iat":1795411616000,`, `"seq":4711,`, `,"aud":"ams1/r17"`} {
		cmd, bad := open(compact(key, goodHeader, strings.Replace(goodCommand, member, "", 1)), public(key))
		if bad == nil || bad.Code != rack.CodeBadSchema || !bad.Answerable || bad.ID != "01JD9XB7" || !strings.Contains(member, bad.Field) {
			t.Errorf("without %s: %+v, %+v", member, cmd, bad)
		}
	}
}

// hmacOf is the old confusion of algorithms: the public key, which everybody has, as the secret of an HMAC.
func hmacOf(key ed25519.PublicKey) string {
	signed := b64([]byte(`{"alg":"HS256","kid":"alice-1","typ":"rackcmd+jws"}`)) + "." + b64([]byte(goodCommand))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

func ecdsaOf(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opts := (&jose.SignerOptions{}).WithType(SignedType).WithHeader("kid", "alice-1")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(goodCommand))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sameBits is another text of the same signature: 64 bytes leave four bits of the last character unused.
func sameBits(t *testing.T, signature string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signature[len(signature)-1])
	other := signature[:len(signature)-1] + string(alphabet[last^1])
	a, errA := base64.RawURLEncoding.DecodeString(signature)
	b, errB := base64.RawURLEncoding.DecodeString(other)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Fatal("not the same bytes")
	}
	return other
}

func FuzzReadSigned(f *testing.F) {
	key := rfc8037(f)
	f.Add([]byte(compact(key, goodHeader, goodCommand)))
	f.Add([]byte(compact(key, `{"alg":"none"}`, goodCommand)))
	f.Add([]byte(compact(key, goodHeader, `{"v":1,"id":"a"}`)))
	f.Add([]byte("a.b.c"))
	f.Add([]byte("..."))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, bad := ReadSigned(payload)
		if bad != nil {
			if bad.Code == "" || bad.Text == "" || len(bad.Text) > 512 || bad.Answerable || bad.ID != "" {
				t.Fatalf("%+v", bad)
			}
			return
		}
		cmd, bad := s.Open(public(key), noon)
		if bad != nil && !bad.Answerable && cmd.ID != "" && bad.Code == rack.CodeBadSignature {
			t.Fatalf("an id that nobody vouches for: %+v, %+v", bad, cmd)
		}
		if bad == nil && cmd.Hash != rack.HashOf(payload) {
			t.Fatal("hash")
		}
	})
}
