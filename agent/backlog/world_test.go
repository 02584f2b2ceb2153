package backlog

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
)

// TestMain fixes the seed of the random walks, unless the command line names another.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"rapid.seed": "8883", "rapid.nofailfile": "true", "rapid.checks": "20"} {
		if err := flag.Set(k, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

const (
	sector = 512
	block  = 4096 // what a flash file system writes at least
)

// disk is a Disk in memory that knows what is durable. A crash, or a fault, comes at a chosen operation.
type disk struct {
	mu      sync.Mutex
	files   map[string]*image
	room    int64 // bytes that are left; each file takes its size
	ops     int   // that change something, so far
	at      int   // the operation that the fault comes at, counted from 1; 0: none
	fault   fault
	dead    bool
	faulted bool
	rnd     *rand.Rand
	wear    int64 // bytes written to the flash, in blocks, with half a KiB for each flush
}

type fault string

const (
	crashBefore fault = "crash before"
	crashTorn   fault = "crash in the middle, torn"
	crashAfter  fault = "crash after, before the caller learns"
	failIO      fault = "EIO"
	failRO      fault = "EROFS from then on"
	failSpace   fault = "ENOSPC"
)

// image is a file: as the running system sees it, as the flash has it, and what is in between.
type image struct {
	now, durable []byte
	dirty        [][2]int64
}

var errDead = errors.New("the machine is off")

func newDisk() *disk {
	return &disk{files: make(map[string]*image), room: 1 << 40, rnd: rand.New(rand.NewPCG(1, 2))}
}

// step counts an operation and tells what becomes of it.
func (d *disk) step() (f fault, err error) {
	if d.dead {
		return "", errDead
	}
	d.ops++
	due := d.at == d.ops
	switch {
	case d.faulted && d.fault == failRO:
		return "", &os.PathError{Op: "write", Err: syscall.EROFS}
	case !due:
		return "", nil
	}
	d.faulted = true
	switch d.fault {
	case crashBefore:
		d.dead = true
		return "", errDead
	case failIO:
		return "", &os.PathError{Op: "write", Err: syscall.EIO}
	case failRO:
		return "", &os.PathError{Op: "write", Err: syscall.EROFS}
	case failSpace:
		return "", &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	return d.fault, nil
}

// ends is what is left to do for a crash in the operation, when it has been done.
func (d *disk) ends(f fault) error {
	if f == crashAfter || f == crashTorn {
		d.dead = true
		return errDead
	}
	return nil
}

func (d *disk) isDead() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.dead }

func (d *disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDead
	}
	var out []string
	for name := range d.files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

func (d *disk) Room() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room, nil
}

func (d *disk) Create(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.step()
	if err != nil {
		return err
	}
	if d.room < size {
		return &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	d.room -= size
	d.wear += size
	if f == crashTorn {
		size /= 2
	}
	d.files[name] = &image{now: make([]byte, size), durable: make([]byte, size)}
	return d.ends(f)
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.step()
	if err != nil {
		return err
	}
	if i := d.files[name]; i != nil {
		d.room += int64(len(i.now))
	}
	delete(d.files, name)
	return d.ends(f)
}

func (d *disk) Open(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errDead
	}
	i, ok := d.files[name]
	if !ok {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	}
	return &handle{d, i}, nil
}

type handle struct {
	d *disk
	i *image
}

func (h *handle) Close() error         { return nil }
func (h *handle) Size() (int64, error) { return int64(len(h.i.now)), nil }
func (h *handle) ReadAt(p []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, errDead
	}
	return bytes.NewReader(h.i.now).ReadAt(p, at)
}

func (h *handle) WriteAt(p []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	f, err := h.d.step()
	if err != nil {
		return 0, err
	}
	if at+int64(len(p)) > int64(len(h.i.now)) {
		panic("a file has grown")
	}
	copy(h.i.now[at:], p)
	h.i.dirty = append(h.i.dirty, [2]int64{at, at + int64(len(p))})
	if f == crashTorn { // some of its sectors have reached the flash
		h.i.tear(h.d.rnd)
	}
	return len(p), h.d.ends(f)
}

// tear makes some of the dirty sectors durable.
func (i *image) tear(rnd *rand.Rand) {
	for _, r := range i.dirty {
		for at := r[0] / sector * sector; at < r[1]; at += sector {
			if rnd.IntN(2) == 0 {
				a, b := max(at, r[0]), min(at+sector, r[1])
				copy(i.durable[a:b], i.now[a:b])
			}
		}
	}
}

func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	f, err := h.d.step()
	if err != nil {
		h.i.dirty = nil // as after a failed fsync: the next one succeeds, and the data is not there
		return err
	}
	if f == crashTorn {
		h.i.tear(h.d.rnd)
		return h.d.ends(f)
	}
	blocks := make(map[int64]bool)
	for _, r := range h.i.dirty {
		copy(h.i.durable[r[0]:r[1]], h.i.now[r[0]:r[1]])
		for at := r[0] / block; at*block < r[1]; at++ {
			blocks[at] = true
		}
	}
	h.d.wear += int64(len(blocks))*block + block/8
	h.i.dirty = nil
	return h.d.ends(f)
}

// after is the disk as the next life finds it: after a power cut only what was durable and some of the rest, after the
// death of the process everything that was written.
func (d *disk) after(powerCut bool) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := newDisk()
	n.rnd, n.room = d.rnd, d.room
	for name, i := range d.files {
		if powerCut {
			i.tear(d.rnd)
			n.files[name] = &image{now: bytes.Clone(i.durable), durable: bytes.Clone(i.durable)}
			continue
		}
		n.files[name] = &image{now: bytes.Clone(i.now), durable: bytes.Clone(i.durable), dirty: slices.Clone(i.dirty)}
	}
	return n
}

// subscriber collects what arrives, as an independent subscriber does: by epoch and number, and the gaps that were told.
type subscriber struct {
	mu         sync.Mutex
	down       bool
	since      time.Time
	busy       bool
	got        map[string]map[int64]int // times that it arrived
	wrong      []string
	gaps       []rack.Gap
	waiting    []func()
	delivering bool
	order      []Batch
	most       int
	refuse     error
}

func newSubscriber() *subscriber {
	return &subscriber{got: make(map[string]map[int64]int), since: time.Now()}
}

func (s *subscriber) up() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, !s.down
}

func (s *subscriber) isBusy() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.busy }

// set brings the connection down or up; what waits arrives when it comes up.
func (s *subscriber) set(down bool) {
	s.mu.Lock()
	s.down, s.since = down, time.Now()
	s.mu.Unlock()
	s.deliver()
}

// later has something arrive a moment from now, or when the connection is back.
func (s *subscriber) later(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.waiting = append(s.waiting, f)
	s.most = max(s.most, len(s.waiting))
	time.AfterFunc(time.Millisecond, s.deliver)
	return nil
}

// deliver lets what waits arrive, in the order in which it was sent: one call at a time does it, and takes with it what
// comes meanwhile.
func (s *subscriber) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.delivering && !s.down && len(s.waiting) > 0 {
		now := s.waiting
		s.waiting, s.delivering = nil, true
		s.mu.Unlock()
		for _, f := range now {
			f()
		}
		s.mu.Lock()
		s.delivering = false
	}
}

func (s *subscriber) send(b Batch, delivered func()) error {
	return s.later(func() { s.take(b); delivered() })
}

func (s *subscriber) tell(g rack.Gap, delivered func()) error {
	return s.later(func() {
		s.mu.Lock()
		if !slices.Contains(s.gaps, g) { // a gap comes twice as everything does
			s.gaps = append(s.gaps, g)
		}
		s.mu.Unlock()
		delivered()
	})
}

// count is how many batches have come.
func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

func (s *subscriber) take(b Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got[b.Epoch] == nil {
		s.got[b.Epoch] = make(map[int64]int)
	}
	s.got[b.Epoch][b.Seq]++
	s.order = append(s.order, b)
	if want := payload(b.Epoch, b.Seq); !bytes.Equal(b.Payload, want) {
		s.wrong = append(s.wrong, fmt.Sprintf("%s/%d: %q", b.Epoch, b.Seq, b.Payload))
	}
}

// payload is what the test's batches carry: long enough for a few sectors, and known from the number alone.
func payload(epoch string, seq int64) []byte {
	rnd := rand.New(rand.NewPCG(uint64(seq), uint64(len(epoch))+uint64(epoch[0])))
	b := []byte(fmt.Sprintf(`{"v":1,"ep":%q,"seq":%d,"d":[`, epoch, seq))
	for range payloadValues {
		b = fmt.Appendf(b, "%d.%d,", 1000+rnd.IntN(3), rnd.IntN(10))
	}
	return append(b, "0]}"...)
}

const payloadValues = 10

func batch(epoch string, seq int64, at time.Time) Batch {
	return Batch{Epoch: epoch, Seq: seq, At: at, Payload: payload(epoch, seq)}
}

type events struct {
	mu   sync.Mutex
	list []rack.Event
}

func (e *events) add(ev rack.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) texts() (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		out = append(out, ev.Text)
	}
	return out
}

// smallSegment holds some 60 of the test's batches.
const smallSegment = 8 << 10

func opts(d Disk, s *subscriber, e *events, epoch string) Opts {
	return Opts{
		Disk: d, Budget: 16 * smallSegment, Epoch: epoch, Send: s.send, Tell: s.tell, Up: s.up, Busy: s.isBusy,
		Wait: func() time.Duration { return 0 }, Event: e.add, segment: smallSegment,
	}
}

// running runs a log in the bubble until the returned function is called.
func running(t testing.TB, o Opts) (*Log, func()) {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// keep stores batches and waits.
func keep(l *Log, batches ...Batch) error {
	ch := make(chan error, 1)
	l.Put(batches, func(err error) { ch <- err })
	return <-ch
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// missing are the numbers up to the last that have not arrived.
func (s *subscriber) missing(epoch string, last int64) (out []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := int64(1); n <= last; n++ {
		if s.got[epoch][n] == 0 {
			out = append(out, n)
		}
	}
	return out
}

// judge finds what is missing without having been told, and what was told and is not missing.
func (s *subscriber) judge(epoch string, last int64) (bad []string) {
	missing := s.missing(epoch, last)
	told := int64(0)
	var covered []int64
	seen := make(map[int64]bool)
	for _, g := range s.gaps {
		if g.Epoch != epoch || g.To == 0 && seen[g.From] { // a crash may be told twice
			continue
		}
		seen[g.From] = g.To == 0
		in := 0
		for _, n := range missing {
			if n >= g.From && (g.To == 0 || n <= g.To) {
				covered = append(covered, n)
				in++
			}
		}
		if g.Count > 0 {
			told += g.Count
		} else {
			told += int64(in)
		}
	}
	slices.Sort(covered)
	covered = slices.Compact(covered)
	for _, n := range missing {
		if !slices.Contains(covered, n) {
			bad = append(bad, fmt.Sprintf("%s/%d is missing and nobody was told", epoch, n))
		}
	}
	if told != int64(len(missing)) {
		bad = append(bad, fmt.Sprintf("epoch %s: %d are missing, %d were told: %+v", epoch, len(missing), told, s.gaps))
	}
	return append(bad, s.wrong...)
}
