package rack

// PowerState is what a node is observed to do.
type PowerState string

// The power states.
const (
	PowerOff      PowerState = "off"
	PowerStarting PowerState = "starting"
	PowerSleeping PowerState = "sleeping" // the outlet is closed, the miner does not hash by command
	PowerRunning  PowerState = "running"
	PowerLimited  PowerState = "limited" // running, under a limit of this agent
	PowerDraining PowerState = "draining"
	PowerStopping PowerState = "stopping"
	PowerFault    PowerState = "fault" // what is known of it does not fit together
	PowerUnknown  PowerState = "unknown"
)
