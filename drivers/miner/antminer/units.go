package antminer

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// ratesOf reads the rates of the pages, the first that has each.
func ratesOf(s *miner.Status, pages ...rpc.Object) {
	for _, o := range pages {
		if ths := rate(o, "rate_5s"); ths != nil && s.Hashrate == nil {
			s.Hashrate = &miner.Hashrate{THs: *ths, Window: 5 * time.Second}
		}
		if ths := rate(o, "rate_avg"); ths != nil && s.Average == nil {
			s.Average = &miner.Hashrate{THs: *ths}
		}
		nominal(s, rate(o, "rate_ideal"))
		uptime(s, o.Number("elapsed"))
	}
}

// ratesOfOld reads those of 4028, where no page has them. Their names have the unit.
func ratesOfOld(s *miner.Status, summary, stats rpc.Object) {
	for _, o := range [...]rpc.Object{summary, stats} {
		for _, w := range [...]struct {
			name   string
			window time.Duration
		}{{"5s", 5 * time.Second}, {"1m", time.Minute}} {
			if ths := rateOfOld(o, w.name); ths != nil && s.Hashrate == nil {
				s.Hashrate = &miner.Hashrate{THs: *ths, Window: w.window}
			}
		}
		if ths := rateOfOld(o, "av"); ths != nil && s.Average == nil {
			s.Average = &miner.Hashrate{THs: *ths}
		}
		uptime(s, o.Number("Elapsed"))
	}
	nominal(s, rate(stats, "total_rateideal"))
}

// nominal takes a rate that is meant to be reached. 0 is no such rate.
func nominal(s *miner.Status, ths *float64) {
	if s.Nominal == nil && ths != nil && *ths > 0 {
		s.Nominal = ths
	}
}

func uptime(s *miner.Status, n *float64) {
	if s.Uptime == nil {
		s.Uptime = rpc.Seconds(n)
	}
}

// rate is TH/s of a member in the unit that the object names; without a word GH/s. A unit that is not known gives none.
func rate(o rpc.Object, key string) *float64 {
	perTH := map[string]float64{"": 1e3, "kh": 1e9, "mh": 1e6, "gh": 1e3, "th": 1, "ph": 1e-3}
	by, known := perTH[strings.TrimSuffix(strings.ToLower(strings.TrimSpace(o.Text("rate_unit"))), "/s")]
	if !known {
		return nil
	}
	return scaled(o.Number(key), by)
}

func rateOfOld(o rpc.Object, window string) *float64 {
	if ths := scaled(o.Number("GHS "+window), 1e3); ths != nil {
		return ths
	}
	return scaled(o.Number("MHS "+window), 1e6)
}

func scaled(n *float64, by float64) *float64 {
	if n == nil || *n < 0 {
		return nil
	}
	v := *n / by
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// unitsOf reads the boards and the fans of the page.
func unitsOf(s *miner.Status, stats rpc.Object) {
	unit := stats.Text("rate_unit")
	for i, c := range stats.List("chain") {
		b := miner.Board{
			ID: rpc.Plain(c.Text("index")), Chips: count(c.Int("asic_num")), Serial: rpc.Plain(c.Text("sn")),
			THs:      rate(rpc.Object{"rate_unit": unit, "rate": c["rate_real"]}, "rate"),
			ChipMaxC: hottest(c.Numbers("temp_chip")), BoardC: hottest(c.Numbers("temp_pcb"), c.Numbers("temp_pic")),
		}
		if b.ID == "" {
			b.ID = strconv.Itoa(i)
		}
		s.Boards = append(s.Boards, b)
	}
	s.Fans = stats.Numbers("fan")
}

// merged is the statistics of 4028 as one object: the first of them is who it is, the second all the rest.
func merged(list []rpc.Object) rpc.Object {
	out := rpc.Object{}
	for _, o := range list {
		maps.Copy(out, o)
	}
	return out
}

// slots is how many boards and fans are looked for: numbers begin at 1 or at 6, by generation.
const slots = 16

// unitsOfOld reads the boards and the fans of 4028. A slot without chips is empty.
func unitsOfOld(s *miner.Status, stats rpc.Object) {
	for i := 1; i <= slots; i++ {
		key := func(name string) string { return fmt.Sprintf("%s%d", name, i) }
		if rpm := stats.Number(key("fan")); rpm != nil {
			s.Fans = append(s.Fans, *rpm)
		}
		chips := stats.Int(key("chain_acn"))
		if chips == nil || *chips <= 0 {
			continue
		}
		s.Boards = append(s.Boards, miner.Board{
			ID: strconv.Itoa(i), Chips: chips, THs: scaled(stats.Number(key("chain_rate")), 1e3),
			ChipMaxC: hottest(joined(stats.Text(key("temp_chip")))),
			BoardC:   hottest(joined(stats.Text(key("temp_pcb"))), joined(stats.Text(key("temp_pic")))),
		})
	}
	s.Fans = fitted(s.Fans, stats.Int("fan_num"))
}

// fitted leaves out as many fans that stand as there are places without one: the list has all that the firmware knows.
func fitted(rpm []float64, there *int) []float64 {
	if there == nil {
		return rpm
	}
	var out []float64
	extra := len(rpm) - *there
	for _, v := range rpm {
		if v == 0 && extra > 0 {
			extra--
			continue
		}
		out = append(out, v)
	}
	return out
}

// joined reads degrees with dashes between: 70-44-62-63. One below zero has a second dash before it.
func joined(text string) []float64 {
	var out []float64
	for sign := ""; text != ""; {
		word, rest, _ := strings.Cut(text, "-")
		if text = rest; word == "" {
			sign = "-"
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(sign+word), 64); err == nil {
			out = append(out, n)
		}
		sign = ""
	}
	return out
}

// hottest is the highest of some sensors, °C. Where all of them tell 0 there is none.
func hottest(lists ...[]float64) *float64 {
	var out *float64
	told := false
	for _, list := range lists {
		for _, v := range list {
			told = told || v != 0
			if v >= -273 && v <= 1000 && (out == nil || v > *out) {
				out = &v
			}
		}
	}
	if !told {
		return nil
	}
	return out
}

func count(n *int) *int {
	if n == nil || *n < 0 {
		return nil
	}
	return n
}

// powerOf is what some models and builds tell: port 6060 as a text that ends in :3250, others as a member of the statistics,
// with its unit behind it or not. From what they know it is not told. A unit that answers draws something: 0 is no power.
func powerOf(extra string, stats ...rpc.Object) *miner.Power {
	words := []string{}
	if i := strings.LastIndexByte(extra, ':'); i >= 0 {
		words = append(words, extra[i+1:])
	}
	for _, o := range stats {
		for _, key := range [...]string{"chain_power", "power", "Power", "watt"} {
			words = append(words, o.Text(key))
		}
	}
	for _, word := range words {
		word = strings.TrimRight(strings.TrimSpace(word), "Ww ")
		if w, err := strconv.ParseFloat(word, 64); err == nil && w > 0 && w < maxW {
			return &miner.Power{W: w, Source: miner.Estimated}
		}
	}
	return nil
}

// maxW bounds what a unit may draw, W. Arbitrary: the strongest with water has some 11 kW.
const maxW = 1e5
