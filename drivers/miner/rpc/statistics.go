package rpc

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers/miner"
)

// What cgminer and BMMiner report on Port, and what others took over from them: rates whose names have the unit, statistics
// of numbered boards and fans (cgminer, API-README; recorded replies of Antminers).

// Rates reads the rates and the uptime of a summary and of merged statistics, where the status has none yet.
func Rates(s *miner.Status, summary, stats Object) {
	for _, o := range [...]Object{summary, stats} {
		for _, w := range [...]struct {
			name   string
			window time.Duration
		}{{"5s", 5 * time.Second}, {"1m", time.Minute}} {
			if ths := Rate(o, w.name); ths != nil && s.Hashrate == nil {
				s.Hashrate = &miner.Hashrate{THs: *ths, Window: w.window}
			}
		}
		if ths := Rate(o, "av"); ths != nil && s.Average == nil {
			s.Average = &miner.Hashrate{THs: *ths}
		}
		Uptime(s, o.Number("Elapsed"))
	}
	Nominal(s, UnitRate(stats, "total_rateideal"))
}

// Nominal takes a rate that is meant to be reached. 0 is no such rate.
func Nominal(s *miner.Status, ths *float64) {
	if s.Nominal == nil && ths != nil && *ths > 0 {
		s.Nominal = ths
	}
}

// Uptime takes the time since the mining process began, where the status has none yet.
func Uptime(s *miner.Status, n *float64) {
	if s.Uptime == nil {
		s.Uptime = Seconds(n)
	}
}

// UnitRate is TH/s of a member in the unit that the object names; without a word GH/s. A unit that is not known gives none.
func UnitRate(o Object, key string) *float64 {
	perTH := map[string]float64{"": 1e3, "kh": 1e9, "mh": 1e6, "gh": 1e3, "th": 1, "ph": 1e-3}
	by, known := perTH[strings.TrimSuffix(strings.ToLower(strings.TrimSpace(o.Text("rate_unit"))), "/s")]
	if !known {
		return nil
	}
	return Scaled(o.Number(key), by)
}

// Rate is TH/s of one window, as 5s, 1m or av, in whichever of the two units the name of the member says.
func Rate(o Object, window string) *float64 {
	if ths := Scaled(o.Number("GHS "+window), 1e3); ths != nil {
		return ths
	}
	return Scaled(o.Number("MHS "+window), 1e6)
}

// Scaled is a rate in another unit. What is below zero, or beyond all numbers, is none.
func Scaled(n *float64, by float64) *float64 {
	if n == nil || *n < 0 {
		return nil
	}
	v := *n / by
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Merged is the statistics of 4028 as one object: the first of them is who it is, the second all the rest.
func Merged(list []Object) Object {
	out := Object{}
	for _, o := range list {
		maps.Copy(out, o)
	}
	return out
}

// slots is how many boards and fans are looked for: numbers begin at 1 or at 6, by generation.
const slots = 16

// Units reads the boards and the fans of merged statistics. A slot without chips is empty.
func Units(s *miner.Status, stats Object) {
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
			ID: strconv.Itoa(i), Chips: chips, THs: Scaled(stats.Number(key("chain_rate")), 1e3),
			ChipMaxC: Hottest(joined(stats.Text(key("temp_chip")))),
			BoardC:   Hottest(joined(stats.Text(key("temp_pcb"))), joined(stats.Text(key("temp_pic")))),
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

// Hottest is the highest of some sensors, °C. Where all of them tell 0 there is none.
func Hottest(lists ...[]float64) *float64 {
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

// Watts is what some models and builds tell as a member of their statistics, with its unit behind it or not; more are texts that
// are looked at first. From what they know it is not told. A unit that answers draws something: 0 is no power.
func Watts(stats []Object, more ...string) *miner.Power {
	words := more
	for _, o := range stats {
		for _, key := range [...]string{"chain_power", "power", "Power", "watt", "total_power"} {
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

// Pools reads a list of pools. Users are left out: who is paid there is nobody's business here.
func Pools(list []Object, url, status string) []miner.Pool {
	var out []miner.Pool
	for _, p := range list {
		if p.Text(url) == "" {
			continue
		}
		pool := miner.Pool{URL: Plain(p.Text(url))}
		if word := p.Text(status); word != "" {
			alive := strings.EqualFold(word, "alive")
			pool.Alive = &alive
		}
		out = append(out, pool)
	}
	return out
}
