// Package rpc speaks the text protocol of TCP port 4028 that cgminer began and most miners' firmwares kept: one request to a
// connection, in one write, as JSON; one reply, ended by a NUL, or by the end of the connection, or by neither (cgminer,
// API-README and api.c). It knows no dialect: what commands there are and what their replies mean is the business of the
// packages beside it.
//
// Replies of real units are often no JSON. Decode mends what is known to be sent, and nothing else: what it cannot read is
// drivers.Corrupt and never an empty reply, which would pass for a miner that hashes nothing.
package rpc
