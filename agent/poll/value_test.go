package poll

import (
	"testing"
	"time"

	"rackagent/agent/rack"
	"rackagent/drivers"
)

func outlet(q rack.Quantity) rack.Point { return rack.Point{Device: "pdu-a", Quantity: q, Index: 1} }

// sampled runs answers through the rules, a second apart, and gives the latest reading of each point.
func sampled(points []Point, answers ...[]rack.Reading) []rack.Reading {
	chs := make([]channel, len(points))
	for i, p := range points {
		chs[i] = channel{rule: p, last: rack.Reading{Point: p.Point}}
	}
	for i, got := range answers {
		judgeSample(chs, got, zero.Add(time.Duration(i)*time.Second), false)
		for k := range got {
			chs[k].take(got[k])
		}
	}
	out := make([]rack.Reading, len(chs))
	for i := range chs {
		out[i] = chs[i].last
	}
	return out
}

func TestABadSampleKeepsTheLastGoodValue(t *testing.T) {
	p := Point{Point: outlet(rack.PowerW), Range: Range{Min: -10, Max: 4000}}
	r := func(v float64) []rack.Reading { return []rack.Reading{{Point: p.Point, Value: v}} }
	got := sampled([]Point{p}, r(1200), r(65535))[0]
	if got.Quality != rack.QualityBad || got.Reason != ReasonRange || got.Value != 1200 || !got.At.Equal(zero) {
		t.Errorf("%+v", got)
	}
	if never := sampled([]Point{p}, r(65535))[0]; !never.At.IsZero() || never.Quality != rack.QualityBad {
		t.Errorf("out of range from the first: %+v", never)
	}
	if back := sampled([]Point{p}, r(1200), r(65535), r(1300))[0]; back.Quality != rack.QualityOK || back.Value != 1300 {
		t.Errorf("good again: %+v", back)
	}
}

func TestPowerAndApparentPowerContradict(t *testing.T) {
	points := []Point{{Point: outlet(rack.PowerW)}, {Point: outlet(rack.ApparentV)}, {Point: outlet(rack.VoltageV)}}
	got := sampled(points, []rack.Reading{
		{Point: points[0].Point, Value: 3000}, {Point: points[1].Point, Value: 100}, {Point: points[2].Point, Value: 230},
	})
	for _, r := range got[:2] {
		if r.Quality != rack.QualityBad || r.Reason != ReasonCross {
			t.Errorf("%+v", r)
		}
	}
	if got[2].Quality != rack.QualityOK {
		t.Errorf("the voltage has no part in it: %+v", got[2])
	}
}

func TestProductsContradict(t *testing.T) {
	for _, q := range [][3]rack.Quantity{
		{rack.ApparentV, rack.VoltageV, rack.CurrentA},
		{rack.SupplyVA, rack.SupplyV, rack.SupplyA},
		{rack.ACVA, rack.ACVolts, rack.ACAmps},
		{rack.DCWatts, rack.DCVolts, rack.DCAmps},
	} {
		points := []Point{{Point: outlet(q[0])}, {Point: outlet(q[1])}, {Point: outlet(q[2])}, {Point: outlet(rack.TempC)}}
		sample := func(x float64) []rack.Reading {
			return []rack.Reading{
				{Point: points[0].Point, Value: x},
				{Point: points[1].Point, Value: 200},
				{Point: points[2].Point, Value: 10},
				{Point: points[3].Point, Value: 30},
			}
		}
		for i, r := range sampled(points, sample(2500)) {
			want, why := rack.QualitySuspect, ReasonCross
			if i == 3 {
				want, why = rack.QualityOK, ""
			}
			if r.Quality != want || r.Reason != why || r.At.IsZero() {
				t.Errorf("%s: %+v", r.Point.Quantity, r)
			}
		}
		for _, r := range sampled(points, sample(2500), sample(2010)) {
			if r.Quality != rack.QualityOK {
				t.Errorf("agreeing again: %+v", r)
			}
		}
		other := sample(2500)
		other[2].Point.Index, points[2].Index = 2, 2
		for _, r := range sampled(points, other) {
			if r.Quality != rack.QualityOK {
				t.Errorf("another index: %+v", r)
			}
		}
		bad := sample(2500)
		bad[1].Quality, bad[1].Reason = rack.QualityBad, "corrupt"
		points[2].Index = 1
		if r := sampled(points, bad)[0]; r.Quality != rack.QualityOK {
			t.Errorf("a voltage that was not measured contradicts nothing: %+v", r)
		}
	}
}

func TestPhasesAreCompared(t *testing.T) {
	points := []Point{{Point: outlet(rack.ACWatts)}, {Point: outlet(rack.ACVA)}}
	for _, r := range sampled(points, []rack.Reading{{Point: points[0].Point, Value: 3000}, {Point: points[1].Point, Value: 100}}) {
		if r.Quality != rack.QualityBad || r.Reason != ReasonCross {
			t.Errorf("%+v", r)
		}
	}
}

// One real step costs one suspect sample: the next is judged from there.
func TestAStepIsSuspectOnce(t *testing.T) {
	p := Point{Point: outlet(rack.TempC), MaxStep: 0.5}
	r := func(v float64) []rack.Reading { return []rack.Reading{{Point: p.Point, Value: v}} }
	got := sampled([]Point{p}, r(20), r(60))[0]
	if got.Quality != rack.QualitySuspect || got.Reason != ReasonStep || got.Value != 60 {
		t.Errorf("%+v", got)
	}
	if got := sampled([]Point{p}, r(20), r(60), r(60.2))[0]; got.Quality != rack.QualityOK {
		t.Errorf("%+v", got)
	}
	out := p
	out.Range = Range{Min: 0, Max: 50}
	if got := sampled([]Point{out}, r(20), r(60), r(20.7))[0]; got.Quality != rack.QualityOK {
		t.Errorf("a sample out of range is nothing to step from: %+v", got)
	}
}

func TestOtherOutletsAreNotCompared(t *testing.T) {
	s := rack.Point{Device: "pdu-a", Quantity: rack.ApparentV, Index: 2}
	points := []Point{{Point: outlet(rack.PowerW)}, {Point: s}}
	got := sampled(points, []rack.Reading{{Point: points[0].Point, Value: 3000}, {Point: s, Value: 0}})
	if got[0].Quality != rack.QualityOK {
		t.Errorf("%+v", got[0])
	}
}

func TestWhatTheDriverDoubtsIsNeverImproved(t *testing.T) {
	p := Point{Point: outlet(rack.PowerW), Range: Range{Min: 0, Max: 10}}
	got := sampled([]Point{p}, []rack.Reading{{Point: p.Point, Value: 5, Quality: rack.QualityBad, Reason: "settling"}})[0]
	if got.Quality != rack.QualityBad || got.Reason != "settling" || !got.At.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestJudge(t *testing.T) {
	const s = time.Second
	good := rack.Reading{Value: 7, At: zero, Quality: rack.QualityOK}
	frozen := rack.Reading{Value: 7, At: zero, Quality: rack.QualitySuspect, Reason: ReasonFrozen}
	bad := rack.Reading{Value: 7, At: zero, Quality: rack.QualityBad, Reason: ReasonRange}
	for _, c := range []struct {
		name  string
		r     rack.Reading
		state State
		fault drivers.Fault
		age   time.Duration
		want  rack.Quality
		why   string
	}{
		{"never asked", rack.Reading{}, StateNew, drivers.None, 0, rack.QualityAbsent, "not_read"},
		{"asked in vain", rack.Reading{}, StateNew, drivers.NoAnswer, 0, rack.QualityAbsent, "nack"},
		{"fresh", good, StateOK, drivers.None, 3 * s, rack.QualityOK, ""},
		{"old, and nothing is heard of the bus", good, StateOK, drivers.None, 3*s + 1, rack.QualityStale, "age"},
		{"one error", good, StateSuspect, drivers.Corrupt, s, rack.QualitySuspect, "corrupt"},
		{"errors for 3 periods", good, StateSuspect, drivers.Corrupt, 4 * s, rack.QualityStale, "corrupt"},
		{"gone", good, StateAbsent, drivers.NoAnswer, s, rack.QualityAbsent, "nack"},
		{"the part was changed within a period", good, StateProbation, drivers.WrongDevice, s, rack.QualitySuspect, ReasonProbation},
		{"frozen", frozen, StateOK, drivers.None, s, rack.QualitySuspect, ReasonFrozen},
		{"frozen and old", frozen, StateOK, drivers.None, 4 * s, rack.QualityStale, ReasonFrozen},
		{"out of range", bad, StateOK, drivers.None, s, rack.QualityBad, ReasonRange},
		{"out of range for 3 periods", bad, StateOK, drivers.None, 4 * s, rack.QualityStale, ReasonRange},
	} {
		got := judge(zero.Add(c.age), c.r, &Health{state: c.state, fault: c.fault, period: s})
		if got.Quality != c.want || got.Reason != c.why {
			t.Errorf("%s: %s %q, want %s %q", c.name, got.Quality, got.Reason, c.want, c.why)
		}
		if got.Value != c.r.Value || !got.At.Equal(c.r.At) {
			t.Errorf("%s: value and time changed: %+v", c.name, got)
		}
	}
}
