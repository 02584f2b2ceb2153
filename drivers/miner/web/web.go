// Package web reads what a miner's web server answers, on a connection that is made for one request: bounded, with no
// redirect followed and no proxy asked. What an error says is never what the reply said.
package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"rackagent/drivers/miner"
)

// maxHead bounds what stands before a body, in bytes. Arbitrary: real heads have some hundred.
const maxHead = 64 << 10

// Errors of a reply.
var (
	ErrNoHTTP  = errors.New("the reply is no HTTP")
	ErrCut     = errors.New("the connection ended before the reply did")
	ErrTooLong = errors.New("the reply does not end")
)

// Page is a reply.
type Page struct {
	Status int // 0: none came
	Header http.Header
	Body   []byte // whole, and at most miner.MaxReply; nil beside an error
}

// Read takes a reply, and what stands before it that is none (100 Continue). The body of a status that wanted says no to is
// left alone: the connection may have been reset behind its head. nil: every body is read.
func Read(from io.Reader, wanted func(status int) bool) (Page, error) {
	in := bufio.NewReader(io.LimitReader(from, maxHead+miner.MaxReply))
	for range 3 {
		p, err := one(in, wanted)
		if err != nil || p.Status >= http.StatusOK {
			return p, err
		}
	}
	return Page{}, ErrNoHTTP
}

func one(in *bufio.Reader, wanted func(status int) bool) (Page, error) {
	h, err := http.ReadResponse(in, nil)
	if err != nil {
		return Page{}, unquoted(err)
	}
	defer h.Body.Close()
	p := Page{Status: h.StatusCode, Header: h.Header}
	if p.Status < http.StatusOK || wanted != nil && !wanted(p.Status) {
		return p, nil
	}
	body, err := io.ReadAll(io.LimitReader(h.Body, miner.MaxReply+1))
	switch {
	case err != nil:
		return p, unquoted(err)
	case len(body) > miner.MaxReply:
		return p, ErrTooLong
	}
	p.Body = body
	return p, nil
}

// unquoted leaves out of an error what the reply said: it is of any length, not for people, and may be a token.
func unquoted(err error) error {
	var wire *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.As(err, &wire):
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return ErrNoHTTP
}
