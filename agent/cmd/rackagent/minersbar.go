package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"rackagent/drivers/miner/scan"
)

// bar shows how far a scan is, on a terminal. Elsewhere nothing: the end is told by what is printed.
type bar struct {
	to    io.Writer // nil: nowhere
	width int       // of the last line
	last  time.Time
}

// newBar shows on what is a terminal. What goes there is this file's own text, and needs no screen.
func newBar(to io.Writer) *bar {
	if s, ok := to.(screen); ok {
		to = s.to
	}
	f, ok := to.(*os.File)
	if !ok {
		return &bar{}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &bar{}
	}
	return &bar{to: f}
}

// often is how long a line stays at least: a terminal over a slow line is to keep up. Arbitrary.
const often = 100 * time.Millisecond

// show draws the bar anew.
func (b *bar) show(p scan.Progress) {
	if b.to == nil || time.Since(b.last) < often && p.Asked < p.Of {
		return
	}
	b.last = time.Now()
	b.line(barLine(p))
}

// clear takes it away.
func (b *bar) clear() {
	if b.to != nil && b.width > 0 {
		b.line("")
		_, _ = io.WriteString(b.to, "\r")
	}
}

func (b *bar) line(s string) {
	_, _ = fmt.Fprintf(b.to, "\r%-*s", b.width, s)
	b.width = len(s)
}

func barLine(p scan.Progress) string {
	const width = 24
	done := 0
	if p.Of > 0 {
		done = width * p.Asked / p.Of
	}
	what := "addresses"
	if p.Round > 1 {
		what = "silent ones again"
	}
	return fmt.Sprintf("[%s%s] %d/%d %s, %d answer", strings.Repeat("#", done), strings.Repeat(".", width-done), p.Asked, p.Of, what, p.Found)
}
