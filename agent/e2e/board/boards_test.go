//go:build e2e && linux

package board

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// board is a machine that QEMU emulates.
type board struct {
	name    string
	arch    string   // of Debian's packages
	goenv   []string // of the agent's build
	kernel  string   // Debian package that depends on the kernel
	dtb     string   // below /usr/lib/linux-image-VERSION
	program func(ctx context.Context) (string, error)
	machine []string // arguments of QEMU before the kernel's
	console string
	modules []string // needed for the network, in the order of loading; what they depend on comes by itself
	buses   []bus
	// nobody is what the agent says of an address where no chip is.
	nobody string
	// memory is where the machine itself has an EEPROM of 256 bytes, as memory.at names it; empty: nowhere.
	memory string
	disk   disk
}

// bus is one I2C bus: its name for QEMU and its device file in the guest.
type bus struct{ qemu, device string }

// disk is how a board takes the root of a guest with systemd.
type disk struct {
	option  string   // of -drive
	modules []string // what the kernel needs to find it
	device  string
}

// onDemand are the kernel's own drivers of chips, which tests load as judges, and what systemd asks for.
var onDemand = []string{"lm75", "tmp421", "at24", "i2c-mux-pca954x", "gpio-pca953x", "autofs4"}

// ast2600 is the evaluation board of the ASPEED AST2600, a management controller. QEMU gives it chips of its own
// (hw/arm/aspeed.c, ast2600_evb_i2c_init): an EEPROM of 256 bytes on bus 7, which is therefore the first of ours, and a
// thermometer on bus 8, which is none of them. The device tree names chips on these two that the kernel does not take
// as long as their drivers are not loaded.
var ast2600 = &board{
	name: "ast2600", arch: "armhf", goenv: []string{"GOARCH=arm", "GOARM=7"},
	kernel: "linux-image-armmp", dtb: "aspeed-ast2600-evb.dtb",
	program: distribution,
	machine: []string{"-M", "ast2600-evb", "-m", "512", "-serial", "stdio"},
	console: "ttyS4,115200",
	// mdio-aspeed before ftgmac100, and realtek: otherwise "Failed to connect to phy".
	modules: []string{"i2c-aspeed", "i2c-dev", "mdio-aspeed", "realtek", "ftgmac100"},
	buses: []bus{
		{"aspeed.i2c.bus.7", "/dev/i2c-7"},
		{"aspeed.i2c.bus.1", "/dev/i2c-1"},
		{"aspeed.i2c.bus.2", "/dev/i2c-2"},
		{"aspeed.i2c.bus.3", "/dev/i2c-3"},
		{"aspeed.i2c.bus.4", "/dev/i2c-4"},
		{"aspeed.i2c.bus.5", "/dev/i2c-5"},
	},
	memory: "aspeed.i2c.bus.7:0x50",
	nobody: "nack", // the adapter driver returns ENXIO
	disk: disk{
		option:  "if=sd,index=2", // the place of the soldered one; a card in the first slot is write-protected
		modules: []string{"sdhci-of-aspeed", "mmc_block", "crc32c_generic", "ext4"},
		device:  "/dev/mmcblk0",
	},
}

// imx8mp is the evaluation kit of the NXP i.MX 8M Plus. Its device tree enables buses 0 and 2 of those that QEMU has.
var imx8mp = &board{
	name: "imx8mp", arch: "arm64", goenv: []string{"GOARCH=arm64"},
	kernel: "linux-image-arm64", dtb: "freescale/imx8mp-evk.dtb",
	program: backports,
	machine: []string{"-M", "imx8mp-evk", "-smp", "4", "-m", "512", "-serial", "null", "-serial", "stdio"},
	console: "ttymxc1",
	// fec waits for its MAC address for ever without nvmem-imx-ocotp.
	modules: []string{"i2c-imx", "i2c-dev", "nvmem-imx-ocotp", "fec"},
	buses:   []bus{{"i2c-bus.0", "/dev/i2c-0"}, {"i2c-bus.2", "/dev/i2c-2"}},
	nobody:  "timeout", // the model raises no interrupt on a NACK, so the adapter driver waits and returns ETIMEDOUT
	disk: disk{
		option:  "if=sd,bus=2,unit=0",
		modules: []string{"sdhci-esdhc-imx", "mmc_block", "crc32c_generic", "ext4"},
		device:  "/dev/mmcblk2",
	},
}

// boards are all of them.
var boards = []*board{ast2600, imx8mp}

// place fills in where things are on this board: @N is bus N as QEMU calls it.
func (b *board) place(arg string) string { return b.replace(arg, func(u bus) string { return u.qemu }) }

// devices fills in @N, bus N, by its device file.
func (b *board) devices(text string) string {
	return b.replace(text, func(u bus) string { return u.device })
}

func (b *board) replace(s string, name func(bus) string) string {
	for n := len(b.buses) - 1; n >= 0; n-- { // @12 before @1
		s = strings.ReplaceAll(s, fmt.Sprintf("@%d", n), name(b.buses[n]))
	}
	return s
}

// hasMachine tells whether a QEMU emulates a board.
func hasMachine(ctx context.Context, program, machine string) bool {
	out, err := exec.CommandContext(ctx, program, "-M", "help").Output()
	return err == nil && strings.Contains(string(out), "\n"+machine+" ")
}
