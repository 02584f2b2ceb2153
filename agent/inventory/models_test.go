package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModelsOfFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shipped, err := os.ReadFile(filepath.Join("..", "..", "drivers", "pdu", "models", "ac8.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	mine := strings.Replace(string(shipped), "model: ac8", "model: mine", 1)
	files := []string{
		file("mine.yaml", mine), file("again.yaml", mine), file("ac8.yaml", string(shipped)), file("broken.yaml", "model: other\n"),
		filepath.Join(dir, "absent.yaml"), file("large.yaml", strings.Repeat("#", mostModelBytes+1)),
	}
	m, bad := ReadModels(files)
	var told []string
	for _, b := range bad {
		told = append(told, b.Error())
	}
	for i, want := range []string{"stands in another file", "comes with the program", "broken.yaml:", "no such file", "larger than"} {
		if i >= len(bad) || bad[i].Index != i+1 || !strings.Contains(told[i], want) {
			t.Errorf("mistake %d: %q, want %q", i, told, want)
		}
	}
	if model, err := m.Load("mine"); err != nil || len(model.Outlets) != 8 {
		t.Errorf("%v", err)
	}
	if _, err := m.Load("ac24"); err != nil {
		t.Errorf("a model of the program: %v", err)
	}
	if _, err := (Models{}).Load("mine"); err == nil {
		t.Error("a model of a file nobody named")
	}
	if n, banks, ok := m.Catalogue().Model("mine"); n != 8 || len(banks) != 1 || !ok {
		t.Errorf("%d outlets, banks %v", n, banks)
	}
}
