package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"rackagent/config"
)

// A retained state with a clock of its own; the agent itself is not there.
func TestBind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := session{site: "test", agent: "r1", mqtt: config.MQTT{Broker: "mqtt://" + r.world.Broker().Address()}}
	publish := func(topic, payload string) {
		if err := r.world.Broker().Publish("rackagent/v1/test/r1/up/"+topic, []byte(payload), 1, true); err != nil {
			t.Error(err)
		}
	}
	const state = `{"v":1,"state":"online","boot":"b1","conn":1,"ts":%d,"clock":{"src":"none","ok":%t}}`
	for name, c := range map[string]struct {
		state, tele string
		own, boot   string
		shows       int64 // ms; 0: the time here
	}{
		"synchronised":          {state: fmt.Sprintf(state, 5000, true)},
		"synchronised, bound":   {state: fmt.Sprintf(state, 5000, true), own: "b0", boot: "b0"},
		"its own clock":         {state: fmt.Sprintf(state, 5000, false), tele: `{"v":1,"ts":65000}`, boot: "b1", shows: 65000},
		"an old batch":          {state: fmt.Sprintf(state, 5000, false), tele: `{"v":1,"ts":4000}`, boot: "b1", shows: 5000},
		"its own clock, bound":  {state: fmt.Sprintf(state, 5000, false), tele: `{"v":1,"ts":65000}`, own: "b0", boot: "b0", shows: 65000},
		"not of this version":   {state: `{"ts":5000,"clock":true}`},
		"a state without clock": {state: `{"ts":5000,"boot":"b1"}`},
	} {
		publish("state", c.state)
		publish("tele", c.tele)
		client, err := s.connect(t.Context()) // a new one each time, as rackagent command has
		if err != nil {
			t.Fatal(err)
		}
		o, now := s.bind(t.Context(), client, order{audBoot: c.own})
		client.Close()
		if o.audBoot != c.boot {
			t.Errorf("%s: bound to %q, want %q", name, o.audBoot, c.boot)
		}
		if away := time.Since(now); c.shows != 0 && now.UnixMilli() != c.shows || c.shows == 0 && (away < 0 || away > time.Minute) {
			t.Errorf("%s: %s", name, now)
		}
	}
}

func TestTheBootIsInTheEnvelope(t *testing.T) {
	o := order{id: "x", op: "outlet.cut", target: "rack", site: "a", agent: "b", ttl: time.Second, audBoot: "b1"}
	payload, err := o.encode(noon)
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil || e.Boot != "b1" || e.Exp != noon.Add(time.Second).UnixMilli() {
		t.Errorf("%s, %v", payload, err)
	}
}
