package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// TestStory plays --once in virtual time and compares what an operator reads with a golden file; times and the last digits of a miner's watts are masked.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), flags{Once: true, Seed: 1}, &out); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		// What happens at one moment of the start has no order: those lines are sorted.
		got := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d\d\d`).ReplaceAllString(out.String(), "HH:MM:SS.mmm")
		got = regexp.MustCompile(`\b(\d)\d\d\d W`).ReplaceAllString(got, "${1}xxx W") // a miner's noise
		got = regexp.MustCompile(`\b(\d)\d\d W`).ReplaceAllString(got, "${1}xx W")
		start, rest, _ := strings.Cut(got, "demo  A simulated rack")
		lines := strings.SplitAfter(start, "\n")
		slices.Sort(lines)
		got = strings.Join(lines, "") + "demo  A simulated rack" + rest
		want, err := os.ReadFile("testdata/story.golden")
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("the story reads\n%s\nwant\n%s", got, want)
		}
	})
}

func TestStoryFailsWhereTheWorldIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		err := run(t.Context(), flags{Once: true, Seed: 1, Fault: []string{"welded=pdu-a.3"}}, &out)
		if err == nil || !strings.Contains(err.Error(), "outlet/pdu-a.3 ended failed welded") {
			t.Errorf("%v\n%s", err, &out)
		}
	})
}

func TestFaultsAreNamed(t *testing.T) {
	for _, f := range []string{"welded=pdu-a.9", "melted=pdu-a.1", "welded"} {
		err := run(t.Context(), flags{Fault: []string{f}}, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), strings.SplitN(f, "=", 2)[0]) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestLinesAreCommands checks that the lines to copy hold commands that the agent would read; what a shell and
// mosquitto_pub make of them is tested end to end.
func TestLinesAreCommands(t *testing.T) {
	d, err := newDemo(flags{Seed: 1}, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.world.Close() }()
	now := time.Now()
	seen := make(map[string]bool)
	for _, l := range append(d.pubLines(1, now), d.pubLines(2, now)...) {
		_, payload, ok := strings.Cut(l, "-m '")
		payload = strings.TrimSuffix(payload, "'")
		if !ok || !json.Valid([]byte(payload)) {
			t.Fatalf("line %s", l)
		}
		c, refused := wire.DecodeCommand([]byte(payload), now)
		if refused != nil || seen[c.ID] || c.Exp.Sub(now) > 300*time.Second || c.Exp.Sub(now) < 200*time.Second {
			t.Errorf("line %s: %v", l, refused)
		}
		seen[c.ID] = true
	}
}

// TestWhoStartsTheDemoMayLock: what the README says of the rack's own socket can be tried on the demo's.
func TestWhoStartsTheDemoMayLock(t *testing.T) {
	want := rack.StateSucceeded
	if whoStartedIt() == nil { // nobody in particular runs this test
		want = rack.StateRejected
	}
	d, err := newDemo(flags{Seed: 1, Broker: "127.0.0.1:0"}, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.world.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.agent.Run(ctx) }()
	<-d.ready
	c := local.Dial(d.socket())
	defer c.Close()
	var last wire.Status
	err = c.Command(ctx, []byte(`{"v":1,"id":"lock-1","op":"lock","target":"node/asic-1","why":"fan"}`), func(state []byte) bool {
		last, err = wire.DecodeStatus(state)
		return err != nil || last.State.Terminal()
	})
	if err != nil || last.State != want {
		t.Errorf("%v %+v", err, last)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestItEndsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var out bytes.Buffer
		go func() { done <- run(ctx, flags{Seed: 1}, &out) }()
		time.Sleep(10 * time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%v\n%s", err, &out)
		}
		if n := strings.Count(out.String(), "Lines to copy"); n != 3 {
			t.Errorf("lines to copy were printed %d times in 10 min", n)
		}
	})
}
