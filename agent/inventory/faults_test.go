package inventory

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers/drivertest"
)

// vcount is a recorder that keeps nothing but how many transfers there were.
type vcount struct{ n uint64 }

func (c *vcount) Handed(drivertest.Transfer) uint64 { c.n++; return c.n }
func (c *vcount) Returned(drivertest.Transfer)      {}

// TestNoFaultPassesAsAValue begins every kind of fault at every transfer of a reading of every part. A value that comes
// out as good is the true one: all ones, all zeros and half a reading are not.
func TestNoFaultPassesAsAValue(t *testing.T) {
	kinds := []drivertest.FaultKind{
		drivertest.FaultOnes, drivertest.FaultZeros, drivertest.FaultNackAddress, drivertest.FaultNackData, drivertest.FaultTimeout,
		drivertest.FaultArbitration, drivertest.FaultBusError, drivertest.FaultReset,
	}
	table := parts()
	for _, p := range allParts() {
		e, ok := table[p.name]
		if !ok {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for _, kind := range kinds {
				for _, times := range []int{1, 0} {
					for n, more := 0, true; more && n < 60; n++ {
						synctest.Test(t, func(t *testing.T) { more = faultAt(t, p, e, kind, times, n) })
					}
				}
			}
		})
	}
}

// faultAt reads a part whose nth transfer goes wrong, and tells whether the reading has so many.
func faultAt(t *testing.T, p sensorPart, e expectation, kind drivertest.FaultKind, times, n int) bool {
	made := new(vcount)
	d, bus, done := placed(t, p, e, "", drivertest.BusOpts{Recorder: made})
	defer done()
	polled(t, d)
	time.Sleep(time.Second)
	first := made.n + 1
	fault := bus.Inject(drivertest.Fault{Kind: kind, First: first + uint64(n), Times: times, Delay: time.Millisecond})
	defer fault.Clear()
	rs, err := d.Read(t.Context())
	struck := made.n >= first+uint64(n)
	if err != nil || !struck {
		return struck
	}
	for _, r := range rs {
		want, judged := e.want[fmt.Sprintf("%s.%d", r.Point.Quantity, r.Point.Index)]
		if judged && (r.Quality == "" || r.Quality == rack.QualityOK) && math.Abs(r.Value-want) > 0.02*math.Abs(want)+0.07 {
			t.Errorf("%s (times %d) at transfer %d: %s passes as good with %v, it is %v", kind, times, n, r.Point, r.Value, want)
		}
	}
	return true
}
