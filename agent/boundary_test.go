package agent

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of the repository's root.
const module = "rackagent"

// mayImport says which of our packages, and which outside libraries, the files of a room may import besides the
// standard library. Tests are bound by nothing here; only agent/sim and drivers/drivertest are for them alone.
// A key ending in /* holds for every package directly below it; the longest key that fits wins. A package stands for
// itself and everything below it, with = in front for itself alone: a chip may use what all chips share and no other chip.
var mayImport = map[string][]string{
	"config":              {"github.com/goccy/go-yaml"},
	"firmware":            {"drivers", "github.com/goccy/go-yaml"},
	"systemd":             {"github.com/coreos/go-systemd/v22"},
	"drivers":             {},
	"drivers/i2cbus":      {"drivers", "periph.io/x/conn/v3", "golang.org/x/sys"},
	"drivers/board":       {"drivers", "drivers/i2cbus", "periph.io/x/conn/v3", "periph.io/x/host/v3"},
	"drivers/fru":         {"drivers"},
	"drivers/chip":        {"=drivers", "periph.io/x/conn/v3"},
	"drivers/chip/*":      {"=drivers", "=drivers/chip", "drivers/i2cbus", "drivers/pmbus", "periph.io/x/conn/v3"},
	"drivers/chip/bme280": {"=drivers", "=drivers/chip", "drivers/i2cbus", "periph.io/x/conn/v3", "periph.io/x/devices/v3/bmxx80"},
	"drivers/chip/sht3x":  {"=drivers", "=drivers/chip", "=drivers/chip/sensirion", "periph.io/x/conn/v3"},
	"drivers/chip/sht4x":  {"=drivers", "=drivers/chip", "=drivers/chip/sensirion", "periph.io/x/conn/v3"},
	"drivers/air":         {"periph.io/x/conn/v3"},
	"drivers/pmbus":       {"=drivers", "=drivers/chip", "drivers/i2cbus", "periph.io/x/conn/v3"},
	"drivers/hwmon":       {"=drivers"},
	"drivers/nut":         {"=drivers"},
	"drivers/probe":       {"=drivers", "drivers/i2cbus", "drivers/fru", "drivers/pmbus", "periph.io/x/conn/v3"},
	"drivers/psu":         {"drivers", "periph.io/x/conn/v3", "github.com/goccy/go-yaml"},
	"drivers/pdu":         {"drivers", "drivers/i2cbus", "drivers/fru", "drivers/chip", "periph.io/x/conn/v3", "github.com/goccy/go-yaml"},
	"drivers/miner":       {"=drivers"},
	"drivers/miner/rpc":   {"=drivers", "=drivers/miner"},
	"drivers/miner/web":   {"=drivers/miner"},
	// What every dialect must do: tests, and for tests alone.
	"drivers/miner/contract": {"=drivers", "=drivers/miner", "=drivers/drivertest/miners"},
	"drivers/miner/*":        {"=drivers", "=drivers/miner", "drivers/miner/rpc", "drivers/miner/web"},
	"drivers/drivertest":     {"drivers", "periph.io/x/conn/v3"},
	// A simulated miner knows its protocol and its machine, and nothing of the clients that it judges.
	"drivers/drivertest/miners":   {},
	"drivers/drivertest/ups":      {},
	"drivers/drivertest/miners/*": {"=drivers/drivertest/miners"},
	"agent/rack":                  {"drivers"},
	"agent/poll":                  {"drivers", "agent/rack"},
	"agent/power":                 {"drivers", "agent/rack"},
	"agent/journal":               {"drivers", "agent/rack", "go.etcd.io/bbolt"},
	"agent/backlog":               {"agent/rack"},
	"agent/audit":                 {"agent/rack"},
	"agent/interlock":             {"agent/rack"},
	"agent/wire":                  {"drivers", "agent/rack", "github.com/go-jose/go-jose/v4"},
	"agent/telemetry":             {"drivers", "agent/rack", "agent/wire"},
	"agent/command":               {"agent/rack", "agent/wire"},
	"agent/link":                  {"agent/rack", "agent/wire", "github.com/eclipse/paho.mqtt.golang", "golang.org/x/sys"},
	"agent/local":                 {"agent/rack", "agent/wire", "golang.org/x/sys"},
	"agent/inventory":             {"config", "drivers", "agent/rack", "agent/poll", "agent/power", "firmware", "periph.io/x/conn/v3"},
	"agent":                       {"config", "firmware", "drivers", "agent", "periph.io/x/conn/v3", "golang.org/x/sync", "github.com/VictoriaMetrics/metrics"},
	"agent/sim":                   {"drivers", "agent/rack", "agent/wire", "go.etcd.io/bbolt", "periph.io/x/conn/v3", "github.com/mochi-mqtt/server/v2", "github.com/goccy/go-yaml"},
	"agent/sim/observer":          {"drivers", "agent/rack", "agent/wire", "agent/sim", "go.etcd.io/bbolt", "github.com/goccy/go-yaml"},
	"agent/cmd/rackagent":         {"config", "firmware", "drivers", "agent", "systemd", "github.com/alecthomas/kong", "github.com/coreos/go-systemd/v22", "golang.org/x/sync"},
	"agent/cmd/rackdemo":          {"config", "drivers", "agent", "github.com/alecthomas/kong", "golang.org/x/sync"},
	"agent/e2e":                   {"config", "drivers", "agent"},
	"agent/e2e/board":             {},
	"agent/e2e/mutants":           {},
}

// never lists imports that a wider permission above does not cover.
var never = map[string][]string{
	"drivers/pdu":         {"drivers/board", "drivers/drivertest"},
	"drivers/drivertest":  {"drivers/miner", "drivers/pdu", "drivers/psu", "drivers/chip", "drivers/board"},
	"drivers/psu":         {"drivers/board", "drivers/drivertest", "drivers/pdu"},
	"agent/inventory":     {"agent/link", "agent/command", "agent/sim", "drivers/drivertest", "drivers/board"},
	"agent":               {"agent/sim", "agent/cmd", "drivers/drivertest", "drivers/board", "github.com/mochi-mqtt/server/v2"},
	"agent/cmd/rackagent": {"agent/sim", "drivers/drivertest", "github.com/mochi-mqtt/server/v2"},
	"agent/sim":           {"drivers/chip", "drivers/pdu", "drivers/i2cbus", "drivers/board", "agent/power", "agent/journal", "agent/poll", "agent/command"},
	"agent/sim/observer":  {"drivers/chip", "drivers/pdu", "drivers/i2cbus", "drivers/board"},
	"agent/rack":          {"drivers/chip", "drivers/pdu", "drivers/i2cbus", "drivers/board"},
	"agent/poll":          {"drivers/chip", "drivers/pdu", "drivers/i2cbus", "drivers/board"},
	"agent/power":         {"drivers/chip", "drivers/pdu", "drivers/i2cbus", "drivers/board"},
}

// goFiles walks the module and gives every non-test file with its package directory.
func goFiles(t *testing.T, visit func(dir, file string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	root := filepath.Join("..")
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == "testdata" || (strings.HasPrefix(n, ".") && p != root) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, p, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		visit(path.Dir(filepath.ToSlash(rel)), filepath.ToSlash(rel), f, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rule(table map[string][]string, dir string) ([]string, bool) {
	if r, ok := table[dir]; ok {
		return r, true
	}
	r, ok := table[path.Dir(dir)+"/*"]
	return r, ok
}

// covers tells whether a permission names the import itself or a parent of it.
func covers(permission, imported string) bool {
	if alone, ok := strings.CutPrefix(permission, "="); ok {
		return imported == alone
	}
	return imported == permission || strings.HasPrefix(imported, permission+"/")
}

func TestImportsPointDown(t *testing.T) {
	seen := 0
	goFiles(t, func(dir, file string, f *ast.File, _ *token.FileSet) {
		seen++
		allowed, known := rule(mayImport, dir)
		if !known {
			t.Errorf("%s: no row of the table says what %s may import", file, dir)
			return
		}
		denied, _ := rule(never, dir)
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			own, isOwn := strings.CutPrefix(imp, module+"/")
			if !isOwn {
				if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
					continue // standard library
				}
				own = imp
			}
			fits := func(p string) bool { return covers(p, own) }
			if own == dir || !slices.ContainsFunc(allowed, fits) || slices.ContainsFunc(denied, fits) {
				t.Errorf("%s imports %s", file, imp)
			}
		}
	})
	if seen < 50 {
		t.Fatalf("only %d files were looked at", seen)
	}
}

// TestLibrariesHaveOneDoor holds what must have exactly one importer.
func TestLibrariesHaveOneDoor(t *testing.T) {
	doors := map[string]string{
		"github.com/eclipse/paho.mqtt.golang": "agent/link",
		"periph.io/x/host/v3":                 "drivers/board",
		"os/exec":                             "agent/e2e/mutants",
	}
	goFiles(t, func(dir, file string, f *ast.File, _ *token.FileSet) {
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			for lib, door := range doors {
				if covers(lib, imp) && dir != door {
					t.Errorf("%s imports %s, only %s may", file, imp, door)
				}
			}
		}
	})
}

// TestOneCallOfCut counts the places that open a relay: the lane, behind the firm guard, and the adapter that carries
// the lane's call to the PDU.
func TestOneCallOfCut(t *testing.T) {
	var calls []string
	goFiles(t, func(_, file string, f *ast.File, _ *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && sel.Sel.Name == "Cut" {
				if x, isName := sel.X.(*ast.Ident); !isName || (x.Name != "strings" && x.Name != "bytes") {
					calls = append(calls, file)
				}
			}
			return true
		})
	})
	slices.Sort(calls)
	if want := []string{"agent/inventory/relays.go", "agent/power/relaylane.go"}; !slices.Equal(calls, want) {
		t.Errorf("Cut is called in %v, want %v", calls, want)
	}
}

// TestOneCallOfEachMinersVerb counts the places that tell a miner anything: the adapter, which its lane alone calls, behind
// the guard.
func TestOneCallOfEachMinersVerb(t *testing.T) {
	calls := map[string][]string{}
	goFiles(t, func(_, file string, f *ast.File, _ *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := sel.X.(*ast.SelectorExpr); ok && on.Sel.Name == "miner" {
				calls[sel.Sel.Name] = append(calls[sel.Sel.Name], file)
			}
			return true
		})
	})
	for _, verb := range []string{"Sleep", "Wake", "Limit", "Release"} {
		if want := []string{"agent/inventory/minerlane.go"}; !slices.Equal(calls[verb], want) {
			t.Errorf("%s is called in %v, want %v", verb, calls[verb], want)
		}
	}
	if want := []string{"agent/power/minerlane.go"}; !slices.Equal(calls["Tell"], want) {
		t.Errorf("Tell is called in %v, want %v", calls["Tell"], want)
	}
}

// TestNoInit refuses init functions: what registers itself cannot be built twice in one process.
func TestNoInit(t *testing.T) {
	goFiles(t, func(_, _ string, f *ast.File, fset *token.FileSet) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function", fset.Position(fn.Pos()))
			}
		}
	})
}
