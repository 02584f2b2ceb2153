package main

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"rackagent/agent/rack"
)

// screen keeps a terminal from obeying what it is shown, and a text from looking like another: characters that do not show
// are written as \uXXXX, which in JSON is the same text. Line ends and tabs pass. What it says came over a broker, from a
// board's memory or from a file.
type screen struct{ to io.Writer }

// Write writes whole characters: nothing here is cut in the middle of one.
func (s screen) Write(b []byte) (int, error) {
	if !bytes.ContainsFunc(b, concealed) {
		return s.to.Write(b)
	}
	if _, err := s.to.Write(revealed(b, concealed)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// concealed tells what is not to reach a terminal. A byte that is no UTF-8 is concealed, too: some terminals take it for one
// of Latin-1's control characters.
func concealed(r rune) bool { return r == utf8.RuneError || r != '\n' && r != '\t' && rack.Hidden(r) }

// revealed writes out the characters that do not show.
func revealed(b []byte, hides func(rune) bool) []byte {
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError || !hides(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
		default:
			out = fmt.Appendf(out, "\\u%04x", r)
		}
		b = b[size:]
	}
	return out
}

// oneLine is a text of somebody else within a line of ours.
func oneLine(s string) string { return string(revealed([]byte(s), rack.Hidden)) }
