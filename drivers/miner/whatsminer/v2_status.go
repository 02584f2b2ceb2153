package whatsminer

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// asleepV2 is what the unit was told; nil: it does not say. Older builds have btmineroff, which is about one of two mining
// programs: a unit whose other one, cgminer, mines has it true (recorded: asic-rs, an M20 of 70 TH/s). So it does not count
// where the summary shows work and the watts of it.
func asleepV2(status, summary rpc.Object) *bool {
	msg, sum := status.Object("Msg"), summary.Object("SUMMARY")
	if off := msg.Bool("mineroff"); off != nil {
		return off
	}
	off := msg.Bool("btmineroff")
	works := miner.Status{Hashrate: rateV2(sum), Nominal: scaled(sum.Number("Factory GHS"), 1e3)}
	if w := sum.Number("Power"); yes(off) && w != nil && *w >= stoppedW && miner.Judge(&works, nil) == miner.Mining {
		return nil
	}
	return off
}

// stoppedW is more than a stopped unit draws (reference: asic control 9.3, below 100 W).
const stoppedW = 100

// modeV2 is the mode in force, else the one that is set.
func modeV2(msg, sum rpc.Object) string {
	mode := rpc.Plain(cmp.Or(sum.Text("Power Mode"), msg.Text("power_mode")))
	for _, m := range modesV2() {
		if strings.EqualFold(m, mode) {
			return m
		}
	}
	return mode
}

func readingV2(status, summary rpc.Object) reading {
	msg, sum := status.Object("Msg"), summary.Object("SUMMARY")
	return reading{
		mode:  modeV2(msg, sum),
		limit: limitOf(sum.Number("Power Limit")),
		set:   setOf(msg.Has("power_limit_set"), msg.Number("power_limit_set")),
	}
}

// statusV2 puts a status together from the reports that there are. The nominal hashrate is the factory's, in whichever mode.
func statusV2(got map[string]rpc.Object) miner.Status {
	msg, sum := got["status"].Object("Msg"), got["summary"].Object("SUMMARY")
	version := got["get_version"].Object("Msg")
	s := miner.Status{
		Model:    rpc.Plain(got["devdetails"].Object("DEVDETAILS").Text("Model")),
		Firmware: rpc.Plain(strings.Trim(cmp.Or(version.Text("fw_ver"), msg.Text("FirmwareVersion"), msg.Text("Firmware Version")), `'" `)),
		API:      rpc.Plain(version.Text("api_ver")),
		MAC:      rpc.MAC(cmp.Or(got["get_miner_info"].Object("Msg").Text("mac"), sum.Text("MAC"))),
		Mode:     modeV2(msg, sum),
		Uptime:   rpc.Seconds(sum.Number("Elapsed")), Running: rpc.Seconds(sum.Number("Uptime")),
		Hashrate: rateV2(sum), Nominal: scaled(sum.Number("Factory GHS"), 1e3),
		LimitW: limitOf(sum.Number("Power Limit")), AmbientC: sum.Number("Env Temp"),
		Fans: numbers(sum, "Fan Speed In", "Fan Speed Out"),
	}
	if ths := scaled(sum.Number("MHS av"), 1e6); ths != nil {
		s.Average = &miner.Hashrate{THs: *ths}
	}
	if w := sum.Number("Power"); w != nil {
		s.Power = &miner.Power{W: *w, Source: miner.Measured}
	}
	for i, d := range got["edevs"].List("DEVS") {
		s.Boards = append(s.Boards, boardV2(i, d))
	}
	s.Pools = poolsOf(got["pools"].List("POOLS"), "URL", "Status")
	s.Errors = troublesV2(got["get_error_code"], sum)
	s.State = judge(&s, asleepV2(got["status"], got["summary"]), ramped(sum.Bool("Upfreq Complete"), sum.Bool("Hash Stable")))
	return s
}

// rateV2 is the hashrate of now, from MH/s. The window of HS RT is not documented: a minute at most.
func rateV2(o rpc.Object) *miner.Hashrate {
	for _, w := range [...]struct {
		name   string
		window time.Duration
	}{{"HS RT", time.Minute}, {"MHS 5s", 5 * time.Second}, {"MHS 1m", time.Minute}} {
		if ths := scaled(o.Number(w.name), 1e6); ths != nil {
			return &miner.Hashrate{THs: *ths, Window: w.window}
		}
	}
	return nil
}

// boardV2 leaves MHS av out: an average is no rate of now.
func boardV2(i int, d rpc.Object) miner.Board {
	b := miner.Board{
		ID: rpc.Plain(cmp.Or(d.Text("Slot"), d.Text("ASC"), d.Text("ID"), strconv.Itoa(i))), Enabled: d.Bool("Enabled"), Chips: d.Int("Effective Chips"),
		ChipMaxC: d.Number("Chip Temp Max"), BoardC: d.Number("Temperature"), Serial: rpc.Plain(d.Text("PCB SN")),
	}
	if r := rateV2(d); r != nil {
		b.THs = &r.THs
	}
	return b
}

// troublesV2 reads get_error_code, or where a build has none the codes of summary.
func troublesV2(o, sum rpc.Object) []miner.Trouble {
	if msg := o.Object("Msg"); msg != nil {
		return troublesOf(msg["error_code"])
	}
	if o != nil {
		return troublesOf(o["Msg"])
	}
	n := sum.Int("Error Code Count")
	if n == nil {
		return nil
	}
	var out []miner.Trouble
	for i := range min(*n, maxTroubles) {
		out = append(out, troubleOf(sum[fmt.Sprintf("Error Code %d", i)])...)
	}
	return out
}

// poolsOf leaves users out: who is paid there is nobody's business here.
func poolsOf(list []rpc.Object, url, status string) []miner.Pool {
	var out []miner.Pool
	for _, p := range list {
		if p.Text(url) == "" {
			continue
		}
		pool := miner.Pool{URL: rpc.Plain(p.Text(url))}
		if p.Text(status) != "" {
			alive := strings.EqualFold(p.Text(status), "alive")
			pool.Alive = &alive
		}
		out = append(out, pool)
	}
	return out
}

// rampLimit is how long an unfinished ramp explains a small hashrate: the longest that is recorded, of an M20 (Hash Stable Cost
// Seconds 1538), and some. A unit that ramps for longer has another reason.
const rampLimit = 30 * time.Minute

// judge is miner.Judge, and starting in the place of a fault or a missing pool while the ramp is not finished.
func judge(s *miner.Status, asleep, ramped *bool) miner.State {
	state := miner.Judge(s, asleep)
	ramps := ramped != nil && !*ramped && (s.Uptime == nil || *s.Uptime < rampLimit)
	if ramps && (state == miner.Faulty || state == miner.Idle) {
		return miner.Starting
	}
	return state
}

// ramped tells that all marks that there are say so; nil: there is none.
func ramped(marks ...*bool) *bool {
	var out *bool
	for _, m := range marks {
		if m != nil && (out == nil || *out) {
			out = m
		}
	}
	return out
}

func scaled(n *float64, by float64) *float64 {
	if n == nil {
		return nil
	}
	v := *n / by
	return &v
}

func numbers(o rpc.Object, keys ...string) []float64 {
	var out []float64
	for _, k := range keys {
		if n := o.Number(k); n != nil {
			out = append(out, *n)
		}
	}
	return out
}
