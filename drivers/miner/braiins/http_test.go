package braiins

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

// TestRequest: the bytes that go out.
func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		host  string
		call  call
		token string
		want  string
	}{
		"read":       {"192.0.2.7", call{method: "GET", path: "version/"}, "abc", "GET /api/v1/version/ HTTP/1.1\r\nHost: 192.0.2.7\r\nConnection: close\r\nAccept: application/json\r\nAuthorization: abc\r\n\r\n"},
		"no body":    {"miner-31", call{method: "PUT", path: "actions/pause"}, "abc", "PUT /api/v1/actions/pause HTTP/1.1\r\nHost: miner-31\r\nConnection: close\r\nContent-Length: 0\r\nAccept: application/json\r\nAuthorization: abc\r\n\r\n"},
		"body":       {"2001:db8::7", call{method: "PUT", path: "x", body: []byte(`{"watt":1}`)}, "", "PUT /api/v1/x HTTP/1.1\r\nHost: [2001:db8::7]\r\nConnection: close\r\nContent-Length: 10\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n{\"watt\":1}"},
		"zone index": {"fe80::7%eth0", call{method: "GET", path: "x"}, "", "GET /api/v1/x HTTP/1.1\r\nHost: [fe80::7]\r\nConnection: close\r\nAccept: application/json\r\n\r\n"},
	} {
		m, err := New(miner.Opts{Host: c.host, Dial: nobody}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.request(c.call, c.token); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%q\nwant\n%q", name, err, got, c.want)
		}
	}
}

// TestReadResponse: every way in which a reply may be framed, and none without a bound.
func TestReadResponse(t *testing.T) {
	big := strings.Repeat(" ", miner.MaxReply)
	for name, c := range map[string]struct {
		text   string
		status int
		body   string
		err    error
	}{
		"length":          {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest", 200, "{}", nil},
		"to the end":      {"HTTP/1.0 200 OK\r\n\r\n{}", 200, "{}", nil},
		"chunks":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, "{}", nil},
		"none":            {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", nil},
		"after another":   {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", 401, "", nil},
		"never":           {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9), 0, "", web.ErrNoHTTP},
		"the most":        {"HTTP/1.1 200 OK\r\n\r\n" + big, 200, big, nil},
		"too much":        {"HTTP/1.1 200 OK\r\n\r\n" + big + " ", 0, "", web.ErrTooLong},
		"too many chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\n \r\n", 300_000), 0, "", web.ErrCut},
		"a head too long": {"HTTP/1.1 200 OK\r\nX: " + big + big, 0, "", web.ErrCut},
		"cut in the body": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", 0, "", web.ErrCut},
		"cut in the head": {"HTTP/1.1 200 OK\r\nContent-Le", 0, "", web.ErrNoHTTP},
		"cut in a chunk":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", 0, "", web.ErrCut},
		"nothing":         {"", 0, "", web.ErrCut},
		"no HTTP":         {`{"token":"Zm9vYmFy1"}` + "\r\n\r\n", 0, "", web.ErrNoHTTP},
		"no chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZm9vYmFy1\r\n", 0, "", web.ErrNoHTTP},
	} {
		for kind, in := range map[string]io.Reader{"at once": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
			if kind != "at once" && len(c.text) > 1000 {
				continue // it takes long, and shows nothing more
			}
			r, err := web.Read(in, nil)
			if !errors.Is(err, c.err) || err == nil && r.Status != c.status || string(r.Body) != c.body {
				t.Errorf("%s, %s: %d %.40q %v", name, kind, r.Status, r.Body, err)
			}
			if err != nil && strings.Contains(err.Error(), "Zm9v") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	late := fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	if _, err := web.Read(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n"), iotest.ErrReader(late)), nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestWires: what the wires do to a log-in is what rpc says it is.
func TestWires(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  drivers.Fault
	}{
		"hangs up": {hangingUp, drivers.Corrupt},
		"says nothing": {func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}, drivers.Timeout},
		"says something else": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("SSH-2.0-dropbear\r\n\r\n"))
			_ = c.Close()
		}, drivers.Corrupt},
	} {
		on(t, func(_ *miner.Opts, f *fake) { f.noREST, f.commands = -1, commandsOf(); f.host.Handle(Port, c.serve) }, func(t *testing.T, m *Miner, f *fake) {
			began := time.Now()
			if _, err := m.Status(t.Context()); !errors.Is(err, c.want) || time.Since(began) > miner.ReadLimit {
				t.Errorf("%s: %v after %s", name, err, time.Since(began))
			}
			f.expect(t)
		})
	}
}

// TestDocument: an object, or a list of them.
func TestDocument(t *testing.T) {
	for text, want := range map[string]int{`{"a":1}`: 0, ` [{"a":1},2,{"a":2}]`: 2, `{"pool_groups":[{"a":1}]}`: 1, `[]`: 0, `[{]`: -1, ``: -1, `true`: -1, `<html>`: -1, `[{"a":1}]x`: 1} {
		o, err := document([]byte(text))
		if (err != nil) != (want < 0) || err == nil && len(listOf(o, "pool_groups")) != want {
			t.Errorf("%s: %v, %v", text, o, err)
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"token\":\"Zm9vYmFyMTIz\"}", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 401 No\r\n\r\nZm9vYmFyMTIz", "Zm9vYmFyMTIz",
	} {
		f.Add([]byte(s))
	}
	const secret = "Zm9vYmFyMTIz"
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := web.Read(bytes.NewReader(raw), nil)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Fatalf("%d, %v", r.Status, err)
			}
			return
		}
		if r.Status < 200 || len(r.Body) > miner.MaxReply {
			t.Fatalf("%d, %d bytes", r.Status, len(r.Body))
		}
		for _, k := range []rpc.Kind{rpc.Read, rpc.Write} {
			fault, err := refusalOf(r, k, secret)
			if (fault == drivers.None) != (err == nil) || err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%d: %s, %v", r.Status, fault, err)
			}
		}
		tok, fault, err := tokenOf(r, secret)
		if (fault == drivers.None) != (err == nil) || err == nil && (!validToken(tok.text) || tok.life < 0) || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%+v, %s, %v", tok, fault, err)
		}
	})
}
