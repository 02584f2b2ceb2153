package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/web"
)

func TestRead(t *testing.T) {
	ok := func(status int) bool { return status == http.StatusOK }
	long := strings.Repeat("x", miner.MaxReply+1)
	for _, c := range []struct {
		name, reply string
		wanted      func(int) bool
		status      int
		body        string
		err         error
	}{
		{"a page", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ok, 200, "{}", nil},
		{"its end is that of the connection", "HTTP/1.0 200 OK\r\n\r\n{}", nil, 200, "{}", nil},
		{"something before it", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", nil, 200, "{}", nil},
		{"nothing but that", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 4), nil, 0, "", web.ErrNoHTTP},
		{"a refusal whose body is not read", "HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nx", ok, 401, "", nil},
		{"a refusal", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", nil, 403, "no", nil},
		{"cut in its body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", nil, 200, "", web.ErrCut},
		{"cut in its head", "HTTP/1.1 200 OK\r\nConte", nil, 0, "", web.ErrNoHTTP},
		{"nothing", "", nil, 0, "", web.ErrCut},
		{"something else", "SECRET s3cr3t\r\n\r\n", nil, 0, "", web.ErrNoHTTP},
		{"without an end", "HTTP/1.0 200 OK\r\n\r\n" + long, nil, 200, "", web.ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := web.Read(strings.NewReader(c.reply), c.wanted)
			if !errors.Is(err, c.err) || p.Status != c.status || string(p.Body) != c.body {
				t.Errorf("%d %.40q, %v; want %d %.40q, %v", p.Status, p.Body, err, c.status, c.body, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error says what the reply said: %v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"a\"\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := web.Read(strings.NewReader(string(b)), nil)
		if len(p.Body) > miner.MaxReply || err == nil && p.Status < http.StatusOK {
			t.Errorf("%d, %d bytes, %v", p.Status, len(p.Body), err)
		}
	})
}
