package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// life is a log under a test's clock. Nothing of it runs by itself.
type life struct {
	t *testing.T
	*Log
	now     time.Time
	anchors []Anchor
	events  []rack.Event
	alarms  map[string]bool
}

func begin(t *testing.T, d Disk, change ...func(*Opts)) *life {
	t.Helper()
	l := &life{t: t, now: noon, alarms: map[string]bool{}}
	o := Opts{
		Disk: d, Boot: "boot-1", Now: func() time.Time { return l.now }, FileBytes: 2000, KeepBytes: 6000,
		Published: func(a Anchor) { l.anchors = append(l.anchors, a) },
		Event:     func(e rack.Event) { l.events = append(l.events, e) },
		Alarm:     func(a rack.Alarm) { l.alarms[a.Key] = !a.Cleared },
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if l.Log, err = New(o); err != nil {
		t.Fatal(err)
	}
	return l
}

// pass lets time go by, with the turns that fall into it.
func (l *life) pass(d time.Duration) {
	for end := l.now.Add(d); ; {
		wait := l.turn(l.now)
		if l.now.Add(wait).After(end) {
			l.now = end
			return
		}
		l.now = l.now.Add(wait)
	}
}

// say enters a command and lets it be written.
func (l *life) say(ids ...string) {
	for _, id := range ids {
		l.Enter(Entry{Kind: KindCommand, Command: id, Op: rack.OpCut, Target: "outlet/pdu-a.3", Origin: rack.OriginMQTT, Issuer: "ctl-1", State: rack.StateAccepted, Payload: rack.HashOf([]byte(id)), Why: "grid event"})
	}
	l.pass(2 * time.Second)
}

func (l *life) end() {
	l.Enter(Entry{Kind: KindStop})
	l.finish(l.now)
}

// said are the commands that the log holds, in order.
func said(t *testing.T, d fs.FS) []string {
	t.Helper()
	var out []string
	err := Show(d, func(raw []byte, s Subject) error {
		if s.Command != "" {
			out = append(out, s.Command)
		}
		var b body
		return json.Unmarshal(raw, &b)
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// whole fails unless the log is whole and holds the anchors.
func whole(t *testing.T, d fs.FS, anchors ...Anchor) Report {
	t.Helper()
	r, err := Verify(d, anchors...)
	if err != nil || !r.Whole() {
		t.Fatalf("%v, %v", err, r.Breaks)
	}
	if len(r.Met)+len(r.Older) != len(anchors) {
		t.Fatalf("of %d anchors %d are met and %d older", len(anchors), len(r.Met), len(r.Older))
	}
	return r
}

// story is two lives with rotation in both. on is called with the log of each.
func story(t *testing.T, p *paper, on func(*life)) {
	for n := range 2 {
		l := begin(t, p)
		on(l)
		l.Enter(Entry{Kind: KindStart, Software: "1.0", Text: fmt.Sprint("life ", n)})
		for k := range 5 {
			l.say(fmt.Sprintf("c%d-%d-a", n, k), fmt.Sprintf("c%d-%d-b", n, k))
		}
		l.end()
		if p.over {
			return
		}
	}
}

// TestACrashAtEveryOperation ends a life before, in and after every operation on the disk, by a kill or a power cut, and
// lets another one begin. The log is whole, and holds all that was published.
func TestACrashAtEveryOperation(t *testing.T) {
	p := newPaper()
	story(t, p, func(*life) {})
	if n := len(p.ops); n < 60 || !slices.Contains(p.ops, "remove") || !slices.Contains(p.ops, "append") {
		t.Fatalf("%d operations: %v", n, p.ops)
	}
	points, torn := 0, 0
	for at := 1; at <= len(p.ops); at++ {
		for _, kind := range []faultKind{crashBefore, crashTorn, crashAfter} {
			for _, way := range aftermaths() {
				points++
				torn += interrupted(t, at, kind, way)
			}
		}
	}
	t.Logf("%d operations, %d crashes, %d torn tails", len(p.ops), points, torn)
	if torn < 10 {
		t.Error("the crashes tore nothing")
	}
}

func interrupted(t *testing.T, at int, kind faultKind, way aftermath) (torn int) {
	t.Helper()
	name := fmt.Sprintf("operation %d, %s, %s", at, kind, way)
	p := newPaper()
	p.at, p.kind = at, kind
	var lives []*life
	story(t, p, func(l *life) { lives = append(lives, l) })
	if !p.over {
		t.Fatalf("%s: the crash never came", name)
	}
	var anchors []Anchor
	for _, l := range lives {
		anchors = append(anchors, l.anchors...)
	}
	next := p.after(way)
	if r, err := Verify(next.Read(), anchors...); err == nil && !r.Whole() || err != nil && (!errors.Is(err, ErrEmpty) || len(anchors) > 0) {
		t.Fatalf("%s: as it was left: %v, %v", name, err, r.Breaks)
	}
	l := begin(t, next)
	l.say("later")
	l.end()
	r := whole(t, next.Read(), append(anchors, l.anchors...)...)
	if got := said(t, next.Read()); !slices.Contains(got, "later") || !sorted(got) {
		t.Fatalf("%s: %v", name, got)
	}
	if len(l.events) > 0 {
		t.Fatalf("%s: %+v", name, l.events)
	}
	for _, n := range r.Notes {
		if strings.Contains(n, "do not count") {
			torn++
		}
	}
	return torn
}

// sorted tells whether commands come in the order in which they were said, none of them twice.
func sorted(ids []string) bool {
	return slices.IsSorted(ids) && len(slices.Compact(slices.Clone(ids))) == len(ids)
}

// TestAFailureAtEveryOperation fails every operation once. The log goes on in a new file; nothing is lost, nothing is there
// twice, and what was flushed holds it all.
func TestAFailureAtEveryOperation(t *testing.T) {
	p := newPaper()
	p2 := func(l *life) { l.o.KeepBytes = 1 << 20 } // nothing is dropped: all must be there
	story(t, p, p2)
	want := said(t, p.Read())
	if len(want) != 20 {
		t.Fatalf("%v", want)
	}
	for at := 1; at <= len(p.ops); at++ {
		for _, kind := range []faultKind{failEIO, failTorn, failLate} {
			name := fmt.Sprintf("operation %d (%s), %s", at, p.ops[at-1], kind)
			q := newPaper()
			q.at, q.kind = at, kind
			var lives []*life
			story(t, q, func(l *life) { p2(l); lives = append(lives, l) })
			var anchors []Anchor
			for _, l := range lives {
				anchors = append(anchors, l.anchors...)
				if l.alarms[AlarmKey] {
					t.Errorf("%s: the alarm stands at the end", name)
				}
			}
			for _, way := range aftermaths() {
				left := q.after(way).Read()
				whole(t, left, anchors...)
				if got := said(t, left); !slices.Equal(got, want) {
					t.Fatalf("%s, %s: %v", name, way, got)
				}
			}
		}
	}
}
