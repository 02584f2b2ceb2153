package power

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

// unit is a miner beside the rig: what it does, what it says, and what it makes of a verb.
type unit struct {
	asleep  bool // it really is
	setting string
	booted  time.Time

	obeys   time.Duration // from the verb; below zero: never
	told    error         // what it answers to a verb
	silent  error         // what it answers to a question
	says    func(Word) Word
	draws   float64       // whatever it does, where it is not zero
	idle    bool          // it is awake and hashes nothing
	keepsTo float64       // W
	boot    time.Duration // from power to the first answer
	keeps   bool          // it sleeps again after a loss of power
	up      time.Time
	busy    time.Time // it works off what it is told in order
}

// tell is one line of the trace of what was said to miners.
type tell struct {
	at     time.Time
	node   string
	do     rack.Verb
	before string
	kept   string // what the newest record of what is interrupted held when it was said
}

func (u *unit) watts(now time.Time, nominal float64) float64 {
	switch {
	case now.Before(u.up):
		return 20
	case u.draws != 0:
		return u.draws
	case u.asleep:
		return 20
	case u.keepsTo > 0:
		return min(nominal, u.keepsTo)
	default:
		return nominal
	}
}

// minersRig is a rig whose six miners have an interface.
func minersRig(t judge) *rig {
	r := minersRigWith(t, nil)
	r.run(3 * time.Second)
	return r
}

func minersRigWith(t judge, unfinished []rack.Entry) *rig {
	l := demoLayout()
	for i := range l.Nodes {
		if l.Nodes[i].Class == rack.ClassASIC {
			l.Nodes[i].API = &rack.API{
				Dialect: "test", Period: 10 * time.Second, Write: 5 * time.Second, Confirm: 15 * time.Second, SleepBy: 30 * time.Second,
				WakeBy: 5 * time.Minute, FanW: 100, FanFor: 2 * time.Minute,
			}
		}
	}
	r := newRigWith(t, l, unfinished)
	r.units = map[string]*unit{}
	for _, n := range l.Nodes {
		if n.API != nil {
			r.units[n.Name] = &unit{setting: `{"mode":"high"}`}
		}
	}
	return r
}

// limited is how a unit is set that keeps to a limit.
func limited(l Limit) string { return fmt.Sprintf(`{"limit":%g,"mode":%q}`, l.W, l.Mode) }

// word is what a unit says.
func (r *rig) word(u *unit, a Inquire) Word {
	asleep, hashing := u.asleep, !u.asleep && !u.idle
	w := Word{At: r.now, Asleep: &asleep, Hashing: &hashing, Booted: u.booted}
	q := a.Question
	if q.Whole {
		w.Setting = u.setting
	}
	switch {
	case q.Limit != nil:
		same := u.setting == limited(*q.Limit)
		w.Same = &same
	case q.Before != "":
		same := q.Before == u.setting
		w.Same = &same
	}
	if u.says != nil {
		w = u.says(w)
	}
	return w
}

// power tells the unit behind an outlet that its relay has moved.
func (r *rig) power(o rack.OutletID, on bool) {
	node, _ := r.layout.NodeOf(o)
	u := r.units[node.Name]
	if u == nil || r.welded[o] {
		return
	}
	if !on {
		u.up = r.now.Add(1000 * time.Hour)
		return
	}
	u.up, u.asleep, u.booted = r.now.Add(u.boot), u.asleep && u.keeps, r.now
}

func (r *rig) inquire(a Inquire) {
	u := r.units[a.Node]
	r.after(20*time.Millisecond, func() {
		if r.now.Before(u.up) {
			r.step(Said{Token: a.Token, Err: &drivers.Error{Op: "read", Device: "miner", Fault: drivers.Unreachable}})
			return
		}
		if u.silent != nil {
			r.step(Said{Token: a.Token, Err: u.silent})
			return
		}
		r.step(Said{Token: a.Token, Word: r.word(u, a)})
	})
}

// tell is the miner's lane with the real guard in it.
func (r *rig) tell(a Tell) {
	if refusal := guardTell(r.m.Snapshot(r.now), a.Node); refusal != nil {
		r.after(0, func() { r.step(Said{Token: a.Token, Err: &GuardError{Refusal: refusal}}) })
		return
	}
	line := tell{at: r.now, node: a.Node, do: a.Do, before: a.Before}
	for _, rec := range r.records {
		if rec.Order != nil && rec.Order.Kind == keptBy(a.Do) && rec.Order.Target == rack.NodeTarget(a.Node) {
			line.kept = rec.Order.Before
			if rec.Kind == rack.RecordReleased {
				line.kept = ""
			}
		}
	}
	r.tells = append(r.tells, line)
	u := r.units[a.Node]
	r.after(50*time.Millisecond, func() {
		if u.told != nil {
			r.step(Said{Token: a.Token, Err: u.told})
			return
		}
		r.step(Said{Token: a.Token, Answer: Answer{Taken: r.now}})
	})
	if u.obeys >= 0 && (u.told == nil || drivers.FaultOf(u.told) == drivers.Unsure) {
		done := r.now.Add(u.obeys + 30*time.Millisecond)
		if done.Before(u.busy) {
			done = u.busy
		}
		u.busy = done
		r.after(done.Sub(r.now), func() {
			switch a.Do {
			case rack.DoSleep, rack.DoWake:
				u.asleep = a.Do == rack.DoSleep
			case rack.DoLimit:
				u.setting, u.keepsTo = limited(*a.Limit), a.Limit.W
				if a.Limit.Mode != "" {
					u.keepsTo = 2200
				}
			case rack.DoRelease:
				u.keepsTo = 0
			}
			if a.Before != "" && (a.Do == rack.DoWake || a.Do == rack.DoRelease) {
				u.setting = a.Before
			}
		})
	}
}
