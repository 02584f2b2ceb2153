// Command mutants breaks the program on purpose, one line at a time, and expects that some test notices: the proof of
// the tests. It works on a copy of the tree; the tree itself is not touched.
//
//	go run ./agent/e2e/mutants [-only WORD]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// mutant is one broken line and the tests that are expected to notice it.
type mutant struct {
	name  string
	file  string
	old   string // exactly once in the file
	new   string
	tests []string // packages, tried in order until one fails; "e2e:" before one asks for its tagged tests
}

// limit is how long one package's tests may take before a mutant that hangs counts as noticed.
const limit = 5 * time.Minute

func main() {
	only := flag.String("only", "", "run the mutants whose name holds this word")
	flag.Parse()
	survivors, err := hunt(context.Background(), *only, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

// hunt tries all mutants and counts those that no test noticed.
func hunt(ctx context.Context, only string, out io.Writer) (survivors int, err error) {
	copied, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(copied) }()
	if err := os.CopyFS(copied, sources{os.DirFS(".")}); err != nil {
		return 0, err
	}
	tried := 0
	for _, m := range mutants() {
		if !strings.Contains(m.name, only) {
			continue
		}
		began := time.Now()
		noticed, by, err := try(ctx, copied, m)
		if err != nil {
			return survivors, fmt.Errorf("%s: %w", m.name, err)
		}
		tried++
		verdict := "noticed by " + by
		if !noticed {
			survivors++
			verdict = "SURVIVED"
		}
		fmt.Fprintf(out, "%-46s %s (%.0f s)\n", m.name, verdict, time.Since(began).Seconds())
	}
	fmt.Fprintf(out, "%d mutants, %d survived\n", tried, survivors)
	return survivors, nil
}

// sources leaves out of a copy what is not source.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	var out []fs.DirEntry
	for _, e := range entries {
		if n := e.Name(); name != "." || (n != ".git" && n != "dist") {
			out = append(out, e)
		}
	}
	return out, err
}

// try breaks one line, runs the tests, and mends it.
func try(ctx context.Context, dir string, m mutant) (noticed bool, by string, err error) {
	name := filepath.Join(dir, m.file)
	whole, err := os.ReadFile(name)
	if err != nil {
		return false, "", err
	}
	if n := strings.Count(string(whole), m.old); n != 1 {
		return false, "", fmt.Errorf("%s holds the line %d times: the mutant is out of date", m.file, n)
	}
	broken := strings.Replace(string(whole), m.old, m.new, 1)
	if err := os.WriteFile(name, []byte(broken), 0o600); err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(name, whole, 0o600)) }()
	if text, failed := run(ctx, dir, "vet", m.file); failed && strings.Contains(text, "declared and not used") {
		return false, "", fmt.Errorf("does not compile: %s", text)
	}
	for _, p := range m.tests {
		if _, failed := run(ctx, dir, "test", p); failed {
			return true, p, nil
		}
	}
	return false, "", nil
}

// run calls go on a package, or on the package of a file, and tells whether it failed.
func run(ctx context.Context, dir, verb, what string) (text string, failed bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if strings.HasSuffix(what, ".go") {
		what = filepath.Dir(what)
	}
	what, tagged := strings.CutPrefix(what, "e2e:")
	args := []string{verb}
	if tagged {
		args = append(args, "-tags", "e2e")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+what)...)
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	return string(b), err != nil
}
