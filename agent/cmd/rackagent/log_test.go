package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestPriorities(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newPriorities(&out))
	log.Debug("not shown")
	log.Info("the agent has started", "event", "started")
	log.With("device", "pdu-a").WithGroup("bus").Warn("slow", "name", "main")
	log.Error("two\nlines", "err", "a\nb")
	want := `<6>msg="the agent has started" event=started
<4>msg=slow device=pdu-a bus.name=main
<3>msg="two\nlines" err="a\nb"
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	for level, want := range map[slog.Level]string{-4: "<7>", -1: "<7>", 0: "<6>", 3: "<6>", 4: "<4>", 8: "<3>", 12: "<3>"} {
		if got := prefix(level); got != want {
			t.Errorf("%s: %s", level, got)
		}
	}
}

// Lines of several goroutines never mix, and each has its prefix.
func TestPrioritiesTogether(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newPriorities(&out))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			child := log.With("k", "v")
			for range 100 {
				child.Info("x")
			}
		})
	}
	wg.Wait()
	if n := strings.Count(out.String(), "<6>msg=x k=v\n"); n != 800 || out.Len() != 800*len("<6>msg=x k=v\n") {
		t.Errorf("%d whole lines of 800", n)
	}
}

// Outside of the journal a person reads the lines, and wants the time.
func TestLoggerOnATerminal(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	var out bytes.Buffer
	logger(&out).Info("x")
	if s := out.String(); !strings.HasPrefix(s, "time=") || !strings.Contains(s, "level=INFO") {
		t.Error(s)
	}
}
