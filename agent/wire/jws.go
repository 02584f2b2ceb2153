package wire

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rackagent/agent/rack"
)

// SignedType is the typ of a signed command: a JWS in compact form (RFC 7515 section 3.1) over the JSON of the
// contract, algorithm EdDSA with Ed25519 (RFC 8037 section 3.1). The header has the members alg, kid and typ and no other:
// a key, an address or an algorithm that the sender brings along has no place to stand.
const SignedType = "rackcmd+jws"

// signedMembers are the members that a signature gives a meaning to; a signed command cannot do without them.
func signedMembers() []string { return []string{"iss", "iat", "seq", "aud"} }

// Signed is a signed command that nobody has verified yet.
type Signed struct {
	Key string // kid, as the sender claims it

	payload []byte
	parsed  *jose.JSONWebSignature
}

// IsSigned tells whether a payload has the form of a signed command. Such a payload is never read as anything else.
func IsSigned(payload []byte) bool { return jws.Match(payload) }

// ReadSigned takes a signed command apart. Nothing of it may be believed before Open.
func ReadSigned(payload []byte) (*Signed, *Refused) {
	if len(payload) > MaxCommandBytes {
		return nil, tooBig(payload)
	}
	parts := strings.Split(string(payload), ".")
	if !IsSigned(payload) || len(parts) != 3 {
		return nil, &Refused{Code: rack.CodeBadSchema, Text: "not a JWS in compact form"}
	}
	// Three texts with one meaning would be three hashes of one command: only the canonical one is taken.
	for _, p := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			return nil, &Refused{Code: rack.CodeBadSchema, Text: "signed command: not canonical base64url"}
		}
	}
	kid, bad := header(parts[0])
	if bad != nil {
		return nil, bad
	}
	parsed, err := jose.ParseSignedCompact(string(payload), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, &Refused{Code: rack.CodeBadSignature, Text: "signed command: the JWS cannot be read"}
	}
	return &Signed{Key: kid, payload: payload, parsed: parsed}, nil
}

// header reads the protected header strictly.
func header(encoded string) (kid string, bad *Refused) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", &Refused{Code: rack.CodeBadSchema, Text: "header: not canonical base64url"}
	}
	m, err := parseObject(raw)
	if err != nil {
		return "", &Refused{Code: rack.CodeBadSchema, Text: "header: " + err.Error()}
	}
	f := &fields{m: m, path: "header."}
	f.only(rack.CodeBadSignature, []string{"alg", "kid", "typ"}, "has no place in the header of a command")
	f.need("alg", "kid", "typ")
	if alg := f.text("alg", 1, maxName, nil); alg != string(jose.EdDSA) {
		f.refuse(rack.CodeBadSignature, "alg", "want "+string(jose.EdDSA))
	}
	if typ := f.text("typ", 1, maxName, nil); typ != SignedType {
		f.refuse(rack.CodeBadSignature, "typ", "want "+SignedType)
	}
	kid = f.text("kid", 1, maxName, party.MatchString)
	return kid, f.bad
}

// Open verifies the signature and decodes the command, as DecodeCommand does. Hash is that of the payload exactly as
// received, signature included: it is what an approval names. Key is set; Signed and Role are the caller's to grant.
func (s *Signed) Open(key ed25519.PublicKey, received time.Time) (rack.Command, *Refused) {
	if len(key) != ed25519.PublicKeySize {
		return rack.Command{}, &Refused{Code: rack.CodeBadSignature, Text: "key " + s.Key + " is no Ed25519 key"}
	}
	inner, err := s.parsed.Verify(key)
	if err != nil {
		return rack.Command{}, &Refused{Code: rack.CodeBadSignature, Text: "the signature is not of key " + s.Key}
	}
	cmd, m, bad := decode(inner, received)
	cmd.Key, cmd.Hash = s.Key, rack.HashOf(s.payload)
	if bad == nil {
		f := &fields{m: m}
		f.need(signedMembers()...)
		if bad = f.bad; bad != nil {
			bad.ID, bad.Answerable = cmd.ID, true
		}
	}
	return cmd, bad
}

// Sign makes a signed command of the JSON of one.
func Sign(command []byte, kid string, key ed25519.PrivateKey) ([]byte, error) {
	if !party.MatchString(kid) || len(kid) > maxName {
		return nil, fmt.Errorf("kid %q: want 1 to %d of the characters A-Z a-z 0-9 . _ @ / -", kid, maxName)
	}
	opts := (&jose.SignerOptions{}).WithType(SignedType)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, opts)
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(command)
	if err != nil {
		return nil, err
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return nil, err
	}
	if len(text) > MaxCommandBytes {
		return nil, fmt.Errorf("signed command: %d bytes, at most %d", len(text), MaxCommandBytes)
	}
	return []byte(text), nil
}

// ValidKeyID tells whether s may be the kid of a key: 1 to 64 of the characters A-Z a-z 0-9 . _ @ / -.
func ValidKeyID(s string) bool { return len(s) <= maxName && party.MatchString(s) }

// ValidIssuer tells whether s may stand as iss.
func ValidIssuer(s string) bool { return len(s) <= maxName && issuer(s) }
