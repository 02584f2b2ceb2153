package wire

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

const (
	// ageTold is the age from which on a good value carries it: below, the batch's time is close enough (arbitrary,
	// two periods of a metering sweep at 1 s).
	ageTold = 2 * time.Second
	// maxIndex bounds the positions of one array; the largest PDUs have fewer than 100 outlets.
	maxIndex = 1024
)

// Reasons that no driver gives.
const (
	whyNoPoint  = "no_point"  // the device has nothing at this position
	whyBadIndex = "bad_index" // the position is out of bounds; the value is not shown
)

// Telemetry is the payload of up/tele: the latest value of each point, or of those whose arrays have news.
//
// A value is shown if its quality is ok or suspect; anything else is null. What x names is not ok, or not of the
// batch's time: q is the quality, age_ms how old the value (or the last good one) is, absent if there never was one,
// why the reason. What x does not name was measured within 2 s before ts and is ok. Every null has its x entry.
type Telemetry struct {
	Epoch    string // changes when the count starts anew
	Seq      uint64 // counts batches within the epoch; a jump is a gap
	At       time.Time
	Readings []rack.Reading // of one point twice: the later one is taken
}

type telemetryJSON struct {
	V     int                            `json:"v"`
	Epoch string                         `json:"ep"`
	Seq   uint64                         `json:"seq"`
	At    int64                          `json:"ts"`
	D     map[string]map[string][]sample `json:"d"`
	X     map[string]doubt               `json:"x,omitempty"`
}

// sample is one position of an array. The zero sample is null.
type sample struct {
	value  float64
	digits int
	shown  bool
}

// MarshalJSON writes the number or null.
func (s sample) MarshalJSON() ([]byte, error) {
	if !s.shown {
		return []byte("null"), nil
	}
	return appendNumber(nil, s.value, s.digits), nil
}

// doubt is what a reader has to know about a position before it uses the value.
type doubt struct {
	Quality rack.Quality `json:"q"`
	AgeMS   *int64       `json:"age_ms,omitempty"`
	Why     string       `json:"why,omitempty"`
}

// Encode writes the batch.
func (t Telemetry) Encode() []byte {
	latest := latestOf(t.Readings)
	out := telemetryJSON{V: 1, Epoch: t.Epoch, Seq: t.Seq, At: millis(t.At), D: map[string]map[string][]sample{}, X: map[string]doubt{}}
	for p, r := range latest {
		if p.Index < 1 || p.Index > maxIndex {
			out.X[p.String()] = doubt{Quality: rack.QualityBad, Why: whyBadIndex}
			continue
		}
		s, d := judge(t.At, r)
		out.set(p, s)
		if d != nil {
			out.X[p.String()] = *d
		}
	}
	out.nameGaps(latest)
	return encode(out)
}

func latestOf(readings []rack.Reading) map[rack.Point]rack.Reading {
	latest := make(map[rack.Point]rack.Reading, len(readings))
	for _, r := range readings {
		if old, ok := latest[r.Point]; ok && r.At.Before(old.At) {
			continue
		}
		latest[r.Point] = r
	}
	return latest
}

func (t *telemetryJSON) set(p rack.Point, s sample) {
	device := t.D[p.Device]
	if device == nil {
		device = map[string][]sample{}
		t.D[p.Device] = device
	}
	values := device[string(p.Quantity)]
	for len(values) < p.Index {
		values = append(values, sample{})
	}
	values[p.Index-1] = s
	device[string(p.Quantity)] = values
}

// nameGaps explains the nulls of positions for which there was no reading.
func (t *telemetryJSON) nameGaps(latest map[rack.Point]rack.Reading) {
	for device, quantities := range t.D {
		for q, values := range quantities {
			for i := range values {
				p := rack.Point{Device: device, Quantity: rack.Quantity(q), Index: i + 1}
				if _, ok := latest[p]; !ok {
					t.X[p.String()] = doubt{Quality: rack.QualityAbsent, Why: whyNoPoint}
				}
			}
		}
	}
}

// judge turns a reading into what is shown of it, and the doubt that goes with it.
func judge(now time.Time, r rack.Reading) (sample, *doubt) {
	d := verdict(r)
	shown := d.Quality == rack.QualityOK || d.Quality == rack.QualitySuspect
	if !r.At.IsZero() {
		age := max(now.Sub(r.At), 0)
		if d.Quality == rack.QualityOK && age < ageTold {
			return show(r), nil
		}
		ms := age.Milliseconds()
		d.AgeMS = &ms
	}
	if !shown {
		return sample{}, d
	}
	return show(r), d
}

func show(r rack.Reading) sample {
	return sample{value: r.Value, digits: quantityOf(r.Point.Quantity).digits, shown: true}
}

// verdict is the reading's quality and reason, unless it contradicts itself: it claims a value that it does not hold.
func verdict(r rack.Reading) *doubt {
	claims := r.Quality == rack.QualityOK || r.Quality == rack.QualitySuspect
	switch {
	case r.Quality == "", claims && r.At.IsZero():
		return &doubt{Quality: rack.QualityAbsent, Why: drivers.NotRead.String()}
	case claims && !plausible(r.Value):
		return &doubt{Quality: rack.QualityBad, Why: drivers.Implausible.String()}
	}
	return &doubt{Quality: r.Quality, Why: cut(r.Reason, maxName)}
}
