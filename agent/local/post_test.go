package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// following is a desk that tells these states when the test asks for them.
func following(states ...rack.State) *desk {
	d := newDesk()
	d.states, d.next, d.left = states, make(chan struct{}), make(chan error, 1)
	return d
}

// Each state is there when it comes, not when the command has ended.
func TestStatesComeAsTheyAre(t *testing.T) {
	want := []rack.State{rack.StateAccepted, rack.StateRunning, rack.StateSucceeded}
	d := following(want...)
	c := client(t, serving(t, d))
	var got []rack.State
	step := func() { d.next <- struct{}{} }
	go step()
	err := c.Command(t.Context(), []byte(`{"v":1,"op":"outlet.cut","target":"outlet/pdu-a.3"}`), func(line []byte) bool {
		s, err := wire.DecodeStatus(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		got = append(got, s.State)
		if !s.State.Terminal() {
			go step() // the next one is made only now
		}
		return s.State.Terminal()
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if cmd := d.taken[0]; !strings.HasPrefix(cmd.ID, "local-") || cmd.AudBoot != boot || cmd.Op != rack.OpCut {
		t.Errorf("%+v", cmd)
	}
}

func TestWhatAClientLeavesOutIsPutIn(t *testing.T) {
	exp := time.Now().Add(20 * time.Second).UnixMilli()
	for body, want := range map[string]rack.Command{
		`{"v":1,"op":"outlet.cut","target":"rack"}`:                                              {AudBoot: boot},
		"\n {\"v\":1,\"op\":\"outlet.cut\",\"target\":\"rack\",\"id\":\"mine\"}\n":               {ID: "mine", AudBoot: boot},
		`{"v":1,"op":"outlet.cut","target":"rack","aud_boot":"other"}`:                           {AudBoot: "other"},
		fmt.Sprintf(`{"id":"m","v":1,"op":"outlet.cut","target":"rack","exp":%d}`, exp):          {ID: "m", AudBoot: boot, Exp: time.UnixMilli(exp)},
		fmt.Sprintf(`{"id":"m","aud_boot":"b","op":"outlet.cut","v":1,"exp":%d,"why":"}"}`, exp): {ID: "m", AudBoot: "b", Exp: time.UnixMilli(exp)},
		`{}`: {AudBoot: boot},
	} {
		s := &Server{o: Opts{Boot: boot}}
		r, err := s.take(Peer{UID: 7}, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		cmd, _ := wire.DecodeCommand(r.Payload, time.Now())
		if cmd.ID != r.ID || want.ID != "" && cmd.ID != want.ID || r.Issuer != "uid:7" {
			t.Errorf("%s: id %s, %s", r.Payload, cmd.ID, r.ID)
		}
		if body != `{}` && !strings.Contains(body, `"m","aud_boot"`) && cmd.AudBoot != want.AudBoot {
			t.Errorf("%s: bound to %q", r.Payload, cmd.AudBoot)
		}
		if left := time.Until(cmd.Exp); want.Exp.IsZero() && strings.Contains(body, "target") && (left < life-10*time.Second || left > life) || !want.Exp.IsZero() && strings.Contains(body, "target") && !cmd.Exp.Equal(want.Exp) {
			t.Errorf("%s: expires %s", r.Payload, cmd.Exp)
		}
		if strings.Contains(body, `"m","aud_boot"`) && string(r.Payload) != body {
			t.Errorf("a whole command is changed: %s", r.Payload)
		}
	}
}

// What nobody vouches for may read and do nothing else, whatever the verb.
func TestNobodyCommands(t *testing.T) {
	d := following(rack.StateSucceeded)
	s, err := New(Opts{Boot: boot, Desk: d, Status: status})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"outlet.cut", "cmd.get", "lock"} {
		got := asked(s, Peer{UID: nobody}, "POST", "/v1/commands", `{"v":1,"op":"`+op+`","target":"rack"}`)
		if got.Code != http.StatusForbidden {
			t.Errorf("%s: %d", op, got.Code)
		}
	}
	if len(d.taken) != 0 {
		t.Errorf("%+v reached the desk", d.taken)
	}
}

// The issuer that a client claims means nothing: the kernel's word counts.
func TestTheIssuerIsThePeer(t *testing.T) {
	d := following()
	s, err := New(Opts{Boot: boot, Desk: d, Status: status})
	if err != nil {
		t.Fatal(err)
	}
	asked(s, Peer{UID: 1000}, "POST", "/v1/commands", `{"v":1,"op":"outlet.cut","target":"rack","iss":"uid:0"}`)
	if <-d.left; d.issuer != "uid:1000" {
		t.Errorf("%s", d.issuer)
	}
}

// A command that takes an hour is followed for an hour: no limit of brief requests ends it.
func TestALongCommandIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := newPipes(), following(rack.StateAccepted, rack.StateRunning, rack.StateSucceeded)
		stop := run(t, d, p)
		c := p.dial()
		defer c.Close()
		start := time.Now()
		go func() {
			for range 3 {
				time.Sleep(20 * time.Minute)
				d.next <- struct{}{}
			}
		}()
		post(t, c, `{"v":1,"op":"outlet.cut","target":"rack"}`)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if n := strings.Count(string(raw), "\n"); err != nil || n != 3 || time.Since(start) != time.Hour {
			t.Errorf("%d states after %s: %v", n, time.Since(start), err)
		}
		stop()
	})
}

func post(t *testing.T, w io.Writer, body string) {
	t.Helper()
	if _, err := fmt.Fprintf(w, "POST /v1/commands HTTP/1.1\r\nHost: agent\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
}

// A peer that goes away, or stops reading, lets go of the desk.
func TestAPeerThatGoes(t *testing.T) {
	for name, leave := range map[string]func(c io.Closer){
		"closes":        func(c io.Closer) { _ = c.Close() },
		"does not read": func(io.Closer) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, d := newPipes(), following(rack.StateAccepted, rack.StateSucceeded)
				stop := run(t, d, p)
				c := p.dial()
				defer c.Close()
				post(t, c, `{"v":1,"op":"outlet.cut","target":"rack"}`)
				synctest.Wait()
				start := time.Now()
				leave(c)
				go func() {
					select {
					case d.next <- struct{}{}:
					case <-time.After(time.Second):
					}
				}()
				if err := <-d.left; err == nil || time.Since(start) > writeLimit {
					t.Errorf("left after %s: %v", time.Since(start), err)
				}
				stop()
				time.Sleep(2 * time.Second)
			})
		})
	}
}

// An answer that ends in the middle is no end of the command.
func TestTheAgentStopsInTheMiddle(t *testing.T) {
	d := following(rack.StateAccepted)
	c := client(t, serving(t, d))
	go func() { d.next <- struct{}{} }()
	err := c.Command(t.Context(), []byte(`{"v":1,"op":"outlet.cut","target":"rack"}`), func([]byte) bool { return false })
	if !errors.Is(err, ErrUnfinished) {
		t.Error(err)
	}
	var r *Refused
	if err := c.Command(t.Context(), []byte(`[]`), func([]byte) bool { return true }); !errors.As(err, &r) || r.Code != http.StatusBadRequest {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Command(ctx, []byte(`{}`), func([]byte) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStory(t *testing.T) {
	story := func(_ context.Context, id string) ([]byte, error) {
		switch id {
		case "known":
			return []byte(`{"command":{}}`), nil
		case "broken":
			return nil, errors.New("the disk")
		}
		return nil, ErrUnknown
	}
	s, err := New(Opts{Boot: boot, Desk: newDesk(), Status: status, Story: story})
	if err != nil {
		t.Fatal(err)
	}
	for id, code := range map[string]int{"known": 200, "other": 404, "broken": 503, "a.b": 400} {
		if got := asked(s, Peer{UID: nobody}, "GET", "/v1/commands/"+id+"/story", ""); got.Code != code {
			t.Errorf("%s: %d, want %d", id, got.Code, code)
		}
	}
	s.o.Story = nil
	if got := asked(s, Peer{}, "GET", "/v1/commands/known/story", ""); got.Code != 404 {
		t.Errorf("not offered: %d", got.Code)
	}
}

// FuzzTake: whatever a peer posts is refused or becomes a payload with an id, and no member that it wrote is lost.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"v":1,"op":"outlet.cut","target":"outlet/pdu-a.3"}`))
	f.Add([]byte(`{"id":"m","aud_boot":"b","exp":1795411676000,"op":"outlet.cut","v":1,"why":"}"}`))
	f.Add([]byte("\t{ }\n"))
	s := &Server{o: Opts{Boot: boot}}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := s.take(Peer{}, body)
		if err != nil {
			return
		}
		var wrote, sent map[string]json.RawMessage
		if json.Unmarshal(body, &wrote) != nil || json.Unmarshal(r.Payload, &sent) != nil || !rack.ValidCommandID(r.ID) {
			t.Fatalf("%s of %s", r.Payload, body)
		}
		for _, key := range []string{"id", "exp", "aud_boot"} {
			if _, ok := sent[key]; !ok {
				t.Fatalf("%s is missing: %s", key, r.Payload)
			}
		}
		for key, v := range wrote {
			if string(sent[key]) != string(v) {
				t.Fatalf("%s is %s, written %s", key, sent[key], v)
			}
		}
	})
}
