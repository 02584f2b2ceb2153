package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"rackagent/agent/inventory"
	"rackagent/config"
)

// load reads and judges the configuration. The error is about the file itself.
func (a *app) load() (*config.Config, []config.Finding, error) {
	c, findings, err := config.Load(a.Config)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return c, findings, nil
	}
	models, bad := inventory.ReadModels(c.ModelFiles)
	findings = c.Check(models.Catalogue())
	for _, b := range bad {
		findings = append(findings, config.Finding{File: a.Config, Path: fmt.Sprintf("model_files[%d]", b.Index), Severity: config.Error, Text: b.Error()})
	}
	if !config.HasErrors(findings) {
		findings = append(findings, collisions(a.Config, c, models)...)
	}
	return c, findings, nil
}

// models are those of the program and of the files that a good configuration names.
func models(c *config.Config) inventory.Models {
	m, _ := inventory.ReadModels(c.ModelFiles) // load has told what is wrong with them
	return m
}

// collisions tells of the first address that two parts share.
func collisions(file string, c *config.Config, models inventory.Models) []config.Finding {
	err := models.Collisions(c)
	if err == nil {
		return nil
	}
	f := config.Finding{File: file, Path: "pdus", Severity: config.Error, Text: err.Error()}
	place := func(who, path string) {
		if text, ok := strings.CutPrefix(f.Text, who+": "); ok {
			f.Path, f.Text = path, text
		}
	}
	for i, m := range c.Muxes {
		place("mux "+m.Name, fmt.Sprintf("muxes[%d].address", i))
	}
	for i, p := range c.PDUs {
		place("pdu "+p.Name, fmt.Sprintf("pdus[%d].bus", i))
	}
	for i, s := range c.Sensors {
		place("sensor "+s.Name, fmt.Sprintf("sensors[%d].address", i))
	}
	return []config.Finding{f}
}

func loadFailure(err error) error {
	return &failure{err: fmt.Errorf("configuration: %w", err), hint: loadHint(err), status: exitUsage}
}

func loadHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name the file with --config FILE, or begin with a copy of config/example.yaml"
	case errors.Is(err, fs.ErrPermission):
		return "only members of the group rackagent may read it; type sudo before the command"
	default:
		return ""
	}
}

// mustLoad is load for those who need a configuration without errors: these go to standard error. The findings returned
// are warnings.
func (a *app) mustLoad() (*config.Config, []config.Finding, error) {
	c, findings, err := a.load()
	if err != nil {
		return nil, nil, loadFailure(err)
	}
	if config.HasErrors(findings) {
		list(a.err, findings)
		return nil, nil, &failure{err: fmt.Errorf("%s: %s", a.Config, count(findings)), hint: "mend the lines above; rackagent check shows them again", status: exitUsage}
	}
	return c, findings, nil
}

func list(w io.Writer, findings []config.Finding) {
	for _, f := range findings {
		say(w, "%s\n", f)
	}
}

// count says how many findings of each severity there are: 2 errors, 1 note.
func count(findings []config.Finding) string {
	var parts []string
	for _, severity := range []config.Severity{config.Error, config.Warning, note} {
		n := 0
		for _, f := range findings {
			if f.Severity == severity {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, plural(n, string(severity)))
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
