package firmware

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"rackagent/drivers"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var at = time.Date(2026, 11, 23, 14, 0, 2, 0, time.FixedZone("CET", 3600))

// board is a part that says who it is, or does not.
type board struct {
	part  Part
	ident drivers.Ident
	err   error
}

func (b board) Part() Part                                      { return b.part }
func (b board) Identify(context.Context) (drivers.Ident, error) { return b.ident, b.err }

func released(t *testing.T) Build {
	t.Helper()
	text, err := os.ReadFile("testdata/buildinfo.txt")
	if err != nil {
		t.Fatal(err)
	}
	info, err := debug.ParseBuildInfo(string(text))
	if err != nil {
		t.Fatal(err)
	}
	info.GoVersion = "go1.26.8" // the runtime fills it in; the text has no place for it
	return BuildOf(info)
}

func TestBuild(t *testing.T) {
	want := Build{
		Version: "v0.3.1", Revision: "28559d2c1f0a7be0c3b9b4f6d7a1e2f3a4b5c6d7", Modified: true, Go: "go1.26.8", Platform: "linux/arm/7",
	}
	if got := released(t); got != want {
		t.Errorf("%+v", got)
	}
	if got := BuildOf(&debug.BuildInfo{}); got != (Build{Version: "(devel)"}) {
		t.Errorf("nothing known: %+v", got)
	}
}

func TestInventory(t *testing.T) {
	digest, err := Digest(strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	fru := drivers.Ident{Manufacturer: "ExampleCo", Product: "PDU24", Part: "PDU24-C", Serial: "24C-00117", Version: "rev C"}
	found := Ask(t.Context(), []Device{
		board{part: Part{ID: "pdu/pdu-a", Component: "pdu", Hardware: "pdu24/revC", Source: "i2c main 0x50"}, ident: fru},
		board{part: Part{ID: "pdu/pdu-b", Component: "pdu", Source: "i2c main 0x51"}, ident: fru},
		board{
			part: Part{ID: "pdu/pdu-c", Component: "pdu", Source: "i2c main 0x52"},
			err:  &drivers.Error{Op: "identify", Device: "pdu-c", Fault: drivers.NoAnswer},
		},
		board{part: Part{ID: "psu/a1-1", Component: "psu", Hardware: "crps", Source: "i2c psu 0x58"}, err: errors.New("odd")},
	})
	for i := range found {
		if found[i].At.IsZero() {
			t.Errorf("%s: no time", found[i].Part.ID)
		}
		found[i].At = at
	}
	got, err := json.MarshalIndent(append([]Item{released(t).Item(digest, at)}, Items(found)...), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/inventory.golden"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDigest(t *testing.T) {
	// FIPS 180-2, appendix B.1.
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got, err := Digest(strings.NewReader("abc")); got != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	broken := errors.New("eMMC")
	if got, err := Digest(iotest.ErrReader(broken)); got != "" || !errors.Is(err, broken) {
		t.Errorf("half an image has no digest: %q, %v", got, err)
	}
}

func TestSelf(t *testing.T) {
	build, item, err := Self(at)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := Digest(f)
	if err != nil || item.Digest != want {
		t.Errorf("%s, want %s (%v)", item.Digest, want, err)
	}
	if !strings.HasPrefix(build.Go, "go1.") || item.Version != build.Version || build.Version == "" {
		t.Errorf("%+v, %+v", build, item)
	}
}

func TestNamesAreSnakeCase(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*(,omitempty)?$`)
	for f := range reflect.TypeFor[Item]().Fields() {
		if tag := f.Tag.Get("json"); !snake.MatchString(tag) {
			t.Errorf("%s: %q", f.Name, tag)
		}
	}
}
