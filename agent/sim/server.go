package sim

import "time"

// Server is a server with a redundant pair of power supplies. While both have power they share the load; one alone
// carries all of it. Without any, the server runs on its capacitors for the hold-up time, and then it is down, and
// stays down when power returns until somebody switches it on.
type Server struct {
	Name     string
	NominalW float64
	StandbyW float64       // management controller and idle supplies, while off
	ShareA   float64       // part of the load on the first inlet while both are live; 0.5 for an even pair, 0 for cold standby
	Boot     time.Duration // from power-on to load
	Ramp     time.Duration // from there to nominal power
	HoldUp   time.Duration // 10 ms
	Soft     bool          // what feeds it charges its capacitors slowly: no surge

	on    bool
	since time.Time // switched on
	dry   time.Time // without any power since; zero: it has some
	live  [2]bool
}

// idleSupplyW is what a supply in cold standby draws: arbitrary, of the order of its fan and losses.
const idleSupplyW = 5

// Plate gives two inlets and a power factor of 0.98, capacitive.
func (l *Server) Plate() Plate {
	return Plate{Name: l.Name, Inlets: 2, PF: 0.98, Capacitive: true, Noise: 0.005}
}

// Begin sets the server running for long, or off.
func (l *Server) Begin(at time.Time, running bool) {
	l.on, l.since, l.dry = running, at.Add(-l.Boot-l.Ramp), time.Time{}
	l.live = [2]bool{running, running}
}

// switchTo is the power button, or the operating system's halt.
func (l *Server) switchTo(at time.Time, on bool) {
	if on && !l.on {
		l.since = at
	}
	l.on = on
}

// Step follows the supplies.
func (l *Server) Step(at time.Time, live []bool) Next {
	var next Next
	came := [2]bool{live[0] && !l.live[0], live[1] && !l.live[1]}
	l.live = [2]bool{live[0], live[1]}
	switch {
	case live[0] || live[1]:
		if l.ranDry(at) { // power came back too late
			l.on, next.Down = false, true
		}
		l.dry = time.Time{}
	case l.on && l.dry.IsZero():
		l.dry = at
		next.Again = at.Add(l.HoldUp)
	case l.ranDry(at):
		l.on, next.Down = false, true
	}
	for i, part := range l.shares() {
		draw := l.total(at).times(part.of)
		for k := range draw {
			draw[k].V += part.plus
		}
		if came[i] && !l.Soft {
			draw = draw.under(at, supplyInrush.W, supplyInrush.For)
		}
		next.Draw = append(next.Draw, draw)
	}
	return next
}

// ranDry tells whether the capacitors of a running server are empty.
func (l *Server) ranDry(at time.Time) bool {
	return l.on && !l.dry.IsZero() && at.Sub(l.dry) >= l.HoldUp
}

// total is what the server draws from all supplies together.
func (l *Server) total(at time.Time) Curve {
	if !l.on {
		return Curve{{at, l.StandbyW}}
	}
	return rise(l.since, l.StandbyW, l.Boot, l.Ramp, l.NominalW).from(at)
}

// part is one supply's: a fraction of the total, and something of its own.
type part struct{ of, plus float64 }

func (l *Server) shares() [2]part {
	switch l.live {
	case [2]bool{true, true}:
		s := [2]part{{l.ShareA, 0}, {1 - l.ShareA, 0}}
		for i := range s {
			if s[i].of == 0 {
				s[i].plus = idleSupplyW
			}
		}
		return s
	case [2]bool{true, false}:
		return [2]part{{of: 1}, {}}
	case [2]bool{false, true}:
		return [2]part{{}, {of: 1}}
	default:
		return [2]part{}
	}
}
