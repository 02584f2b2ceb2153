package miners

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"time"
)

// recvBytes is what the reference server reads in its one recv (cgminer, api.c: 4095 bytes); the rest is not seen.
const recvBytes = 4095

// Request is what came in on port 4028.
type Request struct {
	Command   string         // the members command or cmd
	Parameter string         // the member parameter as text
	Fields    map[string]any // the whole object; nil: it was no JSON
	Raw       []byte
}

// Text gives a member of the object as text; empty: it is not there.
func (r Request) Text(key string) string {
	s, _ := r.Fields[key].(string)
	return s
}

// Reply is what goes back: JSON, without an end mark. A nil reply hangs up: the command gives no answer.
type Reply []byte

// JSON makes a reply of a value.
func JSON(v any) Reply {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the simulator's own values
	}
	return b
}

// HandleRPC serves a port as cgminer does: one request to a connection in one recv, one client at a time, one reply ended by
// a NUL, and the end of the connection (cgminer, api.c).
func (h *Host) HandleRPC(port int, answer func(Request) Reply) {
	one := make(chan struct{}, 1) // no mutex: a bubble of virtual time stands still while one is waited for
	h.Handle(port, func(c net.Conn) {
		defer c.Close()
		one <- struct{}{}
		defer func() { <-one }()
		h.exchange(c, answer)
	})
}

// idle is when a silent client is hung up on: 10 s (Whatsminer's API document; others are not documented).
const idle = 10 * time.Second

func (h *Host) exchange(c net.Conn, answer func(Request) Reply) {
	if err := c.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return
	}
	buf := make([]byte, recvBytes)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	reply := answer(parse(buf[:n]))
	if reply == nil {
		return
	}
	if h.m.Has(StaysOn) {
		if _, err := c.Write(reply); err != nil {
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = c.Read(buf)
		return
	}
	_, _ = c.Write(append(bytes.Clone(reply), 0))
}

func parse(raw []byte) Request {
	r := Request{Raw: raw}
	text := bytes.TrimRight(raw, "\x00\r\n ")
	if err := json.Unmarshal(text, &r.Fields); err != nil {
		r.Fields = nil
		command, rest, _ := strings.Cut(string(text), "|") // the older form: command|parameter
		r.Command, r.Parameter = command, rest
		return r
	}
	if r.Command = r.Text("command"); r.Command == "" {
		r.Command = r.Text("cmd")
	}
	r.Parameter = r.Text("parameter")
	return r
}

// Numbers writes the numbers of a reply as texts where the machine has that quirk: some firmwares do for some.
func (h *Host) Numbers(v any) any {
	if !h.m.Has(TextNumbers) {
		return v
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the simulator's own values
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		panic(err)
	}
	return texts(out)
}

func texts(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case map[string]any:
		for k := range v {
			v[k] = texts(v[k])
		}
	case []any:
		for i := range v {
			v[i] = texts(v[i])
		}
	}
	return v
}
