package main

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"rackagent/agent/link"
	"rackagent/agent/wire"
	"rackagent/config"
)

// dialer opens connections to the brokers of a configuration, and looks at their files. The files are read at each
// attempt; a private key that others may read is refused.
func dialer(m config.MQTT, names []string, now func() (time.Time, bool)) (dial func(context.Context) (net.Conn, error), look func() link.Look, err error) {
	if _, err := link.Dialer(m.URLs(), link.TLS{Cert: m.CertFile, Key: m.KeyFile}); err != nil {
		return nil, nil, err
	}
	look = func() link.Look {
		k, err := tlsFiles(m)
		if err != nil {
			return link.Look{Err: err}
		}
		k.Names, k.Now = names, now
		return k.Look()
	}
	if m.CAFile+m.CertFile == "" {
		look = nil
	}
	files, missing := tlsFiles(m)
	if missing != nil { // credentials are there at the start of the service or never
		return func(context.Context) (net.Conn, error) { return nil, missing }, look, nil
	}
	files.Names, files.Now = names, now
	dial, err = link.Dialer(m.URLs(), files)
	return dial, look, err
}

// tlsFiles finds the files. A credential that is not there keeps the agent from its broker, not from its rack.
func tlsFiles(m config.MQTT) (link.TLS, error) {
	t := link.TLS{ServerName: m.ServerName, ReadKey: func(path string) ([]byte, error) {
		s, err := config.ReadSecret(path)
		return []byte(s.Reveal()), err
	}}
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

// ownNames are whom the agent's certificate may be for.
func ownNames(c *config.Config) []string {
	names := []string{c.Agent}
	for _, n := range []string{c.MQTT.ClientID, c.MQTT.User} {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// bestTime gives the time that certificates are judged by. A clock that nobody has set is behind, never ahead: it is
// later than the program was built, and later than the agent last wrote to its state directory.
func bestTime(clock func() wire.Clock, stateDir string) func() (time.Time, bool) {
	return func() (time.Time, bool) {
		now := time.Now()
		if clock().OK {
			return now, true
		}
		floor := builtAt()
		entries, _ := os.ReadDir(stateDir) // without it there is less to know
		for _, e := range entries {
			if i, err := e.Info(); err == nil && i.ModTime().After(floor) {
				floor = i.ModTime()
			}
		}
		if floor.After(now) {
			now = floor
		}
		return now, false
	}
}

// builtAt is the time of the source that the program was built from; zero where the build knew none.
func builtAt() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

// minerPassword reads a miner's password anew at each log-in. nil: none.
func minerPassword(m config.Miner) func() (string, error) { return fromFile(m.PasswordFile) }

// password reads the password anew at each attempt, so that a changed one is taken without a restart. nil: none.
func password(m config.MQTT) func() (string, error) { return fromFile(m.PasswordFile) }

func fromFile(path string) func() (string, error) {
	if path == "" {
		return nil
	}
	return func() (string, error) {
		s, err := config.ReadSecret(path)
		return s.Reveal(), err
	}
}
