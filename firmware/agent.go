package firmware

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Build is what the Go linker wrote into this program.
type Build struct {
	Version  string // of the main module; "(devel)" outside of a release
	Revision string // of the source; empty where the build knew none
	Modified bool   // the source had changes that no revision names
	Go       string // "go1.26.8"
	Platform string // "linux/arm/7"
}

// BuildOf reads build information.
func BuildOf(info *debug.BuildInfo) Build {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b := Build{
		Version: info.Main.Version, Revision: set["vcs.revision"], Modified: set["vcs.modified"] == "true", Go: info.GoVersion,
	}
	if b.Version == "" {
		b.Version = "(devel)" // what the go command writes where it knows no version
	}
	var platform []string
	for _, k := range []string{"GOOS", "GOARCH", "GOARM"} {
		if set[k] != "" {
			platform = append(platform, set[k])
		}
	}
	b.Platform = strings.Join(platform, "/")
	return b
}

// Self reads this program: its build information, and the digest of the file that it runs from. An error means
// that the digest is missing; the rest is good.
func Self(now time.Time) (Build, Item, error) {
	b := Build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b = BuildOf(info)
	}
	digest, err := ownDigest()
	return b, b.Item(digest, now), err
}

// Item is the agent's line of the inventory. An empty digest is left out.
func (b Build) Item(digest string, now time.Time) Item {
	return Item{
		ID: "agent", Component: "agent", Hardware: b.Platform, SoftwareID: softwareID("agent", b.Platform), Model: "rackagent",
		Version: b.Version, Digest: digest, State: StateUnknown, Source: "build information", ReadAt: now.UTC(), Quality: QualityOK,
	}
}

// ownDigest hashes the running image. On Linux that is the file that the process was started from, also after
// the path has been given to a newer one (proc_pid_exe(5)); elsewhere it is what the path holds now.
func ownDigest() (string, error) {
	path := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		var err error
		if path, err = os.Executable(); err != nil {
			return "", fmt.Errorf("find the running program: %w", err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash the running program: %w", err)
	}
	defer f.Close()
	return Digest(f)
}

// Digest hashes an image: "sha256:" and 64 hexadecimal digits.
func Digest(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
