//go:build e2e && linux

package board

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed testdata/rootfs
var makeRootfs string

// packages of a guest with systemd, besides what every Debian has.
const rootPackages = "systemd,systemd-sysv,dbus,udev,kmod"

// rootSize is that of the disk. QEMU takes SD cards of a power of two only.
const rootSize = "512M"

// rootfs gives the disk of a guest with systemd: a Debian of the board's architecture as its packages make it, with
// nothing of ours. It is made in a user namespace, where the registration of the emulator that runs the packages' own
// scripts is seen by nobody else (Linux 6.7 or later).
func (b *board) rootfs(ctx context.Context) (string, error) {
	emulator := map[string]string{"armhf": "arm", "arm64": "aarch64"}[b.arch]
	recipe := []any{b.arch, suite, rootPackages, rootSize, makeRootfs}
	dir, err := cached(ctx, "root-"+b.arch, recipe, func(ctx context.Context, dir string) error {
		for _, name := range []string{"mmdebstrap", "mke2fs", "qemu-" + emulator + "-static"} {
			if _, err := find(name); err != nil {
				return err
			}
		}
		source := fmt.Sprintf("deb [signed-by=%s] %s %s main", keyring, mirror(), suite)
		c := exec.CommandContext(ctx, "/bin/sh", "-euxc", makeRootfs, "sh",
			emulator, b.arch, rootPackages, suite, source, filepath.Join(dir, "root"), filepath.Join(dir, "root.ext4"), rootSize)
		c.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+dir)
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}},
			// Without it /etc/group of the new system could not be obeyed.
			GidMappingsEnableSetgroups: true,
		}
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		if err := c.Run(); err != nil {
			return fmt.Errorf("as root, with user namespaces: %w: %s", err, last(said.String(), 3000))
		}
		return nil
	})
	return filepath.Join(dir, "root.ext4"), err
}
