// Package config reads the agent's configuration file: types, defaults, strict decoding, Check, and the
// effective configuration printed back.
//
// Every mistake of a file is reported, each with its line and column, not the first one alone. What YAML
// offers beyond plain values is refused: unknown and duplicate keys, anchors, aliases, merge keys, tags,
// directives, further documents, and texts that YAML 1.1 and 1.2 readers take for different things.
//
// The package holds values and nothing else. It does not know which PDU models exist (Check asks its caller),
// opens no device, judges no sums of power, reads no environment, expands no variable, runs nothing, and
// does not reload. No package but the one that builds the agent sees these types.
//
// example.yaml holds every key with its meaning; schema.json describes the same to editors.
package config
