package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// ErrUnsafeFile is wrapped by errors about files that others could have changed or can read.
var ErrUnsafeFile = errors.New("unsafe file")

// Load reads a configuration file and returns what Parse makes of it. The error is about the file itself: it
// cannot be read, or is refused because others could have written it (ErrUnsafeFile).
func Load(path string) (*Config, []Finding, error) {
	b, err := readGuarded(path, maxBytes+1, guard{noMode: 0o002, fix: "chmod o-w"}) // Parse refuses the byte too much
	if err != nil {
		return nil, nil, err
	}
	c, findings := Parse(path, b)
	return c, findings, nil
}

// guard says what a file's mode must not have.
type guard struct {
	noMode os.FileMode // permission bits that are refused
	fix    string      // what to type before the path
	// rootsGroup allows that the group reads what belongs to root: systemd gives credentials that way.
	rootsGroup bool
}

// readGuarded reads a file of at most limit bytes. It does not follow a link at the end of the path, nor wait
// for the other end of a pipe, and judges the file that it has open, not the name.
func readGuarded(path string, limit int64, g guard) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: %w: it is a symbolic link; name the file itself", path, ErrUnsafeFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := g.judge(path, info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return b, nil
}

// judge refuses what is no regular file, has a mode that lets in too many, or belongs to somebody else than
// root and the user that runs the agent (an owner can give himself any mode).
func (g guard) judge(path string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrUnsafeFile)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	refused := g.noMode
	if g.rootsGroup && ok && owner.Uid == 0 {
		refused &^= 0o040
	}
	if mode := info.Mode().Perm(); mode&refused != 0 {
		return fmt.Errorf("%w: mode %04o lets %s; type: %s %s", ErrUnsafeFile, mode, excess(mode&refused), g.fix, path)
	}
	if !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs neither to root nor to the user of this process; type: chown root %s", ErrUnsafeFile, path)
	}
	return nil
}

// excess puts permission bits in words.
func excess(mode os.FileMode) string {
	var words []string
	for _, m := range []struct {
		bit  os.FileMode
		text string
	}{
		{0o004, "everybody read it"}, {0o002, "everybody write it"}, {0o020, "its group write it"}, {0o040, "its group read it"},
	} {
		if mode&m.bit != 0 {
			words = append(words, m.text)
		}
	}
	return strings.Join(words, " and ")
}

func trimLineEnd(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r") }
