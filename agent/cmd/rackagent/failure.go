package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit statuses. A script may rely on them.
const (
	exitOK       = 0
	exitUsage    = 1  // the configuration or the command line is wrong
	exitOther    = 2  // anything else: no answer, no connection
	exitRejected = 3  // the agent refused the command: nothing was done
	exitNotDone  = 4  // the command ended failed, partial, unknown, cancelled or expired
	exitInUse    = 75 // another agent runs on this journal (EX_TEMPFAIL, sysexits.h): it may go away
)

// failure is an error told to a person: what failed, what to type about it, and the status to exit with.
type failure struct {
	err    error
	hint   string // may be empty
	status int
}

// Error is what failed.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// status ends a subcommand that has said everything itself.
type status int

// Error is for the log of a programmer; nobody else sees it.
func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// tell writes an error the way a person reads it and gives the status to exit with.
func tell(w io.Writer, err error) int {
	var s status
	if err == nil || errors.As(err, &s) {
		return int(s)
	}
	text := strings.TrimSpace(err.Error())
	say(w, "rackagent: %s\n", strings.ReplaceAll(text, "\n", "\nrackagent: "))
	var f *failure
	if !errors.As(err, &f) {
		return exitOther
	}
	if f.hint != "" {
		say(w, "rackagent: hint: %s\n", f.hint)
	}
	return f.status
}
