package observer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// signature is the envelope of a signed command: a JWS in compact form (RFC 7515 section 3.1), three parts in base64url
// with a dot between them.
type signature struct {
	kid  string
	text []byte // header and payload as they were signed
	sum  []byte
	err  error // why the form is not that of a signed command
}

// header is the protected header of a signed command. It has no other members.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

var (
	errParts  = errors.New("it has not three parts in base64url")
	errTwice  = errors.New("a member stands twice in it")
	errHeader = errors.New("its header has not exactly the members alg, kid and typ")
)

// readSigned takes a signed command apart, and gives the JSON in it. A payload without braces but with dots is one.
func readSigned(payload []byte) (*signature, []byte) {
	if bytes.ContainsAny(payload, "{}") || !bytes.Contains(payload, []byte(".")) {
		return nil, payload
	}
	s := &signature{}
	parts := bytes.Split(payload, []byte("."))
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(string(p)); err != nil {
			s.err = errParts
		}
	}
	if s.err != nil || len(parts) != 3 {
		s.err = errParts
		return s, nil
	}
	s.text, s.sum = payload[:len(payload)-len(parts[2])-1], raw[2]
	s.kid, s.err = readHeader(raw[0])
	return s, raw[1]
}

func readHeader(raw []byte) (kid string, err error) {
	var h header
	names, err := memberNames(raw)
	if err != nil {
		return "", fmt.Errorf("its header: %w", err)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"alg", "kid", "typ"}) {
		return "", errHeader
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return "", fmt.Errorf("its header: %w", err)
	}
	switch {
	case h.Alg != "EdDSA":
		return h.Kid, fmt.Errorf("its algorithm is %q", h.Alg)
	case h.Typ != "rackcmd+jws":
		return h.Kid, fmt.Errorf("its type is %q", h.Typ)
	}
	return h.Kid, nil
}

// memberNames lists the members of a JSON object. One that stands twice, in whatever case, is an error: readers differ
// in which of the two they take.
func memberNames(raw []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	var names []string
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return nil, errTwice
		}
		names = append(names, name)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if err := twiceWithin(value); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// twiceWithin looks into a value that is an object. Commands have no objects in arrays.
func twiceWithin(value json.RawMessage) error {
	if !bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")) {
		return nil
	}
	_, err := memberNames(value)
	return err
}

// forged tells why nobody stands behind a signed message; empty: its issuer does.
func (r *run) forged(d *delivery) string {
	key, known := r.layout.keys[d.signed.kid]
	o, self := d.order, r.layout.site+"/"+r.layout.agent
	switch {
	case d.signed.err != nil:
		return d.signed.err.Error()
	case !known:
		return fmt.Sprintf("its key %q is not configured", d.signed.kid)
	case key.revoked:
		return fmt.Sprintf("its key %q is revoked", d.signed.kid)
	case len(key.public) != ed25519.PublicKeySize || !ed25519.Verify(key.public, d.signed.text, d.signed.sum):
		return fmt.Sprintf("its signature is not of key %q", d.signed.kid)
	case o.Iss == nil || o.Iat == nil || o.Seq == nil || o.Aud == nil:
		return "iss, iat, seq or aud is missing"
	case *o.Iss != key.issuer:
		return fmt.Sprintf("key %q signs for %s, and it says %q", d.signed.kid, key.issuer, *o.Iss)
	case *o.Aud != self:
		return "it is for " + *o.Aud
	}
	return r.layout.forbids(key.role, *o.Op, *o.Target)
}

// forbids tells why a role does not allow a command; empty: it does.
func (l *layout) forbids(name, op, target string) string {
	role, known := l.roles[name]
	switch {
	case !known:
		return fmt.Sprintf("there is no role %q", name)
	case !slices.Contains(role.verbs, op):
		return fmt.Sprintf("role %s does not allow %s", name, op)
	case !role.firm && l.namesFirm(target):
		return fmt.Sprintf("role %s does not allow firm nodes", name)
	case !l.within(role.targets, target):
		return fmt.Sprintf("role %s does not reach %s", name, target)
	}
	return ""
}

// namesFirm tells whether a target is a firm node or an outlet of one.
func (l *layout) namesFirm(target string) bool {
	kind, name, _ := strings.Cut(target, "/")
	for _, o := range l.outlets {
		if o.node != nil && o.node.firm && (kind == "outlet" && o.id.String() == name || kind == "node" && o.node.name == name) {
			return true
		}
	}
	return false
}

// within tells whether targets cover one: as it stands, the rack, or every node that it stands for.
func (l *layout) within(targets []string, one string) bool {
	if len(targets) == 0 || slices.Contains(targets, one) || slices.Contains(targets, "rack") {
		return true
	}
	covered := func(n *node) bool {
		return n != nil && slices.ContainsFunc(targets, func(t string) bool { return t == "node/"+n.name || slices.Contains(l.members(t), n) })
	}
	for _, o := range l.outlets {
		if "outlet/"+o.id.String() == one {
			return covered(o.node)
		}
	}
	for _, n := range l.nodes {
		if "node/"+n.name == one {
			return covered(n)
		}
	}
	all := l.members(one)
	return one != "rack" && len(all) > 0 && !slices.ContainsFunc(all, func(n *node) bool { return !covered(n) })
}
