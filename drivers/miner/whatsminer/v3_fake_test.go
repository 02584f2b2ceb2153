package whatsminer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
)

// fakeV3 answers on port 4433 as it is told to.
type fakeV3 struct {
	machine  *miners.Machine
	password string
	account  string
	salt     string            // that it takes, and tells of as param salt
	replies  map[string]string // to reads, by the last of command and param; empty: it hangs up
	asked    []string
	writes   []string
	hangs    string // a param that is never answered
	refused  int    // for want of permission
	answer   func(n int, command string) string
}

const okV3 = `{"code":0,"when":1755700000,"msg":"ok","desc":"set"}`

func onV3(t *testing.T, change func(*miner.Opts, *fakeV3), test func(t *testing.T, m *V3, f *fakeV3, h *miners.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeV3{machine: machine(), password: "super", account: "super", salt: "5QAHiKMb", replies: repliesV3(), answer: func(int, string) string { return okV3 }}
		h := miners.NewHost(f.machine)
		defer h.Close()
		h.Handle(PortV3, f.serve)
		calls := &calls{dial: h.Dial}
		o := miner.Opts{Host: "192.0.2.7", Dial: calls.Dial}
		if change != nil {
			change(&o, f)
		}
		m, err := NewV3(o, Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, m, f, h)
		if calls.open != 0 || calls.most > 1 {
			t.Errorf("%d connections are open, %d were at once", calls.open, calls.most)
		}
	})
}

func (f *fakeV3) serve(c net.Conn) {
	defer c.Close()
	raw, err := unframed(c)
	if err != nil {
		return
	}
	var r struct {
		Cmd, Token, Account string
		Param               json.RawMessage
		TS                  int64
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return
	}
	param := string(r.Param)
	if f.hangs != "" && param == `"`+f.hangs+`"` {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	reply := f.read(r.Cmd, strings.Trim(param, `"`))
	if strings.HasPrefix(r.Cmd, "set.") {
		h := sha256.Sum256(fmt.Appendf(nil, "%s%s%s%d", r.Cmd, f.password, f.salt, time.Now().Unix()))
		if r.Token != base64.StdEncoding.EncodeToString(h[:])[:8] || r.Account != f.account || r.TS != time.Now().Unix() {
			f.refused++
			reply = `{"code":-4,"when":1,"msg":"no permission","desc":"x"}`
		} else {
			f.writes = append(f.writes, r.Cmd+" "+param)
			reply = f.answer(len(f.writes), r.Cmd)
		}
	}
	if reply != "" {
		_, _ = c.Write(framed([]byte(reply)))
	}
}

func (f *fakeV3) read(command, param string) string {
	f.asked = append(f.asked, strings.TrimSpace(command+" "+param))
	key := param
	switch {
	case command == "get.device.info" && param == "salt":
		if _, ok := f.replies["salt"]; !ok {
			return `{"code":0,"when":1,"msg":{"salt":"` + f.salt + `"},"desc":"get.device.info"}`
		}
	case command == "get.device.info":
		key = "info"
	case param == "":
		key = command
	}
	reply, known := f.replies[key]
	if !known {
		return `{"code":-2,"when":1,"msg":"invalid command","desc":"x"}`
	}
	return reply
}

func (f *fakeV3) wrote(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait() // the unit has done what it was told
	if !slices.Equal(f.writes, want) {
		t.Errorf("it wrote %q, want %q", f.writes, want)
	}
}

const (
	wroteStop   = `set.miner.service "stop"`
	wroteStart  = `set.miner.service "start"`
	wroteMode   = `set.miner.power_mode "normal"`
	wroteLimit3 = `set.miner.power_limit 3600`
)
