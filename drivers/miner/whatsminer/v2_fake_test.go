package whatsminer

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

func machine() *miners.Machine {
	return miners.New(miners.Spec{Model: "M56S_VH30", NominalTHs: 126, NominalW: 3200, StandbyW: 13, Boot: time.Minute, Ramp: time.Minute, Fall: time.Second})
}

// calls counts the connections of a client, on its own side.
type calls struct {
	dial       func(context.Context, string, string) (net.Conn, error)
	open, most int
}

type call struct {
	net.Conn
	c    *calls
	once sync.Once
}

func (c *calls) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.open++
	c.most = max(c.most, c.open)
	return &call{Conn: conn, c: c}, nil
}

func (c *call) Close() error {
	c.once.Do(func() { c.c.open-- })
	return c.Conn.Close()
}

// fakeV2 answers on port 4028 as it is told to.
type fakeV2 struct {
	machine  *miners.Machine
	password string
	replies  map[string]string // to reads; none: the command is not known
	logins   int
	padding  string // zero, or pkcs7: what it can read; empty: both
	sealed   bool   // answers are
	hangs    string // a command that is answered after a minute, when nobody waits
	asked    []string
	writes   []string // in clear
	// answer is the reply to the nth write, from 1; empty: it hangs up.
	answer func(n int, command string) string
	now    *token // that it takes
	key    string // the only key of a command that it knows; empty: both
}

// onV2 runs a test on a unit that is mining.
func onV2(t *testing.T, change func(*miner.Opts, *fakeV2), test func(t *testing.T, m *V2, f *fakeV2, h *miners.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeV2{machine: machine(), password: "admin", replies: repliesV2(), answer: func(int, string) string { return clearReply }}
		h := miners.NewHost(f.machine)
		defer h.Close()
		h.HandleRPC(rpc.Port, f.serve)
		calls := &calls{dial: h.Dial}
		o := miner.Opts{Host: "192.0.2.7", Dial: calls.Dial}
		if change != nil {
			change(&o, f)
		}
		m, err := NewV2(o, Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, m, f, h)
		if calls.open != 0 || calls.most > 1 {
			t.Errorf("%d connections are open, %d were at once", calls.open, calls.most)
		}
	})
}

func (f *fakeV2) serve(r miners.Request) miners.Reply {
	if r.Fields["enc"] != nil {
		return f.write(r.Text("data"))
	}
	if f.key != "" && r.Fields[f.key] == nil {
		return miners.Reply(`{"STATUS":[{"STATUS":"E","Code":24,"Msg":"Missing JSON 'command'","Description":"cgminer 4.9.2"}],"id":1}`)
	}
	f.asked = append(f.asked, r.Command)
	if r.Command == f.hangs {
		time.Sleep(time.Minute)
	}
	if r.Command == "get_token" {
		return f.login()
	}
	reply, known := f.replies[r.Command]
	switch {
	case !known:
		return miners.Reply(`{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}`)
	case reply == "":
		return nil
	}
	return miners.Reply(reply)
}

// settle lets what hangs end.
func (f *fakeV2) settle() { time.Sleep(2 * time.Minute) }

// login gives another salt each time.
func (f *fakeV2) login() miners.Reply {
	if reply, ok := f.replies["get_token"]; ok {
		return miners.Reply(reply)
	}
	f.logins++
	msg := rpc.Object{"time": fmt.Sprint(5626 + f.logins), "salt": fmt.Sprintf("BQ5hoX%02d", f.logins), "newsalt": fmt.Sprintf("jbzkfQ%02d", f.logins)}
	var err error
	if f.now, err = newToken(f.password, msg); err != nil {
		panic(err)
	}
	b, err := json.Marshal(msg)
	if err != nil {
		panic(err)
	}
	return miners.Reply(`{"STATUS":"S","When":1700000000,"Code":134,"Msg":` + string(b) + `,"Description":""}`)
}

func (f *fakeV2) write(data string) miners.Reply {
	bad := miners.Reply(`{"STATUS":"E","When":1,"Code":23,"Msg":"invalid json","Description":""}`)
	if f.now == nil {
		return bad
	}
	var command map[string]string
	text, err := open(f.now.aes, data)
	if err != nil || json.Unmarshal(text, &command) != nil || f.padding != "" && seal(f.now.aes, text, f.padding == "pkcs7") != data {
		return bad
	}
	if command["token"] != f.now.sign {
		return miners.Reply(`{"STATUS":"E","When":1,"Code":135,"Msg":"check token err","Description":""}`)
	}
	f.writes = append(f.writes, strings.Replace(string(text), f.now.sign, "TOKEN", 1))
	reply := f.answer(len(f.writes), command["cmd"])
	switch {
	case reply == "":
		return nil
	case f.sealed:
		return miners.Reply(fmt.Sprintf(`{"enc":%q}`, seal(f.now.aes, []byte(reply), f.padding == "pkcs7")))
	}
	return miners.Reply(reply)
}

// wrote compares the writes in clear.
func (f *fakeV2) wrote(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait() // the unit has done what it was told
	if !slices.Equal(f.writes, want) {
		t.Errorf("it wrote\n%s\nwant\n%s", strings.Join(f.writes, "\n"), strings.Join(want, "\n"))
	}
}

const (
	wroteOff    = `{"cmd":"power_off","respbefore":"true","token":"TOKEN"}`
	wroteOn     = `{"cmd":"power_on","token":"TOKEN"}`
	wroteLow    = `{"cmd":"set_low_power","token":"TOKEN"}`
	wroteNormal = `{"cmd":"set_normal_power","token":"TOKEN"}`
	wrote3400   = `{"cmd":"adjust_power_limit","power_limit":"3400","token":"TOKEN"}`
)

func sleepV2(ctx context.Context, m *V2) (miner.Answer, error) { return m.Sleep(ctx, miner.Urgency{}) }
