package braiins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

const base = "/api/v1/"

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

// exchange sends a request on a connection of its own, which is closed when the reply is in: nothing is kept open, no redirect
// is followed and no proxy asked. The faults are those of rpc.Client.Converse.
func (m *Miner) exchange(ctx context.Context, c call, token string) (web.Page, error) {
	request, err := m.request(c, token)
	if err != nil {
		return web.Page{}, err
	}
	var r web.Page
	_, err = m.web.Converse(ctx, c.kind, c.name(), request, c.limit, func(_ context.Context, conn net.Conn) ([]byte, error) {
		var err error
		r, err = web.Read(conn, nil)
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
