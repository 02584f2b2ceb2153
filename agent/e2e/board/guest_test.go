//go:build e2e && linux

package board

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rackagent/agent/sim"
)

// hardware is what hangs on the board's buses in one guest. In all texts @N is bus N of the board.
type hardware struct {
	// devices are arguments of -device, as "tmp105,bus=@0,address=0x48,id=t0". Channel 2 of a switch
	// "pca9548,bus=@1,address=0x70" is the bus "@1/pca9548/i2c.2": by its type, because QEMU 10 forgets its id.
	devices  []string
	memories []memory
}

// memory is a serial EEPROM with its contents. QEMU keeps them in a file, which the guest may change.
type memory struct {
	bus     string // as in devices
	address int
	size    int    // of the part; up to 256 bytes its pointer has one byte, above two
	content []byte // the rest is FF
}

// guest is a machine that runs.
type guest struct {
	t       testing.TB
	b       *board
	world   *sim.World // of its broker alone
	console *console
	qmp     *monitor
	shell   string   // address of the guest's shell
	store   []memory // contents that only the guest can write
	cmd     *exec.Cmd
}

// bootLimit is how long a guest may take to its shell. Arbitrary: it takes 4 to 8 s on two idle cores.
const bootLimit = 2 * time.Minute

// boot starts a guest and waits for its shell. It ends with the test.
func boot(t testing.TB, b *board, h hardware) *guest {
	t.Helper()
	return bootSystem(t, b, h, system{})
}

// system is what a guest has besides a shell.
type system struct {
	disk    string            // image of its root, which is not changed; empty: it lives in memory
	overlay map[string][]byte // files to lay over the root
}

// bootSystem is boot for a guest with a disk.
func bootSystem(t testing.TB, b *board, h hardware, s system) *guest {
	t.Helper()
	began := time.Now()
	g := start(t, b, h, s)
	g.await("@@READY", bootLimit)
	g.findShell()
	for _, m := range g.store {
		g.fill(m)
	}
	t.Cleanup(func() {
		if log, err := g.try("cat " + agentLog); err == nil && t.Failed() {
			t.Logf("the agent's log:\n%s", last(log, 6000))
		}
	})
	t.Logf("%s: the shell is there after %.1f s", b.name, time.Since(began).Seconds())
	return g
}

// start starts QEMU.
func start(t testing.TB, b *board, h hardware, s system) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // an empty cache: several packages of 40 to 60 MB
	defer cancel()
	g := &guest{t: t, b: b, console: newConsole()}
	program, err := b.program(ctx)
	g.must(err)
	k, err := b.kit(ctx)
	g.must(err)
	agent, err := b.build(ctx)
	g.must(err)

	dir, err := os.MkdirTemp("", "board") // short: the path of a socket has room for about 100 bytes
	g.must(err)
	t.Cleanup(func() { g.must(os.RemoveAll(dir)) })
	initrd := filepath.Join(dir, "initrd")
	f, err := os.Create(initrd)
	g.must(err)
	w := bufio.NewWriterSize(f, 1<<20)
	g.must(errors.Join(b.initramfs(k, agent, s.overlay, w), w.Flush(), f.Close()))

	g.world, err = sim.New(sim.Config{StateDir: dir})
	g.must(err)
	g.must(g.world.Broker().Start("127.0.0.1:0"))
	t.Cleanup(func() { g.must(g.world.Close()) })

	socket := filepath.Join(dir, "qmp")
	words, drive := "", []string(nil)
	if s.disk != "" {
		words = "disk=" + b.disk.device
		drive = []string{"-drive", b.disk.option + ",format=raw,snapshot=on,file=" + s.disk}
	}
	args := slices.Concat(b.machine, []string{
		"-kernel", k.path("vmlinuz"), "-dtb", k.path("board.dtb"), "-initrd", initrd,
		"-append", fmt.Sprintf("console=%s quiet panic=-1 epoch=%d %s", b.console, time.Now().Unix(), words),
		"-display", "none", "-monitor", "none", "-no-reboot",
		"-nic", "user,id=n0,hostfwd=tcp:127.0.0.1:0-:2323", "-qmp", "unix:" + socket + ",server=on,wait=off",
	}, g.attach(ctx, program, dir, h), drive)
	g.launch(program, args)
	g.connect(socket)
	return g
}

// attach gives the arguments for the chips.
func (g *guest) attach(ctx context.Context, program, dir string, h hardware) []string {
	g.t.Helper()
	var args []string
	for _, d := range h.devices { // first: a memory may be behind a switch
		args = append(args, "-device", g.b.place(d))
	}
	for i, m := range h.memories {
		if m.size <= 256 && m.at(g.b) == g.b.memory {
			g.store = append(g.store, m)
			continue
		}
		id := fmt.Sprintf("memory%d", i)
		file := filepath.Join(dir, id)
		content, size, err := m.file(ctx, program)
		g.must(err)
		g.must(os.WriteFile(file, content, 0o600))
		args = append(args, "-drive", fmt.Sprintf("if=none,id=%s,file=%s,format=raw", id, file),
			"-device", g.b.place(fmt.Sprintf("at24c-eeprom,bus=%s,address=%#x,drive=%s,%s", m.bus, m.address, id, size)))
	}
	return args
}

// at is where a memory is, as in board.memory.
func (m memory) at(b *board) string { return fmt.Sprintf("%s:%#x", b.place(m.bus), m.address) }

// file is what QEMU's model keeps the contents in, and how it is told of the size. A file cannot be smaller than a
// sector of 512 bytes, so a part of 256 bytes gets a larger one of which the pointer of one byte reaches the beginning.
func (m memory) file(ctx context.Context, program string) ([]byte, string, error) {
	if len(m.content) > m.size {
		return nil, "", fmt.Errorf("%d bytes do not fit a memory of %d", len(m.content), m.size)
	}
	content := slices.Repeat([]byte{0xff}, max(m.size, 512))
	copy(content, m.content)
	size := fmt.Sprintf("rom-size=%d", len(content))
	if m.size > 256 {
		return content, size, nil
	}
	help, err := exec.CommandContext(ctx, program, "-device", "at24c-eeprom,help").Output()
	if err == nil && !strings.Contains(string(help), "address-size") {
		err = errors.New("before version 8 QEMU's at24c-eeprom knows pointers of two bytes only")
	}
	return content, size + ",address-size=1", err
}

// fill writes the contents of a memory of 256 bytes that the machine itself has.
func (g *guest) fill(m memory) {
	g.t.Helper()
	content := slices.Repeat([]byte{0xff}, 256)
	copy(content, m.content)
	var script strings.Builder
	adapter := strings.TrimPrefix(g.b.devices(m.bus), "/dev/i2c-")
	for at := 0; at < len(content); at += 16 {
		fmt.Fprintf(&script, "i2ctransfer -y %s w17@%#x %d", adapter, m.address, at)
		for _, b := range content[at : at+16] {
			fmt.Fprintf(&script, " %d", b)
		}
		script.WriteString(" || exit\n")
	}
	if said, err := g.try(script.String()); err != nil {
		g.t.Fatalf("fill the memory: %v: %s", err, said)
	}
}

// launch starts QEMU and sees to its end.
func (g *guest) launch(program string, args []string) {
	g.t.Helper()
	g.cmd = exec.Command(program, args...)
	out, in, err := os.Pipe()
	g.must(err)
	g.cmd.Stdout, g.cmd.Stderr = in, in
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // where the test's own end is no orderly one
	err = g.cmd.Start()
	in.Close()
	g.must(err)
	g.console.Go(func() { g.console.read(out) })
	g.t.Cleanup(func() {
		if g.qmp != nil {
			g.qmp.close()
		}
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.console.Wait()
		out.Close()
		if g.t.Failed() {
			g.t.Logf("the guest's console:\n%s", last(g.console.text(), 8000))
		}
	})
}

// connect waits for QEMU's monitor.
func (g *guest) connect(socket string) {
	g.t.Helper()
	g.eventually(qmpLimit, "QEMU's monitor", func() bool {
		m, err := newMonitor(socket)
		g.qmp = m
		return err == nil || g.console.over()
	})
	if g.console.over() {
		g.t.Fatalf("QEMU ended: %s", last(g.console.text(), 2000))
	}
}

// findShell asks QEMU which port of the host it took for the guest's shell.
func (g *guest) findShell() {
	g.t.Helper()
	said, err := g.qmp.human("info usernet")
	g.must(err)
	// TCP[HOST_FORWARD]  12       127.0.0.1 38345       10.0.2.15  2323     0     0
	m := regexp.MustCompile(`HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+2323\b`).FindStringSubmatch(said)
	if m == nil {
		g.t.Fatalf("no way to the guest's shell in: %s", said)
	}
	g.shell = net.JoinHostPort("127.0.0.1", m[1])
	g.eventually(bootLimit, "the guest's shell", func() bool {
		_, err := g.try("true")
		return err == nil
	})
}

func (g *guest) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// await waits for a line of the console that begins with a mark.
func (g *guest) await(mark string, limit time.Duration) {
	g.t.Helper()
	g.eventually(limit, "the console to say "+mark, func() bool { return g.console.over() || g.console.said(mark) })
	if !g.console.said(mark) {
		g.t.Fatalf("the guest ended without a word of %s", mark)
	}
	if g.console.said("@@TROUBLE") {
		g.t.Fatal("the guest is in trouble")
	}
}

// shellLimit is how long a script may take. Arbitrary.
const shellLimit = 60 * time.Second

// errStatus is a script that ended with another status than 0.
type errStatus int

func (e errStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// try runs a script in the guest and gives what it said and how it ended.
func (g *guest) try(script string) (string, error) {
	conn, err := net.Dial("tcp", g.shell)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(shellLimit)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "(\n%s\n) </dev/null\nprintf '\\n@@RC %%d\\n' $?\nexit\n", script); err != nil {
		return "", err
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return string(said), fmt.Errorf("the guest's shell: %w", err)
	}
	text, code, ok := strings.Cut(string(said), "\n@@RC ")
	if !ok {
		return text, errors.New("the guest's shell ended before the script")
	}
	status, err := strconv.Atoi(strings.TrimSpace(code))
	if err == nil && status != 0 {
		err = errStatus(status)
	}
	return text, err
}

// sh runs a script that must succeed and gives what it said, without the last line's end.
func (g *guest) sh(script string, args ...any) string {
	g.t.Helper()
	script = fmt.Sprintf(script, args...)
	said, err := g.try(script)
	if err != nil {
		g.t.Fatalf("in the guest, %s: %v: %s", script, err, said)
	}
	return strings.TrimRight(said, "\n")
}

// number runs a script that says a number, decimal or 0x.
func (g *guest) number(script string, args ...any) int {
	g.t.Helper()
	said := g.sh(script, args...)
	n, err := strconv.ParseInt(said, 0, 64)
	g.must(err)
	return int(n)
}

// write puts a file into the guest.
func (g *guest) write(path, text string) {
	g.t.Helper()
	g.sh("mkdir -p \"$(dirname %[1]q)\" && base64 -d >%[1]q <<'END'\n%[2]s\nEND", path, base64.StdEncoding.EncodeToString([]byte(text)))
}

// read gets one out of it.
func (g *guest) read(path string) []byte {
	g.t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(g.sh("base64 %q", path), "\n", ""))
	g.must(err)
	return b
}

// exit ends the guest in order.
func (g *guest) exit() {
	g.t.Helper()
	g.sh("echo 0 >/run/exit")
	g.await("@@EXIT rc=0", 30*time.Second)
}

// driver gives an address to the kernel's own driver of a chip, and a function that takes it away again. The chip's
// directory below /sys/bus/i2c/devices is dir.
func (g *guest) driver(module, chip, bus string, address int) (dir string, unbind func()) {
	g.t.Helper()
	adapter := strings.TrimPrefix(g.b.devices(bus), "/dev/")
	at := "/sys/bus/i2c/devices/" + adapter
	g.sh("load %s && echo %s %#02x >%s/new_device", module, chip, address, at)
	dir = fmt.Sprintf("/sys/bus/i2c/devices/%s-%04x", strings.TrimPrefix(adapter, "i2c-"), address)
	g.sh("[ -e %s/driver ]", dir)
	return dir, func() { g.t.Helper(); g.sh("echo %#02x >%s/delete_device", address, at) }
}

// memoryDriver is driver for a memory with a pointer of one byte. Where the device tree names one there, it is taken, even
// if it is said to be larger.
func (g *guest) memoryDriver(bus string, address int) (dir string, unbind func()) {
	g.t.Helper()
	name := fmt.Sprintf("%s-%04x", strings.TrimPrefix(g.b.devices(bus), "/dev/i2c-"), address)
	dir = "/sys/bus/i2c/devices/" + name
	if _, err := g.try("[ -e " + dir + " ]"); err != nil {
		return g.driver("at24", "24c02", bus, address)
	}
	g.sh("load at24 && { [ -e %[1]s/driver ] || echo %[2]s >/sys/bus/i2c/drivers/at24/bind; }", dir, name)
	return dir, func() { g.t.Helper(); g.sh("echo %s >/sys/bus/i2c/drivers/at24/unbind", name) }
}

// hwmon reads an attribute of a chip that a hardware monitoring driver has.
func (g *guest) hwmon(dir, attribute string) int {
	g.t.Helper()
	return g.number("cat %s/hwmon/hwmon*/%s", dir, attribute)
}

// eventually looks again and again, because what it looks at is another machine.
func (g *guest) eventually(limit time.Duration, what string, cond func() bool) {
	g.t.Helper()
	if err := within(limit, cond); err != nil {
		g.t.Fatalf("waited %v for %s", limit, what)
	}
}

var errLate = errors.New("it did not come in time")

func within(limit time.Duration, cond func() bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return errLate
		}
	}
	return nil
}

// console keeps what QEMU and the guest's serial line say.
type console struct {
	sync.WaitGroup
	mu    sync.Mutex
	lines []string
	ended bool
}

func newConsole() *console { return &console{} }

func (c *console) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		c.mu.Lock()
		c.lines = append(c.lines, strings.TrimRight(s.Text(), "\r"))
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// said tells whether a line begins with a mark. A message of the kernel may stand in front of it.
func (c *console) said(mark string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.lines, func(l string) bool { return strings.Contains(l, mark) })
}

func (c *console) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}
