package psu

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// modelFile is a model as it is written. models/schema.json says the same for editors.
type modelFile struct {
	Model         entry[string]          `yaml:"model"`
	Manufacturer  entry[string]          `yaml:"manufacturer"`
	Products      entry[[]string]        `yaml:"products"`
	Texts         entry[map[string]int]  `yaml:"texts"`
	Reads         []entry[string]        `yaml:"reads"`
	Writes        entry[[]entry[string]] `yaml:"writes"`
	MayClear      entry[bool]            `yaml:"may_clear_faults"`
	PEC           entry[string]          `yaml:"pec"`
	Page          entry[int]             `yaml:"page"`
	PageDelayMS   entry[float64]         `yaml:"page_delay_ms"`
	AccessDelayMS entry[float64]         `yaml:"access_delay_ms"`
	VOUT          entry[formatEntry]     `yaml:"vout"`
	Temperatures  []entry[string]        `yaml:"temperatures"`
	Energy        entry[formatEntry]     `yaml:"energy"`
	Nameplate     nameplateEntry         `yaml:"nameplate"`
}

type formatEntry struct {
	Format   string `yaml:"format"`
	Exponent *int   `yaml:"exponent"`
	M        *int   `yaml:"m"`
	B        *int   `yaml:"b"`
	R        *int   `yaml:"r"`
}

type nameplateEntry struct {
	VinV         entry[float64] `yaml:"vin_v"`
	IinA         entry[float64] `yaml:"iin_a"`
	PinW         entry[float64] `yaml:"pin_w"`
	VoutV        entry[float64] `yaml:"vout_v"`
	IoutA        entry[float64] `yaml:"iout_a"`
	PoutW        entry[float64] `yaml:"pout_w"`
	TemperatureC entry[float64] `yaml:"temperature_c"`
	FanRPM       entry[float64] `yaml:"fan_rpm"`
}

// entry is a value with the line it stands on.
type entry[T any] struct {
	value T
	line  int // 0: it is missing
}

// UnmarshalYAML is called by the decoder.
func (e *entry[T]) UnmarshalYAML(n ast.Node) error {
	if t := n.GetToken(); t != nil {
		e.line = t.Position.Line
	}
	return yaml.NodeToValue(n, &e.value, yaml.Strict())
}

// Mistake is one thing wrong with a model file.
type Mistake struct {
	File string
	Line int    // 0: not known, or the key is missing
	Key  string // such as nameplate.vin_v; empty: the file as a whole
	Text string
}

// Error reads: crps.yaml:31: reads: READ_VINN is no command.
func (m *Mistake) Error() string {
	if m.Key == "" {
		return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Key, m.Text)
}

// ParseModel reads a model file. The error joins everything that is wrong, each a *Mistake. An unknown key is wrong.
func ParseModel(file string, data []byte) (*Model, error) {
	var f modelFile
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(&f); err != nil {
		return nil, syntaxMistake(file, err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, &Mistake{File: file, Text: "more than one document"}
	}
	c := checker{file: file}
	m := c.model(&f)
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return m, nil
}

func syntaxMistake(file string, err error) error {
	m := &Mistake{File: file, Text: err.Error()}
	var at yaml.Error
	switch {
	case errors.Is(err, io.EOF):
		m.Text = "the file is empty"
	case errors.As(err, &at):
		m.Text = at.GetMessage()
		if t := at.GetToken(); t != nil {
			m.Line = t.Position.Line
		}
	}
	return m
}
