package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"rackagent/agent"
	"rackagent/agent/local"
	"rackagent/config"
)

// askLimit bounds a question on the local socket. The agent gives itself 15 s, and systemd holds the socket while the
// agent starts.
const askLimit = 30 * time.Second

// socket is the path of the agent's local socket: as given, or as configured, or, for people who may use the socket
// and not read the configuration, the default.
func (a *app) socket(given string) string {
	if given != "" {
		return given
	}
	if c, _, err := a.load(); err == nil && c != nil {
		return c.Local.Socket
	}
	return config.Defaults().Local.Socket
}

// ask gives a client of the local socket to question and says what may be wrong if it fails.
func ask(ctx context.Context, path string, question func(context.Context, *local.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	client := local.Dial(path)
	defer client.Close()
	err := question(ctx, client)
	if err == nil {
		return nil
	}
	return noAnswer(path, err)
}

// noAnswer tells that a question got none.
func noAnswer(path string, err error) error {
	f := &failure{err: fmt.Errorf("local socket %s: %w", path, err), hint: socketHint(err), status: exitOther}
	var refused *local.Refused
	if errors.As(err, &refused) && refused.Code == http.StatusBadRequest {
		f.status = exitUsage
	}
	return f
}

func socketHint(err error) string {
	var refused *local.Refused
	switch {
	case errors.As(err, &refused):
		return ""
	case nobodyThere(err):
		return "is the agent running? systemctl status rackagent shows it; --socket PATH names another socket"
	case errors.Is(err, fs.ErrPermission):
		return "only members of the group rackops may ask; type sudo before the command, or: usermod -aG rackops USER"
	case errors.Is(err, context.DeadlineExceeded):
		return "the agent does not answer; journalctl -u rackagent shows what it is doing"
	default:
		return ""
	}
}

// nobodyThere tells that no process listens on the socket.
func nobodyThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// runningAgent asks the agent of this machine how it stands. It runs, or it does not, or that cannot be told.
func runningAgent(ctx context.Context, path string) (st agent.Status, runs bool, err error) {
	err = ask(ctx, path, func(ctx context.Context, c *local.Client) error {
		raw, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &st)
	})
	if nobodyThere(err) {
		return st, false, nil
	}
	return st, err == nil, err
}
