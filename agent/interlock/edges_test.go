package interlock

import (
	"testing"
	"time"

	"rackagent/agent/rack"
)

// One wet reading, an hour of silence, one wet reading: two single samples, and nothing in between was measured.
func TestInterlockGapIsNoHold(t *testing.T) {
	b := newBench(Rule{Kind: Leak, Do: rack.DoCut})
	b.read(0, rack.Leak, 1, 0, "")
	b.read(time.Second, rack.Leak, 1, 1, "")
	b.wait(time.Hour)
	b.read(time.Second, rack.Leak, 1, 1, "")
	if got := b.states(); got != "blind" && got != "blind clear" {
		t.Errorf("%s: %+v", got, b.out[len(b.out)-1].Why)
	}
	b = newBench(Rule{Kind: OverTemperature, Limit: 40, Do: rack.DoCut})
	b.read(0, rack.TempC, 1, 41, "")
	for range 600 {
		b.read(time.Second, rack.TempC, 1, 41, rack.QualityBad)
	}
	b.read(time.Second, rack.TempC, 1, 41, "")
	if last := b.out[len(b.out)-1]; last.State == rack.InterlockTripped {
		t.Errorf("%s", last.Why)
	}
}

// A sensor of which nothing was ever heard is not clear.
func TestInterlockNeverARead(t *testing.T) {
	b := newBench(Rule{Kind: Leak, Do: rack.DoCut})
	b.wait(10 * time.Minute)
	if got := b.states(); got != "blind" {
		t.Errorf("%q", got)
	}
}

// Of two inputs one is dead from the start.
func TestInterlockDeadInput(t *testing.T) {
	b := newBench(Rule{Kind: OverTemperature, Limit: 40, Do: rack.DoCut})
	both := func(v float64, n int) {
		for range n {
			b.read(500*time.Millisecond, rack.TempC, 1, v, "")
			b.read(500*time.Millisecond, rack.TempC, 2, 0, rack.QualityAbsent)
		}
	}
	both(20, 10)
	t.Logf("one of two tells: %q", b.states())
	both(45, 20)
	both(20, 3600)
	if got := b.states(); got != "tripped clear" && got != "blind tripped blind" {
		t.Errorf("an hour after it has cooled: %q", got)
	}
}

// One input dies while another is fine: the rule stays clear, and nobody is told.
func TestInterlockOneInputDies(t *testing.T) {
	b := newBench(Rule{Kind: Leak, Do: rack.DoCut})
	for range 10 {
		b.read(500*time.Millisecond, rack.Leak, 1, 0, "")
		b.read(500*time.Millisecond, rack.Leak, 2, 0, "")
	}
	for range 600 {
		b.read(500*time.Millisecond, rack.Leak, 1, 0, "")
	}
	if got := b.states(); got == "" {
		t.Errorf("input 2 tells nothing for 5 min: %q", got)
	}
}
