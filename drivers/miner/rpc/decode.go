package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrDown is a reply of a proxy on the miner in place of its mining process, which does not answer.
var ErrDown = errors.New("the mining process does not answer")

// ErrNoJSON is a reply that cannot be read even after mending.
var ErrNoJSON = errors.New("the reply is no JSON")

// Decode reads a reply. What is not JSON is mended as far as real units are known to send it so, one step after the other.
func Decode(reply []byte) (Object, error) {
	text := bytes.Trim(reply, "\x00\r\n\t ")
	if o, err := object(text); err == nil {
		return o, nil
	}
	if bytes.Contains(text, []byte("Socket connect failed")) {
		return nil, ErrDown
	}
	text = mend(text)
	o, err := object(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoJSON, err)
	}
	return o, nil
}

// object reads one object, and glues those that follow it on top: some firmwares answer with one object for each report.
func object(text []byte) (Object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out Object
	for {
		var next map[string]any
		switch err := d.Decode(&next); {
		case errors.Is(err, io.EOF) && out != nil:
			return out, nil
		case err != nil:
			return nil, err
		case next == nil:
			return nil, errors.New("no object")
		}
		if out == nil {
			out = Object{}
		}
		for k, v := range next {
			out[k] = v
		}
	}
}

// pairs is Whatsminer's list of codes with braces forgotten: "error_code":["218":"2024-06-15 10:30:00"].
var pairs = regexp.MustCompile(`\[\s*("[^"\\]*"\s*:\s*"[^"\\]*"(?:\s*,\s*"[^"\\]*"\s*:\s*"[^"\\]*")*)\s*\]`)

// mend applies what is known, in order. Text inside of strings is left alone but for control characters.
func mend(text []byte) []byte {
	if i := bytes.LastIndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	text = bytes.ToValidUTF8(text, []byte("?"))
	text = bytes.ReplaceAll(text, []byte{0}, nil)
	var out []byte
	var last byte // significant, outside of texts
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"':
			end := textEnd(text, i)
			if last == '"' || last == '}' || last == ']' || digit(last) { // a value, and no comma before the next key
				out = append(out, ',')
			}
			out = append(out, cleaned(text[i:end])...)
			i, last = end, '"'
			continue
		case c == '{' && last == '}', c == '{' && last == ']':
			out = append(out, ',')
		case c == ',' && (last == '[' || last == '{' || last == ',' || last == 0):
			i++ // a comma after nothing
			continue
		case (c == '}' || c == ']') && last == ',':
			out = bytes.TrimRight(out, ", \r\n\t")
		case word(text[i:]) > 0 && !letter(last):
			out = append(out, "null"...)
			i, last = i+word(text[i:]), '0'
			continue
		}
		out = append(out, c)
		if !unicode.IsSpace(rune(c)) {
			last = c
		}
		i++
	}
	return pairs.ReplaceAllFunc(out, func(m []byte) []byte {
		inner := bytes.TrimSpace(m[1 : len(m)-1])
		return []byte("[{" + string(inner) + "}]")
	})
}

// textEnd is behind the closing quote of the text that begins at i.
func textEnd(text []byte, i int) int {
	for k := i + 1; k < len(text); k++ {
		switch text[k] {
		case '\\':
			k++
		case '"':
			return k + 1
		}
	}
	return len(text)
}

// cleaned drops control characters from a text, and makes null of numbers that are none.
func cleaned(text []byte) []byte {
	switch strings.ToLower(string(bytes.Trim(text, `"`))) {
	case "inf", "-inf", "nan", "-nan":
		return []byte("null")
	}
	return bytes.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, text)
}

// word is the length of a bare inf or nan at the beginning, or 0.
func word(b []byte) int {
	for _, w := range []string{"-inf", "-nan", "inf", "nan"} {
		if len(b) >= len(w) && strings.EqualFold(string(b[:len(w)]), w) && (len(b) == len(w) || !letter(b[len(w)])) {
			return len(w)
		}
	}
	return 0
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// maxText bounds a text of a miner, in characters. Arbitrary: what fits into a line.
const maxText = 120

// Plain makes a text of a miner fit for people and logs: one line, bounded, nothing in it that a terminal would obey.
func Plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "..."
	}
	return s
}
