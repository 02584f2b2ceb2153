package observer

// Rule is one thing that must never happen.
type Rule struct {
	Name    string
	Reading string // what exactly is judged, where the invariant leaves room
	check   func(*run) []Violation
}

// Rules lists all rules in the order in which they are judged.
func Rules() []Rule {
	return []Rule{
		{"S1", "Every write to a relay bank's latch or direction, or to a hot-swap controller's OPERATION, is explained by one step " +
			"of an accepted, unfinished, not expired command of the same life of the agent that names its outlet (a group that holds a " +
			"miner names no server), or by a recorded take-over of that bank that moves nothing. No step writes twice. A controller is never taken over, power-cycled or set up otherwise.", explained},
		{"S1 disk", "A copy of the state directory holds the record behind every write that was handed over before the copy.", onDisk},
		{"S2", "With each closing, reservations by max_w (0 only for nodes whose contacts are all open in truth, what they drew lately for miners that a command has proven asleep) and surges of what is " +
			"starting stay within the limit of each line of each level above, and within the outlet's rating. Measured maxima above " +
			"max_w are not added.", withinLimits},
		{"S3", "No write opens an outlet of a firm node, or one that feeds no configured node. No proof is accepted: this " +
			"version of the agent takes none. Only force that waited for, and got, the approval of another issuer opens one.", firmStays},
		{"S11", "No write opens an outlet whose wiring is unproven: by configuration, by a board without serial beside firm " +
			"nodes, by a record, or by another board's serial once it was read or should have been.", wiringKnown},
		{"S4", "No outlet is closed before its minimum off time, from the change of its coil that opened it, or from the first " +
			"reading if it was open from the start. Two closings below one top feed are the stagger apart.", notTooSoon},
		{"S5", "Every accepted command has one terminal result, in the journal and on the broker, in which each target of its plan has one; the number of its states never " +
			"falls; nothing but repeats follows the result; no id is accepted twice.", oneResult},
		{"S6", "A command is accepted only for a message that was not retained, expired, malformed, too big, for another agent or life of " +
			"it, on another topic or under a taken id, and for what the message said; unsigned only where that is allowed; else with a " +
			"signature of a configured, unrevoked key for its own issuer, within the role, and with a number above those accepted " +
			"before of this issuer. Over the local socket a user's role allows it. Nothing unsigned moves a firm node.", goodMessage},
		{"S7", "Every null of a batch is named in x. A value not named there is the truth of the last 3 s within 2 % and 2 W, of an " +
			"outlet or of a supply bank together, and is not shown once its meter was dead for 3 periods. Relays and control are as " +
			"the registers said in these 3 s.", freshOnly},
		{"S8", "What ends succeeded is true in the world at the moment it names, which lies after the write and the meter's settling, and " +
			"is proven by the meter that the outlet hangs on: its own, or that of its supply bank by name. What was cut drew something " +
			"before; what a bank's meter saw rise drew nothing before. A welded contact under load with a meter of its own ends welded, " +
			"and is left alone from then on. Of what was told to a miner and is settled, its outlets together show it.", provenOnly},
		{"lock", "No write is on what is locked for maintenance, lowering or not, moving or not, and none takes its bank over: from the " +
			"moment that the lock's result was told, or from the next life's first sign, until an unlock of the same target was taken.", lockedStays},
		{"promise 3", "No server goes down because a write opened its outlets. Crossed cables are the installer's.", serversUp},
	}
}
