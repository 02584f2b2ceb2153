package wire

import "rackagent/agent/rack"

type eventJSON struct {
	V        int            `json:"v"`
	ID       string         `json:"id,omitempty"`
	At       int64          `json:"ts"`
	Kind     rack.EventKind `json:"kind"`
	Severity rack.Severity  `json:"sev"`
	Device   string         `json:"dev,omitempty"`
	Outlet   rack.OutletID  `json:"out,omitzero"`
	Node     string         `json:"node,omitempty"`
	Command  string         `json:"cmd,omitempty"`
	From     string         `json:"from,omitempty"`
	To       string         `json:"to,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Text     string         `json:"txt"`
}

// EncodeEvent writes the payload of up/event. MQTT delivers at least once; the id, where the caller has one that is
// unique within the agent, lets consumers drop what comes twice. An empty id is left out.
func EncodeEvent(id string, e rack.Event) []byte {
	return encode(eventJSON{
		V: 1, ID: id, At: millis(e.At), Kind: e.Kind, Severity: e.Severity, Device: e.Device, Outlet: e.Outlet, Node: e.Node,
		Command: e.Command, From: cut(e.From, maxText), To: cut(e.To, maxText), Reason: cut(e.Reason, maxText), Text: cut(e.Text, maxText),
	})
}

type alarmJSON struct {
	V        int           `json:"v"`
	Key      string        `json:"key"`
	Since    int64         `json:"since"`
	Severity rack.Severity `json:"sev"`
	Text     string        `json:"txt"`
}

// EncodeAlarm writes the retained payload of up/alarm/KEY. It is empty for an alarm that is cleared, which takes the
// retained message off the broker (MQTT 3.1.1, 3.3.1.3).
func EncodeAlarm(a rack.Alarm) []byte {
	if a.Cleared {
		return nil
	}
	return encode(alarmJSON{V: 1, Key: a.Key, Since: millis(a.Since), Severity: a.Severity, Text: cut(a.Text, maxText)})
}
