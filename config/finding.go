package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says whether a finding keeps the agent from starting.
type Severity string

// The severities. A configuration with an error must not be used; one with warnings may.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong, or worth knowing, about a configuration.
type Finding struct {
	File     string
	Line     int    // from 1; 0 where the configuration did not come from a file
	Column   int    // from 1, in characters
	Path     string // "nodes[2].outlets[0]", entries counted from 0; empty for the file as a whole
	Severity Severity
	Text     string // what is wrong, in one line; never holds the value of a key of mqtt
	Hint     string // what to type instead; may be empty
}

// String writes one line, in the form that editors and terminals turn into a link:
//
//	config.yaml:12:7: nodes[2].outlets[0]: outlet pdu-a.9: ac8 has outlets 1 to 8 (hint)
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	if f.Severity == Warning {
		b.WriteString(": warning")
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	b.WriteString(": " + f.Text)
	if f.Hint != "" {
		b.WriteString(" (" + f.Hint + ")")
	}
	return b.String()
}

// HasErrors tells whether a configuration with these findings must not be used.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// place is a line and column of the file, both from 1.
type place struct{ line, column int }

// source is what a Config remembers of its file: where each value stands, and what decoding found.
type source struct {
	file     string
	at       map[string]place // path of each value written in the file
	broken   map[string]bool  // paths whose value could not be decoded: no rule judges them a second time
	findings []Finding
}

func newSource(file string) *source {
	return &source{file: file, at: map[string]place{}, broken: map[string]bool{}}
}

// fail records a value that could not be decoded, or with an empty path something about the file.
func (s *source) fail(at place, path, hint, format string, args ...any) {
	if path != "" {
		s.broken[path] = true
	}
	s.findings = append(s.findings, Finding{
		File: s.file, Line: at.line, Column: at.column, Path: path,
		Severity: Error, Text: fmt.Sprintf(format, args...), Hint: hint,
	})
}

// has tells whether the path is written in the file, with whatever value.
func (s *source) has(path string) bool {
	_, ok := s.at[path]
	return ok
}

// where gives the place of a path, or of the nearest thing around it that is written.
func (s *source) where(path string) place {
	for {
		if p, ok := s.at[path]; ok {
			return p
		}
		if path == "" {
			return place{1, 1}
		}
		path = around(path)
	}
}

// isBroken tells whether the path, or anything around it, could not be decoded.
func (s *source) isBroken(path string) bool {
	for {
		if s.broken[path] {
			return true
		}
		if path == "" {
			return false
		}
		path = around(path)
	}
}

// sorted orders findings by their place in the file.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	return findings
}

// key and index extend a path; around takes the last part off.
func key(path, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isKeyRune(r) }) {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func isKeyRune(r rune) bool {
	return r == '_' || r == '-' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func around(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// quote shows a value of the file on one line, shortened, with everything that is not printable escaped.
func quote(s string) string {
	const longest = 40 // arbitrary
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest]) + "…"
	}
	return strconv.Quote(s)
}
