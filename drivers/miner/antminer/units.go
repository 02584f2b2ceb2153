package antminer

import (
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// ratesOf reads the rates of the pages, the first that has each.
func ratesOf(s *miner.Status, pages ...rpc.Object) {
	for _, o := range pages {
		if ths := rpc.UnitRate(o, "rate_5s"); ths != nil && s.Hashrate == nil {
			s.Hashrate = &miner.Hashrate{THs: *ths, Window: 5 * time.Second}
		}
		if ths := rpc.UnitRate(o, "rate_avg"); ths != nil && s.Average == nil {
			s.Average = &miner.Hashrate{THs: *ths}
		}
		rpc.Nominal(s, rpc.UnitRate(o, "rate_ideal"))
		rpc.Uptime(s, o.Number("elapsed"))
	}
}

// unitsOf reads the boards and the fans of the page.
func unitsOf(s *miner.Status, stats rpc.Object) {
	unit := stats.Text("rate_unit")
	for i, c := range stats.List("chain") {
		b := miner.Board{
			ID: rpc.Plain(c.Text("index")), Chips: count(c.Int("asic_num")), Serial: rpc.Plain(c.Text("sn")),
			THs:      rpc.UnitRate(rpc.Object{"rate_unit": unit, "rate": c["rate_real"]}, "rate"),
			ChipMaxC: rpc.Hottest(c.Numbers("temp_chip")), BoardC: rpc.Hottest(c.Numbers("temp_pcb"), c.Numbers("temp_pic")),
		}
		if b.ID == "" {
			b.ID = strconv.Itoa(i)
		}
		s.Boards = append(s.Boards, b)
	}
	s.Fans = stats.Numbers("fan")
}

func count(n *int) *int {
	if n == nil || *n < 0 {
		return nil
	}
	return n
}

// powerOf is what some models and builds tell: port 6060 as a text that ends in :3250, others in their statistics.
func powerOf(extra string, stats ...rpc.Object) *miner.Power {
	if i := strings.LastIndexByte(extra, ':'); i >= 0 {
		return rpc.Watts(stats, extra[i+1:])
	}
	return rpc.Watts(stats)
}
