package antminer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const cgi = "/cgi-bin/"

// Pages. Those that read have the form of recorded replies.
const (
	pageInfo    = "get_system_info.cgi"
	pageConf    = "get_miner_conf.cgi"
	pageSummary = "summary.cgi"
	pageStats   = "stats.cgi"
	pagePools   = "pools.cgi"
	pageSet     = "set_miner_conf.cgi"
)

// maxHead bounds what stands before a body, in bytes. Arbitrary: real heads have some hundred.
const maxHead = 64 << 10

var (
	errNoHTTP  = errors.New("the reply is no HTTP")
	errCut     = errors.New("the connection ended before the reply did")
	errTooLong = errors.New("the reply does not end")
)

// request is one, and what it is called in errors.
type request struct {
	kind   rpc.Kind
	method string
	path   string
	auth   string // empty: without credentials
	body   []byte // JSON; nil: none
	limit  time.Duration
}

func (r request) name() string { return strings.TrimPrefix(r.path, cgi) }

// page is what came back: a body only of a success, and bounded.
type page struct {
	status     int // 0: none came
	challenges []string
	body       []byte
}

// exchange sends a request on a connection of its own, which is closed when the reply is in: the web server of these units
// resets connections that were to be used again. No redirect is followed and no proxy asked. The faults are those of
// rpc.Client.Converse.
func (m *Miner) exchange(ctx context.Context, c *rpc.Client, r request) (page, error) {
	var p page
	_, err := c.Converse(ctx, r.kind, r.name(), m.bytes(r), r.limit, func(_ context.Context, conn net.Conn) ([]byte, error) {
		return nil, p.read(conn)
	})
	return p, err
}

// bytes is a request as it goes out, in one piece.
func (m *Miner) bytes(r request) []byte {
	host := m.o.Host
	if strings.Contains(host, ":") {
		host, _, _ = strings.Cut(host, "%")
		host = "[" + host + "]"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.method, r.path, host)
	if r.auth != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", r.auth)
	}
	if r.body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

// read takes a reply, and what stands before it that is none (100 Continue). The body of what is no success is left alone:
// the connection may have been reset behind its head.
func (p *page) read(from io.Reader) error {
	in := bufio.NewReader(io.LimitReader(from, maxHead+miner.MaxReply))
	for range 3 {
		h, err := http.ReadResponse(in, nil)
		if err != nil {
			return unquoted(err)
		}
		defer h.Body.Close()
		if h.StatusCode < http.StatusOK {
			continue
		}
		p.status, p.challenges = h.StatusCode, h.Header.Values("WWW-Authenticate")
		if p.status != http.StatusOK {
			return nil
		}
		p.body, err = io.ReadAll(io.LimitReader(h.Body, miner.MaxReply+1))
		switch {
		case err != nil:
			return unquoted(err)
		case len(p.body) > miner.MaxReply:
			return errTooLong
		}
		return nil
	}
	return errNoHTTP
}

// unquoted leaves out of an error what the reply said: it is of any length, and not for people.
func unquoted(err error) error {
	var wire *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.As(err, &wire):
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return errNoHTTP
}
