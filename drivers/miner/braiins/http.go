package braiins

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const base = "/api/v1/"

// maxHead bounds what stands before a body, in bytes. Arbitrary: real heads have some hundred.
const maxHead = 64 << 10

var (
	errNoHTTP  = errors.New("the reply is no HTTP")
	errCut     = errors.New("the reply ends in the middle")
	errTooLong = errors.New("the reply does not end")
)

// call is one request.
type call struct {
	kind   rpc.Kind
	method string
	path   string // below /api/v1/
	body   []byte // JSON; nil: none
	limit  time.Duration
}

// name is what the call is called in errors.
func (c call) name() string { return c.method + " " + c.path }

// response is what came back: any status, and a bounded body.
type response struct {
	status int
	body   []byte
}

// exchange sends a request on a connection of its own, which is closed when the reply is in: nothing is kept open, no redirect
// is followed and no proxy asked. The faults are those of rpc.Client.Converse.
func (m *Miner) exchange(ctx context.Context, c call, token string) (response, error) {
	request, err := m.request(c, token)
	if err != nil {
		return response{}, err
	}
	var r response
	_, err = m.web.Converse(ctx, c.kind, c.name(), request, c.limit, func(_ context.Context, conn net.Conn) ([]byte, error) {
		var err error
		r, err = readResponse(conn)
		return nil, err
	})
	return r, err
}

// request is the bytes of one. The token stands bare in its header (Braiins OS Public API, authentication).
func (m *Miner) request(c call, token string) ([]byte, error) {
	host := m.o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	r := &http.Request{
		Method: c.method, URL: &url.URL{Scheme: "http", Host: host, Path: base + c.path}, Host: host, Close: true,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {""}}, // empty: none is sent
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, m.o.Fault(c.kind.String(), c.name(), drivers.Unsupported, errors.New("this cannot be put into a request"))
	}
	return b.Bytes(), nil
}

// readResponse reads one, and what stands before it that is none (100 Continue).
func readResponse(from io.Reader) (response, error) {
	in := bufio.NewReader(io.LimitReader(from, maxHead+miner.MaxReply))
	for range 3 {
		r, err := oneResponse(in)
		if err != nil || r.status >= http.StatusOK {
			return r, err
		}
	}
	return response{}, errNoHTTP
}

func oneResponse(in *bufio.Reader) (response, error) {
	h, err := http.ReadResponse(in, nil)
	if err != nil {
		return response{}, unquoted(err)
	}
	defer h.Body.Close()
	body, err := io.ReadAll(io.LimitReader(h.Body, miner.MaxReply+1))
	switch {
	case err != nil:
		return response{}, unquoted(err)
	case len(body) > miner.MaxReply:
		return response{}, errTooLong
	}
	return response{h.StatusCode, body}, nil
}

// unquoted leaves out of an error what the reply said: it may have been a token.
func unquoted(err error) error {
	var wire *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &wire):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return errCut
	}
	return errNoHTTP
}

// list is the member that a reply stands in which is a list and no object.
const list = "list"

// document decodes a body. Which may be an object, or a list of objects.
func document(body []byte) (rpc.Object, error) {
	if text := bytes.TrimSpace(body); len(text) > 0 && text[0] == '[' {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var all []any
		if err := d.Decode(&all); err != nil {
			return nil, rpc.ErrNoJSON
		}
		return rpc.Object{list: all}, nil
	}
	o, err := rpc.Decode(body)
	if err != nil {
		return nil, rpc.ErrNoJSON // the cause may quote what is secret
	}
	return o, nil
}

// listOf is a list that is the whole document, or a member of it.
func listOf(o rpc.Object, member string) []rpc.Object {
	if o.Has(list) {
		return o.List(list)
	}
	return o.List(member)
}
