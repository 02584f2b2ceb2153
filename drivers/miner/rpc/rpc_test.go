package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
)

const summary = `{"STATUS":[{"STATUS":"S","When":1755700000,"Code":11,"Msg":"Summary","Description":"cgminer 1.0.0"}],` +
	`"SUMMARY":[{"Elapsed":36120,"GHS 5s":108211.40}],"id":1}`

// host is a machine that answers every command with one reply.
func host(t *testing.T, reply string, quirks ...miners.Quirk) (*Client, *miners.Host, *[]miners.Request) {
	t.Helper()
	m := miners.New(miners.Spec{Model: "S19", NominalTHs: 100, NominalW: 3250, StandbyW: 25, Boot: time.Minute, Ramp: time.Minute})
	for _, q := range quirks {
		m.Set(q, true)
	}
	h := miners.NewHost(m)
	var seen []miners.Request
	h.HandleRPC(Port, func(r miners.Request) miners.Reply {
		seen = append(seen, r)
		return miners.Reply(reply)
	})
	return New(miner.Opts{Host: "192.0.2.7", Dial: h.Dial}, Port), h, &seen
}

// TestCommand: the bytes that go out, and what of the reply comes back.
func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, seen := host(t, summary)
		defer h.Close()
		o, err := c.Command(t.Context(), Read, "summary", "", miner.ReadLimit)
		if err != nil || *o.Object("SUMMARY").Number("GHS 5s") != 108211.4 || *o.Object("SUMMARY").Int("Elapsed") != 36120 {
			t.Errorf("%v, %v", o, err)
		}
		synctest.Wait() // the miner has hung up, too
		if _, err := c.Command(t.Context(), Write, "ascset", "0,softoff", miner.ReadLimit); err != nil {
			t.Error(err)
		}
		var sent []string
		for _, r := range *seen {
			sent = append(sent, string(r.Raw))
		}
		if want := []string{"{\"command\":\"summary\"}\n", "{\"command\":\"ascset\",\"parameter\":\"0,softoff\"}\n"}; !reflect.DeepEqual(sent, want) {
			t.Errorf("%q", sent)
		}
		synctest.Wait()
		if h.Open() != 0 || h.Most() != 1 {
			t.Errorf("%d connections are open, %d were at once", h.Open(), h.Most())
		}
	})
}

// TestWires: what is wrong with the wires, as a reader and as a writer see it, and how long it takes to know.
func TestWires(t *testing.T) {
	for _, c := range []struct {
		quirk       miners.Quirk
		read, write drivers.Fault
		within      time.Duration
	}{
		{"", drivers.None, drivers.None, 0},
		{miners.Dribbles, drivers.None, drivers.None, 0},
		{miners.StaysOn, drivers.None, drivers.None, settle},
		{miners.Refuses, drivers.Unreachable, drivers.Unreachable, 0},
		{miners.Vanished, drivers.Unreachable, drivers.Unreachable, miner.DialLimit},
		{miners.Hangs, drivers.Timeout, drivers.Unsure, miner.ReadLimit},
		{miners.Dawdles, drivers.Timeout, drivers.Unsure, miner.ReadLimit},
		{miners.HangsUp, drivers.Corrupt, drivers.Unsure, 0},
		{miners.CutsOff, drivers.Corrupt, drivers.Unsure, 0},
		{miners.Floods, drivers.Corrupt, drivers.Unsure, 0},
	} {
		for kind, want := range map[Kind]drivers.Fault{Read: c.read, Write: c.write} {
			t.Run(kind.String()+" "+string(c.quirk), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, h, _ := host(t, summary, c.quirk)
					defer h.Close()
					began := time.Now()
					o, err := client.Command(t.Context(), kind, "summary", "", miner.ReadLimit)
					if drivers.FaultOf(err) != want || (err == nil) != (o != nil) {
						t.Errorf("%v, %v, want %s", o, err, want)
					}
					if took := time.Since(began); took != c.within {
						t.Errorf("it took %s, want %s", took, c.within)
					}
				})
			})
		}
	}
}

// TestACallEndsWithItsContext: a miner that hangs holds nobody longer than they wish.
func TestACallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, _ := host(t, summary, miners.Hangs)
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Command(ctx, Read, "summary", "", time.Hour)
		if !errors.Is(err, drivers.Timeout) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		cancel()
		if _, err := c.Command(ctx, Read, "summary", "", time.Hour); !errors.Is(err, drivers.Unreachable) && !errors.Is(err, drivers.Timeout) {
			t.Errorf("%v", err)
		}
	})
}

func TestAnswersThatAreNoSuccess(t *testing.T) {
	for reply, want := range map[string]drivers.Fault{
		summary: drivers.None,
		`{"STATUS":[{"STATUS":"I","Code":119,"Msg":"ASC set info"}]}`: drivers.None,
		`{"STATUS":"S","When":1,"Code":131,"Msg":"API command OK"}`:   drivers.None,
		`{"STATUS":"RESTART"}`: drivers.None,
		`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`:              drivers.Unsupported,
		`{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied to 'x' command"}]}`: drivers.Locked,
		`{"STATUS":[{"STATUS":"E","Code":402,"Msg":"Another session is active"}]}`:   drivers.Refused,
		`{"STATUS":[{"STATUS":"F","Code":120,"Msg":"fatal"}]}`:                       drivers.Refused,
		`{"STATUS":[{"STATUS":"W","Code":1,"Msg":"partly"}]}`:                        drivers.Refused,
		`{"SUMMARY":[{"Elapsed":1}]}`:                                                drivers.Corrupt,
		`{}`:                                                                         drivers.Corrupt,
		`[]`:                                                                         drivers.Corrupt,
		`null`:                                                                       drivers.Corrupt,
		`STATUS=S,When=1|`:                                                           drivers.Corrupt,
		"Socket connect failed: Connection refused\n":                                drivers.Unreachable,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, h, _ := host(t, reply)
			defer h.Close()
			_, err := c.Command(t.Context(), Read, "x", "", miner.ReadLimit)
			if drivers.FaultOf(err) != want {
				t.Errorf("%s: %v, want %s", reply, err, want)
			}
		})
	}
}

// TestMend: what real units send in the place of JSON.
func TestMend(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`:                              `{"a":1}`,
		"\x00{\"a\":1}\x00":                    `{"a":1}`,
		"{\"a\":1}\x00{\"b\":2":                `{"a":1}`,
		`{"a":1}{"b":2}`:                       `{"a":1,"b":2}`,
		`{"a":[{"x":1}{"y":2}]}`:               `{"a":[{"x":1},{"y":2}]}`,
		`{"a":[,{"x":1}]}`:                     `{"a":[{"x":1}]}`,
		`{"a":1,}`:                             `{"a":1}`,
		`{"a":[1,2,]}`:                         `{"a":[1,2]}`,
		`{,"a":1}`:                             `{"a":1}`,
		`{"a":inf,"b":-nan,"c":[NaN]}`:         `{"a":null,"b":null,"c":[null]}`,
		`{"a":"inf","b":"nan","c":1,}`:         `{"a":null,"b":null,"c":1}`,
		`{"a":"info","b":"banana inf","c":1,}`: `{"a":"info","b":"banana inf","c":1}`,
		`{"a":"""temp0":5}`:                    `{"a":"","temp0":5}`,
		`{"a":12"b":3}`:                        `{"a":12,"b":3}`,
		`{"a":{"x":1}"b":3}`:                   `{"a":{"x":1},"b":3}`,
		"{\"a\":\"x\ny\",\"b\":\"\x01\"}":      `{"a":"xy","b":""}`,
		"{\"a\":\"\xff\",\"b\":1}":             `{"a":"\ufffd","b":1}`,
		`{"error_code":["218":"2024-06-15 10:30:00","219":"x"]}`: `{"error_code":[{"218":"2024-06-15 10:30:00","219":"x"}]}`,
		`{"a":"},{ [, ,] \" }{","b":1,}`:                         `{"a":"},{ [, ,] \" }{","b":1}`,
	} {
		got, err := Decode([]byte(in))
		var w map[string]any
		d := json.NewDecoder(strings.NewReader(want))
		d.UseNumber()
		if e := d.Decode(&w); e != nil {
			t.Fatal(e)
		}
		if err != nil || !reflect.DeepEqual(map[string]any(got), w) {
			t.Errorf("%q: %v, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "{", `{"a"`, `{"a":1`, "[]", "1", "null", `"x"`, `{"a":}`, "<html></html>", "\x00\x00"} {
		if o, err := Decode([]byte(in)); err == nil {
			t.Errorf("%q: %v", in, o)
		}
	}
}

// TestReaders: absent, empty and odd members are nil and not 0.
func TestReaders(t *testing.T) {
	o, err := Decode([]byte(`{"n":1.5,"t":"1.5","e":"","x":"abc","b":"true","c":0,"l":[{"a":1},2,{"a":2}],"o":{"a":3},"s":[],"z":null,"i":"inf","u":[1,"2",null,"x"],"big":1e400}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]float64{"n": 1.5, "t": 1.5, "c": 0} {
		if got := o.Number(key); got == nil || *got != want {
			t.Errorf("%s: %v", key, got)
		}
	}
	for _, key := range []string{"e", "x", "b", "l", "o", "s", "z", "i", "none", "big"} {
		if got := o.Number(key); got != nil {
			t.Errorf("%s: %v", key, *got)
		}
	}
	if b, c := o.Bool("b"), o.Bool("c"); b == nil || !*b || c == nil || *c || o.Bool("x") != nil || o.Bool("none") != nil {
		t.Error("bools")
	}
	if l := o.List("l"); len(l) != 2 || *l[1].Int("a") != 2 || o.List("o") != nil || o.List("none") != nil {
		t.Errorf("%v", l)
	}
	if *o.Object("o").Int("a") != 3 || *o.Object("l").Int("a") != 1 || o.Object("s") != nil || o.Object("n") != nil {
		t.Error("objects")
	}
	if o.Int("n") != nil || o.First("none", "x", "t") == nil || o.Has("none") || !o.Has("z") || o.Text("n") != "1.5" || o.Text("o") != "" {
		t.Error("others")
	}
	if got := o.Numbers("u"); !reflect.DeepEqual(got, []float64{1, 2}) {
		t.Errorf("%v", got)
	}
}

func TestPlain(t *testing.T) {
	if got := Plain("a\x1b[2J\nb\u202ec  d\xff"); got != "a [2J bc d" {
		t.Errorf("%q", got)
	}
	if got := Plain(strings.Repeat("ä", 200)); len([]rune(got)) != maxText+3 {
		t.Errorf("%d", len(got))
	}
}

// TestErrorsAreForPeople: they name the miner and the command.
func TestErrorsAreForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, _ := host(t, `{"STATUS":[{"STATUS":"E","Code":402,"Msg":"Another\u001b session"}]}`)
		defer h.Close()
		_, err := c.Command(t.Context(), Write, "logon", "", miner.ReadLimit)
		if want := "miner 192.0.2.7: write logon: refused: the miner answers E, code 402: Another session"; err == nil || err.Error() != want || CodeOf(err) != 402 {
			t.Errorf("%v", err)
		}
	})
}

// FuzzDecode: whatever comes, an object or an error; and what is JSON is read as it is.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		summary, `{"a":1}{"b":2}`, `{"a":[{"x":1}{"y":2}]}`, `{"a":"""temp0":5}`, `{"a":inf,}`, `{"error_code":["218":"x"]}`, "\x00{", `{"a":"\`, "[,{",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := Decode(in)
		if (o == nil) == (err == nil) {
			t.Fatalf("%v, %v", o, err)
		}
		var plain map[string]any
		if json.Unmarshal(in, &plain) == nil && plain != nil && err != nil {
			t.Fatalf("JSON that is not read: %v", err)
		}
		for k := range o {
			o.Number(k)
			o.Bool(k)
			o.List(k)
			o.Object(k)
			o.Numbers(k)
		}
		StatusOf(o)
	})
}
