package telemetry

import (
	"cmp"
	"slices"

	"rackagent/agent/rack"
)

// byDevice puts the values of one device together, so that a batch that must be split splits between devices.
// Devices keep the order of the first of their values, and values their order within the device.
func byDevice(readings []rack.Reading) []rack.Reading {
	return grouped(readings, func(p rack.Point) string { return p.Device })
}

func grouped(readings []rack.Reading, key func(rack.Point) string) []rack.Reading {
	first := map[string]int{}
	for i, r := range readings {
		k := key(r.Point)
		if _, ok := first[k]; !ok {
			first[k] = i
		}
	}
	out := slices.Clone(readings)
	slices.SortStableFunc(out, func(a, b rack.Reading) int {
		return cmp.Compare(first[key(a.Point)], first[key(b.Point)])
	})
	return out
}

// halve splits readings between two devices, or, where there is one device only, between two quantities. The
// positions of one quantity stay together: half an array would say that the other half does not exist.
func halve(readings []rack.Reading) (a, b []rack.Reading, ok bool) {
	if i := border(readings, func(p rack.Point) string { return p.Device }); i > 0 {
		return readings[:i], readings[i:], true
	}
	quantity := func(p rack.Point) string { return string(p.Quantity) }
	readings = grouped(readings, quantity)
	if i := border(readings, quantity); i > 0 {
		return readings[:i], readings[i:], true
	}
	return nil, nil, false
}

// border is the index nearest to the middle where the key changes, or 0.
func border(readings []rack.Reading, key func(rack.Point) string) int {
	best := 0
	distance := func(i int) int { return max(2*i-len(readings), len(readings)-2*i) }
	for i := 1; i < len(readings); i++ {
		if key(readings[i].Point) != key(readings[i-1].Point) && (best == 0 || distance(i) < distance(best)) {
			best = i
		}
	}
	return best
}
