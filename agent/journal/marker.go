package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files of the state directory.
const (
	fileJournal = "journal.db"
	fileReserve = "reserve"
	fileMarker  = "site"
	fileAside   = "journal.db.corrupt-" // then BOOT-N
	fileNew     = ".new"                // suffix of what is not yet in place
)

// ErrForeign refuses a state directory of another site or agent.
var ErrForeign = errors.New("journal: state of another agent")

// ErrNewer refuses state that a later version of the program wrote. It is left as it is.
var ErrNewer = errors.New("journal: state of a later version")

// identity says whose state this is. It is the content of the marker file and of the journal's own record.
type identity struct {
	Schema  int       `json:"schema"`
	Site    string    `json:"site"`
	Agent   string    `json:"agent"`
	Created time.Time `json:"created"`
}

// suits tells whether this program, for this agent, may use state with the identity.
func (i identity) suits(o Opts) error {
	switch {
	case i.Schema > schema:
		return newerSchema(i.Schema)
	case i.Site != o.Site || i.Agent != o.Agent:
		return fmt.Errorf("%w: %s belongs to site %q, agent %q, and this is site %q, agent %q: "+
			"correct the configuration, or move the directory away to start without history",
			ErrForeign, o.Dir, i.Site, i.Agent, o.Site, o.Agent)
	}
	return nil
}

func newerSchema(found int) error {
	return fmt.Errorf("%w: schema %d, this program knows %d: install the later version again", ErrNewer, found, schema)
}

// marker is what the site file told. A marker that is there but cannot be read still says that this is not a
// first start.
type marker struct {
	present, readable bool
	identity          identity
}

func readMarker(dir string) (marker, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileMarker))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return marker{}, nil
	case err != nil:
		return marker{}, err
	}
	m := marker{present: true}
	m.readable = json.Unmarshal(b, &m.identity) == nil && m.identity.Schema > 0
	return m, nil
}

func writeMarker(dir string, i identity) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return replaceFile(dir, fileMarker, append(b, '\n'))
}

// replaceFile puts a file in place so that a crash leaves the old one or the new one, whole and durable.
func replaceFile(dir, name string, content []byte) error {
	temp := filepath.Join(dir, name+fileNew)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return moveInto(dir, name+fileNew, name)
}

// moveInto renames within the directory and makes the new name durable.
func moveInto(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
