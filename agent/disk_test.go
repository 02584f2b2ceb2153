package agent_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/rack"
	"rackagent/agent/sim"
)

// disk is what becomes of the journal's commits. The zero disk is a good one.
type disk struct {
	trouble atomic.Value // of func(dir string) error: asked before each commit; nil: none
	late    atomic.Value // of func(dir string) error: asked after it, as fsync would fail
}

// fits puts the disk below an agent.
func (d *disk) fits(r *rig) {
	r.change = func(w *agent.World) {
		inner := w.Commit
		w.Commit = func(update func() error) error {
			if f, ok := d.trouble.Load().(func(string) error); ok {
				if err := f(r.dir); err != nil {
					return err
				}
			}
			err := inner(update)
			if f, ok := d.late.Load().(func(string) error); ok && err == nil {
				err = f(r.dir)
			}
			return err
		}
	}
}

func good(string) error { return nil }

// full has no room but what the reserve gives up.
func full(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "reserve")); err == nil {
		return &fs.PathError{Op: "write", Path: "journal.db", Err: syscall.ENOSPC}
	}
	return nil
}

func errno(op string, err error) func(string) error {
	return func(string) error { return &fs.PathError{Op: op, Path: "journal.db", Err: err} }
}

// batches counts the batches of readings so far.
func (r *rig) batches() int {
	n := 0
	for _, m := range sim.Of[sim.Message](r.world.Trace().Entries()) {
		if !m.Out && m.Topic == topic.Up("tele") {
			n++
		}
	}
	return n
}

// TestFullDisk: what lowers power is recorded in the reserve and done, what adds power is rejected; with room again both
// are.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := newRig(t), &disk{}
		d.fits(r)
		r.start()
		r.send("off", "outlet.cut", "outlet/pdu-a.3")
		r.expect("off", rack.StateSucceeded, "")
		time.Sleep(31 * time.Second)
		d.trouble.Store(full)
		r.send("on", "outlet.energise", "outlet/pdu-a.3")
		r.expect("on", rack.StateRejected, rack.CodeJournalFull)
		r.send("cycle", "outlet.cycle", "outlet/pdu-a.2")
		r.expect("cycle", rack.StateRejected, rack.CodeJournalFull)
		r.send("shed", "outlet.cut", "outlet/pdu-a.1")
		r.expect("shed", rack.StateSucceeded, "")
		if n := len(r.relayWrites()); n != 2 {
			t.Errorf("%d writes to the relays, want the two cuts", n)
		}
		if s := r.agent.Status(); s.Journal != "full" || !slices.ContainsFunc(s.Alarms, func(a rack.Alarm) bool { return a.Key == "journal" }) {
			t.Errorf("journal %s, alarms %+v", s.Journal, s.Alarms)
		}
		d.trouble.Store(good)
		time.Sleep(2 * time.Minute)
		r.send("nudge", "cmd.list", "rack") // the reserve is set aside again after a commit
		r.await("nudge")
		r.send("on", "outlet.energise", "outlet/pdu-a.3") // the same id: it had no outcome
		for range 100 {
			if strings.Contains(r.states("on"), "succeeded") {
				break
			}
			time.Sleep(time.Second)
		}
		if got := r.states("on"); !strings.HasSuffix(got, "succeeded") {
			t.Errorf("with room again: %s", got)
		}
		if s := r.agent.Status(); s.Journal != "ok" || len(s.Alarms) != 0 {
			t.Errorf("journal %s, alarms %+v", s.Journal, s.Alarms)
		}
		r.close()
	})
}

// TestDiskThatFails: used up, read-only, failing at the write or at the sync: every command is rejected, no relay moves,
// readings go on; a restart on a good disk takes commands again.
func TestDiskThatFails(t *testing.T) {
	for _, c := range []struct {
		name          string
		trouble, late func(string) error
	}{
		{"the reserve is used up", errno("write", syscall.ENOSPC), good},
		{"read-only", errno("write", syscall.EROFS), good},
		{"write fails", errno("write", syscall.EIO), good},
		{"sync fails", good, errno("sync", syscall.EIO)},
		{"no space at the sync", good, errno("sync", syscall.ENOSPC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, d := newRig(t), &disk{}
				d.fits(r)
				r.start()
				time.Sleep(10 * time.Second)
				d.trouble.Store(c.trouble)
				d.late.Store(c.late)
				for i, op := range []string{"outlet.cut", "outlet.energise", "outlet.cycle", "outlet.cut"} {
					id := op[7:] + string(rune('0'+i))
					r.send(id, op, "outlet/pdu-a.3")
					r.expect(id, rack.StateRejected, rack.CodeJournalFull)
				}
				if w := r.relayWrites(); len(w) != 0 {
					t.Errorf("writes to the relays: %v", w)
				}
				before := r.batches()
				time.Sleep(time.Minute)
				if n := r.batches() - before; n < 11 {
					t.Errorf("%d batches in a minute", n)
				}
				if s := r.agent.Status(); s.Journal != "failed" {
					t.Errorf("journal %s", s.Journal)
				}
				d.trouble.Store(good)
				d.late.Store(good)
				r.stop()
				r.start()
				r.send("after", "outlet.cut", "outlet/pdu-a.3")
				r.expect("after", rack.StateSucceeded, "")
				r.close()
			})
		})
	}
}
