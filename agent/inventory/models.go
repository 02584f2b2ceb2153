package inventory

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"rackagent/config"
	"rackagent/drivers/pdu"
)

// Models are the PDU models that come with the program and those of files that a configuration names. The zero Models
// are those of the program alone. They never change.
type Models struct {
	own map[string]*pdu.Model
}

// ModelError is a model file that cannot be used.
type ModelError struct {
	Index int // in the list of files
	Err   error
}

// Error is the cause, which names the file.
func (e *ModelError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ModelError) Unwrap() error { return e.Err }

// mostModelBytes bounds a model file; the largest that comes with the program has 5 kB. Arbitrary.
const mostModelBytes = 256 << 10

// ReadModels reads model files. What cannot be used is told and left out. A file cannot take the place of a model that
// comes with the program, nor of another file's: which outlet a bit moves must not hang on the order of a list.
func ReadModels(files []string) (Models, []*ModelError) {
	m := Models{own: make(map[string]*pdu.Model)}
	var bad []*ModelError
	for i, file := range files {
		model, err := readModel(file)
		switch {
		case err != nil:
		case slices.Contains(pdu.Shipped(), model.Name):
			err = fmt.Errorf("%s: model %s comes with the program", file, model.Name)
		case m.own[model.Name] != nil:
			err = fmt.Errorf("%s: model %s stands in another file already", file, model.Name)
		default:
			m.own[model.Name] = model
		}
		if err != nil {
			bad = append(bad, &ModelError{Index: i, Err: err})
		}
	}
	return m, bad
}

func readModel(file string) (*pdu.Model, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostModelBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > mostModelBytes {
		return nil, fmt.Errorf("%s: larger than %d KiB", file, mostModelBytes>>10)
	}
	return pdu.ParseModel(file, data)
}

// Load finds a model by its name.
func (m Models) Load(name string) (*pdu.Model, error) {
	if own, ok := m.own[name]; ok {
		return own, nil
	}
	return pdu.LoadModel(name)
}

// Catalogue answers the configuration's check from these models and the drivers there are.
func (m Models) Catalogue() config.Catalogue {
	c := Catalogue()
	c.Model = m.shape
	return c
}

// shape is what the configuration's check asks about a model.
func (m Models) shape(name string) (outlets int, banks []string, ok bool) {
	model, err := m.Load(name)
	if err != nil {
		return 0, nil, false
	}
	return len(model.Outlets), model.Banks(), true
}
