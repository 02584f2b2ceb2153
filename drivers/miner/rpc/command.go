package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rackagent/drivers"
)

// Codes of replies that mean the same wherever they come from (cgminer, API-README).
const (
	CodeInvalid = 14 // no such command
	CodeDenied  = 45 // not from this address
)

// request is one command; parameter is a text of fields with commas between them.
type request struct {
	Command   string `json:"command"`
	Parameter string `json:"parameter,omitempty"`
}

// Command sends one and gives its reply, if it is a success (STATUS S or I). Beside the faults of Exchange: Unsupported, the
// miner does not know it; Locked, it takes none from here; Refused, it said no; Corrupt.
func (c *Client) Command(ctx context.Context, k Kind, command, parameter string, limit time.Duration) (Object, error) {
	b, err := json.Marshal(request{command, parameter})
	if err != nil {
		return nil, err
	}
	raw, err := c.Exchange(ctx, k, command, append(b, '\n'), limit)
	if err != nil {
		return nil, err
	}
	bad := func(f drivers.Fault, err error) error { return c.o.Fault(k.String(), command, f, err) }
	o, err := Decode(raw)
	switch {
	case errors.Is(err, ErrDown):
		return nil, bad(drivers.Unreachable, err)
	case err != nil && k == Write:
		return nil, bad(drivers.Unsure, err)
	case err != nil:
		return nil, bad(drivers.Corrupt, err)
	}
	s := StatusOf(o)
	if s.OK() {
		return o, nil
	}
	return o, bad(s.Fault(), &StatusError{s})
}

// Status is the envelope of a reply.
type Status struct {
	Letter string // S and I are success, W a warning, E an error, F fatal
	Code   int
	Text   string // Msg, for people
}

// StatusOf reads the envelope: STATUS as a list of one, an object, or a text, with the other members beside it then.
func StatusOf(o Object) Status {
	in := o.Object("STATUS")
	if in == nil {
		in = o
	}
	s := Status{Letter: in.Text("STATUS"), Text: Plain(in.Text("Msg"))}
	if code := in.Int("Code"); code != nil {
		s.Code = *code
	}
	return s
}

// OK tells a success.
func (s Status) OK() bool {
	switch s.Letter {
	case "S", "I", "RESTART", "BYE":
		return true
	}
	return false
}

// Fault is what a refusal means to whoever asked.
func (s Status) Fault() drivers.Fault {
	switch {
	case s.Letter == "":
		return drivers.Corrupt
	case s.Code == CodeInvalid:
		return drivers.Unsupported
	case s.Code == CodeDenied:
		return drivers.Locked
	}
	return drivers.Refused
}

// StatusError is a reply that is no success.
type StatusError struct{ Status Status }

// Error gives the miner's own words.
func (e *StatusError) Error() string {
	if e.Status.Letter == "" {
		return "the reply has no status"
	}
	return fmt.Sprintf("the miner answers %s, code %d: %s", e.Status.Letter, e.Status.Code, e.Status.Text)
}

// CodeOf is the code of a refusal in an error's chain; 0: there is none.
func CodeOf(err error) int {
	var e *StatusError
	if errors.As(err, &e) {
		return e.Status.Code
	}
	return 0
}
