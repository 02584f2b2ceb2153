package wire

import (
	"embed"
	"io/fs"
)

//go:embed schema/*.json
var schemas embed.FS

// Schemas holds the JSON Schemas (draft 2020-12) of all payloads: command.json, status.json, state.json, info.json,
// telemetry.json, gap.json, event.json, alarm.json.
func Schemas() fs.FS {
	sub, err := fs.Sub(schemas, "schema")
	if err != nil {
		panic("wire: " + err.Error()) // "schema" is a valid path, the only thing fs.Sub asks for
	}
	return sub
}
