//go:build e2e

package main

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// screen is what an operator sees.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor waits until a text stands on the screen.
func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(s.String(), text) {
			return
		}
	}
	t.Fatalf("%q never came:\n%s", text, s)
}

// TestTheLinesToCopyWork runs exactly the lines that the demo prints, through a shell and the real mosquitto_pub.
func TestTheLinesToCopyWork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out screen
	done := make(chan error, 1)
	go func() { done <- run(ctx, flags{Broker: "127.0.0.1:0", Seed: 1}, &out) }()
	out.waitFor(t, `"op":"start"`)
	var lines []string
	for l := range strings.Lines(out.String()) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "mosquitto_pub ") {
			lines = append(lines, l)
		}
	}
	if len(lines) != 10 {
		t.Fatalf("%d lines to copy:\n%s", len(lines), &out)
	}
	for i, want := range []string{
		"command demo-1-1: succeeded; cut outlet/pdu-a.1",
		"command demo-1-2: rejected, firm_guard",
		"command demo-1-3: accepted",
		"command demo-1-4: rejected, min_off",
		"command demo-1-5: succeeded: planned, nothing done; would cut pdu-a.4",
		"command demo-1-6: succeeded; sleep node/asic-3",
		"command demo-1-7: succeeded; wake node/asic-3",
		"command demo-1-8: succeeded; limit node/asic-5",
		"command demo-1-9: accepted",
		"command demo-1-10: accepted",
	} {
		if b, err := exec.CommandContext(ctx, "sh", "-c", lines[i]).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", lines[i], err, b)
		}
		out.waitFor(t, want)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
