// Package board runs the product on emulated boards: the unmodified binary as it is cross-built for rack controllers, a
// stock Debian kernel with its own I2C drivers and /dev/i2c-N, and device models written by the QEMU project. It has no
// code of its own: everything is in its test files.
//
//	go test -tags e2e -count=1 -timeout 30m ./agent/e2e/board
//
// It needs Debian 12 or later with qemu-system-arm and kmod; for the guest with systemd, root and mmdebstrap, e2fsprogs
// and qemu-user-static. Kernels, busybox and i2c-tools are fetched with apt as packages of the board's architecture,
// unpacked beside the system and never installed, and so is a QEMU that knows the board where the distribution's does
// not. What was fetched stays in RACKAGENT_BOARD_CACHE (default: rackagent-boards in the user's cache directory), and
// a second run asks no mirror; who removes it gets newer packages. What cannot be had makes the tests fail.
//
// A test describes a rack, chips as QEMU devices on the board's buses and the configuration of the agent, as an entry of
// racks. boot starts it. The guest it returns gives a shell, the agent's life, what came to the broker (the one of
// agent/sim, in the test's process), and the monitor's hands on the chips. The judges are the kernel's own drivers and
// i2c-tools in the guest, and what the monitor was told outside.
package board
