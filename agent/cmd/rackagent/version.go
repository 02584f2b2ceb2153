package main

import (
	"time"

	"rackagent/firmware"
)

type versionCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// versionFound is what the program knows of itself.
type versionFound struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified"` // the source had changes that no revision names
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Digest   string `json:"digest,omitempty"` // of the program file
}

// Run shows it. A digest that cannot be computed is left out and told.
func (c versionCmd) Run(a *app) error {
	b, item, err := firmware.Self(time.Now())
	v := versionFound{Version: b.Version, Revision: b.Revision, Modified: b.Modified, Go: b.Go, Platform: b.Platform, Digest: item.Digest}
	if c.JSON {
		if printed := a.json(v); printed != nil {
			return printed
		}
		return err
	}
	a.printf("rackagent %s, %s, %s\n", v.Version, v.Platform, v.Go)
	if v.Revision != "" {
		changed := ""
		if v.Modified {
			changed = ", with changes"
		}
		a.printf("revision %s%s\n", v.Revision, changed)
	}
	if v.Digest != "" {
		a.printf("%s\n", v.Digest)
	}
	return err
}
