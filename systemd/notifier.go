package systemd

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	extendEvery = 5 * time.Second
	// extend asks for 10 s from now, twice extendEvery: one message may be late.
	extend = "EXTEND_TIMEOUT_USEC=10000000"
	// startLimit bounds how long a start is stretched, so that one that hangs ends in TimeoutStartSec= all the same.
	// Arbitrary: the first sweep is given 20 s, and the rest is for a journal on a slow card.
	startLimit = 2 * time.Minute
	// statusEvery is the shortest time between two status lines; a person reads them. Arbitrary.
	statusEvery = 10 * time.Second
)

// Notifier tells systemd how the agent fares. Fields are set before Run and not changed after.
type Notifier struct {
	// Send gives systemd one message of sd_notify(3): assignments, one a line.
	Send func(state string) error
	// Watchdog is the time without WATCHDOG=1 after which systemd ends the service (WatchdogSec=); 0: it does not watch.
	Watchdog time.Duration
	Log      *slog.Logger
}

// FromEnvironment is the Notifier that the environment of this process asks for. Outside of systemd it sends nothing.
func FromEnvironment(log *slog.Logger) (*Notifier, error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, err
	}
	return &Notifier{Watchdog: interval, Log: log, Send: func(state string) error {
		_, err := daemon.SdNotify(false, state) // true would forget the socket after the first message
		return err
	}}, nil
}

// Run speaks until ctx ends, and its last word is STOPPING=1. Until ready is closed it asks for more time; then it says
// READY=1, and from there on WATCHDOG=1 three times per interval as long as alive says so, and status where it changed.
//
// alive and status are called in this goroutine and not before ready: systemd watches from READY=1 on.
func (n *Notifier) Run(ctx context.Context, alive func() bool, status func() string, ready <-chan struct{}) {
	t := &teller{Notifier: n, alive: alive, status: status}
	defer t.say("STOPPING=1\nSTATUS=stopping; no outlet is moved")
	if t.sweep(ctx, ready) {
		t.watch(ctx)
	}
}

// teller is one Run.
type teller struct {
	*Notifier
	alive  func() bool
	status func() string

	told   string // the newest status line sent
	silent bool   // the watchdog is not fed
	failed bool   // the newest message did not get through
}

// sweep asks for more time until ready is closed. False: ctx has ended before.
func (t *teller) sweep(ctx context.Context, ready <-chan struct{}) bool {
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	t.say(extend + "\nSTATUS=reading all devices for the first time")
	for began := time.Now(); ; {
		select {
		case <-ready:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-tick.C:
			if time.Since(began) < startLimit {
				t.say(extend)
			}
		}
	}
}

// watch feeds the watchdog and shows the status.
func (t *teller) watch(ctx context.Context) {
	t.told = t.status()
	t.say("READY=1\nSTATUS=" + t.told)
	show := time.NewTicker(statusEvery)
	defer show.Stop()
	var feed <-chan time.Time // nil: never
	if t.Watchdog > 0 {
		ticker := time.NewTicker(t.Watchdog / 3)
		defer ticker.Stop()
		feed = ticker.C
		t.feed()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-feed:
			t.feed()
		case <-show.C:
			t.show()
		}
	}
}

func (t *teller) feed() {
	alive := t.alive()
	if alive {
		t.say("WATCHDOG=1")
	}
	if alive == t.silent {
		t.silent = !alive
		t.told = "" // so that the status follows
		if t.silent {
			t.Log.Error("the agent gives no sign of life; the watchdog is not fed", "limit", t.Watchdog)
		} else {
			t.Log.Warn("the agent gives signs of life again")
		}
	}
}

func (t *teller) show() {
	if line := t.status(); line != t.told {
		t.told = line
		t.say("STATUS=" + line)
	}
}

// say sends a message. One that is lost is no reason to stop; the first of a row is logged.
func (t *teller) say(state string) {
	err := t.Send(state)
	if err != nil && !t.failed {
		t.Log.Warn("systemd was not told", "err", err)
	}
	t.failed = err != nil
}
