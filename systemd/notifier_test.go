package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// manager is the other end: it keeps what it was told, with the second it was told in.
type manager struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	deaf  bool
}

func (m *manager) take(state string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf {
		return errors.New("no such file or directory")
	}
	after := time.Since(m.began).Round(100 * time.Millisecond)
	m.lines = append(m.lines, fmt.Sprintf("%v %s", after, strings.ReplaceAll(state, "\n", "; ")))
	return nil
}

// of picks the messages that hold a word.
func (m *manager) of(word string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.lines), func(l string) bool { return !strings.Contains(l, word) })
}

// service is an agent as the notifier sees it.
type service struct {
	mu     sync.Mutex
	dead   bool
	status string
	ready  chan struct{}
}

// becomes changes the service while it runs.
func (s *service) becomes(change func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *service) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dead
}

func (s *service) says() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// start runs a notifier in the bubble and gives the function that stops it.
func start(t *testing.T, m *manager, s *service, watchdog time.Duration, log *slog.Logger) (stop func()) {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	m.began = time.Now()
	s.ready = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	n := &Notifier{Send: m.take, Watchdog: watchdog, Log: log}
	go func() {
		defer close(done)
		n.Run(ctx, s.alive, s.says, s.ready)
	}()
	return func() { cancel(); <-done }
}

func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("systemd was told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestAnOrdinaryLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m manager
		s := service{status: "rack r17: 1/1 buses, 7/7 devices, broker connecting"}
		stop := start(t, &m, &s, 20*time.Second, nil)
		time.Sleep(7 * time.Second)
		close(s.ready)
		time.Sleep(15 * time.Second)
		s.becomes(func(s *service) { s.status = "rack r17: 1/1 buses, 7/7 devices, broker up" })
		time.Sleep(20 * time.Second)
		stop()
		wantLines(t, m.lines, []string{
			"0s EXTEND_TIMEOUT_USEC=10000000; STATUS=reading all devices for the first time",
			"5s EXTEND_TIMEOUT_USEC=10000000",
			"7s READY=1; STATUS=rack r17: 1/1 buses, 7/7 devices, broker connecting",
			"7s WATCHDOG=1",
			"13.7s WATCHDOG=1",
			"20.3s WATCHDOG=1",
			"27s WATCHDOG=1",
			"27s STATUS=rack r17: 1/1 buses, 7/7 devices, broker up",
			"33.7s WATCHDOG=1",
			"40.3s WATCHDOG=1",
			"42s STOPPING=1; STATUS=stopping; no outlet is moved",
		})
	})
}

func TestADeadLoopIsNotFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m manager
		var log bytes.Buffer
		s := service{status: "rack r17"}
		stop := start(t, &m, &s, 3*time.Second, slog.New(slog.NewTextHandler(&log, nil)))
		close(s.ready)
		time.Sleep(1500 * time.Millisecond)
		s.becomes(func(s *service) { s.dead = true })
		time.Sleep(5 * time.Second)
		s.becomes(func(s *service) { s.dead = false })
		time.Sleep(time.Second)
		stop()
		wantLines(t, m.of("WATCHDOG"), []string{"0s WATCHDOG=1", "1s WATCHDOG=1", "7s WATCHDOG=1"})
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the log, want one per change:\n%s", n, &log)
		}
	})
}

func TestStopBeforeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m manager
		s := service{}
		stop := start(t, &m, &s, time.Second, nil)
		time.Sleep(time.Second)
		stop()
		wantLines(t, m.of("=1;"), []string{"1s STOPPING=1; STATUS=stopping; no outlet is moved"})
		if fed := m.of("WATCHDOG"); len(fed) > 0 {
			t.Errorf("fed before ready: %v", fed)
		}
	})
}

// A start that hangs is not stretched for ever, and becomes ready if it comes to life all the same.
func TestAStartIsStretchedForTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m manager
		s := service{status: "late"}
		stop := start(t, &m, &s, 0, nil)
		time.Sleep(time.Hour)
		asked := m.of("EXTEND")
		if last := asked[len(asked)-1]; len(asked) != 24 || last != "1m55s EXTEND_TIMEOUT_USEC=10000000" {
			t.Errorf("asked %d times, the last %q", len(asked), last)
		}
		close(s.ready)
		synctest.Wait()
		stop()
		wantLines(t, m.of("READY"), []string{"1h0m0s READY=1; STATUS=late"})
		if fed := m.of("WATCHDOG"); len(fed) > 0 {
			t.Errorf("nobody watches, and it is fed: %v", fed)
		}
	})
}

func TestALostMessageIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := manager{deaf: true}
		s := service{status: "x"}
		stop := start(t, &m, &s, time.Second, slog.New(slog.NewTextHandler(&log, nil)))
		close(s.ready)
		time.Sleep(10 * time.Second)
		stop()
		if n := strings.Count(log.String(), "systemd was not told"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &log)
		}
	})
}

// TestSocket sends through the real socket of the protocol, more than once.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000000")
	n, err := FromEnvironment(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if n.Watchdog != 20*time.Second {
		t.Errorf("watchdog %s", n.Watchdog)
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1"} {
		if err := n.Send(want); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		size, err := l.Read(b)
		if err != nil || string(b[:size]) != want {
			t.Errorf("%q, %v", b[:size], err)
		}
	}
}

func TestOutsideOfSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	n, err := FromEnvironment(slog.New(slog.DiscardHandler))
	if err != nil || n.Watchdog != 0 || n.Send("READY=1") != nil {
		t.Errorf("%+v, %v", n, err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := FromEnvironment(nil); err == nil {
		t.Error("a watchdog interval that is no number was taken")
	}
}
