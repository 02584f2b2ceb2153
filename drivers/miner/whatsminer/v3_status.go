package whatsminer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// asleepV3 is whether the mining service was stopped; nil: the unit does not say.
func asleepV3(info rpc.Object) *bool {
	works := info.Object("miner").Bool("working")
	if works == nil {
		return nil
	}
	asleep := !*works
	return &asleep
}

// modeV3 makes a word of the number of a mode, so that it is the one to set it with. Another number stays what it is.
func modeV3(info rpc.Object) string {
	mode := strings.ToLower(rpc.Plain(info.Object("power").Text("mode")))
	if i := slices.Index([]string{"0", "1", "2"}, mode); i >= 0 {
		return modesV3()[i]
	}
	return mode
}

func readingV3(info, summary rpc.Object) reading {
	device := info.Object("miner")
	return reading{
		mode:  modeV3(info),
		limit: limitOf(summary.Object("summary").Number("power-limit")),
		set:   setOf(device.Has("power-limit-set"), device.Number("power-limit-set")),
	}
}

// statusV3 puts a status together from the reports that there are. Hashrates are in TH/s; the nominal one is the factory's, in
// whichever mode.
func statusV3(got map[string]rpc.Object) miner.Status {
	info, sum := got["info"], got["summary"].Object("summary")
	system, device := info.Object("system"), info.Object("miner")
	s := miner.Status{
		Model: rpc.Plain(device.Text("type")), Serial: rpc.Plain(device.Text("miner-sn")), MAC: rpc.MAC(info.Object("network").Text("mac")),
		Firmware: rpc.Plain(system.Text("fwversion")), API: rpc.Plain(system.Text("api")), Mode: modeV3(info),
		Uptime: rpc.Seconds(sum.Number("elapsed")), Running: rpc.Seconds(sum.Number("bootup-time")),
		Hashrate: rateV3(sum), Nominal: sum.Number("factory-hash"),
		LimitW: limitOf(sum.Number("power-limit")), AmbientC: sum.Number("environment-temperature"),
		Fans: numbers(sum, "fan-speed-in", "fan-speed-out"), Errors: troublesOf(info["error-code"]),
		Pools: poolsOf(got["pools"].List("pools"), "url", "status"),
	}
	if ths := sum.Number("hash-average"); ths != nil {
		s.Average = &miner.Hashrate{THs: *ths}
	}
	if w := sum.Number("power-realtime"); w != nil {
		s.Power = &miner.Power{W: *w, Source: miner.Measured}
	}
	s.Boards = boardsV3(got["edevs"].List("edevs"), sum.Numbers("board-temperature"))
	s.State = judge(&s, asleepV3(info), sum.Bool("up-freq-finish"))
	return s
}

// rateV3 is the hashrate of now, in TH/s. The window of hash-realtime is not documented: a minute at most.
func rateV3(o rpc.Object) *miner.Hashrate {
	if ths := o.First("hash-realtime", "hash-1min"); ths != nil {
		return &miner.Hashrate{THs: *ths, Window: time.Minute}
	}
	return nil
}

// boardsV3 takes the temperatures of the boards from the summary where there is one for each. hash-average is no rate of now.
func boardsV3(list []rpc.Object, temps []float64) []miner.Board {
	var out []miner.Board
	for i, d := range list {
		b := miner.Board{
			ID: rpc.Plain(cmp.Or(d.Text("id"), d.Text("slot"), strconv.Itoa(i))), Chips: d.Int("effective-chips"), ChipMaxC: d.Number("chip-temp-max"),
		}
		if r := rateV3(d); r != nil {
			b.THs = &r.THs
		}
		if len(temps) == len(list) {
			b.BoardC = &temps[i]
		}
		out = append(out, b)
	}
	return out
}
