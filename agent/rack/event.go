package rack

import "time"

// EventKind is the stable name of something that happened.
type EventKind string

// The events. Each is one line in the log, one counter, and one message on up/event.
const (
	EventRelayMoved     EventKind = "relay_moved"      // the agent switched an outlet and read it back
	EventExternalChange EventKind = "external_change"  // a relay or a direction register changed without a command
	EventBankLost       EventKind = "bank_lost"        // a relay bank reads all inputs: out of control
	EventBankRegained   EventKind = "bank_regained"    //
	EventWelded         EventKind = "welded"           // opened, and watts stayed
	EventWiring         EventKind = "wiring_unproven"  // another outlet moved, or the board's serial differs
	EventWiringProven   EventKind = "wiring_proven"    // a miner was told to sleep, and exactly its outlets moved
	EventHealth         EventKind = "device_health"    // a device changed between ok, suspect, stale, absent
	EventBusHung        EventKind = "bus_hung"         //
	EventBusBack        EventKind = "bus_back"         //
	EventBusBad         EventKind = "bus_bad"          // nothing gets through: a part holds the lines
	EventBusRecovery    EventKind = "bus_recovery"     // what may be tried against that was tried
	EventOverLimit      EventKind = "feed_over_limit"  // what was found running exceeds a limit
	EventFirmGuard      EventKind = "firm_guard"       // the lane's guard refused a cut
	EventSlowTurn       EventKind = "slow_turn"        // the power loop took over 50 ms
	EventMessageDropped EventKind = "message_refused"  // an inbound message that may not be answered
	EventJournal        EventKind = "journal"          // full, failed, lost, accepted
	EventRecovered      EventKind = "command_resolved" // truth learnt later about a command that ended unknown
	EventApproved       EventKind = "approved"         // a second person approved a command
	EventBreakGlass     EventKind = "break_glass"      // a person at the rack stood in for the second one
	EventLock           EventKind = "lock"             // a maintenance lock was set or released
	EventMinerTold      EventKind = "miner_told"       // a miner took what it was told
	EventEscalated      EventKind = "escalated"        // a miner could not be put to sleep, so that its outlet is cut
	EventMiner          EventKind = "miner"            // what a miner says and what it does differ; the reason says how
	EventFeedHigh       EventKind = "feed_high"        // a level of the feed is measured near its limit, or nothing is left to shed there
	EventFeedBack       EventKind = "feed_back"        // it is back below
	EventFeedSilent     EventKind = "feed_silent"      // too much of what is drawn is not measured, or it is again
	EventOwn            EventKind = "own_command"      // the agent began a command by itself
	EventInterlock      EventKind = "interlock"        // an interlock has tripped, is clear or blind again, or could not act
	EventStarted        EventKind = "started"
	EventStopping       EventKind = "stopping"
	EventLink           EventKind = "link"
	EventTelemetryLost  EventKind = "telemetry_lost"
	EventBacklog        EventKind = "backlog"      // telemetry cannot be stored, or can again
	EventAudit          EventKind = "audit"        // the audit log is not as it was written, or cannot be written
	EventAuditAnchor    EventKind = "audit_anchor" // its newest line, for whoever keeps it outside
)

// Severity orders events for people.
type Severity string

// The severities: Error needs a person, Warn will if it lasts.
const (
	Info     Severity = "info"
	Warn     Severity = "warn"
	Error    Severity = "error"
	Critical Severity = "critical"
)

// Event is something that happened. Logs, metrics and messages are made from events.
type Event struct {
	Kind     EventKind `json:"kind"`
	Severity Severity  `json:"sev"`
	At       time.Time `json:"at"`
	Device   string    `json:"dev,omitempty"`
	Outlet   OutletID  `json:"out,omitzero"`
	Node     string    `json:"node,omitempty"`
	Command  string    `json:"cmd,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Text     string    `json:"txt"`
}

// Alarm is a condition that lasts: raised once, repeated retained, cleared once.
type Alarm struct {
	Key      string    `json:"key"` // [a-z0-9.-], stable per device and condition
	Since    time.Time `json:"since"`
	Severity Severity  `json:"sev"`
	Text     string    `json:"txt"`
	Cleared  bool      `json:"cleared,omitempty"`
}
