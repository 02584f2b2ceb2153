package miners

import (
	"sync"
	"time"
)

// Spec is what a machine is built like.
type Spec struct {
	Model  string
	MAC    string // lower case, with colons
	Serial string

	NominalTHs float64
	NominalW   float64
	StandbyW   float64 // asleep: the controller, and the supply without its boards

	Boot time.Duration // from mains or reboot until the controller answers
	Ramp time.Duration // from the first hash to the full rate
	Fall time.Duration // from a sleep to StandbyW

	// Profiles are the steps that the firmware knows, the weakest first; none: 100 % alone.
	Profiles []Profile

	Now func() time.Time // nil: time.Now
}

// Profile is one step of a firmware's table.
type Profile struct {
	Name string
	W    float64
	THs  float64
}

// Phase is what a machine really does.
type Phase string

// The phases.
const (
	Off      Phase = "off"     // no mains
	Booting  Phase = "booting" // nothing answers
	Sleeping Phase = "sleeping"
	Ramping  Phase = "ramping"
	Hashing  Phase = "hashing"
)

// Truth is the machine at one moment.
type Truth struct {
	At      time.Time
	Phase   Phase
	W       float64
	THs     float64       // of now
	Average float64       // TH/s since the mining process began
	Mining  time.Duration // since the mining process began
	Up      time.Duration // since the controller came up
	Target  Profile       // what it means to reach
}

// Machine is one miner. All its methods may be called from any goroutine.
type Machine struct {
	spec Spec

	mu     sync.Mutex
	mains  bool
	up     time.Time // when the controller answers, or answered first
	asleep bool
	since  time.Time // of the last sleep or wake
	from   float64   // W at since
	rate   float64   // TH/s at since
	target Profile
	began  time.Time // of the mining process
	hashed float64   // TH until since
	quirks map[Quirk]bool
}

// New is a machine that has been hashing at its full rate for a day.
func New(s Spec) *Machine {
	if s.Now == nil {
		s.Now = time.Now
	}
	m := &Machine{spec: s, mains: true, quirks: map[Quirk]bool{}}
	m.target = m.full()
	day := 24 * time.Hour
	m.up = s.Now().Add(-day)
	m.since, m.began = m.up, m.up
	m.from = s.StandbyW
	return m
}

// Spec is what it is built like.
func (m *Machine) Spec() Spec { return m.spec }

// Now is the machine's clock.
func (m *Machine) Now() time.Time { return m.spec.Now() }

func (m *Machine) full() Profile {
	if n := len(m.spec.Profiles); n > 0 {
		return m.spec.Profiles[n-1]
	}
	return Profile{Name: "default", W: m.spec.NominalW, THs: m.spec.NominalTHs}
}

// Look tells the truth.
func (m *Machine) Look() Truth {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.look(m.spec.Now())
}

// At tells the truth of a moment since the last change; of one before it, what was true when that came.
func (m *Machine) At(at time.Time) Truth {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.look(at)
}

func (m *Machine) look(now time.Time) Truth {
	t := Truth{At: now, Phase: m.phase(now), Target: m.target}
	if t.Phase == Off {
		return t
	}
	t.W = m.watts(now)
	if t.Phase == Booting {
		return t
	}
	t.Up = now.Sub(m.up)
	t.Mining = now.Sub(m.began)
	if !m.asleep {
		t.THs = m.rate + (m.target.THs-m.rate)*m.part(now, m.start(), m.spec.Ramp)
	}
	work := m.hashed
	if !m.asleep {
		work += m.worked(now)
	}
	if s := t.Mining.Seconds(); s > 0 {
		t.Average = work / s
	}
	return t
}

func (m *Machine) phase(now time.Time) Phase {
	switch {
	case !m.mains:
		return Off
	case now.Before(m.up):
		return Booting
	case m.asleep:
		return Sleeping
	case now.Before(m.start().Add(m.spec.Ramp)):
		return Ramping
	default:
		return Hashing
	}
}

// start is when the boards began to ramp: never before the controller was there.
func (m *Machine) start() time.Time {
	if m.since.Before(m.up) {
		return m.up
	}
	return m.since
}

// watts moves in a straight line from what was drawn to what is meant.
func (m *Machine) watts(now time.Time) float64 {
	to, over, begin := m.target.W, m.spec.Ramp, m.start()
	if m.asleep {
		to, over, begin = m.spec.StandbyW, m.spec.Fall, m.since
	}
	return m.from + (to-m.from)*m.part(now, begin, over)
}

// part is how much of a change is over.
func (m *Machine) part(now, begin time.Time, over time.Duration) float64 {
	if d := now.Sub(begin); d < over {
		return max(0, float64(d)/float64(over))
	}
	return 1
}

// worked is TH since the last change, while awake.
func (m *Machine) worked(now time.Time) float64 {
	begin := m.start()
	if now.Before(begin) {
		return 0
	}
	full := now.Sub(begin)
	ramp := min(full, m.spec.Ramp)
	reached := m.rate + (m.target.THs-m.rate)*m.part(now, begin, m.spec.Ramp)
	return m.target.THs*(full-ramp).Seconds() + (m.rate+reached)/2*ramp.Seconds()
}

// change keeps the books and lets something begin anew.
func (m *Machine) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.spec.Now()
	t := m.look(now)
	if !m.asleep && m.mains {
		m.hashed += m.worked(now)
	}
	f()
	m.from, m.rate, m.since = t.W, t.THs, now
}

// Sleep turns the boards off.
func (m *Machine) Sleep() {
	if m.Has(Ignores) {
		return
	}
	m.later(func() { m.change(func() { m.asleep = true }) })
}

// Wake turns the boards on.
func (m *Machine) Wake() {
	if m.Has(Ignores) {
		return
	}
	m.later(func() {
		m.change(func() {
			if m.asleep {
				m.began, m.hashed = m.spec.Now(), 0
			}
			m.asleep = false
		})
	})
}

// Keep makes the machine mean another rate; a sleeping one does so when it wakes.
func (m *Machine) Keep(p Profile) {
	if m.Has(Ignores) {
		return
	}
	m.later(func() { m.change(func() { m.target = p }) })
}

// later does what was asked, or a minute later where the machine is slow.
func (m *Machine) later(f func()) {
	if m.Has(ObeysLate) {
		time.AfterFunc(time.Minute, f)
		return
	}
	f()
}

// Asleep tells whether the boards are off by command.
func (m *Machine) Asleep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asleep
}

// Target is what the machine means to reach when awake.
func (m *Machine) Target() Profile {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.target
}

// Reboot starts the controller anew; asleep says whether it then sleeps.
func (m *Machine) Reboot(asleep bool) {
	m.change(func() {
		now := m.spec.Now()
		m.up, m.began, m.hashed, m.asleep = now.Add(m.spec.Boot), now.Add(m.spec.Boot), 0, asleep
	})
	m.mu.Lock()
	m.from, m.rate = m.spec.StandbyW, 0
	m.mu.Unlock()
}

// Mains closes or opens the outlet. What comes back boots, and sleeps or not as told.
func (m *Machine) Mains(on, asleep bool) {
	if !on {
		m.change(func() { m.mains = false })
		return
	}
	m.mu.Lock()
	m.mains = true
	m.mu.Unlock()
	m.Reboot(asleep)
}

// Set puts a quirk in force or takes it away.
func (m *Machine) Set(q Quirk, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quirks[q] = on
}

// Has tells whether a quirk is in force.
func (m *Machine) Has(q Quirk) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.quirks[q]
}
