// Package systemd holds the unit files of the service and tells systemd how the agent fares.
//
// The files are data for the package builder; Go code here only speaks the notify protocol (sd_notify(3)) through
// go-systemd. It is NOT a judge: whether the agent is alive, ready, and in what state, it is told. It starts nothing,
// stops nothing and asks systemd for nothing but time.
package systemd
