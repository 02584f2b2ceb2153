package observer

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// signer is a key whose commands are taken.
type signer struct {
	issuer, role string
	public       ed25519.PublicKey
	revoked      bool
}

// user is who stands behind a uid of the local socket.
type user struct{ issuer, role string }

// role is what an issuer may do.
type role struct {
	verbs   []string
	targets []string // none: every target
	firm    bool
	life    time.Duration // 0: what any command may have
}

// commandsYAML is the part of a configuration file that says whose commands are taken.
type commandsYAML struct {
	Unsigned bool `yaml:"unsigned"`
	Keys     []struct {
		KID     string `yaml:"kid"`
		Issuer  string `yaml:"issuer"`
		Role    string `yaml:"role"`
		Public  string `yaml:"public"`
		Revoked bool   `yaml:"revoked"`
	} `yaml:"keys"`
	Users []struct {
		Issuer string `yaml:"issuer"`
		Role   string `yaml:"role"`
	} `yaml:"users"`
	Roles []struct {
		Name    string   `yaml:"name"`
		Verbs   []string `yaml:"verbs"`
		Targets []string `yaml:"targets"`
		Firm    bool     `yaml:"firm"`
		LifeS   float64  `yaml:"life_s"`
	} `yaml:"roles"`
}

// addIdentities reads who may command.
func (l *layout) addIdentities(c commandsYAML) error {
	l.unsigned, l.keys, l.roles = c.Unsigned, map[string]signer{}, defaultRoles()
	for _, r := range c.Roles {
		l.roles[r.Name] = role{r.Verbs, r.Targets, r.Firm, seconds(r.LifeS)}
	}
	for _, k := range c.Keys {
		public, err := base64.RawURLEncoding.DecodeString(k.Public)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("commands.keys: %q has no Ed25519 key", k.KID)
		}
		l.keys[k.KID] = signer{k.Issuer, k.Role, public, k.Revoked}
	}
	for _, u := range c.Users {
		l.users = append(l.users, user{u.Issuer, u.Role})
	}
	return nil
}

// defaultRoles are those that a configuration has without writing them.
func defaultRoles() map[string]role {
	reading := []string{"cmd.get", "cmd.list"}
	moving := slices.Concat(reading, []string{
		"shutdown", "start", "sleep", "wake", "limit", "release", "outlet.energise", "outlet.cut", "outlet.cycle", "curtail", "restore",
		"identify", "cmd.cancel",
	})
	return map[string]role{
		"operator":   {verbs: slices.Concat(moving, []string{"drain", "undrain", "switch", "lock", "unlock", "journal.accept"}), firm: true},
		"approver":   {verbs: slices.Concat(reading, []string{"approve", "identify"}), firm: true},
		"automation": {verbs: moving},
		"grid":       {verbs: slices.Concat(reading, []string{"curtail", "restore"})},
		"read-only":  {verbs: reading},
	}
}
