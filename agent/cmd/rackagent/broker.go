package main

import (
	"context"
	"errors"
	"net"

	"rackagent/agent/link"
	"rackagent/config"
)

// dialer opens connections to the brokers of a configuration. Its files are read at each attempt; a private key that
// others may read is refused.
func dialer(m config.MQTT) (func(context.Context) (net.Conn, error), error) {
	if _, err := link.Dialer(m.URLs(), link.TLS{Cert: m.CertFile, Key: m.KeyFile}); err != nil {
		return nil, err
	}
	files, err := tlsFiles(m)
	dial, err2 := link.Dialer(m.URLs(), files)
	if err = errors.Join(err, err2); err != nil {
		return func(context.Context) (net.Conn, error) { return nil, err }, nil
	}
	return func(ctx context.Context) (net.Conn, error) {
		if m.KeyFile != "" {
			if _, err := config.ReadSecret(m.KeyFile); err != nil {
				return nil, err
			}
		}
		return dial(ctx)
	}, nil
}

// tlsFiles finds the files. A credential that is not there keeps the agent from its broker, not from its rack.
func tlsFiles(m config.MQTT) (link.TLS, error) {
	t := link.TLS{ServerName: m.ServerName}
	for _, f := range []struct {
		to   *string
		name string
	}{{&t.CA, m.CAFile}, {&t.Cert, m.CertFile}, {&t.Key, m.KeyFile}} {
		path, err := config.Locate(f.name)
		if err != nil {
			return t, err
		}
		*f.to = path
	}
	return t, nil
}

// password reads the password anew at each attempt, so that a changed one is taken without a restart. nil: none.
func password(m config.MQTT) func() (string, error) {
	if m.PasswordFile == "" {
		return nil
	}
	return func() (string, error) {
		s, err := config.ReadSecret(m.PasswordFile)
		return s.Reveal(), err
	}
}
