package journal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"rackagent/agent/rack"
)

// gate holds the first commit after it was shut until it is opened, and counts all.
type gate struct {
	mu      sync.Mutex
	commits int
	shut    bool
	entered chan struct{} // closed when the held commit has begun
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) commit(update func() error) error {
	g.mu.Lock()
	g.commits++
	hold := g.shut
	g.shut = false
	g.mu.Unlock()
	if hold {
		close(g.entered)
		<-g.open
	}
	return update()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// TestGroupCommit holds one commit, lets 50 submissions arrive from 50 goroutines, and counts: they share one.
func TestGroupCommit(t *testing.T) {
	g := newGate()
	o := optsAt(memoryDir(t))
	o.Commit = g.commit
	j, _ := open(t, o)
	defer run(t, j)()
	made := g.commits
	g.close()
	first := make(chan error, 1)
	j.Submit([]rack.Record{accepted("first", rack.OpCut)}, func(err error) { first <- err })
	<-g.entered

	var submitted sync.WaitGroup
	answers := make(chan error, 50)
	for n := range 50 {
		submitted.Go(func() {
			j.Submit([]rack.Record{accepted(fmt.Sprint("c", n), rack.OpCut)}, func(err error) { answers <- err })
		})
	}
	submitted.Wait()
	if n := len(answers); n != 0 {
		t.Errorf("%d answers before the commit", n)
	}
	close(g.open)
	for range 50 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := g.commits - made; n != 2 {
		t.Errorf("51 submissions took %d commits, want 2", n)
	}
	if n := len(j.List(100)); n != 51 {
		t.Errorf("%d entries", n)
	}
}

// TestOneBadSetOfAGroup: the others of the same commit are written, and answers come in order.
func TestOneBadSetOfAGroup(t *testing.T) {
	g := newGate()
	o := optsAt(memoryDir(t))
	o.Commit = g.commit
	j, _ := open(t, o)
	stop := run(t, j)
	g.close()
	var got []string
	var all sync.WaitGroup
	submit := func(name string, recs ...rack.Record) {
		all.Add(1)
		j.Submit(recs, func(err error) { // on the writer's goroutine: no lock needed
			got = append(got, fmt.Sprint(name, " ", err))
			all.Done()
		})
	}
	submit("held", accepted("held", rack.OpCut))
	<-g.entered
	submit("1", accepted("a", rack.OpCut))
	submit("2", withdrawn(outlet), ended("never", rack.StateFailed))
	submit("3", accepted("a", rack.OpCut))
	submit("4", ended("a", rack.StateSucceeded), acked("a"))
	submit("5", ended("a", rack.StateFailed))
	submit("6", acked("a"))
	close(g.open)
	all.Wait()
	want := []string{
		"held <nil>", "1 <nil>", "2 " + ErrNotAccepted.Error(), "3 " + ErrKnown.Error(),
		"4 <nil>", "5 " + ErrSecondEnd.Error(), "6 <nil>",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	stop()
	f := mustLook(t, j.o.Dir)
	if len(f.rack) != 0 || !slices.Equal(f.order, []string{"held", "a"}) {
		t.Errorf("%+v", f)
	}
}

func TestQueueIsBounded(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	answers := make(chan error, maxWaiting)
	submit := func(n int) {
		j.Submit([]rack.Record{accepted(fmt.Sprint("c", n), rack.OpCut)}, func(err error) { answers <- err })
	}
	for n := range maxWaiting {
		submit(n)
	}
	if len(answers) != 0 {
		t.Fatal("answered without a writer")
	}
	submit(maxWaiting)
	if len(answers) != 1 {
		t.Fatal("a submission too many is not answered at once")
	}
	wantErr(t, "one too many", <-answers, ErrBusy)
	defer run(t, j)()
	for range maxWaiting {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

func TestEndWritesWhatWaits(t *testing.T) {
	dir := memoryDir(t)
	j, _ := open(t, optsAt(dir))
	answer := make(chan error, 1)
	j.Submit([]rack.Record{accepted("c", rack.OpCut)}, func(err error) { answer <- err })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := j.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	wantErr(t, "after the end", keep(j, accepted("d", rack.OpCut)), ErrClosed)
	if _, _, err := j.Get("c"); err == nil {
		t.Error("a closed journal answers")
	}
	if got := mustLook(t, dir).order; !slices.Equal(got, []string{"c"}) {
		t.Errorf("%v", got)
	}
}

func TestCloseAnswersWhatWaits(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	answer := make(chan error, 1)
	j.Submit([]rack.Record{accepted("c", rack.OpCut)}, func(err error) { answer <- err })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "waiting", <-answer, ErrClosed)
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestReadersBesideTheWriter is for the race detector: everything that may be called from anywhere is.
func TestReadersBesideTheWriter(t *testing.T) {
	j, _ := open(t, optsAt(memoryDir(t)))
	stop := run(t, j)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 50 {
				if _, _, err := j.Get(fmt.Sprint("c", n)); err != nil {
					t.Error(err)
				}
				j.List(10)
				_ = j.Observing()
				_ = j.State()
			}
		})
	}
	for n := range 50 {
		id := fmt.Sprint("c", n)
		mustKeep(t, j, accepted(id, rack.OpCut), ended(id, rack.StateSucceeded))
	}
	wg.Wait()
	stop()
}
