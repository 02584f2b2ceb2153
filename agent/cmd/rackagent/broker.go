package main

import (
	"context"
	"net"

	"rackagent/agent/link"
	"rackagent/config"
)

// dialer opens connections to the broker of a configuration. Its files are read at each attempt; a private key that
// others may read is refused.
func dialer(m config.MQTT) (func(context.Context) (net.Conn, error), error) {
	dial, err := link.Dialer([]string{m.Broker}, link.TLS{CA: m.CAFile, Cert: m.CertFile, Key: m.KeyFile, ServerName: m.ServerName})
	if err != nil || m.KeyFile == "" {
		return dial, err
	}
	return func(ctx context.Context) (net.Conn, error) {
		if _, err := config.ReadSecret(m.KeyFile); err != nil {
			return nil, err
		}
		return dial(ctx)
	}, nil
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
