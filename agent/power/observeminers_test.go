package power

import (
	"slices"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// says has every miner tell what it does every 10 s, as poll would read it.
func (r *rig) says() {
	var batch Readings
	for _, n := range r.layout.Nodes {
		u := r.units[n.Name]
		if u == nil || r.now.Before(u.up) || u.silent != nil {
			continue
		}
		at := func(q rack.Quantity, on bool, raw uint32) {
			batch = append(batch, rack.Reading{Point: rack.Point{Device: n.Name, Quantity: q, Index: 1}, Value: boolean(on), Raw: raw, At: r.now, Quality: rack.QualityOK})
		}
		at(rack.AsleepFlag, u.asleep, uint32(len(u.setting)))
		at(rack.Hashing, !u.asleep && !u.idle, 0)
	}
	r.step(batch)
	r.after(10*time.Second, r.says)
}

// What a miner does without a command is noticed, once.
func TestWhatNobodyTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		world func(r *rig, u *unit)
		want  []string
	}{
		{"nothing", func(*rig, *unit) {}, nil},
		{"it wakes by itself", func(r *rig, u *unit) {
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.after(7*time.Minute, func() { u.asleep = false })
		}, []string{"woke_by_itself"}},
		{"somebody else puts it to sleep and wakes it an hour later", func(r *rig, u *unit) {
			r.after(time.Minute, func() { u.asleep = true })
			r.after(61*time.Minute, func() { u.asleep = false })
		}, []string{"foreign_owner", "foreign_owner"}},
		{"somebody else sets it every minute for five minutes", func(r *rig, u *unit) {
			for i := range 5 {
				r.after(time.Duration(i+1)*time.Minute, func() { u.setting += "x" })
			}
		}, []string{"foreign_owner"}},
		{"it says that it sleeps, and draws", func(r *rig, u *unit) {
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.after(10*time.Minute, func() { u.draws = 1500 })
		}, []string{"asleep_drawing"}},
		{"it hashes nothing, and draws", func(r *rig, u *unit) {
			r.after(time.Minute, func() { u.idle = true })
		}, []string{"not_hashing_drawing"}},
		{"it is told to sleep and to wake", func(r *rig, _ *unit) {
			r.must("s1", rack.OpSleep, "node/asic-3")
			r.after(10*time.Minute, func() { r.must("w1", rack.OpWake, "node/asic-3") })
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := minersRig(t)
			r.says()
			r.run(time.Minute)
			c.world(r, r.units["asic-3"])
			r.run(90 * time.Minute)
			var got []string
			for _, e := range r.emitted {
				if e.Kind == rack.EventMiner {
					got = append(got, e.Reason)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
