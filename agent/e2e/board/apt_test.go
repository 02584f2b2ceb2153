//go:build e2e && linux

package board

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt is a state of apt of its own: lists and archives of one architecture and one suite, beside those of the system.
type apt struct {
	dir   string
	conf  string
	suite string
}

// mirror is Debian's archive. RACKAGENT_BOARD_MIRROR names another one.
func mirror() string {
	if m := os.Getenv("RACKAGENT_BOARD_MIRROR"); m != "" {
		return m
	}
	return "http://deb.debian.org/debian"
}

// keyring is where Debian keeps the keys of its archive.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// newApt makes such a state in a directory and loads its lists. How the machine reaches mirrors (Acquire) is kept, its
// hooks are not: they belong to the system's state. The main suite alone is used: kernels of the security suite are no
// better for a test, and it is one more index that may be out of step.
func newApt(ctx context.Context, dir, arch, suite string) (*apt, error) {
	a := &apt{dir: dir, conf: filepath.Join(dir, "apt.conf"), suite: suite}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	acquire, err := tool(ctx, "", nil, "apt-config", "dump", "Acquire")
	if err != nil {
		return nil, err
	}
	var conf strings.Builder
	for line := range strings.Lines(acquire) {
		if strings.HasPrefix(line, "Acquire::") && !strings.HasPrefix(line, "Acquire::IndexTargets") {
			conf.WriteString(line)
		}
	}
	fmt.Fprintf(&conf, "APT::Architecture %q;\nAPT::Architectures { %q; };\nAPT::Sandbox::User \"root\";\n", arch, arch)
	for key, path := range map[string]string{
		"State": dir, "State::lists": dir + "/lists", "State::status": dir + "/status",
		"Cache": dir, "Cache::archives": dir + "/archives",
		"Etc::sourcelist": dir + "/sources.list",
		// A directory that is not there: nothing of the system's.
		"Etc::sourceparts": dir + "/none", "Etc::parts": dir + "/none", "Etc::main": dir + "/none", "Etc::preferencesparts": dir + "/none",
	} {
		fmt.Fprintf(&conf, "Dir::%s %q;\n", key, path)
	}
	sources := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, mirror(), suite)
	for name, text := range map[string]string{"apt.conf": conf.String(), "sources.list": sources, "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if _, err := a.run(ctx, "apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return nil, fmt.Errorf("the suite %s of %s for %s: %w", suite, mirror(), arch, err)
	}
	return a, nil
}

func (a *apt) run(ctx context.Context, name string, args ...string) (string, error) {
	return tool(ctx, filepath.Join(a.dir, "archives"), []string{"APT_CONFIG=" + a.conf, "LC_ALL=C"}, name, args...)
}

// dependsOn is the first package that a package depends on: of a metapackage, what it stands for.
func (a *apt) dependsOn(ctx context.Context, pkg string) (string, error) {
	out, err := a.run(ctx, "apt-cache", "depends", "--important", pkg)
	if err != nil {
		return "", err
	}
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		if name, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "Depends: "); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s in %s depends on nothing", pkg, a.suite)
}

// unpack fetches packages and unpacks them below a directory. It gives the files' names, which hold the versions.
func (a *apt) unpack(ctx context.Context, to string, pkgs ...string) ([]string, error) {
	if _, err := a.run(ctx, "apt-get", append([]string{"download", "-q"}, pkgs...)...); err != nil {
		return nil, err
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "archives", "*.deb"))
	if err != nil {
		return nil, err
	}
	if len(debs) != len(pkgs) {
		return nil, fmt.Errorf("asked for %q, got %q", pkgs, debs)
	}
	var names []string
	for _, deb := range debs {
		if _, err := tool(ctx, "", nil, "dpkg", "-x", deb, to); err != nil {
			return nil, err
		}
		if err := os.Remove(deb); err != nil {
			return nil, err
		}
		names = append(names, filepath.Base(deb))
	}
	return names, nil
}

// packageOf names the package to install for a program that is missing.
var packageOf = map[string]string{
	"apt-config": "apt", "apt-get": "apt", "apt-cache": "apt", "dpkg": "dpkg", "depmod": "kmod",
	"qemu-system-arm": "qemu-system-arm", "qemu-system-aarch64": "qemu-system-arm", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs",
	"qemu-arm-static": "qemu-user-static",
}

// tool runs a program of the host to its end and gives what it said on its standard output.
func tool(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	path, err := find(name)
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var out, all bytes.Buffer
	c.Stdout, c.Stderr = &out, &all
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, last(out.String()+all.String(), 2000))
	}
	return out.String(), nil
}

// find looks where root's programs are too, which are not in every user's path.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing; it is in the Debian package %s", name, packageOf[name])
	}
	return path, nil
}

// last is the end of a text.
func last(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
