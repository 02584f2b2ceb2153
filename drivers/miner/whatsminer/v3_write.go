package whatsminer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const noteSalt = "the salt had changed, as after a reboot"

var (
	errSalt       = errors.New("no salt in the reply")
	errPermission = errors.New("no permission, with a fresh salt: the password or the account is another one, or the write API is off")
)

// signedV3 is the hash of a write (WhatsminerAPI 3.0, token generation). Its first 8 characters as base64 are the token.
func signedV3(command, password, salt string, ts int64) (hash [32]byte, token string) {
	hash = sha256.Sum256(fmt.Appendf(nil, "%s%s%s%d", command, password, salt, ts))
	return hash, base64.StdEncoding.EncodeToString(hash[:])[:8]
}

// writeV3 is a write as it is sent, its members in the order of the documents.
type writeV3 struct {
	Cmd     string `json:"cmd"`
	Param   any    `json:"param"`
	TS      int64  `json:"ts"`
	Token   string `json:"token"`
	Account string `json:"account"`
}

// send sends one write. Where the unit gives no permission the salt is read again, once.
func (m *V3) send(ctx context.Context, a *miner.Answer, command string, param any) error {
	password, err := m.password("super", command)
	if err != nil {
		return err
	}
	if m.salt == "" {
		if err := m.fetchSalt(ctx); err != nil {
			return err
		}
	}
	if err = m.post(ctx, a, command, param, password); !errors.Is(err, drivers.Denied) {
		return err
	}
	if err := m.fetchSalt(ctx); err != nil {
		return err
	}
	switch err = m.post(ctx, a, command, param, password); {
	case err == nil:
		a.Notes = append(a.Notes, noteSalt)
	case errors.Is(err, drivers.Denied):
		return m.o.Fault("write", command, drivers.Denied, errPermission)
	}
	return err
}

// fetchSalt reads the salt alone.
func (m *V3) fetchSalt(ctx context.Context) error {
	msg, err := m.read(ctx, "get.device.info", "salt")
	if err != nil {
		return err
	}
	if m.salt = msg.Text("salt"); m.salt == "" {
		return m.o.Fault("read", "get.device.info salt", drivers.Corrupt, errSalt)
	}
	return nil
}

// post sends once.
func (m *V3) post(ctx context.Context, a *miner.Answer, command string, param any, password string) error {
	ts := m.o.Now().Unix()
	_, token := signedV3(command, password, m.salt, ts)
	b, err := json.Marshal(writeV3{command, param, ts, token, m.account})
	if err != nil {
		return err
	}
	raw, err := m.exchange(ctx, rpc.Write, command, b, writeLimit)
	if err != nil {
		return err
	}
	text, f, err := answerV3(raw, token, m.salt, password)
	if err != nil {
		return m.o.Fault("write", command, f, err)
	}
	a.Text = text
	return nil
}

// answerV3 reads the reply to a write. One that cannot be read leaves open whether the unit obeys.
func answerV3(raw []byte, secrets ...string) (string, drivers.Fault, error) {
	o, err := rpc.Decode(raw)
	if err != nil {
		return "", drivers.Unsure, err
	}
	switch f, err := refusalV3(o, secrets...); {
	case f == drivers.Corrupt:
		return "", drivers.Unsure, err
	case err != nil:
		return "", f, err
	}
	return said(o.Text("msg"), secrets...), drivers.None, nil
}
