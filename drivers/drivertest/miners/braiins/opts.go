package braiins

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// Minor versions of API 1 from which something is there.
const (
	minorRamping  = 7 // quick ramping (Braiins OS public REST API, 25.07)
	minorRelative = 8 // relative targets (braiins/bos-plus-api, CHANGELOG 1.8.0)
)

// Opts is what the firmware is like.
type Opts struct {
	// API is the version of the public API; empty: 1.10. Before 1.7 there is no quick ramping, before 1.8 no relative target.
	API string
	// NoREST answers the login with 405, as builds from before the REST API were reported to: port 80 has a web page alone.
	NoREST bool
	// NoWeb closes port 80: only 4028 is there.
	NoWeb bool
	// BOSminer makes 4028 speak as BOSminer, the older server, and not as BOSer.
	BOSminer bool

	User      string        // empty: root
	Password  string        // empty: root
	TokenLife time.Duration // after the last request; zero: 3600 s

	// MinW, DefaultW and MaxW are the constraints of the power target. Zero: the weakest and the strongest profile of the Spec
	// around its nominal power; where it has none, half of that and that.
	MinW, DefaultW, MaxW int
	// Tuning is how long a target that was not in force before is tuned, whether or not the machine is paused; zero: none is.
	Tuning time.Duration
	// Overshoot is the part by which the machine exceeds its target while it is tuned.
	Overshoot float64
	// PauseSurvives keeps a paused machine paused through a restart of the mining process, a reboot, and the loss of mains. No
	// source says which.
	PauseSurvives bool
	// Quirks are those at first.
	Quirks Quirks
}

func (o Opts) filled(spec miners.Spec) Opts {
	o.API = cmp.Or(o.API, "1.10")
	o.User = cmp.Or(o.User, "root")
	o.Password = cmp.Or(o.Password, "root")
	o.TokenLife = cmp.Or(o.TokenLife, time.Hour)
	o.DefaultW = cmp.Or(o.DefaultW, watts(spec.NominalW))
	least, most := spec.NominalW/2, spec.NominalW
	if n := len(spec.Profiles); n > 0 {
		least, most = spec.Profiles[0].W, spec.Profiles[n-1].W
	}
	o.MinW = cmp.Or(o.MinW, min(watts(least), o.DefaultW))
	o.MaxW = cmp.Or(o.MaxW, max(watts(most), o.DefaultW))
	return o
}

// minor is that of the API.
func (o Opts) minor() int {
	n, err := strconv.Atoi(strings.TrimPrefix(o.API, "1."))
	if err != nil {
		panic(err) // of the test's own version
	}
	return n
}

// release is the firmware of an API version (braiins/bos-plus-api, CHANGELOG).
func (o Opts) release() string {
	known := []string{"24.03", "24.04", "24.06", "24.09", "25.01", "25.03", "25.05", "25.07", "25.11", "26.01", "26.04", "26.05"}
	return known[max(0, min(o.minor(), len(known)-1))]
}
