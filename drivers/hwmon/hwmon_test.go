package hwmon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"rackagent/drivers"
)

// tree is a /sys in which some files fail to be read.
type tree struct {
	fstest.MapFS
	fails map[string]error // by path with links followed as below
	reads []string
}

// sys makes one of files and links ("->").
func sys(files map[string]string) *tree {
	t := &tree{MapFS: fstest.MapFS{}, fails: map[string]error{}}
	for name, text := range files {
		t.put(name, text)
	}
	return t
}

func (t *tree) put(name, text string) {
	f := &fstest.MapFile{Data: []byte(text), Mode: 0o444}
	if target, link := strings.CutPrefix(text, "->"); link {
		f = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
	t.MapFS[name] = f
}

func (t *tree) Open(name string) (fs.File, error) {
	t.reads = append(t.reads, name)
	f, err := t.MapFS.Open(name)
	if err != nil {
		return nil, err
	}
	if cause := t.fails[path.Base(name)]; cause != nil {
		return failing{f, cause}, nil
	}
	return f, nil
}

// failing is a file that opens and cannot be read, as an attribute of a part that does not answer is.
type failing struct {
	fs.File
	err error
}

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// board has two thermometers of one kind, a power monitor and a fan controller.
func board() *tree {
	return sys(map[string]string{
		"class/hwmon/hwmon0":                            "->../../devices/i2c-1/1-0048/hwmon/hwmon0",
		"class/hwmon/hwmon1":                            "->../../devices/i2c-1/1-0049/hwmon/hwmon1",
		"class/hwmon/hwmon2":                            "->../../devices/i2c-1/1-0040/hwmon/hwmon2",
		"class/hwmon/hwmon10":                           "->../../devices/i2c-1/1-002f/hwmon/hwmon10",
		"devices/i2c-1/1-0048/name":                     "lm75\n",
		"devices/i2c-1/1-0048/hwmon/hwmon0/name":        "lm75\n",
		"devices/i2c-1/1-0048/hwmon/hwmon0/device":      "->../../../1-0048",
		"devices/i2c-1/1-0048/hwmon/hwmon0/temp1_input": "-12500\n",
		"devices/i2c-1/1-0048/hwmon/hwmon0/temp1_max":   "80000\n",

		"devices/i2c-1/1-0049/hwmon/hwmon1/name":        "lm75\n",
		"devices/i2c-1/1-0049/hwmon/hwmon1/device":      "->../../../1-0049",
		"devices/i2c-1/1-0049/hwmon/hwmon1/temp1_input": "31000\n",

		"devices/i2c-1/1-0040/hwmon/hwmon2/name":            "ina226\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/device":          "->../../../1-0040",
		"devices/i2c-1/1-0040/hwmon/hwmon2/in0_input":       "12\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/in1_input":       "48123\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/in1_label":       "bus \n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/curr1_input":     "-1250\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/power1_input":    "60153750\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/energy1_input":   "3600000000\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/in01_input":      "1\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/in_input":        "1\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/humidity1_input": "1\n",
		"devices/i2c-1/1-0040/hwmon/hwmon2/update_interval": "1\n",

		"devices/i2c-1/1-002f/hwmon/hwmon10/name":          "emc2305\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/device":        "->../../../1-002f",
		"devices/i2c-1/1-002f/hwmon/hwmon10/fan1_input":    "0\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/fan1_fault":    "1\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/fan2_input":    "6120\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/fan2_fault":    "0\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/fan10_input":   "700\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/pwm1":          "255\n",
		"class/hwmon/README":                               "no device\n",
		"devices/i2c-1/1-002f/hwmon/hwmon10/power/control": "auto\n",
	})
}

func monitor(t *testing.T, sysfs fs.FS, o Opts) *Dev {
	t.Helper()
	d, err := New(sysfs, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNew(t *testing.T) {
	for name, c := range map[string]struct {
		sysfs fs.FS
		o     Opts
	}{
		"no tree":         {nil, Opts{Chip: "lm75"}},
		"no chip":         {sys(nil), Opts{Device: "1-0048"}},
		"a chip's path":   {sys(nil), Opts{Chip: "../lm75"}},
		"a device's path": {sys(nil), Opts{Chip: "lm75", Device: "i2c-1/1-0048"}},
	} {
		if d, err := New(c.sysfs, c.o); err == nil {
			t.Errorf("%s: %v", name, d)
		}
	}
	s := board()
	monitor(t, s, Opts{Chip: "lm75"})
	if len(s.reads) != 0 {
		t.Errorf("New read %q", s.reads)
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		chip, device string
		want         drivers.Fault
		text         string
	}{
		{"lm75", "1-0048", drivers.None, ""},
		{"ina226", "", drivers.None, ""},
		{"lm75", "", drivers.Unsupported, "hwmon0 (1-0048), hwmon1 (1-0049)"},
		{"lm75", "1-004a", drivers.NoAnswer, "hwmon0 (1-0048), hwmon1 (1-0049)"},
		{"tmp421", "", drivers.NoAnswer, "not found"},
		{"tmp421", "1-0048", drivers.NoAnswer, "lm75"},
	} {
		id, err := monitor(t, board(), Opts{Name: "x", Chip: c.chip, Device: c.device}).Identify(t.Context())
		if drivers.FaultOf(err) != c.want || (err != nil && !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s %s: %v", c.chip, c.device, err)
		}
		if err == nil && id != (drivers.Ident{Part: c.chip}) {
			t.Errorf("%s: %+v", c.chip, id)
		}
	}
	_, err := monitor(t, sys(nil), Opts{Chip: "lm75"}).Identify(t.Context())
	if !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a kernel without hwmon: %v", err)
	}
}

func TestDiscover(t *testing.T) {
	got, err := monitor(t, board(), Opts{Chip: "ina226"}).Discover(t.Context())
	want := []Channel{
		{Kind: Volts, N: 0}, {Kind: Volts, N: 1, Label: "bus"}, {Kind: Amps, N: 1}, {Kind: Watts, N: 1}, {Kind: Joules, N: 1},
	}
	for i := range want {
		want[i].Fault = drivers.NotRead
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	got[0].Label = "changed"
	if again, _ := monitor(t, board(), Opts{Chip: "ina226"}).Discover(t.Context()); again[0].Label != "" {
		t.Error("the caller's copy is the driver's")
	}
}

func TestSense(t *testing.T) {
	for _, c := range []struct {
		chip, device string
		want         []Channel
	}{
		{"lm75", "1-0048", []Channel{{Kind: TempC, N: 1, Value: -12.5, Raw: -12500}}},
		{"lm75", "1-0049", []Channel{{Kind: TempC, N: 1, Value: 31, Raw: 31000}}},
		{"ina226", "", []Channel{
			{Kind: Volts, N: 0, Value: 0.012, Raw: 12},
			{Kind: Volts, N: 1, Label: "bus", Value: 48.123, Raw: 48123},
			{Kind: Amps, N: 1, Value: -1.25, Raw: -1250},
			{Kind: Watts, N: 1, Value: 60.15375, Raw: 60153750},
			{Kind: Joules, N: 1, Value: 3600, Raw: 3600000000},
		}},
		{"emc2305", "", []Channel{
			{Kind: RPM, N: 1, Fault: drivers.Implausible}, {Kind: RPM, N: 2, Value: 6120, Raw: 6120}, {Kind: RPM, N: 10, Value: 700, Raw: 700},
		}},
	} {
		got, err := monitor(t, board(), Opts{Chip: c.chip, Device: c.device}).Sense(t.Context())
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s %s:\n got %+v\nwant %+v\n%v", c.chip, c.device, got, c.want, err)
		}
	}
}

// A channel that cannot be read leaves the others alone; its fault says what the part's driver met.
func TestFaultsOfOneChannel(t *testing.T) {
	for _, c := range []struct {
		err  error
		want drivers.Fault
	}{
		{syscall.ENXIO, drivers.NoAnswer},
		{errRemoteIO, drivers.NoAnswer},
		{syscall.EIO, drivers.BusFault},
		{syscall.EAGAIN, drivers.Arbitration},
		{syscall.EBADMSG, drivers.Corrupt},
		{syscall.ENODATA, drivers.Implausible},
		{syscall.EOPNOTSUPP, drivers.Unsupported},
		{syscall.EACCES, drivers.Unsupported},
		{errors.New("?"), drivers.BusFault},
	} {
		s := board()
		s.fails["in1_input"] = &fs.PathError{Op: "read", Path: "in1_input", Err: c.err}
		got, err := monitor(t, s, Opts{Chip: "ina226"}).Sense(t.Context())
		if err != nil || got[1].Fault != c.want || got[1].Value != 0 || got[1].Label != "bus" {
			t.Errorf("%v: %+v, %v", c.err, got, err)
		}
		if got[0].Fault != drivers.None || got[2].Fault != drivers.None {
			t.Errorf("%v: others: %+v", c.err, got)
		}
	}
}

// Each time-out costs the bus its time: after one the rest is not asked.
func TestTimeoutEndsTheRound(t *testing.T) {
	s := board()
	s.fails["in1_input"] = syscall.ETIMEDOUT
	d := monitor(t, s, Opts{Chip: "ina226"})
	if _, err := d.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reads = nil
	got, err := d.Sense(t.Context())
	if err != nil || got[0].Fault != drivers.None {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range got[1:] {
		if c.Fault != drivers.Timeout {
			t.Errorf("%+v", c)
		}
	}
	for _, r := range s.reads {
		if strings.HasSuffix(r, "curr1_input") {
			t.Error("read on after a time-out")
		}
	}
}

func TestNothingCouldBeRead(t *testing.T) {
	s := board()
	s.fails["temp1_input"] = syscall.ENXIO
	got, err := monitor(t, s, Opts{Name: "inlet", Chip: "lm75", Device: "1-0048"}).Sense(t.Context())
	if got != nil || !errors.Is(err, drivers.NoAnswer) || !errors.Is(err, syscall.ENXIO) {
		t.Errorf("%+v, %v", got, err)
	}
	const want = `hwmon "inlet": read temp1_input: nack: `
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("text %q", err)
	}
	s.fails = nil
	s.put("devices/i2c-1/1-0048/hwmon/hwmon0/temp1_input", strings.Repeat("1", 1<<20))
	if _, err := monitor(t, s, Opts{Chip: "lm75", Device: "1-0048"}).Sense(t.Context()); !errors.Is(err, drivers.Corrupt) || len(err.Error()) > 1000 {
		t.Errorf("an attribute without end: %d bytes of error", len(err.Error()))
	}
	empty := board()
	delete(empty.MapFS, "devices/i2c-1/1-0048/hwmon/hwmon0/temp1_input")
	if got, err := monitor(t, empty, Opts{Chip: "lm75", Device: "1-0048"}).Sense(t.Context()); got != nil || !errors.Is(err, drivers.Unsupported) {
		t.Errorf("a device without channels: %+v, %v", got, err)
	}
}

// The number behind which a part is found may go to another one; the part is then looked up anew, and what the other
// measures is never taken for its own.
func TestNumbersMove(t *testing.T) {
	s := board()
	d := monitor(t, s, Opts{Chip: "lm75", Device: "1-0048"})
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.put("class/hwmon/hwmon0", "->../../devices/i2c-1/1-0049/hwmon/hwmon1")
	s.put("class/hwmon/hwmon1", "->../../devices/i2c-1/1-0048/hwmon/hwmon0")
	got, err := d.Sense(t.Context())
	if err != nil || got[0].Value != -12.5 {
		t.Errorf("moved: %+v, %v", got, err)
	}
	delete(s.MapFS, "class/hwmon/hwmon1")
	if got, err := d.Sense(t.Context()); !errors.Is(err, drivers.NoAnswer) || got != nil {
		t.Errorf("gone: %+v, %v", got, err)
	}
	s.put("class/hwmon/hwmon7", "->../../devices/i2c-1/1-0048/hwmon/hwmon0")
	if got, err := d.Sense(t.Context()); err != nil || got[0].Value != -12.5 {
		t.Errorf("back: %+v, %v", got, err)
	}
}

// A channel that is there no more is absent, not 0; one that came later is not told, since nobody expects it.
func TestChannelsAreThoseThatWereFound(t *testing.T) {
	s := board()
	d := monitor(t, s, Opts{Chip: "ina226"})
	if _, err := d.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	const dir = "devices/i2c-1/1-0040/hwmon/hwmon2/"
	delete(s.MapFS, dir+"curr1_input")
	s.put(dir+"temp1_input", "20000\n")
	got, err := d.Sense(t.Context())
	if err != nil || len(got) != 5 || got[2].Fault != drivers.NoAnswer || got[2].Kind != Amps {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := board()
	d := monitor(t, s, Opts{Chip: "ina226"})
	if _, err := d.Sense(ctx); !errors.Is(err, drivers.Cancelled) || len(s.reads) != 0 {
		t.Errorf("%v, read %q", err, s.reads)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		text  string
		value float64
		raw   int64
		fault drivers.Fault
	}{
		{TempC, "25062\n", 25.062, 25062, drivers.None},
		{TempC, "-55000\n", -55, -55000, drivers.None},
		{TempC, "0", 0, 0, drivers.None},
		{TempC, "1000001\n", 0, 0, drivers.Implausible},
		{TempC, "-273151\n", 0, 0, drivers.Implausible},
		{Volts, "230100\n", 230.1, 230100, drivers.None},
		{Volts, "-10000001\n", 0, 0, drivers.Implausible},
		{Amps, "16000\n", 16, 16000, drivers.None},
		{Watts, "3120000000\n", 3120, 3120000000, drivers.None},
		{Watts, "1000000000001\n", 0, 0, drivers.Implausible},
		{Joules, "9223372036854775807\n", 9223372036854.775807, 9223372036854775807, drivers.None},
		{Joules, "9223372036854775808\n", 0, 0, drivers.Corrupt},
		{Joules, "-1\n", 0, 0, drivers.Implausible},
		{RPM, "-1\n", 0, 0, drivers.Implausible},
		{RPM, "12000\n", 12000, 12000, drivers.None},
		{RPM, "", 0, 0, drivers.Corrupt},
		{RPM, "\n", 0, 0, drivers.Corrupt},
		{RPM, "12 000\n", 0, 0, drivers.Corrupt},
		{RPM, "0x10\n", 0, 0, drivers.Corrupt},
		{RPM, "1_000\n", 0, 0, drivers.Corrupt},
		{RPM, "+5\n", 0, 0, drivers.Corrupt},
		{RPM, "5.0\n", 0, 0, drivers.Corrupt},
		{RPM, "N/A\n", 0, 0, drivers.Corrupt},
		{Kind("lux"), "5\n", 0, 0, drivers.Unsupported},
	} {
		v, raw, f := Parse(c.kind, c.text)
		if v != c.value || raw != c.raw || f != c.fault {
			t.Errorf("%s %q: %v, %d, %v", c.kind, c.text, v, raw, f)
		}
	}
}

func TestLabels(t *testing.T) {
	for text, want := range map[string]string{
		"vout1\n": "vout1", "  Core 0 \n": "Core 0", "\x01\x02": "", "a\x00b\n": "ab",
		strings.Repeat("x", 100) + "\n": strings.Repeat("x", 40), "": "", "\xff\xfe": "", "Gehäuse\n": "Gehäuse",
	} {
		s := board()
		s.put("devices/i2c-1/1-0040/hwmon/hwmon2/in1_label", text)
		got, err := monitor(t, s, Opts{Chip: "ina226"}).Discover(t.Context())
		if err != nil || got[1].Label != want {
			t.Errorf("%q: %q, %v", text, got[1].Label, err)
		}
	}
}

// The same over a real directory with links, as the agent uses it.
func TestOverADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"devices/i2c-1/1-0048/hwmon/hwmon0/name": "lm75\n", "devices/i2c-1/1-0048/hwmon/hwmon0/temp1_input": "21500\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "class/hwmon"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"class/hwmon/hwmon0": "../../devices/i2c-1/1-0048/hwmon/hwmon0", "devices/i2c-1/1-0048/hwmon/hwmon0/device": "../../../1-0048",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := monitor(t, os.DirFS(dir), Opts{Chip: "lm75", Device: "1-0048"}).Sense(t.Context())
	if err != nil || len(got) != 1 || got[0].Value != 21.5 {
		t.Errorf("%+v, %v", got, err)
	}
}
