package scan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"rackagent/drivers/miner/rpc"
)

// page is what a web server answered. Only its beginning is kept.
type page struct {
	status   int
	realm    string // of the log-in that it asks for
	location string // where it sends visitors
	server   string
	title    string
	body     []byte
}

// maxHead bounds what stands before a body, in bytes. Arbitrary: real heads have some hundred.
const maxHead = 16 << 10

var errNoHTTP = errors.New("the answer is no HTTP")

// readPage reads the head, and as much of the body as there is and as is kept: a page tells who it is in its first lines, and
// web servers of miners are known to end connections early.
func readPage(from io.Reader) (page, error) {
	h, err := http.ReadResponse(bufio.NewReader(io.LimitReader(from, maxHead+maxAnswer)), nil)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "malformed") {
			return page{}, errNoHTTP
		}
		return page{}, err
	}
	defer h.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(h.Body, maxAnswer)) // what came, came
	p := page{
		status: h.StatusCode, realm: realmOf(h.Header.Values("WWW-Authenticate")), location: text(h.Header.Get("Location")),
		server: text(h.Header.Get("Server")), body: body,
	}
	if m := titleRule.FindSubmatch(body); m != nil {
		p.title = text(string(m[1]))
	}
	return p, nil
}

var (
	titleRule = regexp.MustCompile(`(?is)<title[^>]*>([^<]{0,200})`)
	realmRule = regexp.MustCompile(`(?i)\brealm\s*=\s*(?:"([^"]*)"|([^\s,"]+))`)
)

// realmOf is the first realm of the challenges (RFC 7235, 4.1), with or without quotes.
func realmOf(challenges []string) string {
	for _, c := range challenges {
		if m := realmRule.FindStringSubmatch(c); m != nil {
			return text(m[1] + m[2])
		}
	}
	return ""
}

// says tells whether a text stands in the page as it is.
func (p page) says(words string) bool { return bytes.Contains(p.body, []byte(words)) }

// object is the page as JSON; nil: it is none.
func (p page) object() rpc.Object {
	if p.status != http.StatusOK {
		return nil
	}
	o, err := rpc.Decode(p.body)
	if err != nil {
		return nil
	}
	return o
}

// words are what was seen, for a person who wonders what this is.
func (p page) words() string {
	w := []string{fmt.Sprintf("HTTP %d", p.status)}
	for _, part := range []struct{ name, text string }{{"realm", p.realm}, {"to", p.location}, {"title", p.title}, {"server", p.server}} {
		if part.text != "" {
			w = append(w, fmt.Sprintf("%s %q", part.name, part.text))
		}
	}
	return strings.Join(w, ", ")
}

// Realms of the log-in, by how they begin (pyasic, miners/factory.py: the others are firmwares of other machines).
const (
	realmAntminer = "antminer"
	realmHammer   = "blackminer"
	realmElphapex = "daoge"
)

func (p page) realmBegins(with string) bool {
	return p.status == http.StatusUnauthorized && strings.HasPrefix(strings.ToLower(p.realm), with)
}

// luci tells that visitors are sent to the page of OpenWrt, as Whatsminers do, and all routers that run it.
func (p page) luci() bool {
	return p.status >= 300 && p.status < 400 && strings.Contains(p.location, "/cgi-bin/luci")
}
