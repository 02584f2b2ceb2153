package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"rackagent/agent/local"
	"rackagent/agent/rack"
)

// local sends the command through the socket of the agent on this machine.
func (c commandCmd) local(ctx context.Context, a *app) error {
	if err := c.localFlags(); err != nil {
		return &failure{err: err, status: exitUsage}
	}
	return tellLocally(ctx, a.socket(c.Socket), order{
		id: cmp.Or(c.ID, "local-"+newID()), op: c.Op, target: c.Target, args: c.Arg, ttl: c.TTL, dry: c.Dry, why: c.Why, audBoot: c.Boot,
		breakGlass: c.BreakGlass,
	}, func(o order) teller { return c.teller(a, o) })
}

// localFlags refuses what would be without effect: somebody relies on it.
func (c commandCmd) localFlags() error {
	for _, f := range []struct{ name, value string }{
		{"--key", c.Key},
		{"--broker", c.Broker},
		{"--site", c.Site},
		{"--agent", c.Agent},
		{"--user", c.User},
		{"--password-file", c.PasswordFile},
		{"--ca", c.CA},
		{"--tls-cert", c.TLSCert},
		{"--tls-key", c.TLSKey},
	} {
		if f.value != "" {
			return fmt.Errorf("--local and %s: the local socket asks neither a key nor a broker, leave one of them out", f.name)
		}
	}
	if c.BreakGlass && c.Why == "" {
		return errors.New("--break-glass wants a reason: --why TEXT")
	}
	return nil
}

// tellLocally sends an order through the socket and follows it to its end. It is sent once: an agent that has been started
// anew meanwhile must not take it for a new one, and says itself what it has found.
func tellLocally(ctx context.Context, path string, o order, tellerOf func(order) teller) error {
	payload, err := o.encode(time.Now())
	if err != nil {
		return slip(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(o.ttl+firstWord, func() { cancel(errSilence) })
	defer silence.Stop()
	f := &follower{teller: tellerOf(o), heard: func(s rack.State) { silence.Reset(quiet(s)) }}
	client := local.Dial(path)
	defer client.Close()
	err = client.Command(ctx, payload, f.take)
	switch {
	case err == nil:
		return f.verdict()
	case notTaken(err):
		return noAnswer(path, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &failure{
		err:    fmt.Errorf("command %s: %w; whether it was carried out is not known here", o.id, err),
		hint:   fmt.Sprintf("rackagent get %s asks again", o.id),
		status: exitOther,
	}
}

// notTaken tells errors after which nothing was sent, or not taken.
func notTaken(err error) bool {
	var refused *local.Refused
	return errors.As(err, &refused) && refused.Code < http.StatusInternalServerError || nobodyThere(err) || errors.Is(err, fs.ErrPermission)
}
