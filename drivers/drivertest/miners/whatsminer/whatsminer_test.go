package whatsminer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
)

var both = Opts{V2: true, V3: true, Unlocked: true}

func spec() miners.Spec {
	return miners.Spec{
		Model: "M50S_VH30", MAC: "02:00:5e:00:00:07", Serial: "SN7", NominalTHs: 100, NominalW: 3200, StandbyW: 13,
		Boot: time.Minute, Ramp: 100 * time.Second, Fall: 2 * time.Second,
		Profiles: []miners.Profile{{Name: "low", W: 2000, THs: 70}, {Name: "normal", W: 3200, THs: 100}, {Name: "high", W: 3800, THs: 115}},
	}
}

// bench is a machine that has been hashing in its normal mode for an hour, and a client of it.
type bench struct {
	*testing.T
	m *miners.Machine
	h *miners.Host
	s *Server
}

func on(t *testing.T, o Opts, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miners.New(spec())
		m.Keep(spec().Profiles[1])
		h := miners.NewHost(m)
		defer h.Close()
		b := &bench{T: t, m: m, h: h, s: New(m, h, o)}
		time.Sleep(time.Hour)
		f(b)
	})
}

func (b *bench) dial(port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	c, err := b.h.Dial(ctx, "tcp", net.JoinHostPort("miner", strconv.Itoa(port)))
	if err == nil {
		err = c.SetDeadline(time.Now().Add(5 * time.Second))
	}
	return c, err
}

// send2 gives what came back before the end of the connection, without the NUL.
func (b *bench) send2(request string) string {
	b.Helper()
	c, err := b.dial(PortV2)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		b.Fatal(err)
	}
	raw, err := io.ReadAll(c)
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSuffix(string(raw), "\x00")
}

// send3 gives the frame that came back; empty: the connection ended.
func (b *bench) send3(request string) string {
	b.Helper()
	c, err := b.dial(PortV3)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(frame([]byte(request))); err != nil {
		b.Fatal(err)
	}
	raw, err := readFrame(c)
	if err != nil && !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
	return string(raw)
}

func (b *bench) object(text string) any {
	b.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		b.Fatalf("%v in %q", err, text)
	}
	return v
}

// at follows a path of members and indices; nil: it leads nowhere.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (b *bench) want(what string, got, want any) {
	b.Helper()
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got != want {
		b.Errorf("%s: %#v, want %#v", what, got, want)
	}
}

func (b *bench) near(what string, got any, want float64) {
	b.Helper()
	f, ok := got.(float64)
	if !ok || math.Abs(f-want) > 0.001*math.Abs(want) {
		b.Errorf("%s: %#v, want about %g", what, got, want)
	}
}

func (b *bench) read2(cmd string, path ...any) any {
	b.Helper()
	return at(b.object(b.send2(`{"cmd":"`+cmd+`"}`)), path...)
}

func (b *bench) sum2(key string) any {
	b.Helper()
	return b.read2("summary", "SUMMARY", 0, key)
}

// token gives the sign and the key for one write.
func (b *bench) token() (sign string, key []byte) {
	b.Helper()
	v := b.read2("get_token", "Msg")
	text := func(k string) string { s, _ := at(v, k).(string); return s }
	hash := md5crypt("admin", text("salt"))
	return md5crypt(hash+text("time"), text("newsalt")), aesKey(hash)
}

// secret sends a command with its own sign, and gives the answer in clear; nil: there was none.
func (b *bench) secret(key []byte, p Padding, clear string) any {
	b.Helper()
	raw := b.send2(`{"enc":1,"data":"` + encrypt(key, []byte(clear), p) + `"}`)
	if raw == "" {
		return nil
	}
	v := b.object(raw)
	enc, ok := at(v, "enc").(string)
	if !ok {
		return v
	}
	plain, err := decrypt(key, enc, PadEither)
	if err != nil {
		b.Fatal(err)
	}
	return b.object(string(plain))
}

// write2 sends a command, given without its braces, with a new token.
func (b *bench) write2(members string) any {
	b.Helper()
	sign, key := b.token()
	return b.secret(key, PadZero, `{`+members+`,"token":"`+sign+`"}`)
}

func (b *bench) code2(members string, want int) {
	b.Helper()
	b.want(members, at(b.write2(members), "Code"), want)
}

func (b *bench) read3(request string, path ...any) any {
	b.Helper()
	return at(b.object(b.send3(request)), path...)
}

func (b *bench) sum3(key string) any {
	b.Helper()
	return b.read3(`{"cmd":"get.miner.status","param":"summary"}`, "msg", "summary", key)
}

func (b *bench) info3(path ...any) any {
	b.Helper()
	return b.read3(`{"cmd":"get.device.info"}`, append([]any{"msg"}, path...)...)
}

// write3 sends a signed command; nil: there was no answer.
func (b *bench) write3(cmd, param string) any {
	b.Helper()
	salt, _ := b.info3("salt").(string)
	ts := time.Now().Unix()
	raw := b.send3(`{"cmd":"` + cmd + `","param":` + param + `,"ts":` + strconv.FormatInt(ts, 10) +
		`,"token":"` + token3(cmd, "super", salt, ts) + `","account":"super"}`)
	if raw == "" {
		return nil
	}
	return at(b.object(raw), "code")
}

func (b *bench) code3(cmd, param string, want int) {
	b.Helper()
	b.want(cmd+" "+param, b.write3(cmd, param), want)
}

// last is the write that came in last.
func (b *bench) last() Write {
	b.Helper()
	w := b.s.Writes()
	if len(w) == 0 {
		b.Fatal("no write")
	}
	return w[len(w)-1]
}

// TestFraming: the length, the lowest byte first; two requests on one connection; nothing after ten silent seconds, or a
// minute where the machine stays on.
func TestFraming(t *testing.T) {
	for stays, wait := range map[bool]time.Duration{false: idle, true: time.Minute} {
		on(t, both, func(b *bench) {
			b.m.Set(miners.StaysOn, stays)
			c, err := b.dial(PortV3)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				b.Fatal(err)
			}
			for range 2 {
				if _, err := c.Write([]byte("\x19\x00\x00\x00{\"cmd\":\"get.device.info\"}")); err != nil {
					b.Fatal(err)
				}
				raw, err := readFrame(c)
				if err != nil {
					b.Fatal(err)
				}
				b.want("type", at(b.object(string(raw)), "msg", "miner", "type"), "M50S_VH30")
			}
			began := time.Now()
			if _, err := readFrame(c); !errors.Is(err, io.EOF) {
				b.Errorf("%v, want the end", err)
			}
			if d := time.Since(began); d != wait {
				b.Errorf("hung up after %v, want %v", d, wait)
			}
		})
	}
	for n, ok := range map[int]bool{frameMax: true, frameMax + 1: false} {
		if _, err := readFrame(bytes.NewReader(frame(make([]byte, n)))); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestPorts: what is not served refuses.
func TestPorts(t *testing.T) {
	on(t, Opts{V3: true}, func(b *bench) {
		if _, err := b.dial(PortV2); err == nil {
			b.Error("4028 is open")
		}
		if c, err := b.dial(PortV3); err != nil {
			b.Error(err)
		} else {
			c.Close()
		}
	})
}
