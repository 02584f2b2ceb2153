package link

import (
	"errors"
	"fmt"
	"strings"

	"rackagent/agent/rack"
)

// prefix is the root of the tree; its last level changes with incompatible changes of the contract.
const prefix = "rackagent/v1"

// Limits of what is published. The topic's are those of AWS IoT Core (7 slashes, 256 B), the tightest broker known.
const (
	maxTopic   = 256
	maxLevels  = 8
	maxLevel   = 64 // arbitrary; an alarm key is the longest level
	maxPayload = 64 << 10
)

// ErrTopic is returned for a topic that is not made of 1 to 3 levels of [A-Za-z0-9_.-]. A wildcard, an empty level
// or a NUL in a PUBLISH makes the broker cut the connection, again after each resend.
var ErrTopic = errors.New("invalid topic")

// ErrTooBig is returned for a payload over 64 KiB.
var ErrTooBig = errors.New("payload over 64 KiB")

func upTopic(site, agent string) string   { return prefix + "/" + site + "/" + agent + "/up/" }
func downTopic(site, agent string) string { return prefix + "/" + site + "/" + agent + "/down/" }

// checkNames judges the two levels that name an agent.
func checkNames(site, agent string) error {
	if !rack.ValidName(site) {
		return fmt.Errorf("site %q: %w", site, ErrTopic)
	}
	if !rack.ValidName(agent) {
		return fmt.Errorf("agent %q: %w", agent, ErrTopic)
	}
	return nil
}

// checkSub judges the part of a topic below up/.
func checkSub(base, sub string) error {
	if len(base)+len(sub) > maxTopic || strings.Count(base+sub, "/") >= maxLevels {
		return fmt.Errorf("%q: too long: %w", sub, ErrTopic)
	}
	for level := range strings.SplitSeq(sub, "/") {
		if !validLevel(level) {
			return fmt.Errorf("%q: %w", sub, ErrTopic)
		}
	}
	return nil
}

func validLevel(s string) bool {
	if s == "" || len(s) > maxLevel {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
