package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const stars = "***"

// Secret is a password or a key that prints as stars. The text hangs behind a pointer, so that a Secret in an
// unexported field, where fmt calls no method, prints as an address.
type Secret struct{ text *string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal gives the text to the one who needs it: a library's option, never a log line.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// String is ***.
func (s Secret) String() string { return stars }

// GoString is ***.
func (s Secret) GoString() string { return stars }

// Format writes *** for every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) }

// LogValue is ***.
func (s Secret) LogValue() slog.Value { return slog.StringValue(stars) }

// MarshalText is ***, in JSON and wherever else texts are asked for.
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// MarshalJSON is "***".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + stars + `"`), nil }

// MarshalYAML is ***.
func (s Secret) MarshalYAML() (any, error) { return stars, nil }

// ErrEmptySecret is returned by ReadSecret for a file without content.
var ErrEmptySecret = errors.New("the file is empty")

// maxSecret bounds a secret; a PEM chain of a few certificates fits. Arbitrary.
const maxSecret = 64 << 10

// ReadSecret reads a password or a key from a file of its own and takes one line end off its end. The file
// must not be readable for everybody nor writable for the group or everybody (ErrUnsafeFile).
//
// A group that may read is allowed: systemd's LoadCredential= gives the service access that way. path may be
// credential:NAME.
func ReadSecret(path string) (Secret, error) {
	path, err := Locate(path)
	if err != nil {
		return Secret{}, err
	}
	return readSecret(path, guard{noMode: 0o026, fix: "chmod 0640"})
}

func readSecret(path string, g guard) (Secret, error) {
	b, err := readGuarded(path, maxSecret, g)
	if err != nil {
		return Secret{}, err
	}
	text := trimLineEnd(string(b))
	if text == "" {
		return Secret{}, fmt.Errorf("%s: %w", path, ErrEmptySecret)
	}
	return NewSecret(text), nil
}
