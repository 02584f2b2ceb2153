//go:build e2e && linux

package board

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// layout is part of every name in the cache: whoever changes what lies there counts it up.
const layout = "1"

// cached gives a directory of the cache. If it is not there, it is made from nothing and appears whole or not at all.
// Other processes wait meanwhile.
func cached(ctx context.Context, name string, recipe any, fill func(ctx context.Context, dir string) error) (string, error) {
	root := os.Getenv("RACKAGENT_BOARD_CACHE")
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		root = filepath.Join(user, "rackagent-boards")
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(root, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %v", layout, recipe))
	dir := filepath.Join(root, fmt.Sprintf("%s-%x", name, sum[:6]))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	// Half-made ones of earlier runs go, and so do those of other recipes.
	old, err := filepath.Glob(filepath.Join(root, name+"-*"))
	if err != nil {
		return "", err
	}
	for _, d := range old {
		if err := os.RemoveAll(d); err != nil {
			return "", err
		}
	}
	half := dir + ".half"
	if err := os.MkdirAll(half, 0o755); err != nil {
		return "", err
	}
	if err := fill(ctx, half); err != nil {
		return "", errors.Join(fmt.Errorf("make %s in the cache: %w", name, err), os.RemoveAll(half))
	}
	return dir, os.Rename(half, dir)
}

// lock waits for a file lock, which a process that dies gives back.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another process holds the cache: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// suite is the release whose kernels and programs the guests run.
const suite = "bookworm"

// kit is what a board needs besides the agent.
type kit struct{ dir string }

func (k kit) path(name ...string) string {
	return filepath.Join(append([]string{k.dir}, name...)...)
}

// tools are the packages that the guest's programs come from: a shell, i2c-tools, and the libraries of the latter.
var tools = []string{"busybox-static", "i2c-tools", "libi2c0", "libc6"}

// kit gives the board's kernel, modules and programs, from the cache if they are there. In its directory lie vmlinuz,
// board.dtb, root (the guest's programs) and modules, where NAME.order lists the files to load for module NAME.
func (b *board) kit(ctx context.Context) (kit, error) {
	modules := slices.Concat(b.modules, b.disk.modules, onDemand)
	recipe := []any{b.arch, suite, b.kernel, b.dtb, modules, tools}
	dir, err := cached(ctx, b.name, recipe, func(ctx context.Context, dir string) error {
		scratch := filepath.Join(dir, "scratch")
		a, err := newApt(ctx, filepath.Join(scratch, "apt"), b.arch, suite)
		if err != nil {
			return err
		}
		linux, err := a.dependsOn(ctx, b.kernel)
		if err != nil {
			return err
		}
		kernel := filepath.Join(scratch, "kernel")
		names, err := a.unpack(ctx, kernel, linux)
		if err != nil {
			return err
		}
		more, err := a.unpack(ctx, filepath.Join(scratch, "tools"), tools...)
		if err != nil {
			return err
		}
		if err := b.pick(ctx, kernel, strings.TrimPrefix(linux, "linux-image-"), modules, dir); err != nil {
			return err
		}
		if err := pickTools(filepath.Join(scratch, "tools"), filepath.Join(dir, "root")); err != nil {
			return err
		}
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
		list := strings.Join(append(names, more...), "\n") + "\n"
		return os.WriteFile(filepath.Join(dir, "packages"), []byte(list), 0o644)
	})
	return kit{dir}, err
}

// pick takes what is needed out of an unpacked kernel package.
func (b *board) pick(ctx context.Context, kernel, version string, modules []string, to string) error {
	if _, err := tool(ctx, "", nil, "depmod", "-b", kernel, version); err != nil {
		return err
	}
	for from, name := range map[string]string{
		"boot/vmlinuz-" + version:                      "vmlinuz",
		"usr/lib/linux-image-" + version + "/" + b.dtb: "board.dtb",
	} {
		if err := copyFile(filepath.Join(kernel, from), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	tree := filepath.Join(kernel, "lib/modules", version)
	deps, err := dependencies(tree)
	if err != nil {
		return err
	}
	out := filepath.Join(to, "modules")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, m := range modules {
		files, ok := deps[plain(m)]
		if !ok {
			return fmt.Errorf("linux %s has no module %s", version, m)
		}
		var order strings.Builder
		for _, f := range files {
			if err := copyFile(filepath.Join(tree, f), filepath.Join(out, filepath.Base(f))); err != nil {
				return err
			}
			fmt.Fprintln(&order, filepath.Base(f))
		}
		if err := os.WriteFile(filepath.Join(out, m+".order"), []byte(order.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// plain is a module's name without what the kernel takes as the same.
func plain(module string) string { return strings.ReplaceAll(module, "-", "_") }

// dependencies reads modules.dep (modules.dep(5)): for each module the files to load, in that order. Those that are
// part of the kernel need none.
func dependencies(tree string) (map[string][]string, error) {
	name := func(file string) string { return plain(strings.TrimSuffix(filepath.Base(file), ".ko")) }
	out := map[string][]string{}
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for file := range strings.Lines(string(builtin)) {
		out[name(strings.TrimSpace(file))] = nil
	}
	f, err := os.Open(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		file, needs, _ := strings.Cut(s.Text(), ":")
		files := append([]string{file}, strings.Fields(needs)...)
		slices.Reverse(files)
		out[name(file)] = files
	}
	return out, s.Err()
}

// pickTools takes busybox, i2c-tools and their libraries, links followed.
func pickTools(from, to string) error {
	for _, pattern := range []string{
		"bin/busybox", "usr/sbin/i2c*", "lib/ld-linux*", "lib/*/ld-linux*", "lib/*/libc.so.6", "lib/*/libm.so.6", "usr/lib/*/libi2c.so.0",
	} {
		files, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			return err
		}
		if len(files) == 0 && !strings.Contains(pattern, "ld-linux") {
			return fmt.Errorf("no %s in %q", pattern, tools)
		}
		for _, f := range files {
			rel, err := filepath.Rel(from, f)
			if err != nil {
				return err
			}
			if err := copyFile(f, filepath.Join(to, rel)); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// distribution is the QEMU that the distribution has.
func distribution(context.Context) (string, error) { return find("qemu-system-arm") }

// backports is a QEMU that knows the i.MX 8M Plus: version 10 or later. Where the distribution's own is older, it
// comes from Debian's backports; its libraries are those of the installed package qemu-system-arm. It has no
// modules: those of the installed version would make it abort.
func backports(ctx context.Context) (string, error) {
	own, err := find("qemu-system-aarch64")
	if err != nil {
		return "", err
	}
	if hasMachine(ctx, own, "imx8mp-evk") {
		return own, nil
	}
	release, err := codename()
	if err != nil {
		return "", err
	}
	const program = "usr/bin/qemu-system-aarch64"
	from := release + "-backports"
	dir, err := cached(ctx, "qemu", []any{from, runtime.GOARCH}, func(ctx context.Context, dir string) error {
		arch, err := tool(ctx, "", nil, "dpkg", "--print-architecture")
		if err != nil {
			return err
		}
		scratch := filepath.Join(dir, "scratch")
		a, err := newApt(ctx, filepath.Join(scratch, "apt"), strings.TrimSpace(arch), from)
		if err != nil {
			return err
		}
		names, err := a.unpack(ctx, filepath.Join(scratch, "root"), "qemu-system-arm")
		if err != nil {
			return err
		}
		if err := copyFile(filepath.Join(scratch, "root", program), filepath.Join(dir, program)); err != nil {
			return err
		}
		// Beside a directory of this name QEMU looks below it and nowhere else (util/cutils.c, get_relocated_path).
		if err := os.Mkdir(filepath.Join(dir, filepath.Dir(program), "qemu-bundle"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "packages"), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
			return err
		}
		return os.RemoveAll(scratch)
	})
	if err != nil {
		return "", fmt.Errorf("QEMU 10: %w", err)
	}
	path := filepath.Join(dir, program)
	if !hasMachine(ctx, path, "imx8mp-evk") {
		_, why := tool(ctx, "", nil, path, "-M", "help")
		return "", fmt.Errorf("%s knows no imx8mp-evk (%w); are the libraries of the package qemu-system-arm installed?", path, why)
	}
	return path, nil
}

// codename is the release of the host's Debian (os-release(5)).
func codename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", errors.New("/etc/os-release names no release")
}
