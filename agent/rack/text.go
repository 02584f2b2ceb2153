package rack

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hidden tells characters that do not show, end a line, or turn the direction of what follows: a text that holds one can
// look like another text on a screen.
func Hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// OneLine tells whether a text that a person wrote shows as it is: valid UTF-8, and nothing hidden in it.
func OneLine(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, Hidden) }
