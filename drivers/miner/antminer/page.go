package antminer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
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

// exchange sends a request on a connection of its own, which is closed when the reply is in: the web server of these units
// resets connections that were to be used again. No redirect is followed and no proxy asked. The faults are those of
// rpc.Client.Converse.
func (m *Miner) exchange(ctx context.Context, c *rpc.Client, r request) (web.Page, error) {
	var p web.Page
	_, err := c.Converse(ctx, r.kind, r.name(), m.bytes(r), r.limit, func(_ context.Context, conn net.Conn) ([]byte, error) {
		var err error
		p, err = web.Read(conn, func(status int) bool { return status == http.StatusOK })
		return nil, err
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
