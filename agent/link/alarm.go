package link

import (
	"time"

	"rackagent/agent/rack"
)

// The alarms that a Link raises.
const (
	alarmClientID = "client-id" // somebody else seems to use the client id
	// The files of the connection cannot be used, or will expire.
	alarmCertificate = "certificate"
	alarmSelfTest    = "selftest" // the broker's ACL seems to lock this agent out
)

// AlarmKeys are the keys of all alarms that a Link can raise.
func AlarmKeys() []string { return []string{alarmCertificate, alarmClientID, alarmSelfTest} }

// raise raises an alarm. It may be called again with another text.
func (l *Link) raise(key string, sev rack.Severity, text string) {
	if l.o.Alarm != nil {
		l.o.Alarm(rack.Alarm{Key: key, Since: time.Now(), Severity: sev, Text: text})
	}
}

// calm takes an alarm back, raised or not.
func (l *Link) calm(key string) {
	if l.o.Alarm != nil {
		l.o.Alarm(rack.Alarm{Key: key, Since: time.Now(), Severity: rack.Info, Cleared: true})
	}
}
