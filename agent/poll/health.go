package poll

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// State is the health of a device.
type State string

// The states:
//
//	new -> ok                      identified, and the first good sample since the start
//	ok -> suspect                  one error
//	ok, suspect -> stale           no good sample for 3 periods
//	new, suspect, stale -> absent  10 consecutive NoAnswer; at once for a wrong, foreign or unsupported device
//	suspect, stale -> ok           a good sample
//	absent -> probation            identified again
//	probation -> ok                3 good samples in a row; one error: absent again
//	any but absent -> quarantined  it spoils the bus for the others (Spoiler)
//	quarantined -> ok              3 good samples in a row; 10 consecutive NoAnswer and the like: absent
//
// A fault of the bus as a whole (BusFenced, Hung) says nothing about the device: it makes ok suspect, and age makes that
// stale, for the bus's reason; everything else stays as it is.
const (
	StateNew         State = "new"
	StateOK          State = "ok"
	StateSuspect     State = "suspect"
	StateStale       State = "stale"
	StateAbsent      State = "absent"
	StateProbation   State = "probation"
	StateQuarantined State = "quarantined"
)

const (
	stalePeriods     = 3  // without a good sample; arbitrary, between NUT's 7 (15 s of 2 s) and one
	absentAfter      = 10 // consecutive reads not answered; Meta's rackmon calls a device dormant after 10
	probationSamples = 3  // also out of quarantine; arbitrary

	probeFirst = 10 * time.Second  // between two probes of an absent device, or of one in quarantine; arbitrary
	probeLast  = 300 * time.Second // and never slower than this; rackmon's figure for dormant devices
	slowFirst  = time.Second       // between two reads of a device that only times out, doubling: each
	slowLast   = time.Minute       // such read can cost the bus a second of everybody's time; arbitrary
)

// Act is what is done with a device in one attempt.
type Act uint8

// The two acts.
const (
	Read Act = iota
	Identify
)

// Attempt is what one act on a device gave, after its retries.
type Attempt struct {
	Act   Act
	Began time.Time     // when the last try began
	Fault drivers.Fault // None: it worked

	Spoils bool // with this fault the device is to be set apart
}

// Advice is what to do with a device next.
type Advice struct {
	Act  Act
	Wait time.Duration // at least this long from now; 0: when the schedule says
	Once bool          // one try, no retry: the device is most likely not there
}

// Health is the machine of one device. NewHealth makes one.
type Health struct {
	period     time.Duration
	identifies bool // the device can be identified at all

	state   State
	fault   drivers.Fault // the latest; None while ok
	known   bool          // identified since the start, the last absence or the last restart of the device
	good    time.Time     // when the latest good sample began
	nacks   int           // consecutive
	samples int           // good ones of this probation or quarantine
	wait    time.Duration
	pace    time.Duration // of a quarantine: wait after the next failure
}

// NewHealth is a device that nobody has asked yet. A device that cannot be identified counts as known.
func NewHealth(period time.Duration, identifies bool) *Health {
	return &Health{period: period, identifies: identifies, state: StateNew, known: !identifies}
}

// Step takes the outcome of an attempt and says what comes next, with an event if the state changed. The
// event's Device and At are the caller's to fill.
func (h *Health) Step(now time.Time, in Attempt) (Advice, []rack.Event) {
	from := h.state
	h.state = h.State(now)
	switch {
	case saysNothing(in.Fault):
	case ofTheBus(in.Fault):
		h.withheld(in.Fault)
	case in.Fault != drivers.None:
		h.failed(in.Fault)
		if in.Spoils {
			h.setApart()
		}
	case in.Act == Identify:
		h.identified()
	default:
		h.sampled(in.Began)
	}
	h.state = h.State(now) // a sample can be too old already when it arrives
	if from == h.state {
		return h.Advice(), nil
	}
	return h.Advice(), []rack.Event{h.changed(from)}
}

// State is the state with the age of the last good sample taken into account.
func (h *Health) State(now time.Time) State {
	aged := now.Sub(h.good) > stalePeriods*h.period
	if aged && (h.state == StateOK || h.state == StateSuspect) {
		return StateStale
	}
	return h.state
}

// Fault is the latest reason why there was no data; None while the device is ok.
func (h *Health) Fault() drivers.Fault { return h.fault }

// reason is the fault as a word, or the given word where there is none. In quarantine that is the reason.
func (h *Health) reason(otherwise string) string {
	if h.state == StateQuarantined {
		return ReasonQuarantined
	}
	return h.why(otherwise)
}

// why is the fault as a word.
func (h *Health) why(otherwise string) string {
	if h.fault == drivers.None {
		return otherwise
	}
	return h.fault.String()
}

// Advice is what to do next. Identification comes before any value is believed.
func (h *Health) Advice() Advice {
	a := Advice{Act: Read, Wait: h.wait, Once: h.state == StateAbsent || h.state == StateQuarantined}
	if !h.known {
		a.Act = Identify
	}
	return a
}

// saysNothing tells the faults that carry no evidence about the device: the transfer was not begun, or the
// device itself said that it is too early. They neither help nor harm; if they last, age does.
func saysNothing(f drivers.Fault) bool { return f == drivers.Cancelled || f == drivers.Settling }

// ofTheBus tells the faults of the bus as a whole: nothing was asked of the device, or nothing came back from anybody.
func ofTheBus(f drivers.Fault) bool { return f == drivers.BusFenced || f == drivers.Hung }

// configured tells the faults that only a person can end.
func configured(f drivers.Fault) bool { return f == drivers.Unsupported || f == drivers.Foreign }

func (h *Health) failed(f drivers.Fault) {
	h.fault = f
	h.nacks++
	if f != drivers.NoAnswer && f != drivers.Unreachable {
		h.nacks = 0
	}
	if f == drivers.Restarted {
		h.known = !h.identifies // Identify sets the part up again
	}
	switch {
	case configured(f):
		h.gone(probeLast)
	case h.state == StateAbsent:
		h.wait = min(2*h.wait, probeLast)
	case h.state == StateProbation, f == drivers.WrongDevice, h.nacks >= absentAfter:
		h.gone(probeFirst)
	case h.state == StateQuarantined:
		h.pace = min(2*h.pace, probeLast)
		h.samples, h.wait = 0, h.pace
	default:
		h.doubt(f)
	}
}

func (h *Health) gone(probe time.Duration) {
	h.state = StateAbsent
	h.known = !h.identifies
	h.nacks, h.samples, h.wait = 0, 0, probe
}

// withheld is a fault of the bus: what is known of the device stays, and so does its pace. Whether it is still there will
// be seen when the bus is good again.
func (h *Health) withheld(f drivers.Fault) {
	if h.state == StateAbsent || h.state == StateQuarantined {
		return
	}
	h.fault = f
	if h.state == StateOK {
		h.state = StateSuspect
	}
}

// setApart begins a quarantine.
func (h *Health) setApart() {
	if h.state == StateAbsent || h.state == StateQuarantined {
		return
	}
	h.state = StateQuarantined
	h.samples, h.pace, h.wait = 0, probeFirst, probeFirst
}

// doubt is an error of a device that is still believed to be there.
func (h *Health) doubt(f drivers.Fault) {
	slow := f == drivers.Timeout || f == drivers.BusFault
	switch {
	case h.state == StateOK:
		h.state, h.wait = StateSuspect, 0
	case slow && h.state != StateSuspect:
		h.wait = min(max(2*h.wait, slowFirst), slowLast)
	default:
		h.wait = 0
	}
}

func (h *Health) identified() {
	h.known, h.nacks, h.wait = true, 0, 0
	if h.state == StateAbsent {
		h.state, h.samples = StateProbation, 0
	}
}

func (h *Health) sampled(began time.Time) {
	if !h.known {
		return // nobody knows whose value this is
	}
	h.good, h.nacks, h.wait = began, 0, 0
	if h.state == StateAbsent { // it cannot be identified: this answer stands in for it
		h.state, h.samples = StateProbation, 0
	}
	if h.state == StateProbation || h.state == StateQuarantined {
		h.samples++
		if h.samples < probationSamples {
			return
		}
	}
	h.state, h.fault = StateOK, drivers.None
}

func (h *Health) changed(from State) rack.Event {
	e := rack.Event{
		Kind: rack.EventHealth, Severity: rack.Info,
		From: string(from), To: string(h.state),
		Text: string(from) + " -> " + string(h.state),
	}
	e.Reason = h.reason("")
	switch h.state {
	case StateStale:
		e.Severity, e.Reason = rack.Warn, h.reason(ReasonAge)
	case StateAbsent:
		e.Severity = rack.Error
	case StateQuarantined:
		e.Severity = rack.Warn
		e.Text += ": " + h.why(ReasonAge)
		return e
	}
	if e.Reason != "" {
		e.Text += ": " + e.Reason
	}
	return e
}
