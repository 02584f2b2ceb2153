package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// read is a batch as a consumer sees it.
type read struct {
	D map[string]map[string][]*float64
	X map[string]struct {
		Q     string `json:"q"`
		AgeMS *int64 `json:"age_ms"`
		Why   string `json:"why"`
	}
}

func consume(t failer, b []byte) read {
	t.Helper()
	conform(t, "closed", "telemetry", b)
	var r read
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return r
}

var anyFloat = rapid.OneOf(
	rapid.Float64Range(-1e4, 1e6), rapid.Float64(),
	rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e12, -1e12, math.MaxFloat64}),
)

var quantities = []rack.Quantity{
	rack.PowerW, rack.ApparentV, rack.CurrentA, rack.EnergyWh, rack.VoltageV, rack.FrequHz, rack.Relay, rack.Control, rack.TempC, "p_bar",
}

func drawReading(t *rapid.T) rack.Reading {
	r := rack.Reading{
		Point: rack.Point{
			Device: rapid.SampledFrom([]string{"pdu-a", "pdu-b"}).Draw(t, "device"), Quantity: rapid.SampledFrom(quantities).Draw(t, "quantity"),
			Index: rapid.SampledFrom([]int{-1, 0, 1, 2, 3, 9, 1025, math.MaxInt}).Draw(t, "index"),
		},
		Value: anyFloat.Draw(t, "value"),
		Quality: rapid.SampledFrom([]rack.Quality{
			"", rack.QualityOK, rack.QualityOK, rack.QualitySuspect, rack.QualityStale, rack.QualityAbsent, rack.QualityBad,
		}).Draw(t, "quality"),
		Reason: rapid.SampledFrom([]string{"", "nack", "timeout"}).Draw(t, "reason"),
	}
	if age := rapid.SampledFrom([]time.Duration{-1, -time.Second, 0, time.Second, 2 * time.Second, time.Hour}).Draw(t, "age"); age != -1 {
		r.At = noon.Add(-age)
	}
	return r
}

func TestAnyBatchIsHonest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings := rapid.SliceOfN(rapid.Custom(drawReading), 0, 40).Draw(t, "readings")
		got := consume(t, Telemetry{Epoch: "k", Seq: 1, At: noon, Readings: readings}.Encode())
		for device, quantities := range got.D {
			for q, values := range quantities {
				for i, v := range values {
					x, doubted := got.X[fmt.Sprintf("%s.%s.%d", device, q, i+1)]
					if v == nil && (!doubted || x.Q == "ok" || x.Q == "suspect") {
						t.Fatalf("null without a reason: %s.%s.%d, %+v", device, q, i+1, x)
					}
					if v != nil && doubted && x.Q != "ok" && x.Q != "suspect" {
						t.Fatalf("a value that is %s: %s.%s.%d", x.Q, device, q, i+1)
					}
				}
			}
		}
		for _, r := range latestOf(readings) {
			lost(t, got, r)
			pretends(t, got, r)
		}
	})
}

// lost fails if a reading left no trace.
func lost(t failer, got read, r rack.Reading) {
	t.Helper()
	values := got.D[r.Point.Device][string(r.Point.Quantity)]
	if _, doubted := got.X[r.Point.String()]; !doubted && (r.Point.Index < 1 || r.Point.Index > len(values)) {
		t.Fatalf("%s is gone", r.Point)
	}
}

// pretends fails if a reading that is old, failed or no number passes as good and fresh (S7).
func pretends(t failer, got read, r rack.Reading) {
	t.Helper()
	if values := got.D[r.Point.Device][string(r.Point.Quantity)]; r.At.IsZero() && r.Point.Index >= 1 && r.Point.Index <= len(values) && values[r.Point.Index-1] != nil {
		t.Fatalf("%+v was never measured and is shown", r)
	}
	if _, doubted := got.X[r.Point.String()]; doubted {
		return
	}
	if r.Quality != rack.QualityOK || r.At.IsZero() || noon.Sub(r.At) >= 2*time.Second || math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
		t.Fatalf("%+v passes as good", r)
	}
}

func TestLaterReadingOfAPointWins(t *testing.T) {
	p := rack.Point{Device: "pdu-a", Quantity: rack.PowerW, Index: 1}
	for _, readings := range [][]rack.Reading{
		{{Point: p, Value: 1, At: noon.Add(-time.Second), Quality: rack.QualityOK}, {Point: p, Value: 2, At: noon, Quality: rack.QualityOK}},
		{{Point: p, Value: 2, At: noon, Quality: rack.QualityOK}, {Point: p, Value: 1, At: noon.Add(-time.Second), Quality: rack.QualityOK}},
	} {
		got := consume(t, Telemetry{Epoch: "k", At: noon, Readings: readings}.Encode())
		if v := got.D["pdu-a"]["p_w"][0]; v == nil || *v != 2 {
			t.Errorf("%v", got)
		}
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		v      float64
		digits int
		want   string
	}{
		{1234.5, 1, "1234.5"},
		{1234.04, 1, "1234"},
		{0.05, 1, "0.1"},
		{-0.04, 1, "0"},
		{-3.25, 1, "-3.2"},
		{230.06, 1, "230.1"},
		{49.987, 2, "49.99"},
		{5.3674, 3, "5.367"},
		{100, 0, "100"},
		{1, 0, "1"},
		{999999999999.9, 1, "999999999999.9"},
		{1e12, 1, "null"},
		{math.NaN(), 1, "null"},
		{math.Inf(-1), 3, "null"},
		{5e-324, 3, "0"},
		{math.Copysign(0, -1), 0, "0"},
	} {
		if got := string(appendNumber(nil, c.v, c.digits)); got != c.want {
			t.Errorf("%v to %d decimals: %s, want %s", c.v, c.digits, got, c.want)
		}
	}
}

func TestTelemetryOfAPDUWith48OutletsFitsIntoAMessage(t *testing.T) {
	var readings []rack.Reading
	for _, q := range quantities[:7] {
		for i := range 48 {
			readings = append(readings, rack.Reading{
				Point: rack.Point{Device: "pdu-a", Quantity: q, Index: i + 1}, Value: 12345.678, At: noon.Add(-time.Minute), Quality: rack.QualityStale, Reason: "arbitration",
			})
		}
	}
	b := Telemetry{Epoch: "k", At: noon, Readings: readings}.Encode()
	if consume(t, b); len(b) > 64<<10 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestPositionsAreBounded(t *testing.T) {
	p := func(i int) rack.Point { return rack.Point{Device: "pdu-a", Quantity: rack.PowerW, Index: i} }
	got := consume(t, Telemetry{Epoch: "k", At: noon, Readings: []rack.Reading{
		{Point: p(1024), Value: 7, At: noon, Quality: rack.QualityOK}, {Point: p(1025), Value: 8, At: noon, Quality: rack.QualityOK},
	}}.Encode())
	if values := got.D["pdu-a"]["p_w"]; len(values) != 1024 || *values[1023] != 7 || got.X["pdu-a.p_w.1025"].Why != "bad_index" {
		t.Errorf("%d positions, %+v", len(values), got.X["pdu-a.p_w.1025"])
	}
}
