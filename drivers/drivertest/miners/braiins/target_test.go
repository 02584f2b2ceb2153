package braiins_test

import (
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

const targetPath = "performance/power-target"

// TestTarget: the machine goes there, and all reads tell of it.
func TestTarget(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.target(3500)
		b.put(targetPath, `{"watt":2750}`, 200, `{"watt":2750}`)
		b.target(2750)
		b.truth(miners.Ramping, 3500)
		time.Sleep(100 * time.Second)
		b.truth(miners.Hashing, 2750)
		tuner := b.get("performance/tuner-state")
		b.want("tuner", tuner, 2, "overall_tuner_state")
		b.want("tuner", tuner, 2750, "mode_state", "powertargetmodestate", "profile", "estimated_power_consumption", "watt")
		b.want("tuner", tuner, 192e3, "mode_state", "powertargetmodestate", "profile", "measured_hashrate", "gigahash_per_second")
		b.want("stats", b.get("miner/stats"), 192e3, "miner_stats", "nominal_hashrate", "gigahash_per_second")
		b.want("stats", b.get("miner/stats"), 2750, "power_stats", "approximated_consumption", "watt")
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":2000}`)
		if name := b.m.Target().Name; name != "low" {
			b.Errorf("the machine means %s", name)
		}
		b.m.Keep(spec().Profiles[2]) // by another hand
		b.target(4000)
		b.s.SetTarget(3000)
		b.target(3000)
		w := b.s.Writes()
		if len(w) != 2 {
			b.Fatalf("%d writes: %s", len(w), b.whats())
		}
		w[0].At = time.Time{}
		if want := (braiins.Write{Port: 80, What: "PUT " + targetPath, Body: `{"watt":2750}`, Code: 200, Accepted: true}); w[0] != want {
			b.Errorf("%+v, want %+v", w[0], want)
		}
	})
}

// TestTargetAsleep: it counts when the machine wakes.
func TestTargetAsleep(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.put("actions/pause", "", 200, "false")
		time.Sleep(time.Minute)
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":2000}`)
		b.truth(miners.Sleeping, 25)
		b.target(2000)
		b.put("actions/resume", "", 200, "false")
		time.Sleep(100 * time.Second)
		b.truth(miners.Hashing, 2000)
	})
}

// TestTargetForms: steps, parts of a reference, and the default.
func TestTargetForms(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.write("PATCH", targetPath+"/decrement", `{"watt":100}`, 200, `{"watt":3400}`)
		b.write("PATCH", targetPath+"/decrement", `{"watt":100}`, 200, `{"watt":3300}`)
		b.write("PATCH", targetPath+"/increment", `{"watt":50}`, 200, `{"watt":3350}`)
		b.put(targetPath+"/default", "", 200, `{"watt":3500}`)
		for body, want := range map[string]string{
			`{"percentage":85.5,"reference":1}`: `{"watt":2993}`,
			`{"percentage":120,"reference":2}`:  `{"watt":2400}`,
			`{"percentage":75,"reference":3}`:   `{"watt":3000}`,
			`{"percentage":100,"reference":4}`:  `{"watt":3500}`,
		} {
			b.put(targetPath+"/default", "", 200, `{"watt":3500}`)
			b.write("PATCH", targetPath+"/relative", body, 200, want)
		}
		for _, body := range []string{`{}`, `{"percentage":80}`, `{"percentage":80,"reference":0}`, `{"percentage":-1,"reference":1}`} {
			b.write("PATCH", targetPath+"/relative", body, 400, "invalid request payload")
		}
	})
}

// TestTargetRefused: outside the constraints, and what is no target.
func TestTargetRefused(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		const text = "1999 W: power target is out of range, 2000 to 4000 W"
		b.put(targetPath, `{"watt":1999}`, 400, text)
		b.put(targetPath, `{"watt":4001}`, 400, "4001 W: power target is out of range, 2000 to 4000 W")
		b.write("PATCH", targetPath+"/decrement", `{"watt":1501}`, 400, text)
		for _, body := range []string{"", `{}`, `{"watt":null}`, `{"watt":"3000"}`, `{"watt":3000.5}`, `{"watt":-1}`, `3000`, `{"watt":3000`} {
			b.put(targetPath, body, 400, "invalid request payload")
		}
		b.s.Change(func(q *braiins.Quirks) { q.RangeStatus = 412 })
		b.put(targetPath, `{"watt":1999}`, 412, text)
		b.target(3500)
		b.truth(miners.Hashing, 3500)
		b.s.Change(func(q *braiins.Quirks) { q.Clamps = true })
		b.put(targetPath, `{"watt":100}`, 200, `{"watt":2000}`)
		b.put(targetPath, `{"watt":9000}`, 200, `{"watt":4000}`)
		b.target(4000)
	})
}

// TestTuning: a target that is new takes its time, and the machine exceeds it; one that was in force does not.
func TestTuning(t *testing.T) {
	on(t, braiins.Opts{Tuning: 10 * time.Minute, Overshoot: 0.1}, func(b *bench) {
		state := func(want int) {
			b.Helper()
			b.want("tuner", b.get("performance/tuner-state"), want, "overall_tuner_state")
		}
		state(2)
		b.put(targetPath, `{"watt":3000}`, 200, `{"watt":3000}`)
		state(3)
		b.want("no profile", b.get("performance/tuner-state"), nil, "mode_state", "powertargetmodestate", "profile")
		b.want("4028", b.call("tunerstatus"), "Tuning individual chips", "TUNERSTATUS", 0, "TunerChainStatus", 0, "Status")
		b.target(3000)
		time.Sleep(5 * time.Minute)
		b.truth(miners.Hashing, 3300)
		time.Sleep(7 * time.Minute)
		b.truth(miners.Hashing, 3000)
		state(2)
		b.target(3000)
		for _, w := range []string{`{"watt":2000}`, `{"watt":3000}`} { // of the table, and tuned
			b.put(targetPath, w, 200, w)
			state(2)
		}
		b.put(targetPath, `{"watt":3100}`, 200, `{"watt":3100}`)
		b.put(targetPath, `{"watt":2000}`, 200, `{"watt":2000}`)
		time.Sleep(20 * time.Minute)
		b.truth(miners.Hashing, 2000)
	})
}

// TestTunerModes: without a power target there is none to read; setting one makes it the mode.
func TestTunerModes(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{Tuner: braiins.TunesHashrate}}, func(b *bench) {
		tuner := b.get("performance/tuner-state")
		b.want("hashrate", tuner, nil, "mode_state", "powertargetmodestate")
		b.want("hashrate", tuner, 234, "mode_state", "hashratetargetmodestate", "current_target", "terahash_per_second")
		b.s.Change(func(q *braiins.Quirks) { q.Tuner = braiins.TunerOff })
		b.want("off", b.get("performance/tuner-state"), map[string]any{"overall_tuner_state": 1.0, "mode_state": nil})
		b.put(targetPath, `{"watt":3000}`, 200, `{"watt":3000}`)
		b.target(3000)
	})
}

// TestQuickRamping: kept and told, from API 1.7 on.
func TestQuickRamping(t *testing.T) {
	on(t, braiins.Opts{API: "1.7"}, func(b *bench) {
		b.put("performance/quick-ramping", `{"up_s":5,"down_s":2}`, 200, `{"down_s":2,"up_s":5}`)
		if up, down := b.s.Ramping(); up != 5*time.Second || down != 2*time.Second {
			b.Errorf("ramping %s and %s", up, down)
		}
		for _, body := range []string{`{"up_s":5}`, `{"up_s":5,"down_s":-1}`, ``} {
			b.put("performance/quick-ramping", body, 400, "invalid request payload")
		}
		if p := b.do("PATCH", targetPath+"/relative", `{"percentage":80,"reference":1}`); p.status != 404 {
			b.Errorf("relative targets before API 1.8: %+v", p)
		}
	})
}

// TestDPS: what is left out stays as it was.
func TestDPS(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		const whole = `{"enable":true,"enable_shutdown":true,"shutdown_duration":{"hours":1},"mode":1,` +
			`"target":{"target":{"powertarget":{"power_step":{"watt":300},"min_power_target":{"watt":1500}}}}}`
		p := b.do("PUT", "performance/dps", whole)
		b.want("enabled", p.body, true, "enabled")
		b.want("4028", b.call("tunerstatus"), "InitialPowerLimit", "TUNERSTATUS", 0, "DynamicPowerScaling")
		p = b.do("PUT", "performance/dps", `{"enable":false}`)
		b.want("enabled", p.body, false, "enabled")
		b.want("shutdown", p.body, true, "shutdown_enabled")
		b.want("hours", p.body, 1, "shutdown_duration", "hours")
		b.want("step", p.body, 300, "power_target", "power_step", "watt")
		b.want("least", p.body, 1500, "power_target", "min_power_target", "watt")
		b.put("performance/dps", `{"enable":1}`, 400, "invalid request payload")
	})
}
