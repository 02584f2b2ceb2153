package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"rackagent/agent/wire"
)

// clockEvery is how old the answer may be. Arbitrary: a clock that loses its source stays good for far longer.
const clockEvery = 5 * time.Second

// clocks says who may know whether the wall clock is synchronised. adjtimex(2) would too, but the service may not call
// it (ProtectClock=).
type clocks struct {
	timesync string // file that systemd-timesyncd touches at each synchronisation (systemd-timesyncd.service(8))
	chrony   string // address of chronyd's command port (chrony.conf(5), cmdport)
}

// systemClocks are those of the machine. Other daemons (ntpd, ntpsec, openntpd) are not asked: under them the clock
// counts as not synchronised, which refuses more commands and no others.
func systemClocks() clocks {
	return clocks{timesync: "/run/systemd/timesync/synchronized", chrony: "127.0.0.1:323"} //nolint:misspell // its name
}

// look asks now.
func (c clocks) look() wire.Clock {
	_, missing := os.Stat(c.timesync)
	if missing == nil {
		return wire.Clock{Source: "timesyncd", OK: true}
	}
	tracked, err := askChrony(c.chrony)
	switch _, unstarted := os.Stat(filepath.Dir(c.timesync)); {
	case err == nil:
		return tracked
	case unstarted == nil || !errors.Is(missing, fs.ErrNotExist):
		return wire.Clock{Source: "timesyncd"}
	default:
		return wire.Clock{Source: "none"}
	}
}

// clockWatch looks from time to time, so that whoever wants to know never waits. Its methods may be called from any
// goroutine.
type clockWatch struct {
	clocks
	last atomic.Pointer[wire.Clock]
}

// watchClock takes a first look.
func watchClock(c clocks) *clockWatch {
	w := &clockWatch{clocks: c}
	w.update()
	return w
}

func (w *clockWatch) update() {
	now := w.look()
	w.last.Store(&now)
}

// now is the newest answer.
func (w *clockWatch) now() wire.Clock { return *w.last.Load() }

// run looks until ctx ends.
func (w *clockWatch) run(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.update()
		}
	}
}

// chronyLimit is how long chronyd may take. Arbitrary: it answers on loopback within a millisecond.
const chronyLimit = 250 * time.Millisecond

// askChrony asks chronyd whether the clock is synchronised, and how well. timesyncd tells that to nobody. Its port is below 1024, so that only root can answer there.
func askChrony(address string) (wire.Clock, error) {
	conn, err := net.DialTimeout("udp", address, chronyLimit)
	if err != nil {
		return wire.Clock{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(chronyLimit)); err != nil {
		return wire.Clock{}, err
	}
	if _, err := conn.Write(trackingRequest()); err != nil {
		return wire.Clock{}, err
	}
	reply := make([]byte, 512) // of which 104 are used; a longer datagram is cut
	n, err := conn.Read(reply)
	if err != nil {
		return wire.Clock{}, err
	}
	return readTracking(reply[:n])
}
