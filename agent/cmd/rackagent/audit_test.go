package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rackagent/agent/audit"
)

const auditVectors = "../../audit/testdata/v1"

// TestAudit: what a person reads of a log that is whole, that was changed, whose end is gone, that is not there.
func TestAudit(t *testing.T) {
	r, err := audit.Verify(os.DirFS(auditVectors))
	if err != nil {
		t.Fatal(err)
	}
	newest := r.Head.String()
	golden(t, "audit-whole", typed(t, "audit", "verify", "--dir", auditVectors))
	golden(t, "audit-met", typed(t, "audit", "verify", "--dir", auditVectors, "--anchor", newest))
	golden(t, "audit-show", typed(t, "audit", "show", "--dir", auditVectors, "--command", "01JD9XB7"))
	golden(t, "audit-bad-anchor", typed(t, "audit", "verify", "--dir", auditVectors, "--anchor", "17:abc"))

	const last = "audit-000000000015.log"
	for name, change := range map[string]func(string) string{
		"audit-changed": func(text string) string { return strings.Replace(text, "ctl-1", "ctl-9", 1) },
		"audit-removed": func(text string) string {
			lines := strings.SplitAfter(text, "\n")
			return strings.Join(append(lines[:3:3], lines[4:]...), "")
		},
	} {
		dir := copyOf(t, map[string]func(string) string{"audit-000000000001.log": change})
		golden(t, name, typed(t, "audit", "verify", "--dir", dir))
	}
	cut := copyOf(t, map[string]func(string) string{last: func(text string) string { return text[:strings.IndexByte(text, '\n')+1] }})
	golden(t, "audit-cut", typed(t, "audit", "verify", "--dir", cut, "--anchor", newest))
	missing := copyOf(t, nil)
	if err := os.Remove(filepath.Join(missing, "audit-000000000009.log")); err != nil {
		t.Fatal(err)
	}
	golden(t, "audit-missing", typed(t, "audit", "verify", "--dir", missing))
	oldest := copyOf(t, nil)
	if err := os.Remove(filepath.Join(oldest, "audit-000000000001.log")); err != nil {
		t.Fatal(err)
	}
	golden(t, "audit-missing-front", typed(t, "audit", "verify", "--dir", oldest))
	if s := typed(t, "audit", "verify", "--dir", t.TempDir()); s.status != exitOther || !strings.Contains(s.err, "there is no log") {
		t.Errorf("%+v", s)
	}
	if s := typed(t, "audit", "show", "--dir", filepath.Join(t.TempDir(), "none")); s.status != exitOther || !strings.Contains(s.err, "no such file") {
		t.Errorf("%+v", s)
	}
}

// copyOf copies the log and changes files of it.
func copyOf(t *testing.T, changes map[string]func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(auditVectors, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		changed := string(text)
		if change := changes[filepath.Base(f)]; change != nil {
			if changed = change(changed); changed == string(text) {
				t.Fatalf("%s was not changed", f)
			}
		}
		write(t, filepath.Join(dir, filepath.Base(f)), changed)
	}
	return dir
}
