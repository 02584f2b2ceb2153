package wire

import (
	"regexp"
	"strings"

	"rackagent/agent/rack"
)

// maxTopic bounds a topic in bytes (AWS IoT Core quotas: 256 bytes of UTF-8; brokers of our own allow more).
const maxTopic = 256

// level is what one level of an uplink topic may hold: command ids and alarm keys. No wildcard, no $, no space.
var level = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Topics builds the topics of one agent. The zero value, and one made from names that are not valid, builds only
// the empty topic, to which nothing can be published (MQTT 3.1.1, 4.7.3).
type Topics struct{ root string }

// Topic gives the topics of the agent rackagent/v1/SITE/AGENT.
func Topic(site, agent string) Topics {
	if !rack.ValidName(site) || !rack.ValidName(agent) {
		return Topics{}
	}
	return Topics{root: "rackagent/v1/" + site + "/" + agent}
}

func (t Topics) under(rest string) string {
	if t.root == "" {
		return ""
	}
	return t.root + rest
}

// Down is the filter of the one subscription the agent makes.
func (t Topics) Down() string { return t.under("/down/#") }

// Command is the one topic on which commands arrive.
func (t Topics) Command() string { return t.under("/down/cmd") }

// Up is a topic of the uplink, its levels divided by slashes: Up("cmd/01JD9XB7"). It is empty if a level holds
// anything but letters, digits, underscore, dot and hyphen, or if the topic gets longer than 256 bytes.
func (t Topics) Up(rest string) string {
	for l := range strings.SplitSeq(rest, "/") {
		if !level.MatchString(l) {
			return ""
		}
	}
	topic := t.under("/up/" + rest)
	if len(topic) > maxTopic {
		return ""
	}
	return topic
}
