package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"rackagent/agent/link"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// Silence: for how long nobody may say anything about a command that was sent.
const (
	// firstWord is added to the command's life; after it the agent would not begin any more.
	firstWord = 10 * time.Second
	// nextWord: an unfinished command is told every 10 s; a restart of the agent fits in between.
	nextWord = 60 * time.Second
	// betweenTries paces new connections to a broker that has cut this one. Arbitrary.
	betweenTries = time.Second
)

// quiet is how long nothing may be heard after a state: a command that waits for a second person is not told again.
func quiet(s rack.State) time.Duration {
	if s == rack.StateWaiting {
		return approvalLimit + nextWord
	}
	return nextWord
}

// approvalLimit is how long a command waits for its second person (contract).
const approvalLimit = 5 * time.Minute

var errSilence = errors.New("no word from the agent")

// send sends the command until it has ended, over a new connection if one is lost: the agent acts once, however often
// it is told. What is sent again are the same bytes: the same signature, number and expiry.
func (s session) send(ctx context.Context, o order, t teller) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	o, now := s.bind(ctx, client, o)
	o.sent = time.Now()
	payload, err := o.encode(now)
	if err != nil {
		client.Close()
		return &failure{err: err, status: exitUsage}
	}
	silence := time.AfterFunc(o.ttl+firstWord, func() { cancel(errSilence) })
	defer silence.Stop()
	f := &follower{teller: t, heard: func(s rack.State) { silence.Reset(quiet(s)) }}
	for {
		err = s.do(ctx, client, o, payload, f)
		client.Close()
		if err == nil {
			return f.verdict()
		}
		if client, err = s.again(ctx, err); err != nil {
			return unfinished(ctx, o, err)
		}
	}
}

// do sends the command over one connection and follows it. cmd.get is answered under the id that it asks about, and
// under its own only what concerns itself, of which a refusal is the one thing to wait for.
func (s session) do(ctx context.Context, client *link.Client, o order, payload []byte, f *follower) error {
	about := o.args["id"]
	if o.op != string(rack.OpGet) {
		return client.Do(ctx, s.agent, link.Command{ID: o.id, Payload: payload, Status: f.take})
	}
	both, cancel := context.WithCancel(ctx)
	refusal := make(chan []byte, 1) // one, and then nobody follows any more
	var beside sync.WaitGroup
	beside.Go(func() {
		_ = client.Follow(both, s.agent, "cmd/"+o.id, func(m link.Received) bool {
			st, err := wire.DecodeStatus(m.Payload)
			if err != nil || st.State != rack.StateRejected {
				return true
			}
			refusal <- m.Payload
			cancel()
			return false
		})
	})
	err := client.Do(both, s.agent, link.Command{ID: about, Payload: payload, Status: f.take})
	cancel()
	beside.Wait()
	if len(refusal) > 0 && f.take(<-refusal) {
		return nil
	}
	return err
}

// again connects anew until ctx ends.
func (s session) again(ctx context.Context, lost error) (*link.Client, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, lost
		case <-time.After(betweenTries):
		}
		c, err := s.connect(ctx)
		if err == nil {
			return c, nil
		}
		lost = err
	}
}

// unfinished tells that nobody knows how the command ended, and how to find out.
func unfinished(ctx context.Context, o order, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	hint := "rackagent get ID asks on the machine of the agent; rackagent command cmd.get rack --arg id=ID asks over the broker"
	if errors.Is(err, errSilence) {
		hint += "; an agent does not answer a key that is not in its configuration, nor, where commands.unsigned is off, a command without a signature (--key)"
	}
	return &failure{
		err:    fmt.Errorf("command %s: %w; whether it was carried out is not known here", o.id, err),
		hint:   strings.ReplaceAll(hint, "ID", o.id),
		status: exitOther,
	}
}
