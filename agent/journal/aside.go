package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// keepAside is how many files set aside are kept; the newest always is.
const keepAside = 2

// setAside renames the journal to journal.db.corrupt-BOOT-N, N counting up in the directory. Nothing is
// repaired. The name is empty where there was no file.
func setAside(dir, boot string) (string, error) {
	older, err := asides(dir)
	if err != nil {
		return "", err
	}
	n := 1
	if len(older) > 0 {
		n = asideNumber(older[len(older)-1]) + 1
	}
	name := fileAside + boot + "-" + strconv.Itoa(n)
	err = moveInto(dir, fileJournal, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return name, err
}

// pruneAsides removes the oldest files set aside, so that keepAside remain.
func pruneAsides(dir string) error {
	all, err := asides(dir)
	if err != nil {
		return err
	}
	for len(all) > keepAside {
		if err := os.Remove(filepath.Join(dir, all[0])); err != nil {
			return err
		}
		all = all[1:]
	}
	return nil
}

// asides lists the files set aside, oldest first.
func asides(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range all {
		if asideNumber(e.Name()) > 0 {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int { return asideNumber(a) - asideNumber(b) })
	return out, nil
}

// asideNumber is the N of a file set aside; 0: none.
func asideNumber(name string) int {
	if !strings.HasPrefix(name, fileAside) {
		return 0
	}
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil || n < 1 {
		return 0
	}
	return n
}
