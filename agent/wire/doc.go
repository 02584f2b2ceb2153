// Package wire is the JSON of the agent's MQTT payloads, version 1: which commands are well formed, how states,
// results, telemetry, events and alarms are written, and what the topics are called. It is the only package that
// knows these shapes; JSON Schemas of them are shipped in schema/, and testdata/v1 holds frozen examples.
//
// It is NOT a judge: it has no clock, no I/O and no MQTT client, and whether a well formed command is carried out
// is decided elsewhere.
//
// Conventions of all payloads: times are integer milliseconds since 1970-01-01 UTC (0: unknown), durations end in
// _s (seconds) unless the name says _ms, powers in _w (watts). Readers ignore fields that they do not know. The
// order of fields is fixed, object members keyed by names are sorted, and equal messages have equal bytes.
//
// Numbers are rounded to what the meters can tell, so that a batch stays small: watts, volt-amperes, volts, watt
// hours and degrees Celsius to 1 decimal, hertz to 2, amperes to 3; trailing zeros are left out. A value that is
// not a finite number below 1e12 is never written: it becomes null.
package wire
