package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// logger writes lines of key=value. In systemd's journal each begins with its priority, and neither with a time nor a
// level, which the journal keeps itself.
func logger(w io.Writer) *slog.Logger {
	if ours, err := journal.StderrIsJournalStream(); ours && err == nil {
		return slog.New(newPriorities(w))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// priorities is a slog.Handler for a stream into systemd's journal. A record is one line, since slog's text handler
// quotes line ends.
type priorities struct {
	slog.Handler               // writes into line
	line         *bytes.Buffer // guarded by mu
	mu           *sync.Mutex
	out          io.Writer
}

func newPriorities(w io.Writer) *priorities {
	line := new(bytes.Buffer)
	return &priorities{Handler: slog.NewTextHandler(line, &slog.HandlerOptions{ReplaceAttr: dropLevel}), line: line, mu: new(sync.Mutex), out: w}
}

func dropLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}

// Handle writes one line with the prefix of sd-daemon(3).
func (p *priorities) Handle(ctx context.Context, r slog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line.Reset()
	p.line.WriteString(prefix(r.Level))
	r.Time = time.Time{} // the text handler leaves it out
	if err := p.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := p.out.Write(p.line.Bytes())
	return err
}

// WithAttrs and WithGroup keep the prefix.
func (p *priorities) WithAttrs(attrs []slog.Attr) slog.Handler {
	return p.with(p.Handler.WithAttrs(attrs))
}

// WithGroup keeps the prefix.
func (p *priorities) WithGroup(name string) slog.Handler { return p.with(p.Handler.WithGroup(name)) }

func (p *priorities) with(h slog.Handler) *priorities {
	other := *p
	other.Handler = h
	return &other
}

// prefix is the priority of syslog(3): debug, info, warning, err.
func prefix(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "<7>"
	case l < slog.LevelWarn:
		return "<6>"
	case l < slog.LevelError:
		return "<4>"
	default:
		return "<3>"
	}
}
