package braiins_test

import (
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/drivertest/miners/braiins"
)

// TestDetails: who it is.
func TestDetails(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		d := b.get("miner/details")
		b.want("details", d, 2, "status")
		b.want("details", d, "Antminer S21 Pro", "miner_identity", "miner_model")
		b.want("details", d, "2026-04-15-0-0a1b2c3d-26.04-plus", "bos_version", "current")
		b.want("details", d, "02:00:5e:00:00:0c", "mac_address")
		b.want("details", d, "SN12", "serial_number")
		b.want("details", d, 234e3, "sticker_hashrate", "gigahash_per_second")
		b.want("details", d, 25*3600, "system_uptime_s")
		b.want("details", d, 25*3600, "bosminer_uptime_s")
		b.want("details", d, "APW121215b", "psu_info", "model_name")
		b.want("status", b.get("miner/status"), map[string]any{"status": 2.0})
	})
}

// TestStats: an estimate of the power, and the windows of the hashrate in GH/s.
func TestStats(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		s := b.get("miner/stats")
		b.want("stats", s, 3500, "power_stats", "approximated_consumption", "watt")
		b.want("stats", s, 14.96, "power_stats", "efficiency", "joule_per_terahash")
		b.want("stats", s, 234e3, "miner_stats", "nominal_hashrate", "gigahash_per_second")
		b.want("stats", s, 2901, "pool_stats", "accepted_shares")
		b.want("stats", s, 7, "pool_stats", "rejected_shares")
		b.want("stats", s, int(time.Now().Unix()-15), "pool_stats", "last_share_time", "seconds")
		for _, window := range []string{"last_5s", "last_15s", "last_30s", "last_1m"} {
			b.want("stats", s, 234e3, "miner_stats", "real_hashrate", window, "gigahash_per_second")
		}
		for _, window := range []string{"last_5m", "last_15m", "last_30m", "last_1h", "last_24h", "since_restart"} {
			b.above("stats", s, 200e3, "miner_stats", "real_hashrate", window, "gigahash_per_second")
		}
	})
}

// TestHardware: boards, fans and temperatures, awake and asleep.
func TestHardware(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		h := b.get("miner/hw/hashboards")
		for i, id := range []string{"1", "2", "3"} {
			b.want("board", h, id, "hashboards", i, "id")
			b.want("board", h, true, "hashboards", i, "enabled")
			b.want("board", h, 78e3, "hashboards", i, "stats", "real_hashrate", "last_5s", "gigahash_per_second")
		}
		b.want("three boards", h, nil, "hashboards", 3)
		b.want("board", h, 126, "hashboards", 0, "chips_count")
		b.want("board", h, 60, "hashboards", 0, "board_temp", "degree_c")
		b.want("board", h, 72, "hashboards", 0, "highest_chip_temp", "temperature", "degree_c")
		b.want("board", h, 25, "hashboards", 0, "lowest_inlet_temp", "degree_c")
		b.want("board", h, 60, "hashboards", 0, "highest_outlet_temp", "degree_c")
		b.want("board", h, 13.4, "hashboards", 0, "current_voltage", "volt")
		b.want("board", h, 525e6, "hashboards", 0, "current_frequency", "hertz")
		c := b.get("cooling/state")
		b.want("fan", c, map[string]any{"position": 3.0, "rpm": 5400.0, "target_speed_ratio": 0.9}, "fans", 3)
		b.want("four fans", c, nil, "fans", 4)
		b.want("cooling", c, 72, "highest_temperature", "temperature", "degree_c")
		b.put("actions/pause", "", 200, "false")
		b.want("asleep", b.get("cooling/state"), 0, "fans", 0, "rpm")
		b.want("asleep", b.get("miner/hw/hashboards"), nil, "hashboards", 0, "current_voltage")
		b.want("asleep", b.get("miner/hw/hashboards"), true, "hashboards", 0, "enabled")
	})
}

// TestPools: a list of groups.
func TestPools(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		p := b.get("pools/")
		b.want("group", p, "Default", 0, "name")
		b.want("pool", p, "stratum+tcp://pool.example:3333", 0, "pools", 0, "url")
		for i, active := range []bool{true, false} {
			b.want("pool", p, true, 0, "pools", i, "alive")
			b.want("pool", p, active, 0, "pools", i, "active")
		}
		b.m.Set(miners.NoPools, true)
		b.want("no pool", b.get("pools/"), false, 0, "pools", 0, "alive")
		b.want("no pool", b.get("pools/"), false, 0, "pools", 0, "active")
		b.want("no pool", b.call("pools"), "Dead", "POOLS", 0, "Status")
		b.want("no pool", b.call("pools"), false, "POOLS", 0, "Stratum Active")
	})
}

// TestErrors: none, and some.
func TestErrors(t *testing.T) {
	on(t, braiins.Opts{}, func(b *bench) {
		b.want("none", b.get("miner/errors"), []any{}, "errors")
		b.s.Change(func(q *braiins.Quirks) {
			q.Faults = []braiins.Fault{{Message: "a fan is broken", Code: "F01", Reason: "fan", Component: "Fan", Index: 2}}
		})
		e := b.get("miner/errors")
		b.want("error", e, "a fan is broken", "errors", 0, "message")
		b.want("error", e, "F01", "errors", 0, "error_codes", 0, "code")
		b.want("error", e, 2, "errors", 0, "components", 0, "index")
	})
}

// TestConstraints: of the Spec, or as told, or not there.
func TestConstraints(t *testing.T) {
	limits := func(b *bench, least, usual, most any) {
		b.Helper()
		for key, want := range map[string]any{"min": least, "default": usual, "max": most} {
			b.want("limits", b.get("configuration/constraints"), want, "tuner_constraints", "power_target", key, "watt")
		}
	}
	on(t, braiins.Opts{}, func(b *bench) {
		limits(b, 2000, 3500, 4000)
		b.s.Change(func(q *braiins.Quirks) { q.NoConstraints = true })
		limits(b, nil, nil, nil)
	})
	on(t, braiins.Opts{MinW: 900, DefaultW: 3000, MaxW: 5000}, func(b *bench) { limits(b, 900, 3000, 5000) })
}

// TestNullsAndNothing: parts that are null, and lists that are empty.
func TestNullsAndNothing(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{Nulls: true, EmptyLists: true}}, func(b *bench) {
		b.want("stats", b.get("miner/stats"), map[string]any{"miner_stats": nil, "power_stats": nil, "pool_stats": nil})
		b.want("details", b.get("miner/details"), nil, "psu_info")
		b.want("boards", b.get("miner/hw/hashboards"), []any{}, "hashboards")
		b.want("fans", b.get("cooling/state"), []any{}, "fans")
		b.want("4028", b.call("summary"), []any{}, "SUMMARY")
		b.want("4028", b.call("devs"), []any{}, "DEVS")
		b.want("4028", b.call("summary"), "S", "STATUS", 0, "STATUS")
	})
}

// TestEstimate: the firmware does not measure.
func TestEstimate(t *testing.T) {
	on(t, braiins.Opts{Quirks: braiins.Quirks{Misestimate: 0.1, ZeroAsleep: true}}, func(b *bench) {
		b.want("awake", b.get("miner/stats"), 3850, "power_stats", "approximated_consumption", "watt")
		b.want("awake", b.call("tunerstatus"), 3850, "TUNERSTATUS", 0, "ApproximateMinerPowerConsumption")
		b.put("actions/pause", "", 200, "false")
		b.want("falling", b.get("miner/stats"), 0, "power_stats", "approximated_consumption", "watt")
		b.truth(miners.Sleeping, 3500)
	})
}
