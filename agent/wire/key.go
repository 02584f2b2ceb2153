package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-jose/go-jose/v4"
)

// maxKeyBytes bounds a key file: one with every member that this package knows takes 250 bytes. Arbitrary.
const maxKeyBytes = 4 << 10

// Errors of keys.
var (
	ErrKey       = errors.New("not an Ed25519 key in JWK form")
	ErrNoPrivate = errors.New("the private half of the key (d) is missing")
)

// Key is what a key file holds: a JWK (RFC 8037 section 2) of one person or program, with iss, the issuer of everything
// that is signed with it, as a member of its own. A public one has no private half. It prints without that half.
type Key struct {
	ID     string // kid
	Issuer string // may be empty in a file that others have made
	Public ed25519.PublicKey

	seed *[ed25519.SeedSize]byte // behind a pointer, so that where fmt calls no method an address is printed
}

// jwk has the members in the order of RFC 8037's examples.
type jwk struct {
	Type    string `json:"kty"`
	Curve   string `json:"crv"`
	KeyID   string `json:"kid"`
	Issuer  string `json:"iss,omitempty"`
	Private string `json:"d,omitempty"`
	Public  string `json:"x"`
}

const (
	keyType  = "OKP"
	keyCurve = "Ed25519"
)

// NewKey makes a key of the randomness given.
func NewKey(kid, issuer string, random io.Reader) (Key, error) {
	switch {
	case !ValidKeyID(kid):
		return Key{}, fmt.Errorf("kid: want 1 to %d of the characters A-Z a-z 0-9 . _ @ / -", maxName)
	case !ValidIssuer(issuer):
		return Key{}, fmt.Errorf("issuer: want 1 to %d of the characters A-Z a-z 0-9 . _ @ / -, not beginning with local/", maxName)
	}
	seed := new([ed25519.SeedSize]byte)
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Key{}, err
	}
	return Key{ID: kid, Issuer: issuer, Public: publicOf(seed), seed: seed}, nil
}

func publicOf(seed *[ed25519.SeedSize]byte) ed25519.PublicKey {
	return ed25519.PublicKey(ed25519.NewKeyFromSeed(seed[:])[ed25519.SeedSize:])
}

// DecodeKey reads a key file. No error quotes it. Members that it does not know are ignored (RFC 7517 section 4).
func DecodeKey(file []byte) (Key, error) {
	if len(file) > maxKeyBytes {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d", ErrKey, len(file), maxKeyBytes)
	}
	m, err := parseObject(file)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	f := &fields{m: m}
	f.need("kty", "crv", "kid", "x")
	if f.text("kty", 1, maxName, nil) != keyType {
		f.wrong("kty", keyType)
	}
	if f.text("crv", 1, maxName, nil) != keyCurve {
		f.wrong("crv", keyCurve)
	}
	k := Key{ID: f.text("kid", 1, maxName, ValidKeyID), Issuer: f.text("iss", 1, maxName, ValidIssuer), Public: f.half("x")}
	if d := f.half("d"); d != nil {
		k.seed = (*[ed25519.SeedSize]byte)(d)
	}
	if f.bad != nil {
		return Key{}, fmt.Errorf("%w: %s", ErrKey, f.bad.Text)
	}
	switch {
	case k.seed != nil && !bytes.Equal(publicOf(k.seed), k.Public):
		return Key{}, fmt.Errorf("%w: x is not the public half of d", ErrKey)
	case !sound(k.Public):
		return Key{}, fmt.Errorf("%w: x is no public key", ErrKey)
	}
	return k, nil
}

// sound tells a public key from a point of low order, which would verify what anybody signs. The library looks when it
// writes a key.
func sound(key ed25519.PublicKey) bool {
	_, err := (&jose.JSONWebKey{Key: key}).MarshalJSON()
	return err == nil
}

// half reads one of the two halves of a key; both have 32 bytes.
func (f *fields) half(key string) []byte {
	text := f.text(key, 43, 43, nil)
	if text == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		f.wrong(key, "32 bytes in base64url")
		return nil // what was decoded so far is shorter
	}
	return b
}

// HasPrivate tells whether the key can sign.
func (k Key) HasPrivate() bool { return k.seed != nil }

// X is the public half as text, as it stands in configurations.
func (k Key) X() string { return base64.RawURLEncoding.EncodeToString(k.Public) }

// Reveal writes the key file, with the private half if there is one. It is for the file, never for a log line.
func (k Key) Reveal() []byte {
	out := jwk{Type: keyType, Curve: keyCurve, KeyID: k.ID, Issuer: k.Issuer, Public: k.X()}
	if k.seed != nil {
		out.Private = base64.RawURLEncoding.EncodeToString(k.seed[:])
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil // texts always encode
	}
	return append(b, '\n')
}

// Sign makes a signed command of the JSON of one.
func (k Key) Sign(command []byte) ([]byte, error) {
	if k.seed == nil {
		return nil, ErrNoPrivate
	}
	return Sign(command, k.ID, ed25519.NewKeyFromSeed(k.seed[:]))
}

// String is the name of the key.
func (k Key) String() string { return "key " + k.ID }

// GoString is the name of the key.
func (k Key) GoString() string { return k.String() }

// Format writes the name of the key for every verb of fmt.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue is the name of the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is the name of the key: only Reveal writes a key out.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }
