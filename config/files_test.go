package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

// write makes a file with exactly this mode, whatever the umask.
func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSecret(t *testing.T) {
	for _, c := range []struct {
		mode    os.FileMode
		content string
		want    string // the secret
		refused string // or why not, FILE standing for the path
	}{
		{0o600, "hunter2\n", "hunter2", ""},
		{0o400, "hunter2", "hunter2", ""},
		{0o640, "hunter2\r\n", "hunter2", ""},
		{0o600, " two words \n\n", " two words \n", ""},
		{0o644, "hunter2", "", "FILE: unsafe file: mode 0644 lets everybody read it; type: chmod 0640 FILE"},
		{0o604, "hunter2", "", "FILE: unsafe file: mode 0604 lets everybody read it; type: chmod 0640 FILE"},
		{0o660, "hunter2", "", "FILE: unsafe file: mode 0660 lets its group write it; type: chmod 0640 FILE"},
		{0o602, "hunter2", "", "FILE: unsafe file: mode 0602 lets everybody write it; type: chmod 0640 FILE"},
		{0o666, "hunter2", "", "FILE: unsafe file: mode 0666 lets everybody read it and everybody write it and its group write it; type: chmod 0640 FILE"},
		{0o600, "\n", "", "FILE: the file is empty"},
		{0o600, strings.Repeat("hunter2", 10_000), "", "FILE: larger than 65536 bytes"},
	} {
		path := write(t, c.content, c.mode)
		s, err := ReadSecret(path)
		if c.refused == "" {
			if err != nil || s.Reveal() != c.want {
				t.Errorf("%04o: %q, %v", c.mode, s.Reveal(), err)
			}
			continue
		}
		if err == nil || strings.ReplaceAll(err.Error(), path, "FILE") != c.refused || !s.IsZero() || s.Reveal() != "" {
			t.Errorf("%04o: %v, want %s", c.mode, err, c.refused)
		}
	}
}

// systemd gives credentials as files of the service's user or of root with a readable group, in a directory that it names.
func TestCredentials(t *testing.T) {
	path := write(t, "hunter2", 0o440)
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	name := "credential:" + filepath.Base(path)
	if s, err := ReadSecret(name); err != nil || s.Reveal() != "hunter2" {
		t.Errorf("%s: %q, %v", name, s.Reveal(), err)
	}
	for _, bad := range []string{"credential:", "credential:../hunter2", "credential:.", "credential:a/b"} {
		if p, err := Locate(bad); !errors.Is(err, ErrNoCredential) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", bad, p, err)
		}
	}
	if _, err := ReadSecret("credential:absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := ReadSecret("credential:mqtt.key"); !errors.Is(err, ErrNoCredential) || !strings.Contains(err.Error(), "LoadCredential=mqtt.key:PATH") {
		t.Errorf("outside of a service: %v", err)
	}
}

// A person's key is for one pair of eyes, but for what root has given to a group.
func TestReadPersonal(t *testing.T) {
	groups := "" // why 0640 is refused
	if os.Geteuid() != 0 {
		groups = "FILE: unsafe file: mode 0640 lets its group read it; type: chmod 0600 FILE"
	}
	for _, c := range []struct {
		mode    os.FileMode
		refused string
	}{
		{0o600, ""},
		{0o400, ""},
		{0o640, groups},
		{0o604, "FILE: unsafe file: mode 0604 lets everybody read it; type: chmod 0600 FILE"},
		{0o620, "FILE: unsafe file: mode 0620 lets its group write it; type: chmod 0600 FILE"},
		{0o602, "FILE: unsafe file: mode 0602 lets everybody write it; type: chmod 0600 FILE"},
	} {
		path := write(t, "hunter2\n", c.mode)
		s, err := ReadPersonal(path)
		if c.refused == "" {
			if err != nil || s.Reveal() != "hunter2" {
				t.Errorf("%04o: %q, %v", c.mode, s.Reveal(), err)
			}
			continue
		}
		if err == nil || strings.ReplaceAll(err.Error(), path, "FILE") != c.refused || !s.IsZero() {
			t.Errorf("%04o: %v, want %s", c.mode, err, c.refused)
		}
	}
}

// TestTheGuardOfPersonalFiles judges files of owners that the test cannot be.
func TestTheGuardOfPersonalFiles(t *testing.T) {
	g := guard{noMode: 0o066, fix: "chmod 0600", rootsGroup: true}
	me := uint32(os.Geteuid())
	for _, c := range []struct {
		uid  uint32
		mode os.FileMode
		good bool
	}{
		{me, 0o600, true}, {0, 0o600, true}, {0, 0o440, true}, {0, 0o460, false}, {0, 0o444, false}, {me + 1, 0o600, false}, {me, 0o640, me == 0},
	} {
		if err := g.judge("FILE", status{mode: c.mode, sys: &syscall.Stat_t{Uid: c.uid}}); (err == nil) != c.good {
			t.Errorf("uid %d, %04o: %v", c.uid, c.mode, err)
		}
	}
}

// status is what stat(2) would say of a file.
type status struct {
	os.FileInfo
	mode os.FileMode
	sys  *syscall.Stat_t
}

func (s status) Mode() os.FileMode { return s.mode }
func (s status) Sys() any          { return s.sys }

func TestUnsafeFilesAreRefusedByKind(t *testing.T) {
	dir := t.TempDir()
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(write(t, "hunter2", 0o600), link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link: "it is a symbolic link; name the file itself",
		pipe: "it is not a regular file", // and opening it does not wait for a writer
		dir:  "it is not a regular file",
	} {
		_, err := ReadSecret(path)
		if !errors.Is(err, ErrUnsafeFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadSecret(%s): %v", path, err)
		}
		if _, _, err := Load(path); !errors.Is(err, ErrUnsafeFile) {
			t.Errorf("Load(%s): %v", path, err)
		}
	}
	if _, err := ReadSecret(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// owned is what fstat says about a file of another user.
type owned struct {
	fs.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

func TestOwner(t *testing.T) {
	path := write(t, "hunter2", 0o600)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	self := uint32(os.Geteuid())
	for uid, ok := range map[uint32]bool{0: true, self: true, self + 1: false} {
		err := guard{}.judge(path, owned{info, uid})
		if (err == nil) != ok || err != nil && !strings.HasSuffix(err.Error(), "type: chown root "+path) {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
}

func TestLoad(t *testing.T) {
	path := write(t, small, 0o644)
	c, findings, err := Load(path)
	if err != nil || len(findings) > 0 || c.Site != "ams1" {
		t.Fatalf("%v %v", err, findings)
	}
	if err := os.Chmod(path, 0o646); err != nil {
		t.Fatal(err)
	}
	_, _, err = Load(path)
	if want := path + ": unsafe file: mode 0646 lets everybody write it; type: chmod o-w " + path; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	broken := write(t, strings.Replace(small, "site: ams1", "site: AMS1", 1), 0o600)
	_, findings, err = Load(broken)
	if err != nil || len(findings) != 1 || !strings.HasPrefix(findings[0].String(), broken+":2:7: site: ") {
		t.Errorf("%v %v", findings, err)
	}
	_, findings, err = Load(write(t, strings.Repeat("#\n", maxBytes), 0o600))
	if err == nil && !HasErrors(findings) {
		t.Error("a file of twice the size was taken")
	}
}

func TestSecretPrintsStars(t *testing.T) {
	s := NewSecret("hunter2")
	type options struct {
		Password Secret
		hidden   Secret
	}
	o := options{s, s}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("login", "password", s, "options", o)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "password", s, "options", &o)
	asJSON, err := json.Marshal(map[string]any{"s": s, "p": &s, "o": o})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(map[string]any{"s": s, "p": &s, "o": o})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(asJSON) + string(asYAML) + s.String() + s.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T%v"} {
		for _, v := range []any{s, &s, o, &o, o.hidden, []Secret{s}, map[string]Secret{"k": s}} {
			all += fmt.Sprintf(verb, v)
		}
	}
	all += fmt.Errorf("login: %w %v", errors.ErrUnsupported, s).Error()
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(all, leak) {
			t.Errorf("leaks %s: %s", leak, all)
		}
	}
	if string(asJSON) != `{"o":{"Password":"***"},"p":"***","s":"***"}` || !strings.Contains(string(asYAML), "***") {
		t.Errorf("%s\n%s", asJSON, asYAML)
	}
}
