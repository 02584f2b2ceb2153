package whatsminer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Codes of v3 (whatsminer-api-3 sample client).
const (
	code3OK      = 0
	code3Failed  = -1
	code3Invalid = -2 // no such command
	code3Denied  = -4 // salt, password or account wrong, or the write API is off
)

const (
	frameMax = 64 << 10         // bytes of a request; arbitrary
	idle     = 10 * time.Second // until a silent client is hung up on: v2's figure, v3's is not documented
)

// frame puts the length before the JSON: four bytes, the lowest first.
func frame(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameMax {
		return nil, errors.New("too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// serve3 answers request after request until the client ends the connection or says nothing.
func (s *Server) serve3(c net.Conn) {
	defer c.Close()
	for {
		wait := idle
		if s.m.Has(miners.StaysOn) {
			wait = time.Minute
		}
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return
		}
		raw, err := readFrame(c)
		if err != nil {
			return
		}
		reply := s.answer3(raw)
		if reply == nil {
			return
		}
		if _, err := c.Write(frame(reply)); err != nil {
			return
		}
	}
}

// request3 is one request; ts is an integer, and a text in its place makes the request unreadable.
type request3 struct {
	Cmd     string          `json:"cmd"`
	Param   json.RawMessage `json:"param"`
	TS      *int64          `json:"ts"`
	Token   string          `json:"token"`
	Account string          `json:"account"`
}

// text is the parameter, where it is a text.
func (r request3) text() string {
	var t string
	if json.Unmarshal(r.Param, &t) != nil {
		return ""
	}
	return t
}

// reply3 is the envelope.
type reply3 struct {
	Code int    `json:"code"`
	When int64  `json:"when"`
	Msg  any    `json:"msg"`
	Desc string `json:"desc"`
}

func (s *Server) reply3(code int, msg any, cmd string) []byte {
	return miners.JSON(reply3{Code: code, When: s.m.Now().Unix(), Msg: msg, Desc: cmd})
}

func msg3(code int) string {
	switch code {
	case code3OK:
		return "ok"
	case code3Invalid:
		return "invalid command"
	case code3Denied:
		return "no permission"
	default:
		return "failed"
	}
}

func (s *Server) answer3(raw []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.look()
	var r request3
	if err := json.Unmarshal(raw, &r); err != nil {
		return s.reply3(code3Failed, "invalid json", "")
	}
	if s.writes3(r.Cmd) {
		return s.write3(r, raw)
	}
	msg, code := s.read3(r, v)
	if code != code3OK {
		return s.reply3(code, msg3(code), r.Cmd)
	}
	return s.reply3(code3OK, s.h.Numbers(msg), r.Cmd)
}

func (s *Server) read3(r request3, v view) (msg any, code int) {
	switch r.Cmd {
	case "get.miner.status":
		return s.status3(r.text(), v)
	case "get.device.info":
		return s.device3(r.text(), v)
	case "get.miner.setting":
		return s.setting3(v), code3OK
	case "get.system.setting":
		return map[string]any{keyRandom: map[string]any{"start": seconds(s.q.StartDelay), "stop": seconds(s.q.StopDelay)}}, code3OK
	default:
		return nil, code3Invalid
	}
}
