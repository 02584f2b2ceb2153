package braiins

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// What a unit says that it does (Braiins OS Public API, MinerStatus).
const (
	isNormal     = 2
	isPaused     = 3
	isSuspended  = 4
	isRestricted = 5
)

func paused(details rpc.Object) bool {
	s := details.Int("status")
	return s != nil && *s == isPaused
}

// statusREST puts a status together from the reports that there are.
func statusREST(details rpc.Object, got map[string]rpc.Object) miner.Status {
	who := details.Object("miner_identity")
	s := miner.Status{
		Model: rpc.Plain(cmp.Or(who.Text("miner_model"), who.Text("name"))), Firmware: rpc.Plain(details.Object("bos_version").Text("current")),
		API: versionOf(got["version"]), Serial: rpc.Plain(details.Text("serial_number")), MAC: rpc.MAC(details.Text("mac_address")),
		// 0 is a mining process that does not run (Braiins OS Public API, GetMinerDetailsResponse).
		Uptime: seconds(details.Number("bosminer_uptime_s"), 1), Running: seconds(details.First("system_uptime_s", "system_uptime"), 0),
	}
	inForce := targetOf(got["tuner"], nil, paused(details))
	s.Mode, s.LimitW = inForce.mode, inForce.w
	statsOf(&s, got["stats"])
	for _, b := range got["boards"].List("hashboards") {
		s.Boards = append(s.Boards, boardOf(b))
	}
	for _, f := range got["cooling"].List("fans") {
		if rpm := f.Number("rpm"); rpm != nil {
			s.Fans = append(s.Fans, *rpm)
		}
	}
	for _, p := range poolsOf(got["pools"]) {
		if url := rpc.Plain(p.Text("url")); url != "" {
			s.Pools = append(s.Pools, miner.Pool{URL: url, Alive: p.Bool("alive")})
		}
	}
	s.Errors = troublesOf(got["errors"])
	asleep, held := toldOf(details)
	if held != "" {
		s.Errors = append(s.Errors, miner.Trouble{Code: held, Text: "the firmware itself holds the unit, and resuming does not help"})
	}
	s.State = miner.Judge(&s, asleep)
	return s
}

// toldOf is whether the unit was told to sleep, and the name of what its firmware does to it by itself. One that has not
// started may have been stopped, or may boot: it does not say.
func toldOf(details rpc.Object) (asleep *bool, held string) {
	told := func(b bool) *bool { return &b }
	n := details.Int("status")
	if n == nil {
		return nil, ""
	}
	switch *n {
	case isNormal:
		return told(false), ""
	case isPaused:
		return told(true), ""
	case isSuspended:
		return told(false), "suspended"
	case isRestricted:
		return told(false), "restricted"
	}
	return nil, ""
}

func versionOf(o rpc.Object) string {
	major, minor, patch := o.Int("major"), o.Int("minor"), o.Int("patch")
	if major == nil || minor == nil || patch == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", *major, *minor, *patch)
}

// seconds is a duration of at least some seconds, and at most a hundred years.
func seconds(s *float64, least float64) *time.Duration {
	if s == nil || *s < least || *s > 100*365*24*3600 {
		return nil
	}
	d := time.Duration(*s * float64(time.Second))
	return &d
}

// statsOf reads hashrates and power. The power is the firmware's estimate, by the name of its member.
func statsOf(s *miner.Status, stats rpc.Object) {
	work := stats.Object("miner_stats")
	s.Hashrate = shortest(work.Object("real_hashrate"))
	if ths := tera(work.Object("real_hashrate").Object("since_restart")); ths != nil {
		s.Average = &miner.Hashrate{THs: *ths}
	}
	if ths := tera(work.Object("nominal_hashrate")); ths != nil && *ths > 0 {
		s.Nominal = ths
	}
	if w := stats.Object("power_stats").Object("approximated_consumption").Number("watt"); w != nil && *w >= 0 {
		s.Power = &miner.Power{W: *w, Source: miner.Estimated}
	}
}

// tera is TH/s of a GigaHashrate.
func tera(o rpc.Object) *float64 {
	n := o.Number("gigahash_per_second")
	if n == nil {
		return nil
	}
	v := *n / 1e3
	return &v
}

// shortest is the rate of the shortest window that is told, of those up to a minute.
func shortest(real rpc.Object) *miner.Hashrate {
	for _, w := range []struct {
		name   string
		window time.Duration
	}{{"last_5s", 5 * time.Second}, {"last_15s", 15 * time.Second}, {"last_30s", 30 * time.Second}, {"last_1m", time.Minute}} {
		if ths := tera(real.Object(w.name)); ths != nil {
			return &miner.Hashrate{THs: *ths, Window: w.window}
		}
	}
	return nil
}

func boardOf(o rpc.Object) miner.Board {
	b := miner.Board{
		ID: rpc.Plain(o.Text("id")), Enabled: o.Bool("enabled"), Chips: o.Int("chips_count"), Serial: rpc.Plain(o.Text("serial_number")),
		ChipMaxC: o.Object("highest_chip_temp").Object("temperature").Number("degree_c"), BoardC: o.Object("board_temp").Number("degree_c"),
	}
	if rate := shortest(o.Object("stats").Object("real_hashrate")); rate != nil {
		b.THs = &rate.THs
	}
	return b
}

// poolsOf are the pools of all groups, in their order. The report is a list of groups (Braiins OS Public API, getPools).
func poolsOf(o rpc.Object) []rpc.Object {
	var out []rpc.Object
	for _, g := range listOf(o, "pool_groups") {
		out = append(out, g.List("pools")...)
	}
	return out
}

func poolsHash(o rpc.Object) string {
	var pools [][2]string
	for _, p := range poolsOf(o) {
		pools = append(pools, [2]string{p.Text("url"), p.Text("user")})
	}
	return miner.PoolsHash(pools)
}

// maxTroubles bounds the list. Arbitrary: more than a person reads.
const maxTroubles = 32

// troublesOf reads the errors: each has a text, and may have several codes (Braiins OS Public API, MinerError).
func troublesOf(o rpc.Object) []miner.Trouble {
	var out []miner.Trouble
	for _, e := range listOf(o, "errors") {
		codes := e.List("error_codes")
		if len(codes) == 0 {
			codes = []rpc.Object{nil}
		}
		for _, c := range codes {
			t := miner.Trouble{Code: rpc.Plain(c.Text("code")), Text: rpc.Plain(strings.TrimSpace(e.Text("message") + " " + c.Text("reason")))}
			if t != (miner.Trouble{}) && len(out) < maxTroubles {
				out = append(out, t)
			}
		}
	}
	return out
}
