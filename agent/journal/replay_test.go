package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// What a power cut can leave of a commit.
//
// bbolt v1.5.0 commits in this order (tx.go, Commit): the file grows if it must (ftruncate, fsync); data pages,
// in order of their number, are written with pwrite; fdatasync; one meta page is written; fdatasync. Its writes
// cannot be intercepted (Options.OpenFile must return an *os.File), so the tests below take the file's bytes
// before and after each commit, through Opts.Commit, and take the difference apart into page writes.
//
// What this proves: of the pages that differ, any prefix, any subset and any page torn at a sector's border leaves
// the state before the commit, as long as the meta page is not written; all of them with the meta page are the
// state after it; and a meta page with any page missing (a disk that did not flush when told) is noticed.
// What it does not prove: that bbolt issues its writes in that order (read in its source, and seen once with
// strace), that the kernel and the disk honour fdatasync, or anything about a disk that drops the whole commit,
// meta page included: that leaves an older state that is whole.

// sector is what a disk writes whole or not at all.
const sector = 512

// commitBytes is the journal file before and after one commit.
type commitBytes struct{ before, after []byte }

// recorded writes all of sets, one commit each, and gives the bytes around each commit.
func recorded(t *testing.T, sets [][]rack.Record) []commitBytes {
	t.Helper()
	dir := memoryDir(t)
	path := filepath.Join(dir, fileJournal)
	var out []commitBytes
	o := optsAt(dir)
	o.Keep, o.KeepFor = 10, 1                               // prune, so that pages are freed and used again
	o.Now = func() time.Time { return t0.AddDate(0, 0, 1) } // past every expiry
	o.Commit = func(update func() error) error {
		before, _ := os.ReadFile(path)
		err := update()
		after, _ := os.ReadFile(path)
		if before != nil { // the first commit is under another name
			out = append(out, commitBytes{before, after})
		}
		return err
	}
	j, _ := open(t, o)
	stop := run(t, j)
	for _, s := range sets {
		mustKeep(t, j, s...)
	}
	stop()
	return out
}

// history is a life with small and large records, groups, replaced facts and pruning.
func history() [][]rack.Record {
	var sets [][]rack.Record
	for n := range 18 {
		id := fmt.Sprintf("c%02d", n)
		a := accepted(id, rack.OpCut)
		if n%5 == 0 {
			a.Reason = string(bytes.Repeat([]byte{'a' + byte(n)}, 9000)) // spans pages
		}
		sets = append(sets, []rack.Record{a})
		if n%3 == 0 {
			sets = append(sets, []rack.Record{progressed(id), wired(outlet, rack.WiringProven, id)})
		}
		if n != 7 {
			sets = append(sets, []rack.Record{ended(id, rack.StateSucceeded)}, []rack.Record{acked(id)})
		}
		if n%8 == 0 {
			sets = append(sets, []rack.Record{orderRecord(rack.RecordOrder, rack.OrderLimit, float64(n)), withdrawn(rack.OutletID{PDU: "pdu-b", N: n + 1})})
		}
	}
	return sets
}

const pageSize4k = 4096

// writes are the page writes of a commit: offsets of the pages that differ, data pages in order, then the meta page.
func (c commitBytes) writes(t *testing.T) (data []int, metaAt int) {
	t.Helper()
	size := pageSizeOf(c.after)
	metaAt = -1
	for at := 0; at < len(c.after); at += size {
		var old []byte
		if at < len(c.before) {
			old = c.before[at : at+size]
		} else {
			old = make([]byte, size)
		}
		switch {
		case bytes.Equal(old, c.after[at:at+size]):
		case at >= 2*size:
			data = append(data, at)
		case metaAt >= 0:
			t.Fatal("one commit changed both meta pages")
		default:
			metaAt = at
		}
	}
	if metaAt < 0 || len(data) == 0 {
		t.Fatalf("a commit of %d data pages, meta page at %d", len(data), metaAt)
	}
	return data, metaAt
}

func pageSizeOf(file []byte) int {
	m, err := readMeta(bytes.NewReader(file), 0, 0)
	if err != nil {
		return pageSize4k
	}
	return int(m.pageSize)
}

// grown is the file before the commit, with the size it has after it.
func (c commitBytes) grown() []byte {
	b := make([]byte, len(c.after))
	copy(b, c.before)
	return b
}

// stand is a directory to try files in.
type stand struct {
	t   *testing.T
	dir string
}

func (s stand) look(file []byte) (facts, error) {
	put(s.t, s.dir, fileJournal, file)
	return look(s.dir)
}

func (s stand) mustBe(want facts, file []byte, what string) {
	s.t.Helper()
	got, err := s.look(file)
	if err == nil {
		err = want.differs(got)
	}
	if err == nil && !got.whole() {
		err = errors.New("damaged")
	}
	if err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

func TestPowerCutDuringCommit(t *testing.T) {
	s := stand{t, memoryDir(t)}
	rnd := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for n, c := range recorded(t, history()) {
		before, err := s.look(c.before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := s.look(c.after)
		if err != nil {
			t.Fatal(err)
		}
		data, metaAt := c.writes(t)
		size := pageSizeOf(c.after)
		apply := func(file []byte, at, n int) { copy(file[at:at+n], c.after[at:at+n]) }

		file := c.grown() // only grown
		s.mustBe(before, file, fmt.Sprintf("commit %d, grown", n))
		for i, at := range data { // any prefix, the last page torn
			for cut := sector; cut <= size; cut += sector {
				apply(file, at, cut)
				tried++
				if cut == sector || cut == size || rnd.IntN(8) == 0 {
					s.mustBe(before, file, fmt.Sprintf("commit %d, %d pages and %d bytes", n, i, cut))
				}
			}
		}
		for range 6 { // any subset, each page torn anywhere
			file := c.grown()
			for _, at := range data {
				apply(file, at, sector*rnd.IntN(size/sector+1))
			}
			s.mustBe(before, file, fmt.Sprintf("commit %d, a subset", n))
		}
		for cut := sector; cut <= size; cut += sector { // the meta page, torn
			apply(file, metaAt, cut)
			if cut == sector || cut == size {
				s.mustBe(after, file, fmt.Sprintf("commit %d, %d bytes of the meta page", n, cut))
			}
		}
		if !bytes.Equal(file, c.after) {
			t.Fatal("the replay is not the commit")
		}
	}
	if tried < 800 {
		t.Errorf("only %d torn writes tried", tried)
	}
}

// TestDiskThatDidNotFlush leaves pages out although the meta page was written. The journal must be unreadable, or
// say exactly what it should: never the state before, never a mixture.
func TestDiskThatDidNotFlush(t *testing.T) {
	s := stand{t, memoryDir(t)}
	rnd := rand.New(rand.NewPCG(3, 4))
	noticed, harmless := 0, 0
	for n, c := range recorded(t, history()) {
		after, err := s.look(c.after)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := c.writes(t)
		size := pageSizeOf(c.after)
		old := c.grown()
		try := func(missing []int, what string) {
			file := bytes.Clone(c.after)
			for _, at := range missing {
				copy(file[at:at+size], old[at:at+size])
			}
			switch got, err := s.look(file); {
			case errors.Is(err, errUnreadable):
				noticed++
			case err != nil:
				t.Errorf("commit %d, %s: %v", n, what, err)
			case after.differs(got) != nil:
				t.Errorf("commit %d, %s: %v", n, what, after.differs(got))
			default:
				harmless++
			}
		}
		for i, at := range data {
			try([]int{at}, fmt.Sprintf("page %d of %d missing", i, len(data)))
		}
		for range 6 {
			var missing []int
			for _, at := range data {
				if rnd.IntN(2) == 0 {
					missing = append(missing, at)
				}
			}
			if len(missing) > 0 {
				try(missing, "a subset missing")
			}
		}
		try(data, "all missing")
	}
	t.Logf("%d noticed, %d harmless or one value damaged", noticed, harmless)
	if noticed < 200 {
		t.Errorf("only %d noticed", noticed)
	}
}

// TestStaleFileWithNewMeta: the meta page of each later commit over the file of each earlier one, as if the disk
// had dropped every data page in between.
func TestStaleFileWithNewMeta(t *testing.T) {
	s := stand{t, memoryDir(t)}
	all := recorded(t, history())
	for n := 0; n+2 < len(all); n += 3 {
		for _, later := range []int{n + 1, n + 2} {
			size := pageSizeOf(all[later].after)
			file := make([]byte, len(all[later].after))
			copy(file, all[n].after)
			for m := n + 1; m <= later; m++ {
				_, at := all[m].writes(t)
				copy(file[at:at+size], all[m].after[at:at+size])
			}
			if _, err := s.look(file); !errors.Is(err, errUnreadable) {
				t.Errorf("meta of commit %d over the file of commit %d: %v", later, n, err)
			}
		}
	}
}
