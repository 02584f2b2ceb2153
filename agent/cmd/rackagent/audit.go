package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rackagent/agent"
	"rackagent/agent/audit"
	"rackagent/config"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Tell whether the audit log is as it was written."`
	Show   auditShowCmd   `cmd:"" help:"Print its lines, all or those of one command."`
}

// Help is shown by rackagent audit --help.
func (auditCmd) Help() string {
	return `The audit log tells who asked for what, what became of it, and what was refused. Each line carries the hash of the one before. It can be read while the agent runs, and from a copy of its directory.`
}

// auditDirFlag names the directory.
type auditDirFlag struct {
	Dir string `help:"The log's directory, or a copy of it. Default: the configuration's." type:"path" placeholder:"DIR"`
}

// open gives the directory, and its name for people.
func (d auditDirFlag) open(a *app) (fs.FS, string) {
	dir := d.Dir
	if dir == "" {
		state := config.Defaults().StateDir
		if c, _, err := a.load(); err == nil && c != nil {
			state = c.StateDir
		}
		dir = filepath.Join(state, agent.AuditDir)
	}
	return os.DirFS(dir), dir
}

// auditTrouble says what may be wrong if the log cannot be read.
func auditTrouble(dir string, err error) error {
	f := &failure{err: fmt.Errorf("audit log %s: %w", dir, err), status: exitOther}
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.hint = "only the agent's own user may read it; type sudo before the command"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, audit.ErrEmpty):
		f.hint = "--dir DIR names another directory; the agent makes it at its first start"
	}
	return f
}

type auditVerifyCmd struct {
	auditDirFlag
	Anchor []string `help:"A line that was published, as the agent told it in up/state or in an audit_anchor event; may be repeated." placeholder:"SEQ:HASH" sep:"none"`
}

// Help is shown by rackagent audit verify --help.
func (auditVerifyCmd) Help() string {
	return `Without an anchor this finds a line that was changed, removed, inserted or moved by somebody who did not compute all later hashes anew, and a file that is missing. It cannot find that lines were cut off at the end, or that everything from some line on was written anew: for that, name the newest anchor that was kept outside of this machine.

Exit status: 0 the log is whole and every anchor is met, 3 it is not as it was written, 4 it is whole and an anchor is older than what is kept, 2 it cannot be read.`
}

// Exit statuses of audit verify beside the common ones.
const (
	exitChanged = 3
	exitOlder   = 4
)

// Run walks the log.
func (c auditVerifyCmd) Run(a *app) error {
	var anchors []audit.Anchor
	for _, text := range c.Anchor {
		n, err := audit.ParseAnchor(text)
		if err != nil {
			return &failure{err: err, hint: "for example: --anchor 4711:9f86d081...", status: exitUsage}
		}
		anchors = append(anchors, n)
	}
	d, dir := c.open(a)
	r, err := audit.Verify(d, anchors...)
	if err != nil {
		return auditTrouble(dir, err)
	}
	printReport(a, r)
	switch {
	case !r.Whole():
		return status(exitChanged)
	case len(r.Older) > 0:
		return status(exitOlder)
	}
	return nil
}

func printReport(a *app, r audit.Report) {
	for _, f := range r.Files {
		a.printf("%s: %s, %d to %d, %s to %s\n", f.Name, plural(f.Lines, "line"), f.First, f.Last, stamp(f.From), stamp(f.To))
	}
	for _, n := range r.Notes {
		a.printf("note: %s\n", n)
	}
	for _, n := range r.Met {
		a.printf("anchor %d: met; the lines up to it are as they were\n", n.Seq)
	}
	for _, n := range r.Older {
		a.printf("anchor %d: its line is not kept any more\n", n.Seq)
	}
	for _, b := range r.Breaks {
		a.printf("NOT AS IT WAS WRITTEN: %s\n", b)
	}
	if more := r.NBreaks - len(r.Breaks); more > 0 {
		a.printf("and %s more\n", plural(more, "place"))
	}
	a.printf("%s in %s, %d to %d", plural(r.Entries, "line"), plural(len(r.Files), "file"), r.First, r.Head.Seq)
	if r.Whole() {
		a.printf("; each follows the one before\nnewest: %s of %s\n", r.Head, stamp(r.At))
		return
	}
	a.printf("\n")
}

// stamp writes a time as it is compared with other logs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type auditShowCmd struct {
	auditDirFlag
	Command string `help:"Only the lines about this command." placeholder:"ID"`
}

// Help is shown by rackagent audit show --help.
func (auditShowCmd) Help() string {
	return `One JSON object a line, as it is on disk. Whether it was changed is for rackagent audit verify to say.`
}

// Run prints lines.
func (c auditShowCmd) Run(a *app) error {
	d, dir := c.open(a)
	err := audit.Show(d, func(raw []byte, about audit.Subject) error {
		if c.Command == "" || about.Command == c.Command {
			a.printf("%s\n", raw)
		}
		return nil
	})
	if err != nil {
		return auditTrouble(dir, err)
	}
	return nil
}
