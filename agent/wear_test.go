package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent"
	"rackagent/agent/audit"
	"rackagent/agent/backlog"
	"rackagent/agent/sim"
)

const (
	// diskPage is what a disk writes at least: the page size of the journal and of the page cache.
	diskPage = 4 << 10
	// measured is how long each state of TestBytesWrittenPerDay lasts, in virtual time.
	measured = 10 * time.Minute
	perDay   = int64(24 * time.Hour / measured)
	// allowance is what a controller may write in a day: half the life of a small eMMC in ten years.
	allowance = 4_400_000_000
)

// wear counts what an agent writes to its disk, in whole pages; what the file system adds for itself is not in it.
type wear struct {
	commits                        atomic.Int64
	journal, audit, backlog, files atomic.Int64 // in bytes; files: the zeros that a file of the backlog begins with
}

// worn are the counts at one moment, or between two.
type worn struct{ commits, journal, audit, backlog, files int64 }

func (w *wear) now() worn {
	return worn{w.commits.Load(), w.journal.Load(), w.audit.Load(), w.backlog.Load(), w.files.Load()}
}

func (w worn) since(e worn) worn {
	return worn{w.commits - e.commits, w.journal - e.journal, w.audit - e.audit, w.backlog - e.backlog, w.files - e.files}
}

// fits puts the count below an agent.
func (w *wear) fits(r *rig) {
	r.change = func(o *agent.World) {
		inner, file := o.Commit, filepath.Join(r.dir, "journal.db")
		o.Commit = func(update func() error) error {
			earlier, _ := os.ReadFile(file)
			err := inner(update)
			later, _ := os.ReadFile(file)
			w.commits.Add(1)
			w.journal.Add(changed(earlier, later))
			return err
		}
		o.Audit = wornAudit{o.Audit, w}
		disk := o.BacklogDisk
		o.BacklogDisk = func(d backlog.Disk) backlog.Disk { return wornBacklog{disk(d), w} }
	}
}

// changed is the size of the pages that differ. A page that was written with what it held before is not counted.
func changed(earlier, later []byte) (n int64) {
	for at := 0; at < len(later); at += diskPage {
		end := min(at+diskPage, len(later))
		if end > len(earlier) || !bytes.Equal(earlier[at:end], later[at:end]) {
			n += diskPage
		}
	}
	return n
}

// pages is the size of the pages that a write touches.
func pages(at int64, n int) int64 {
	return ((at+int64(n)+diskPage-1)/diskPage - at/diskPage) * diskPage
}

type wornAudit struct {
	audit.Disk
	w *wear
}

func (d wornAudit) Create(name string) (audit.File, error) {
	f, err := d.Disk.Create(name)
	return wornAuditFile{f, d.w}, err
}

func (d wornAudit) Append(name string) (audit.File, error) {
	f, err := d.Disk.Append(name)
	return wornAuditFile{f, d.w}, err
}

type wornAuditFile struct {
	audit.File
	w *wear
}

// Write counts as if what is written began a page; where it does not, it may touch one more.
func (f wornAuditFile) Write(p []byte) (int, error) {
	f.w.audit.Add(pages(0, len(p)))
	return f.File.Write(p)
}

type wornBacklog struct {
	backlog.Disk
	w *wear
}

func (d wornBacklog) Create(name string, size int64) error {
	d.w.files.Add(size)
	return d.Disk.Create(name, size)
}

func (d wornBacklog) Open(name string) (backlog.File, error) {
	f, err := d.Disk.Open(name)
	if err != nil {
		return nil, err
	}
	return wornBacklogFile{f, d.w}, nil
}

type wornBacklogFile struct {
	backlog.File
	w *wear
}

func (f wornBacklogFile) WriteAt(p []byte, at int64) (int, error) {
	f.w.backlog.Add(pages(at, len(p)))
	return f.File.WriteAt(p, at)
}

// TestBytesWrittenPerDay counts what the disk gets from an agent at the broker, without commands and with, and without
// a broker. Ten minutes of each are taken for a day. The backlog thins nothing in that time, which would write at most
// half as much again (backlog, Wear), and a file's zeros are never more than the pages that are written over them later.
func TestBytesWrittenPerDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, func(c *sim.Config) { c.TraceLimit = 1 << 16 }), &wear{}
		w.fits(r)
		r.start()
		time.Sleep(time.Minute)

		began := w.now()
		time.Sleep(measured)
		if got := w.now().since(began); got != (worn{}) {
			t.Errorf("at the broker and without commands: %+v", got)
		}

		began = w.now()
		const commands = 10
		for i := range commands {
			id := fmt.Sprintf("c%d", i)
			r.send(id, "outlet.cut", "outlet/pdu-a.3")
			r.await(id)
			time.Sleep(10 * time.Second)
		}
		got := w.now().since(began)
		t.Logf("a command: %.1f commits, %d B in the journal, %d B in the audit log", float64(got.commits)/commands, got.journal/commands, got.audit/commands)
		t.Logf("at the broker and without commands: nothing; with 200 commands a day: %d B", 200*(got.journal+got.audit)/commands)
		if got.commits == 0 || got.journal == 0 || got.audit == 0 || got.backlog+got.files != 0 || 200*(got.journal+got.audit)/commands > allowance/100 {
			t.Errorf("%d commands: %+v", commands, got)
		}

		if err := r.world.Broker().Stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the first file is made
		began = w.now()
		time.Sleep(measured)
		got = w.now().since(began)
		t.Logf("without a broker: %d B a day, and at most as much for new files", got.backlog*perDay)
		if got.backlog == 0 || got.journal+got.audit != 0 || got.backlog*perDay > allowance/40 {
			t.Errorf("without a broker: %+v", got)
		}
		if err := r.world.Broker().Start(""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		r.stop()
		if err := r.world.Close(); err != nil {
			t.Error(err)
		}
	})
}
