package antminer

import (
	"crypto/md5" //nolint:gosec // the protocol's hash
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// challenge is what a web server wants to be answered with (RFC 7616, RFC 2617). The firmware asks for MD5 and qop=auth.
type challenge struct {
	realm, nonce string
	opaque       *string // comes back as it is, where there is one
	algorithm    string  // as it was spelled; empty: none was named, and it is MD5
	auth         bool    // with nc and cnonce; else as before them (RFC 2069)
	count        int     // answers so far
}

var (
	errNoDigest = errors.New("the unit asks for a log-in, and for no digest that can be given")
	errOddWord  = errors.New("what the unit asks for cannot stand in an answer")
)

// maxWord bounds what comes back in a header, in bytes. Arbitrary: real ones have some 30.
const maxWord = 512

// challengeOf finds the first challenge that can be answered.
func challengeOf(headers []string) (*challenge, error) {
	for _, header := range headers {
		for _, p := range digests(header) {
			c, err := challengeFrom(p)
			if c != nil || errors.Is(err, errOddWord) {
				return c, err
			}
		}
	}
	return nil, errNoDigest
}

func challengeFrom(p map[string]string) (*challenge, error) {
	c := &challenge{realm: p["realm"], nonce: p["nonce"], algorithm: p["algorithm"]}
	if opaque, there := p["opaque"]; there {
		c.opaque = &opaque
	}
	offered := strings.FieldsFunc(strings.ToLower(p["qop"]), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	c.auth = slices.Contains(offered, "auth")
	switch {
	case c.nonce == "", len(offered) > 0 && !c.auth, !slices.Contains([]string{"", "md5", "md5-sess"}, strings.ToLower(c.algorithm)):
		return nil, errNoDigest
	case !inHeader(c.realm), !inHeader(c.nonce), !inHeader(p["opaque"]):
		return nil, errOddWord
	}
	return c, nil
}

// inHeader tells whether a text can stand in a header.
func inHeader(text string) bool {
	return len(text) <= maxWord && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
}

// digests are the parameters of each digest challenge of a header, which may hold several of any scheme. A value stands in
// quotes or not, whatever the RFC says of it.
func digests(header string) []map[string]string {
	var all []map[string]string
	var in map[string]string // of the challenge that is read; nil: of another scheme
	for rest := header; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return all
		}
		end := strings.IndexAny(rest, " \t,=")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		after, value := strings.CutPrefix(strings.TrimLeft(rest[end:], " \t"), "=")
		if value {
			var v string
			v, rest = valueOf(strings.TrimLeft(after, " \t"))
			if in != nil {
				in[strings.ToLower(word)] = v
			}
			continue
		}
		rest, in = rest[end:], nil
		if strings.EqualFold(word, "Digest") {
			in = map[string]string{}
			all = append(all, in)
		}
	}
}

// valueOf takes the value of a parameter off a header.
func valueOf(text string) (value, rest string) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, " \t,")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:]
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), ""
}

// answer proves the password for one request. Each answer to the same challenge has the next nc.
func (c *challenge) answer(user, password, method, uri, cnonce string) string {
	c.count++
	nc := fmt.Sprintf("%08x", c.count)
	first := hash(user, c.realm, password)
	if strings.EqualFold(c.algorithm, "md5-sess") {
		first = hash(first, c.nonce, cnonce)
	}
	second := hash(method, uri)
	proof := hash(first, c.nonce, second)
	if c.auth {
		proof = hash(first, c.nonce, nc, cnonce, "auth", second)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Digest username=%s, realm=%s, nonce=%s, uri=%s, response=%s", quote(user), quote(c.realm), quote(c.nonce), quote(uri), quote(proof))
	if c.algorithm != "" {
		b.WriteString(", algorithm=" + c.algorithm)
	}
	if c.auth {
		fmt.Fprintf(&b, ", qop=auth, nc=%s, cnonce=%s", nc, quote(cnonce))
	}
	if c.opaque != nil {
		b.WriteString(", opaque=" + quote(*c.opaque))
	}
	return b.String()
}

func hash(parts ...string) string {
	sum := md5.Sum([]byte(strings.Join(parts, ":"))) //nolint:gosec // the protocol's hash
	return hex.EncodeToString(sum[:])
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
