package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rackagent/agent/rack"
)

// Anchor names a line by its number and its hash. Whoever holds one can prove later that all lines up to it are as they
// were.
type Anchor struct {
	Seq  uint64    `json:"seq"`
	Hash rack.Hash `json:"hash"`
}

// String reads "4711:9f86d0..." and is what ParseAnchor takes.
func (a Anchor) String() string { return fmt.Sprintf("%d:%s", a.Seq, a.Hash) }

// ErrAnchor refuses a text that is no anchor.
var ErrAnchor = errors.New("audit: not an anchor: want SEQ:HASH, a number from 1 and 64 hexadecimal digits")

// ParseAnchor reads what String writes.
func ParseAnchor(s string) (Anchor, error) {
	num, sum, ok := strings.Cut(s, ":")
	seq, err := strconv.ParseUint(num, 10, 63)
	if !ok || err != nil || seq == 0 {
		return Anchor{}, fmt.Errorf("%w: %q", ErrAnchor, s)
	}
	a := Anchor{Seq: seq}
	if err := a.Hash.UnmarshalText([]byte(sum)); err != nil {
		return Anchor{}, fmt.Errorf("%w: %q", ErrAnchor, s)
	}
	return a, nil
}

// What may be wrong with one line, taken alone.
var (
	errForm    = errors.New("is not a line of the log")
	errChanged = errors.New("was changed: its bytes do not give the hash that it carries")
)

// line is the frame of a line: what the chain is made of.
type line struct {
	Anchor
	prev rack.Hash
	at   int64 // ms UTC
	boot string
	kind Kind
}

// parse reads a line without its newline. The frame stands at fixed places, so that a line has one form only; what is
// between is JSON and bound by the hash.
func parse(raw []byte) (line, error) {
	if len(raw) < hashLen || len(raw) >= maxLine {
		return line{}, errForm
	}
	hashed, tail := raw[:len(raw)-hashLen], raw[len(raw)-hashLen:]
	var l line
	r := reader{rest: raw}
	l.Seq = r.number(`{"v":1,"seq":`, 0)
	l.prev = r.hash(`,"prev":"`)
	l.at = int64(r.number(`","ts":`, '-'))
	l.boot = r.word(`,"boot":"`, 36, isName)
	l.kind = Kind(r.word(`","kind":"`, 20, isKind))
	r.expect(`"`)
	t := reader{rest: tail}
	l.Hash = t.hash(hashMember)
	t.expect(hashEnd)
	if r.bad || t.bad || l.Seq == 0 || len(r.rest) < hashLen || !l.said(raw) {
		return line{}, errForm
	}
	if l.Hash != rack.Hash(sha256.Sum256(hashed)) {
		return line{}, errChanged
	}
	return l, nil
}

// said tells whether a reader of JSON finds the same: a member that comes twice could mean two things.
func (l line) said(raw []byte) bool {
	var b struct {
		Seq  uint64    `json:"seq"`
		Prev rack.Hash `json:"prev"`
		At   int64     `json:"ts"`
		Boot string    `json:"boot"`
		Kind Kind      `json:"kind"`
		Hash rack.Hash `json:"hash"`
	}
	return json.Unmarshal(raw, &b) == nil &&
		b.Seq == l.Seq && b.Prev == l.prev && b.At == l.at && b.Boot == l.boot && b.Kind == l.kind && b.Hash == l.Hash
}

func isName(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isKind(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' }

// reader takes fixed pieces off the front of a line. After the first that does not fit it is bad.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) expect(s string) {
	rest, ok := bytes.CutPrefix(r.rest, []byte(s))
	r.rest, r.bad = rest, r.bad || !ok
}

// word takes 1 to limit characters.
func (r *reader) word(before string, limit int, is func(byte) bool) string {
	r.expect(before)
	n := 0
	for n < len(r.rest) && n < limit && is(r.rest[n]) {
		n++
	}
	w := string(r.rest[:n])
	r.rest, r.bad = r.rest[n:], r.bad || n == 0
	return w
}

// number takes a decimal as encoding/json writes it; sign is what else may stand before it.
func (r *reader) number(before string, sign byte) uint64 {
	w := r.word(before, 20, func(c byte) bool { return c >= '0' && c <= '9' || sign != 0 && c == sign })
	n, err := strconv.ParseInt(w, 10, 64)
	r.bad = r.bad || err != nil || strconv.FormatInt(n, 10) != w
	return uint64(n)
}

func (r *reader) hash(before string) rack.Hash {
	r.expect(before)
	var h rack.Hash
	if len(r.rest) < 2*len(h) {
		r.bad = true
		return h
	}
	w := r.rest[:2*len(h)]
	r.rest = r.rest[len(w):]
	_, err := hex.Decode(h[:], w)
	r.bad = r.bad || err != nil || bytes.ContainsAny(w, "ABCDEF")
	return h
}
