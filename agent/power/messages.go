package power

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// Input is one thing the machine is told. The loop is the only caller of Step, so inputs are worked off one by one.
type Input interface{ input() }

// Readings are values as poll measured them.
type Readings []rack.Reading

// Identified is what a PDU's board said it is, or why it did not answer.
type Identified struct {
	PDU   string
	Ident drivers.Ident
	Err   error
}

// Accepted is a command with its plan, on disk by now.
type Accepted struct {
	Command rack.Command
	Plan    rack.Plan
}

// Cancel asks that a command stops before its next step.
type Cancel struct{ ID string }

// Unfinished are the commands that the journal holds without a terminal result at the start.
type Unfinished []rack.Entry

// Switched is the lane's answer to a Switch or a TakeOver.
type Switched struct {
	Token     uint64
	Taken     time.Time // zero: the device did not take the write
	Confirmed time.Time // zero: it did not read back the new state
	Err       error
}

// Recorded is the journal's answer to a Keep.
type Recorded struct {
	Token uint64
	Err   error
}

// Ordered is an order that is on disk, or its release. The answer is an InForce with the same token.
type Ordered struct {
	Token    uint64
	Order    rack.Order
	Released bool
	Command  string // that set or released it
	By       string // who gave it
	Why      string
}

// Closing says that the program ends: what is in flight is booked, nothing is begun.
type Closing struct{}

// Tick lets time pass when nothing else happens.
type Tick struct{}

func (Readings) input()   {}
func (Identified) input() {}
func (Accepted) input()   {}
func (Cancel) input()     {}
func (Unfinished) input() {}
func (Switched) input()   {}
func (Recorded) input()   {}
func (Tick) input()       {}
func (Closing) input()    {}
func (Ordered) input()    {}

// Action is one thing the machine wants done. The loop hands it out and never waits for it.
type Action interface{ action() }

// Switch asks a lane to move one relay. The answer is a Switched with the same token.
type Switch struct {
	Token  uint64
	Do     rack.Verb
	Outlet rack.OutletID
	By     *rack.Command // asks for it; the guard in the lane judges its approval anew. Not to be changed
}

// TakeOver asks a lane to bring a bank under control as it stands: the whole latch, then the whole direction.
type TakeOver struct {
	Token            uint64
	Bank             rack.BankID
	Latch, Direction uint16
}

// Abort asks a lane to give up an action: it is taken out of the queue, or its context ends.
type Abort struct {
	Token uint64
	On    rack.Target // where the step is that asked for it
}

// Keep asks the journal to store a record. The answer is a Recorded with the same token; token 0 wants none.
type Keep struct {
	Token  uint64
	Record rack.Record
}

// Report is a state of a command for the desk: running with what changed, or the terminal result.
type Report struct{ Outcome rack.Outcome }

// Sample asks poll for an extra reading of a PDU.
type Sample struct{ PDU string }

// Ask asks who the board of a PDU is: it has been away.
type Ask struct{ PDU string }

// Emit is something that happened.
type Emit struct{ Event rack.Event }

// Raise sets or clears an alarm.
type Raise struct{ Alarm rack.Alarm }

// Learnt says that the wiring of some outlet is believed more or less than before.
type Learnt struct{}

// InForce says that an order holds: nothing that it forbids is under way any more, and nothing will begin.
type InForce struct{ Token uint64 }

func (Learnt) action()   {}
func (InForce) action()  {}
func (Switch) action()   {}
func (TakeOver) action() {}
func (Abort) action()    {}
func (Keep) action()     {}
func (Report) action()   {}
func (Sample) action()   {}
func (Ask) action()      {}
func (Emit) action()     {}
func (Raise) action()    {}
