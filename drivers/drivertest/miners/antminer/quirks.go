package antminer

// Quirks is what is wrong with this firmware; all were reported from the field or are forms that clients disagree on.
type Quirks struct {
	// Reset401 is how many of the next 401 answers end with a reset right after their head.
	Reset401 int
	// RefuseNonces is how many of the next right credentials get another challenge.
	RefuseNonces int
	// UntilReboot answers M000, writes the configuration, and lets nothing happen before the next boot (reported for an
	// S21+ of 2025-02).
	UntilReboot bool
	// Rejects answers M001 to every configuration and changes nothing.
	Rejects bool
	// Dead4028 closes that port while the web pages live.
	Dead4028 bool
	// ListsAsleep keeps the element of SUMMARY and STATS through a sleep, with rates of 0 and miner-mode 1. Otherwise they
	// are empty.
	ListsAsleep bool
	// LockedStatus is how set_miner_conf.cgi, blink.cgi and reboot.cgi refuse while the machine is miners.Locked: 401, 200
	// (a document with M001), or else 403.
	LockedStatus int
	// RebootHangs gives no answer to reboot.cgi and keeps the connection (reported: asic-rs #68).
	RebootHangs bool
	// NoPower makes port 6060 answer miner_power as an unknown command, as most models do.
	NoPower bool
	// Warning is the error_message of port 6060, such as P:2; empty: None.
	Warning string
	// Faults are what summary.cgi shows in status.
	Faults []Fault
}

// Fault is an entry of status in summary.cgi that is not well.
type Fault struct {
	Type string // rate, network, fans or temp
	Code int
	Text string
}
