package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// credentialPrefix begins the name of a file that systemd gives to the service (systemd.exec(5), LoadCredential=).
const credentialPrefix = "credential:" //nolint:gosec // a prefix, no secret

// credentialDir is set by systemd to the directory of these files, which no other service can read.
const credentialDir = "CREDENTIALS_DIRECTORY"

// credentialRule is narrower than systemd's: a file name that no directory can hide in.
var credentialRule = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)

// ErrNoCredential is wrapped where credential:NAME cannot be found.
var ErrNoCredential = errors.New("no such credential")

// Locate gives the path of a file that a key of mqtt names: the path itself, or for credential:NAME the file that
// systemd put below $CREDENTIALS_DIRECTORY. systemd fills that directory when the service starts: a new secret there
// needs a restart.
func Locate(file string) (string, error) {
	name, ok := strings.CutPrefix(file, credentialPrefix)
	if !ok {
		return file, nil
	}
	dir := os.Getenv(credentialDir)
	switch {
	case !credentialRule.MatchString(name):
		return "", fmt.Errorf("%s: %w", credentialPrefix, ErrNoCredential) // the text may be a secret
	case !filepath.IsAbs(dir):
		return "", fmt.Errorf("%s: %w: systemd gave none to this process (LoadCredential=%s:PATH in the unit)", file, ErrNoCredential, name)
	default:
		return filepath.Join(dir, name), nil
	}
}
