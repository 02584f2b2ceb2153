package braiins

import (
	"fmt"
	"strings"
)

// shown is what a path shows; false: there is none of that name.
func (s *Sim) shown(path string) (any, bool) {
	v := s.view()
	switch path {
	case "docs/openapi.json":
		info := object{"title": "Braiins OS Public REST API", "version": s.o.API + ".0"}
		return object{"openapi": "3.1.0", "info": info, "paths": object{}}, true
	case "version/":
		return object{"major": 1, "minor": s.o.minor(), "patch": 0}, true
	case "miner/details":
		return s.details(v), true
	case "miner/status":
		return object{"status": s.status()}, true
	case "miner/stats":
		return s.stats(v), true
	case "miner/hw/hashboards":
		return object{"hashboards": s.list(s.hashboards(v))}, true
	case "miner/errors":
		return object{"errors": s.faults(v)}, true
	case "cooling/state":
		return s.cooling(v), true
	case "performance/tuner-state":
		return s.tuner(v), true
	case "configuration/constraints":
		return s.constraints(), true
	case "pools/":
		return pools(v), true
	case "actions/locate":
		return s.locates, true
	default:
		return nil, false
	}
}

func (s *Sim) details(v view) object {
	model := "Antminer " + strings.TrimPrefix(v.spec.Model, "Antminer ")
	release := s.o.release()
	build := "20" + strings.ReplaceAll(release, ".", "-") + "-15-0-0a1b2c3d-" + release + "-plus"
	return object{
		"uid": "0a1b2c3d", "status": s.status(), "hostname": "braiins", "mac_address": v.spec.MAC, "serial_number": v.spec.Serial,
		"miner_identity":    object{"brand": 1, "model": 0, "name": model, "miner_model": model},
		"bos_version":       object{"current": build, "major": release, "bos_plus": true},
		"bosminer_uptime_s": seconds(s.process(v)), "system_uptime_s": seconds(v.Up), "kernel_version": "4.19.200",
		"sticker_hashrate": giga(v.spec.NominalTHs),
		"psu_info":         unless(s.q.Nulls, object{"model_name": "APW121215b", "serial_number": nil, "version": nil, "fw_version": nil}),
	}
}

func giga(ths float64) object { return object{"gigahash_per_second": ghs(ths)} }

// solver is what the machine hashes, as a whole or as a board.
func (v view) solver(part float64) object {
	windows := object{}
	for _, window := range []string{"last_5s", "last_15s", "last_30s", "last_1m"} {
		windows[window] = giga(v.short * part)
	}
	for _, window := range []string{"last_5m", "last_15m", "last_30m", "last_1h", "last_24h", "since_restart"} {
		windows[window] = giga(v.Average * part)
	}
	return object{
		"nominal_hashrate": giga(v.Target.THs * part), "real_hashrate": windows, "error_hashrate": object{"megahash_per_second": 0.0},
		"found_blocks": 0, "best_share": bestShare, "best_share_str": fmt.Sprint(bestShare),
	}
}

func (s *Sim) stats(v view) object {
	var efficiency any
	if v.THs > 0 {
		efficiency = object{"joule_per_terahash": cents(v.estimate / v.THs)}
	}
	return object{
		"miner_stats": unless(s.q.Nulls, v.solver(1)),
		"power_stats": unless(s.q.Nulls, object{"approximated_consumption": object{"watt": watts(v.estimate)}, "efficiency": efficiency}),
		"pool_stats":  unless(s.q.Nulls, poolStats(v, true)),
	}
}

func poolStats(v view, used bool) object {
	o := object{
		"accepted_shares": 0, "rejected_shares": 0, "stale_shares": 0, "last_difficulty": 0, "best_share": 0, "best_share_str": "0",
		"generated_work": 0, "last_share_time": nil,
	}
	if used {
		o["accepted_shares"], o["rejected_shares"], o["last_difficulty"] = accepted, rejected, 262144
		o["best_share"], o["best_share_str"] = bestShare, fmt.Sprint(bestShare)
		o["last_share_time"] = object{"seconds": v.shared(), "nanos": 0}
	}
	return o
}

// shared is when the last share was found: a quarter of a minute ago, or when the boards had gone off (the machine tells no better).
func (v view) shared() int64 {
	if v.mining {
		return v.At.Unix() - 15
	}
	return v.At.Add(-v.Up).Unix()
}

// pools is a list of groups, without an object around it (OpenAPI document, pools/).
func pools(v view) []object {
	one := func(uid, user string, first bool) object {
		return object{
			"uid": uid, "url": poolURL, "user": user, "enabled": true, "alive": v.pool, "active": first && v.pool && v.mining,
			"stats": poolStats(v, first),
		}
	}
	return []object{{
		"uid": "group1", "name": "Default", "strategy": object{"quota": object{"value": 1}},
		"pools": []object{one("pool1", poolUser, true), one("pool2", poolUserTwo, false)},
	}}
}

// faults are the errors (braiins/bos-plus-api, MinerError).
func (s *Sim) faults(v view) []object {
	list := []object{}
	for _, f := range s.q.Faults {
		list = append(list, object{
			"timestamp": v.At.Add(-v.Up).UTC().Format("2006-01-02T15:04:05Z"), "message": f.Message,
			"error_codes": []object{{"code": f.Code, "reason": f.Reason, "hint": ""}},
			"components":  []object{{"name": f.Component, "index": f.Index}},
		})
	}
	return list
}

func (s *Sim) constraints() object {
	w := func(n int) object { return object{"watt": n} }
	return object{
		"cooling_constraints": nil,
		"dps_constraints":     object{"power_step": object{"min": w(100), "default": w(300), "max": w(1000)}},
		"tuner_constraints": unless(s.q.NoConstraints, object{
			"power_target": object{"min": w(s.o.MinW), "default": w(s.o.DefaultW), "max": w(s.o.MaxW)}, "hashrate_target": nil,
			"enabled": object{"default": true}, "default_mode": 1,
		}),
		"hashboards_constraints": object{"hashboard_ids": []string{boardID(0), boardID(1), boardID(2)}, "enabled": object{"default": true}},
	}
}
