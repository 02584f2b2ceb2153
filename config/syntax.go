package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. They keep the YAML reader, which recurses and compares every key with every other, from
// using up stack or time; all arbitrary, and ten times what a rack of 256 nodes needs or more where not said.
const (
	maxBytes  = 256 << 10
	maxColumn = 1000   // of one line; bounds how deep "- - - -" can nest
	maxTokens = 30_000 // comments not counted; a rack of 256 nodes has about 12,000
	maxDepth  = 8      // of [ and {; the types need 3
)

// parseYAML turns the text into the tree of its one document. It returns nil, with the reasons in s, where the
// text cannot be read at all.
func parseYAML(s *source, text []byte) ast.Node {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if !readable(s, text) || !indented(s, text) {
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if !bounded(s, tokens) {
		return nil
	}
	refuseExtras(s, tokens)
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // the decoder reports every duplicate
	if err != nil {
		syntaxError(s, err)
		return nil
	}
	return onlyDocument(s, file)
}

// readable refuses what people cannot see: bytes that are not UTF-8, control and format characters (among
// them the byte order mark and the bidirectional overrides that make a line look like another).
func readable(s *source, text []byte) bool {
	if len(text) > maxBytes {
		s.fail(place{1, 1}, "", "", "the file is larger than %d KiB", maxBytes>>10)
		return false
	}
	at := place{1, 0}
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		at.column++
		switch {
		case r == '\n':
			at = place{at.line + 1, 0}
		case r == utf8.RuneError && size == 1:
			s.fail(at, "", "save the file as UTF-8", "this byte is not UTF-8")
			return false
		case hidden(r) && r != '\t':
			s.fail(at, "", "delete it", "invisible character %U", r)
			return false
		case at.column > maxColumn:
			s.fail(at, "", "", "the line is longer than %d characters", maxColumn)
			return false
		}
	}
	return true
}

// hidden tells characters that do not show, or that some YAML readers take for the end of a line.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// indented refuses tabs before the first word of a line, with a clearer text than the reader has.
func indented(s *source, text []byte) bool {
	ok, n := true, 0
	for line := range strings.Lines(string(text)) {
		n++
		blank := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(blank, '\t'); tab >= 0 && strings.TrimSpace(line) != "" {
			s.fail(place{n, tab + 1}, "", "indent with spaces", "a tab indents this line")
			ok = false
		}
	}
	return ok
}

// bounded refuses texts that are too large to hand to the reader.
func bounded(s *source, tokens token.Tokens) bool {
	depth, count := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.CommentType:
			continue
		}
		if count++; count > maxTokens || depth > maxDepth {
			s.fail(placeOf(t), "", "", "the file holds too many values or nests them too deeply")
			return false
		}
	}
	return true
}

// refuseExtras reports everything of YAML that is more than plain keys and values.
func refuseExtras(s *source, tokens token.Tokens) {
	const plain = "write the value out"
	for _, t := range tokens {
		what, hint := "", plain
		switch t.Type {
		case token.AnchorType:
			what = "an anchor (&)"
		case token.AliasType:
			what, hint = "an alias (*)", "write the value out, or quote it if * is part of a text"
		case token.MergeKeyType:
			what = "a merge key (<<)"
		case token.TagType:
			what, hint = "a tag (!)", "leave it out, or quote it if ! is part of a text"
		case token.MappingKeyType:
			what, hint = "a key written with ?", "write KEY: VALUE"
		case token.LiteralType, token.FoldedType:
			what, hint = "a text block (| or >)", "write the text on the same line"
		case token.DirectiveType:
			what, hint = "a directive (%)", "leave it out"
		default:
			continue
		}
		s.fail(placeOf(t), "", hint, "%s is not allowed here", what)
	}
}

// syntaxError reports what the YAML reader says, without the excerpt of the file it would print.
func syntaxError(s *source, err error) {
	const hint = "look here and one line above: indentation, a space after each colon, quotes around texts with : or #"
	var detail yaml.Error
	if !errors.As(err, &detail) {
		s.fail(place{1, 1}, "", hint, "not YAML")
		return
	}
	s.fail(placeOf(detail.GetToken()), "", hint, "not YAML: %s", oneLine(detail.GetMessage()))
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return ' '
		}
		return r
	}, s)
}

// onlyDocument gives the tree of a file that holds exactly one document with keys in it.
func onlyDocument(s *source, file *ast.File) ast.Node {
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil && doc.Start == nil, doc.Body != nil && doc.Body.Type() == ast.DirectiveType:
			continue // nothing there, or reported already
		case body != nil:
			s.fail(placeOf(doc.Start), "", "one file holds one configuration", "a second document (---) begins here")
		default:
			body = doc.Body
		}
	}
	if body == nil && len(s.findings) == 0 {
		s.fail(place{1, 1}, "", "example.yaml shows what belongs here", "the file holds no keys")
	}
	return body
}

// placeOf gives the place of a token; the first character of the file where the reader kept none.
func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}
