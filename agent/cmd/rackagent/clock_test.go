package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/wire"
)

// Answers of chronyd 4.3 (Debian 12) to trackingRequest: with "local stratum 10" and no other source, and with no
// source at all. The third is the first with the reference of a server, 192.0.2.1.
const (
	chronyLocal = "060200000021000500000000000000000000000000000000000000007f7f01010000000000000000000000000000000000000000" +
		"000a0000000000006b076ab4000aa682000000000000000000000000000000000000000000000000000000000000000000000000"
	chronyAlone = "06020000002100050000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"00000003000000000000000000000000000000000000000000000000000000000000000000000000048000000480000000000000"
	chronySynced = "06020000002100050000000000000000000000000000000000000000c00002010000000000000000000000000000000000000000" +
		"000a0000000000006b076ab4000aa682000000000000000000000000000000000000000000000000000000000000000000000000"
)

func vector(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTracking(t *testing.T) {
	for name, c := range map[string]struct {
		reply  string
		synced bool
	}{
		"synchronised": {chronySynced, true}, "own clock as source": {chronyLocal, false}, "no source": {chronyAlone, false},
	} {
		if got, err := readTracking(vector(t, c.reply)); err != nil || got != (wire.Clock{Source: "chrony", OK: c.synced}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	good := vector(t, chronySynced)
	for i := range 10 {
		if i == 2 || i == 3 { // reserved
			continue
		}
		bad := append([]byte(nil), good...)
		bad[i]++
		if _, err := readTracking(bad); err == nil {
			t.Errorf("byte %d changed, and it was believed", i)
		}
	}
	if _, err := readTracking(good[:len(good)-1]); err == nil {
		t.Error("cut, and it was believed")
	}
}

// The words are what chronyd sends: -8 << 25 | 0.0015 * 2^33 for 1.5 ms, and so on.
func TestTrackingError(t *testing.T) {
	for name, c := range map[string]struct {
		correction, delay, dispersion uint32
		want                          float64
	}{
		"none told":      {0, 0, 0, 0},
		"one second":     {0, 0, 0x04800000, 1000}, // as chronyd says of an unsynchronised clock
		"all three":      {0x78<<25 | 12884902, 0x7c<<25 | 16106127, 0x78<<25 | 12884902, 18},
		"corrected back": {0x78<<25 | (1<<25 - 12884902), 0, 0, 1.501},
		"nonsense":       {0, 0x7f<<25 | 1<<24, 0, 0}, // a negative delay
		"years":          {0x3f<<25 | 0xffffff, 0, 0, 0},
	} {
		b := vector(t, chronySynced)
		binary.BigEndian.PutUint32(b[correctionAt:], c.correction)
		binary.BigEndian.PutUint32(b[delayAt:], c.delay)
		binary.BigEndian.PutUint32(b[dispersionAt:], c.dispersion)
		if got, err := readTracking(b); err != nil || !got.OK || got.ErrMS != c.want {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, c.want)
		}
	}
}

func FuzzTracking(f *testing.F) {
	for _, s := range []string{chronyLocal, chronyAlone, chronySynced, "", "0602"} {
		f.Add(vector(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := readTracking(b); got.ErrMS < 0 || got.ErrMS > 86_400_000 || got.OK && (err != nil || len(b) < trackingSize || b[leapAt+1] > 2) {
			t.Errorf("%x is taken for a synchronised clock: %v", b, err)
		}
	})
}

// chronyd answers on a UDP port of its own until the test ends.
func chronyd(t *testing.T, reply []byte) (address string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1000)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n == trackingSize && b[0] == 6 && b[1] == 1 && b[5] == 33 {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return c.LocalAddr().String()
}

func TestClocks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "synced")
	nowhere := filepath.Join(dir, "no", "synced")
	synced, unsynced := chronyd(t, vector(t, chronySynced)), chronyd(t, vector(t, chronyAlone))
	for name, c := range map[string]struct {
		clocks clocks
		want   wire.Clock
	}{
		"nobody":             {clocks{nowhere, silent}, wire.Clock{Source: "none"}},
		"chrony":             {clocks{nowhere, synced}, wire.Clock{Source: "chrony", OK: true}},
		"chrony not yet":     {clocks{nowhere, unsynced}, wire.Clock{Source: "chrony"}},
		"not chrony":         {clocks{nowhere, chronyd(t, []byte("hello"))}, wire.Clock{Source: "none"}},
		"timesyncd not yet":  {clocks{file, silent}, wire.Clock{Source: "timesyncd"}},
		"chrony is the live": {clocks{file, synced}, wire.Clock{Source: "chrony", OK: true}},
	} {
		if got := c.clocks.look(); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	write(t, file, "")
	if got := (clocks{file, silent}).look(); got != (wire.Clock{Source: "timesyncd", OK: true}) {
		t.Errorf("timesyncd: %+v", got)
	}
}

// A clock that loses its source, or finds it, is noticed within clockEvery.
func TestClockWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "synced")
	synctest.Test(t, func(t *testing.T) {
		// An address that no dialler can use: nothing of the network enters the bubble.
		w := watchClock(clocks{timesync: file, chrony: "no address"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.run(ctx)
		if w.now().OK {
			t.Error("synchronised before anybody said so")
		}
		write(t, file, "")
		time.Sleep(clockEvery)
		synctest.Wait()
		if !w.now().OK {
			t.Error("not noticed")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(clockEvery)
		synctest.Wait()
		if w.now().OK {
			t.Error("the loss was not noticed")
		}
	})
}
