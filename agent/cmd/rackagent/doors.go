package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/user"

	"github.com/coreos/go-systemd/v22/activation"

	"rackagent/agent/local"
	"rackagent/config"
)

// socketName is what the socket unit calls the local socket (FileDescriptorName=).
const socketName = "local"

// inherited is the local socket that systemd holds for the service (socketName), or nil. It has to be
// asked once and before anything else: the sockets are taken out of the environment.
func inherited() (net.Listener, error) {
	all, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	var found net.Listener
	for name, listeners := range all {
		for _, l := range listeners {
			if name == socketName && found == nil {
				found = l
				continue
			}
			_ = l.Close() // not ours: nobody would ever answer on it
		}
	}
	return found, nil
}

// doors are the listeners of the agent, open before it starts: one that cannot be opened is a mistake to be told, not
// a state to run in.
type doors struct{ local, metrics net.Listener }

func openDoors(ctx context.Context, c *config.Config, given net.Listener) (doors, error) {
	d := doors{local: given}
	var err error
	if d.local == nil {
		if d.local, err = local.Listen(ctx, c.Local.Socket, c.Local.Group); err != nil {
			return doors{}, socketFailure(c, err)
		}
	}
	if c.HTTP.Listen == "" {
		return d, nil
	}
	if d.metrics, err = new(net.ListenConfig).Listen(ctx, "tcp", c.HTTP.Listen); err != nil {
		d.close()
		return doors{}, &failure{err: fmt.Errorf("http.listen: %w", err), hint: `give http.listen another port, or "" for none`, status: exitUsage}
	}
	return d, nil
}

// warnOther tells that the configuration's socket is not the one that people can reach: systemd's unit goes before it.
func warnOther(log *slog.Logger, c config.Local, given net.Listener) {
	if given != nil && given.Addr().String() != c.Socket {
		log.Warn("the socket that systemd holds is used, local.socket and local.group of the configuration are not: the unit rackagent.socket says its path and group",
			"socket", given.Addr().String(), "local.socket", c.Socket)
	}
}

// group looks for a group of this machine.
func group(name string) error {
	_, err := user.LookupGroup(name)
	return err
}

func socketFailure(c *config.Config, err error) error {
	f := &failure{err: fmt.Errorf("local.socket: %w", err), status: exitUsage}
	var group user.UnknownGroupError
	switch {
	case errors.Is(err, local.ErrInUse):
		f.status, f.hint = exitInUse, "another agent runs here; rackagent status asks it"
	case errors.As(err, &group):
		f.hint = fmt.Sprintf("make the group with: groupadd --system %s", c.Local.Group)
	default:
		f.hint = "let systemd hold the socket (systemctl start rackagent.socket), or give local.socket a path this user may write"
	}
	return f
}

// close closes what the agent has not closed.
func (d doors) close() {
	for _, l := range []net.Listener{d.local, d.metrics} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// opener gives a listener to the agent; nil for none.
func opener(l net.Listener) func(context.Context) (net.Listener, error) {
	if l == nil {
		return nil
	}
	return func(context.Context) (net.Listener, error) { return l, nil }
}
