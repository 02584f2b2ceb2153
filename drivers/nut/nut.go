// Package nut reads an uninterruptible power supply through the server of Network UPS Tools (upsd, TCP port 3493), which has a
// driver for most of them. It only asks, needs no login, and sets nothing.
//
// Source: NUT developer guide, chapter "Network protocol information" (2.8.0): a request is a line, `GET VAR <ups> <variable>`, the
// answer `VAR <ups> <variable> "<value>"` or `ERR <word>`. Values have \" and \\ escaped. Status words: ups.status in the user
// manual's list of variables.
//
// A server that has lost its UPS says so (DATA-STALE, DRIVER-NOT-CONNECTED): that is no answer, and neither mains nor battery.
package nut

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers"
)

// Port is upsd's.
const Port = "3493"

// Opts says which UPS of which server.
type Opts struct {
	Name string // in errors
	Host string // without a port: Port
	UPS  string // as the server's ups.conf calls it
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dev is one UPS. Its calls may be made from one goroutine at a time.
type Dev struct{ o Opts }

// nameRule is what may stand in a request: what ups.conf takes as the name of a section, without spaces.
var nameRule = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// errName refuses what is no name of a UPS.
var errName = errors.New("nut: not the name of a UPS: 1 to 64 letters, digits, dots, dashes and underscores")

// New checks the options and connects to nothing.
func New(o Opts) (*Dev, error) {
	switch {
	case !nameRule.MatchString(o.UPS):
		return nil, fmt.Errorf("%w: %q", errName, o.UPS)
	case o.Host == "" || o.Dial == nil:
		return nil, errors.New("nut: no host, or no way to it")
	}
	return &Dev{o}, nil
}

// Status is what a UPS says at one moment. Pointers are nil where it does not say.
type Status struct {
	// OnBattery tells that the load runs from the battery; nil: it says neither. A calibration is none: somebody has asked for it.
	OnBattery *bool
	// Low tells that the battery is nearly empty, or that the server shuts everything down (LB, FSD).
	Low bool
	// Words are those of ups.status.
	Words []string
	// ChargePct is of the battery, RuntimeS how many seconds it lasts at this load.
	ChargePct, RuntimeS *float64
}

// timeout bounds a whole reading: the server answers from memory. Arbitrary.
const timeout = 2 * time.Second

// Sense asks for the status, the charge and the run time. Faults: Unreachable without a connection, and where the server has lost
// the UPS; Unsupported for a UPS that the server does not know; Denied; Timeout; Corrupt.
func (d *Dev) Sense(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := d.o.Dial(ctx, "tcp", net.JoinHostPort(d.o.Host, Port))
	if err != nil {
		return Status{}, d.fault("dial", drivers.Unreachable, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s := session{d: d, conn: conn, in: bufio.NewReader(io.LimitReader(conn, maxReply))}
	text, err := s.get("ups.status")
	if err != nil {
		return Status{}, s.late(ctx, err)
	}
	out := Status{Words: strings.Fields(text)}
	out.OnBattery, out.Low = judge(out.Words)
	for _, v := range []struct {
		name string
		to   **float64
	}{{"battery.charge", &out.ChargePct}, {"battery.runtime", &out.RuntimeS}} {
		text, err := s.get(v.name)
		switch {
		case errors.Is(err, errLacks): // many do not tell it
		case err != nil:
			return Status{}, s.late(ctx, err)
		default:
			*v.to = number(text)
		}
	}
	_, _ = io.WriteString(conn, "LOGOUT\n")
	return out, nil
}

// judge reads the words of ups.status. A UPS that is off, or in bypass without a word on its input, says neither.
func judge(words []string) (onBattery *bool, low bool) {
	has := func(w string) bool { return slices.Contains(words, w) }
	low = has("LB") || has("FSD")
	yes, no := true, false
	switch {
	case has("OB") && !has("CAL"):
		return &yes, low
	case has("OL") || has("OB"):
		return &no, low
	}
	return nil, low
}

func number(text string) *float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || v < 0 || v > 1e9 {
		return nil
	}
	return &v
}

const (
	maxReply = 8192 // of all answers together: three short lines
	maxLine  = 1024
)

// session is one connection.
type session struct {
	d    *Dev
	conn net.Conn
	in   *bufio.Reader
}

// errLacks: the UPS has no such variable.
var errLacks = errors.New("the UPS does not tell it")

// get asks for one variable.
func (s *session) get(variable string) (string, error) {
	if _, err := fmt.Fprintf(s.conn, "GET VAR %s %s\n", s.d.o.UPS, variable); err != nil {
		return "", s.d.fault("get "+variable, drivers.Unreachable, err)
	}
	line, err := s.in.ReadString('\n')
	if err != nil || len(line) > maxLine {
		return "", s.d.fault("get "+variable, drivers.Corrupt, fmt.Errorf("the answer is cut off, or longer than %d bytes: %w", maxLine, errors.Join(err)))
	}
	line = strings.TrimRight(line, "\r\n")
	if word, bad := strings.CutPrefix(line, "ERR "); bad {
		return "", s.refused(variable, word)
	}
	rest, ok := strings.CutPrefix(line, "VAR "+s.d.o.UPS+" "+variable+" ")
	value, whole := unquoted(rest)
	if !ok || !whole {
		return "", s.d.fault("get "+variable, drivers.Corrupt, fmt.Errorf("an answer to something else: %q", clip(line)))
	}
	return value, nil
}

// refused is what an error of the server means.
func (s *session) refused(variable, word string) error {
	word, _, _ = strings.Cut(word, " ")
	f := drivers.Refused
	switch word {
	case "VAR-NOT-SUPPORTED":
		return s.d.fault("get "+variable, drivers.Unsupported, errLacks)
	case "DATA-STALE", "DRIVER-NOT-CONNECTED":
		f = drivers.Unreachable
	case "UNKNOWN-UPS":
		f = drivers.Unsupported
	case "ACCESS-DENIED", "USERNAME-REQUIRED", "PASSWORD-REQUIRED":
		f = drivers.Denied
	}
	return s.d.fault("get "+variable, f, fmt.Errorf("the server says %s", clip(word)))
}

// late names a deadline that has passed as what it is.
func (s *session) late(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	f := drivers.Cancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		f = drivers.Timeout
	}
	return s.d.fault("sense", f, context.Cause(ctx))
}

func (d *Dev) fault(op string, f drivers.Fault, err error) error {
	return &drivers.Error{Op: op, Device: d.o.Name, Fault: f, Err: err}
}

// unquoted takes a value out of its quotes; whole is false for anything else.
func unquoted(text string) (value string, whole bool) {
	if len(text) < 2 || text[0] != '"' {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			out.WriteByte(text[i])
		case c == '"':
			return out.String(), i == len(text)-1
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
