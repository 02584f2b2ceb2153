package interlock

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

// bench feeds a machine of one rule.
type bench struct {
	m   *Machine
	now time.Time
	out []rack.Demand
}

func newBench(r Rule) *bench {
	r.Name, r.Device, r.Target = "rule", "s", rack.Target{Kind: rack.TargetRack}
	if r.Fresh == 0 {
		r.Fresh = 4 * time.Second
	}
	return &bench{m: New([]Rule{r}), now: time.Unix(1_800_000_000, 0)}
}

// read brings one reading of an input after some time; quality empty: ok.
func (b *bench) read(after time.Duration, q rack.Quantity, input int, v float64, quality rack.Quality) {
	b.now = b.now.Add(after)
	if quality == "" {
		quality = rack.QualityOK
	}
	r := rack.Reading{Point: rack.Point{Device: "s", Quantity: q, Index: input}, Value: v, At: b.now, Quality: quality}
	b.out = append(b.out, b.m.Step(b.now, []rack.Reading{r})...)
}

func (b *bench) wait(d time.Duration) {
	for end := b.now.Add(d); b.now.Before(end); {
		b.now = b.now.Add(time.Second)
		b.out = append(b.out, b.m.Step(b.now, nil)...)
	}
}

func (b *bench) states() string {
	var out []string
	for _, d := range b.out {
		out = append(out, string(d.State))
	}
	return strings.Join(out, " ")
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		play func(*bench)
		want string
		why  string // of the first
	}{
		{"a leak in two readings", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 0, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
		}, "tripped", "interlock rule: s says water, for 1s"},
		{"a leak in one reading", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 0, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 0, "")
		}, "", ""},
		{"the same reading twice", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 1, "")
			b.read(0, rack.Leak, 1, 1, "")
		}, "", ""},
		{"a stop at the first reading", Rule{Kind: Stop, Do: rack.DoCut}, func(b *bench) { b.read(0, rack.Contact, 1, 1, "") }, "tripped", "says pressed"},
		{"a leak is dry again", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
			for range 58 {
				b.read(time.Second, rack.Leak, 1, 0, "")
			}
			if got := b.states(); got != "tripped" {
				t.Error(got)
			}
			for range 4 {
				b.read(time.Second, rack.Leak, 1, 0, "")
			}
		}, "tripped clear", ""},
		{"a sensor that fails is not dry, nor wet", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 0, "")
			b.read(time.Second, rack.Leak, 1, 1, rack.QualityBad)
			b.read(time.Second, rack.Leak, 1, 1, rack.QualityBad)
			b.read(time.Second, rack.Leak, 1, 0, "")
		}, "blind clear", "does not tell"},
		{"one that falls silent", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 0, "")
			b.wait(10 * time.Second)
		}, "blind", ""},
		{"one that falls silent while it is wet stays tripped", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
			b.wait(10 * time.Minute)
		}, "tripped", ""},
		{"one that was dry once and falls silent stays tripped", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 1, "")
			b.read(time.Second, rack.Leak, 1, 0, "")
			b.wait(10 * time.Minute)
		}, "tripped", ""},
		{"too hot for 5 s", Rule{Kind: OverTemperature, Limit: 40, Do: rack.DoSleep}, func(b *bench) {
			for range 10 {
				b.read(time.Second, rack.TempC, 1, 40.5, "")
			}
		}, "tripped", "interlock rule: s shows 40.5 °C, above 40.0, for 5s"},
		{"too hot for 4 s", Rule{Kind: OverTemperature, Limit: 40, Do: rack.DoSleep}, func(b *bench) {
			for range 5 {
				b.read(time.Second, rack.TempC, 1, 40.5, "")
			}
			b.read(time.Second, rack.TempC, 1, 40, "")
		}, "", ""},
		{"hovering is not back", Rule{Kind: OverTemperature, Limit: 40, Do: rack.DoSleep}, func(b *bench) {
			for range 6 {
				b.read(time.Second, rack.TempC, 1, 41, "")
			}
			for range 300 {
				b.read(time.Second, rack.TempC, 1, 38, "")
			}
		}, "tripped", ""},
		{"a flow below", Rule{Kind: LowFlow, Limit: 6, Do: rack.DoCut}, func(b *bench) {
			b.read(0, rack.FlowLPM, 1, 6, "")
			for range 3 {
				b.read(time.Second, rack.FlowLPM, 1, 5.9, "")
			}
		}, "tripped", "shows 5.9 L/min, below 6.0"},
		{"one of two inputs", Rule{Kind: OverTemperature, Limit: 40, Hold: time.Second, Do: rack.DoCut}, func(b *bench) {
			for range 3 {
				b.read(500*time.Millisecond, rack.TempC, 1, 20, "")
				b.read(500*time.Millisecond, rack.TempC, 2, 60, "")
			}
		}, "tripped", "s, input 2, shows 60.0"},
		{"another input", Rule{Kind: OverTemperature, Index: 1, Limit: 40, Hold: time.Second, Do: rack.DoCut}, func(b *bench) {
			for range 9 {
				b.read(500*time.Millisecond, rack.TempC, 2, 60, "")
			}
		}, "", ""},
		{"another quantity", Rule{Kind: Leak, Do: rack.DoCut}, func(b *bench) {
			for range 9 {
				b.read(500*time.Millisecond, rack.FaultFlag, 1, 1, "")
			}
		}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(c.rule)
			c.play(b)
			if got := b.states(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.why != "" && (len(b.out) == 0 || !strings.Contains(b.out[0].Why, c.why)) {
				t.Errorf("%+v does not say %q", b.out, c.why)
			}
			for _, d := range b.out {
				if d.Latch != ((c.rule.Kind == Leak || c.rule.Kind == Stop) && c.rule.Do == rack.DoCut) || d.Do != c.rule.Do || d.Name != "rule" {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// TestEveryKindHasItsTraits: a kind without them would never trip.
func TestEveryKindHasItsTraits(t *testing.T) {
	for _, k := range Kinds() {
		if tr, ok := traitOf(k); !ok || tr.quantity == "" || tr.flag == (tr.unit != "") || tr.flag == (tr.word == "") {
			t.Errorf("%s: %+v", k, tr)
		}
	}
	if len(New([]Rule{{Kind: "fire"}}).rules) != 0 {
		t.Error("a kind that there is none of")
	}
}

// TestWalk compares the machine with what a person would read off the list of readings: it trips only after a measured value was
// beyond the limit for as long as the rule says, and never otherwise; it is never clear while the newest value of an input is
// beyond or unknown.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(Kinds()).Draw(t, "kind")
		tr, _ := traitOf(kind)
		r := Rule{Kind: kind, Limit: 40, Do: rack.DoCut, Hold: time.Duration(rapid.IntRange(0, 6).Draw(t, "hold")) * time.Second}
		b := newBench(r)
		hold := r.Hold
		if hold == 0 {
			hold = tr.hold
		}
		beyond := func(v float64) bool {
			switch {
			case tr.flag:
				return v == 1
			case tr.below:
				return v < 40
			}
			return v > 40
		}
		var since [3]time.Time
		var counts [3]int
		var newest [3]float64
		var known [3]bool
		var at [3]time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			gap := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			if rapid.IntRange(0, 9).Draw(t, "silence") == 0 {
				b.wait(gap)
				continue
			}
			in := rapid.IntRange(1, 2).Draw(t, "input")
			v := rapid.SampledFrom([]float64{0, 1, 36, 39, 41, 60}).Draw(t, "value")
			if tr.flag {
				v = float64(rapid.IntRange(0, 1).Draw(t, "flag"))
			}
			q := rapid.SampledFrom([]rack.Quality{rack.QualityOK, rack.QualityOK, rack.QualityOK, rack.QualityStale, rack.QualityBad}).Draw(t, "quality")
			before := len(b.out)
			b.read(gap, tr.quantity, in, v, q)
			if known[in] = q == rack.QualityOK; known[in] && b.now.After(at[in]) {
				newest[in], at[in] = v, b.now
				if !beyond(v) {
					since[in], counts[in] = time.Time{}, 0
				} else if counts[in]++; since[in].IsZero() {
					since[in] = b.now
				}
			}
			for _, d := range b.out[before:] {
				due := false
				for i := 1; i <= 2; i++ {
					due = due || known[i] && !since[i].IsZero() && at[i].Sub(since[i]) >= hold && (counts[i] >= 2 || kind == Stop)
					if d.State == rack.InterlockClear && known[i] && beyond(newest[i]) && len(b.states()) > 0 && at[i].Sub(since[i]) >= hold && counts[i] >= 2 {
						t.Fatalf("clear, and input %d is beyond: %s", i, b.states())
					}
				}
				if d.State == rack.InterlockTripped && !due {
					t.Fatalf("it trips without reason: %s", fmt.Sprint(d))
				}
			}
		}
	})
}
