//go:build e2e && linux

package board

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

//go:embed testdata/init
var initScript []byte

// Types of files in the mode (inode(7)).
const (
	isDir  = 0o040000
	isFile = 0o100000
	isChar = 0o020000
)

// archive writes cpio archives of the kind "newc", which the kernel takes as an initial file system (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root.
type archive struct {
	w     io.Writer
	err   error
	inode int
	dirs  map[string]bool
}

func newArchive(w io.Writer) *archive { return &archive{w: w, dirs: map[string]bool{}} }

// entry writes a header of 13 numbers of 8 hexadecimal digits, the name and the data, each padded to 4 bytes.
func (a *archive) entry(name string, mode int, major, minor int, data []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	var b bytes.Buffer
	b.WriteString("070701")
	for _, v := range []int{a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0} {
		fmt.Fprintf(&b, "%08X", v)
	}
	b.WriteString(name)
	b.WriteByte(0)
	pad(&b)
	b.Write(data)
	pad(&b)
	_, a.err = a.w.Write(b.Bytes())
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}

// mkdir writes a directory and those above it, each once.
func (a *archive) mkdir(name string) {
	if name == "." || a.dirs[name] {
		return
	}
	a.mkdir(filepath.Dir(name))
	a.dirs[name] = true
	a.entry(name, isDir|0o755, 0, 0, nil)
}

// file writes a file and the directories above it.
func (a *archive) file(name string, perm fs.FileMode, data []byte) {
	a.mkdir(filepath.Dir(name))
	a.entry(name, isFile|int(perm.Perm()), 0, 0, data)
}

// tree writes all files below a directory.
func (a *archive) tree(dir, at string) {
	if a.err != nil {
		return
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			a.file(filepath.Join(at, rel), info.Mode(), data)
		}
		return err
	})
	a.err = errors.Join(a.err, err)
}

// close writes the end.
func (a *archive) close() error {
	a.inode = -1 // so that it is 0
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

// initramfs makes the first file system of a board: programs, modules, the agent and /init. What is in overlay is laid
// over the disk of a guest that has one.
func (b *board) initramfs(k kit, agent string, overlay map[string][]byte, w io.Writer) error {
	a := newArchive(w)
	for _, d := range []string{"dev", "proc", "sys", "run", "tmp", "root", "mnt", "etc/rackagent", "var/lib"} {
		a.mkdir(d)
	}
	a.entry("dev/console", isChar|0o600, 5, 1, nil)
	a.tree(k.path("root"), ".")
	a.tree(k.path("modules"), "lib/modules")
	program, err := os.ReadFile(agent)
	if err != nil {
		return err
	}
	a.file("usr/bin/rackagent", 0o755, program)
	a.file("init", 0o755, initScript)
	for _, name := range slices.Sorted(maps.Keys(overlay)) {
		a.file(filepath.Join("overlay", name), 0o644, overlay[name])
	}
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\nrackops:x:990:\n"))
	a.file("etc/modules", 0o644, []byte(strings.Join(b.modules, "\n")+"\n"))
	a.file("etc/disk-modules", 0o644, []byte(strings.Join(b.disk.modules, "\n")+"\n"))
	return a.close()
}

// builds are the agents that this process has built, by target.
var builds struct {
	sync.Mutex
	dir  string
	done map[string]string
}

// build cross-builds the agent as it is shipped.
func (b *board) build(ctx context.Context) (string, error) {
	builds.Lock()
	defer builds.Unlock()
	if path := builds.done[b.arch]; path != "" {
		return path, nil
	}
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "board")
		if err != nil {
			return "", err
		}
		builds.dir, builds.done = dir, map[string]string{}
	}
	path := filepath.Join(builds.dir, "rackagent-"+b.arch)
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "rackagent/agent/cmd/rackagent")
	c.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=0", "GOOS=linux"}, b.goenv)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the agent for %s: %w: %s", b.name, err, out)
	}
	builds.done[b.arch] = path
	return path, nil
}

// The first bytes of an archive and its end, written by hand from buffer-format.rst.
func TestArchive(t *testing.T) {
	var got bytes.Buffer
	a := newArchive(&got)
	a.file("a/b", 0o755, []byte("hello"))
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	//                       inode   mode    uid     gid     links   time    size    major   minor   rmajor  rminor  name    check
	want := "" +
		"070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" +
		"a\x00" +
		"070701" + "00000002" + "000081ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" + "00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" +
		"a/b\x00\x00\x00" + "hello\x00\x00\x00" +
		"070701" + "00000000" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" +
		"TRAILER!!!\x00\x00\x00\x00"
	if got.String() != want {
		t.Errorf("got\n%q\nwant\n%q", got.String(), want)
	}
}
