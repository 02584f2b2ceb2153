package whatsminer

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner/rpc"
)

// tokenLife is how long a token is used: the unit forgets it after 30 min (WhatsminerAPI 2.0.5, get_token), by its own clock.
const tokenLife = 25 * time.Minute

// token is the right to write: what a command is signed with, and the key that it is sealed with.
type token struct {
	sign    string
	aes     [32]byte
	got     time.Time
	pkcs7   bool     // the unit took this padding, and not zeros
	secrets []string // of this log-in, for no text to hold
}

// maxField bounds the texts of a log-in, which are hashed a thousand times. Arbitrary: real ones have 4 to 8 characters.
const maxField = 32

var errToken = errors.New("no time and salts in the reply")

// newToken makes a token of a password and the Msg of get_token (WhatsminerAPI 2.0.5, get_token).
func newToken(password string, msg rpc.Object) (*token, error) {
	stamp, salt, newSalt := msg.Text("time"), msg.Text("salt"), msg.Text("newsalt")
	for _, text := range []string{stamp, salt, newSalt} {
		if text == "" || len(text) > maxField {
			return nil, errToken
		}
	}
	key := md5crypt(password, salt)
	sign := md5crypt(key+stamp, newSalt)
	return &token{sign: sign, aes: sha256.Sum256([]byte(key)), secrets: []string{sign, key, salt, newSalt}}, nil
}

// token is the one that is kept, or a new one.
func (m *V2) token(ctx context.Context) (*token, error) {
	now := m.o.Now()
	if m.kept != nil {
		if age := now.Sub(m.kept.got); age >= 0 && age < tokenLife {
			return m.kept, nil
		}
	}
	m.kept = nil
	password, err := m.password("admin", "get_token")
	if err != nil {
		return nil, err
	}
	o, err := m.read(ctx, "get_token")
	if err != nil {
		return nil, err
	}
	t, err := newToken(password, o.Object("Msg"))
	if err != nil {
		return nil, m.o.Fault("read", "get_token", drivers.Corrupt, err)
	}
	t.got = now
	m.kept = t
	return t, nil
}
