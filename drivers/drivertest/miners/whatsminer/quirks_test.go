package whatsminer

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// TestLocked: from the factory, and where the machine says so.
func TestLocked(t *testing.T) {
	for _, c := range []struct {
		unlocked, quirk bool
		code2, code3    int
		api             string
	}{{false, false, 45, -4, "0"}, {true, true, 45, -4, "0"}, {true, false, 131, 0, "1"}} {
		o := both
		o.Unlocked = c.unlocked
		on(t, o, func(b *bench) {
			b.m.Set(miners.Locked, c.quirk)
			answer := b.write2(powerOff)
			b.want("v2", at(answer, "Code"), c.code2)
			b.want("text", at(answer, "Msg") == "can't access write cmd", c.code2 == 45)
			b.want("mineroff", b.read2("status", "Msg", "mineroff") == "true", c.code2 == 131)
			b.want("apiswitch", b.info3("system", "apiswitch"), c.api)
			b.code3("set.miner.service", `"start"`, c.code3)
			if why := b.last().Why; (why == "locked") != (c.code3 == -4) {
				b.Errorf("why: %q", why)
			}
			if c.code2 == 45 {
				b.s.Change(func(q *Quirks) { q.LockedCode, q.LockedText = codeError, "other" })
				b.code2(powerOff, 132)
			}
		})
	}
}

// TestV2TokenQuirks: a token that ended once, and no token at all.
func TestV2TokenQuirks(t *testing.T) {
	on(t, both, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.ExpireOnce = true })
		sign, key := b.token()
		clear := `{` + powerOff + `,"token":"` + sign + `"}`
		b.want("first", at(b.secret(key, PadZero, clear), "Code"), 135)
		b.want("the same token", at(b.secret(key, PadZero, clear), "Code"), 135)
		b.code2(powerOff, 131)
		b.s.Change(func(q *Quirks) { q.OverMax = true })
		b.want("over max", b.read2("get_token", "Code"), 136)
		b.s.Change(func(q *Quirks) { q.OverMax = false })
		b.want("later", b.read2("get_token", "Code"), 134)
	})
}

// TestLateFirmware: v2 reads, and does not write.
func TestLateFirmware(t *testing.T) {
	for firmware, want := range map[string]int{"20241031.1.REL": 131, "20241101.1.REL": 14, "20251209.16.Rel2": 14} {
		o := both
		o.Firmware = firmware
		on(t, o, func(b *bench) {
			b.code2(powerOff, want)
			b.code3("set.miner.service", `"stop"`, 0)
		})
	}
}

// TestNoModeReply: the mode changes and nothing is said, while other writes are answered.
func TestNoModeReply(t *testing.T) {
	on(t, both, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.NoModeReply = true })
		if v := b.write2(`"cmd":"set_low_power"`); v != nil {
			b.Errorf("answered: %v", v)
		}
		b.want("Power Mode", b.sum2("Power Mode"), "Low")
		b.code2(`"cmd":"set_power_pct","percent":"90"`, 131)
	})
}

// TestAfterAStop: the summary is empty, or nothing listens, for a while.
func TestAfterAStop(t *testing.T) {
	on(t, both, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.EmptyFor = 30 * time.Second })
		b.code2(powerOff, 131)
		time.Sleep(29 * time.Second)
		if raw := b.send2(`{"cmd":"summary"}`); !strings.Contains(raw, `"SUMMARY":[]`) {
			b.Error(raw)
		}
		if raw := b.send3(`{"cmd":"get.miner.status","param":"summary"}`); !strings.Contains(raw, `"summary":{}`) {
			b.Error(raw)
		}
		time.Sleep(time.Second)
		b.want("Power", b.sum2("Power"), 13)
		b.want("power-realtime", b.sum3("power-realtime"), 13)
	})
	on(t, both, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.RefusesFor = 20 * time.Second })
		b.code2(powerOff, 131)
		time.Sleep(19 * time.Second)
		if _, err := b.dial(PortV2); err == nil {
			b.Error("4028 is open")
		}
		b.want("v3", b.info3("miner", "working"), "false")
		time.Sleep(2 * time.Second)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
	})
}

// TestPoolsFail: the view alone, and of a stopped machine.
func TestPoolsFail(t *testing.T) {
	on(t, both, func(b *bench) {
		b.s.Change(func(q *Quirks) { q.PoolsFail = true })
		pools := func(param string) any { return b.read3(`{"cmd":"get.miner.status","param":"`+param+`"}`, "code") }
		b.want("working", pools("pools"), 0)
		b.code3("set.miner.service", `"stop"`, 0)
		b.want("stopped", pools("pools"), -1)
		b.want("joined", pools("summary+pools"), 0)
	})
}

// TestErrorForms: the lists, and the one that is no JSON.
func TestErrorForms(t *testing.T) {
	since := time.Date(2024, 6, 15, 10, 30, 0, 0, time.UTC)
	faults := []Fault{{218, "input voltage", since}, {541, "slot 1", since}, {110, "fan", since}}
	plain2, plain3 := `[{"218":"2024-06-15 10:30:00"},{"541":`, `[{"218":"2024-06-15 10:30:00","reason":"input voltage"},{`
	mixed := `[218,"541",{"110":"2024-06-15 10:30:00","reason":"fan"}]`
	for form, want := range map[ErrorForm][2]string{
		ErrorsPlain:     {plain2, plain3},
		ErrorsMixed:     {mixed, mixed},
		ErrorsMalformed: {`["218":"2024-06-15 10:30:00","541":"2024-06-15 10:30:00","110":"2024-06-15 10:30:00"]`, plain3},
		ErrorsText:      {plain2, `"btminer is not running, 3 errors"`},
	} {
		on(t, both, func(b *bench) {
			b.s.Change(func(q *Quirks) { q.Errors, q.Faults = form, faults })
			raw := b.send2(`{"cmd":"get_error_code"}`)
			if !strings.Contains(raw, `"error_code":`+want[0]) || json.Valid([]byte(raw)) != (form != ErrorsMalformed) {
				b.Errorf("%s, v2: %s", form, raw)
			}
			if raw := b.send3(`{"cmd":"get.device.info","param":"error-code"}`); !strings.Contains(raw, `"error-code":`+want[1]) {
				b.Errorf("%s, v3: %s", form, raw)
			}
			b.want("Error Code Count", b.sum2("Error Code Count"), 3)
			b.want("Error Code 1", b.sum2("Error Code 1"), 541)
		})
	}
}

// TestFanForms: a number, a text, a fraction, both.
func TestFanForms(t *testing.T) {
	on(t, both, func(b *bench) {
		for form, want := range map[FanForm]any{FanNumber: 5400, FanText: "5400", FanFraction: 5400.5, FanBoth: "5400.5"} {
			b.s.Change(func(q *Quirks) { q.Fans = form })
			b.want("Fan Speed In", b.sum2("Fan Speed In"), want)
			b.want("fanspeed", b.info3("power", "fanspeed"), want)
		}
	})
}

// TestTimeRandomized: a stop that is answered and comes two minutes late; a start or a reboot in between makes it void.
func TestTimeRandomized(t *testing.T) {
	on(t, both, func(b *bench) {
		b.code3(cmdRandom, `{"start":0,"stop":121}`, -1)
		b.code3(cmdRandom, `{"start":0}`, -1)
		b.code3(cmdRandom, `{"start":0,"stop":120}`, 0)
		b.want("stop", b.read3(`{"cmd":"get.system.setting"}`, "msg", keyRandom, "stop"), 120)
		b.code3("set.miner.service", `"stop"`, 0)
		time.Sleep(119 * time.Second)
		b.want("working", b.info3("miner", "working"), "true")
		time.Sleep(2 * time.Second)
		b.want("working", b.info3("miner", "working"), "false")
		b.code3("set.miner.service", `"start"`, 0)
		b.want("working", b.info3("miner", "working"), "true")
		b.code2(powerOff, 131)
		time.Sleep(time.Minute)
		b.code3("set.miner.service", `"start"`, 0)
		time.Sleep(time.Hour)
		b.want("working", b.info3("miner", "working"), "true")
		b.code2(powerOff, 131)
		b.code3("set.system.reboot", `null`, 0)
		time.Sleep(time.Hour)
		b.want("working after a reboot", b.info3("miner", "working"), "true")
	})
}

// TestIgnores: each write is accepted, and nothing changes.
func TestIgnores(t *testing.T) {
	on(t, both, func(b *bench) {
		b.m.Set(miners.Ignores, true)
		for _, w := range []string{
			powerOff, `"cmd":"set_low_power"`, `"cmd":"adjust_power_limit","power_limit":"2600"`, `"cmd":"set_power_pct","percent":"50"`,
			`"cmd":"restart_btminer"`, `"cmd":"set_led","color":"red","period":"60","duration":"20","start":"0"`,
		} {
			b.code2(w, 131)
		}
		b.code3(cmdRandom, `{"start":100,"stop":100}`, 0)
		b.code3("set.system.reboot", `null`, 0)
		time.Sleep(time.Hour)
		b.m.Set(miners.Ignores, false)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "false")
		b.want("Power", b.sum2("Power"), 3200)
		b.want("Power Mode", b.sum2("Power Mode"), "Normal")
		b.want("Power Limit", b.sum2("Power Limit"), 3200)
		b.want("hash_percent", b.read2("status", "Msg", "hash_percent"), "100")
		b.want("Uptime", b.sum2("Uptime"), 26*3600)
		b.want("Elapsed", b.sum2("Elapsed"), 26*3600)
		b.want("ledstat", b.read2("get_miner_info", "Msg", "ledstat"), "auto")
		b.code2(`"cmd":"restore_power_pct"`, 131)
		time.Sleep(3 * time.Minute)
		b.want("Power, after a write that is obeyed", b.sum2("Power"), 3200)
		b.code2(powerOff, 131)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
	})
}

// TestObeysLate: a stop, a limit and a restart come a minute late.
func TestObeysLate(t *testing.T) {
	on(t, both, func(b *bench) {
		b.m.Set(miners.ObeysLate, true)
		b.code2(`"cmd":"adjust_power_limit","power_limit":"2600"`, 131)
		time.Sleep(59 * time.Second)
		b.want("Power Limit", b.sum2("Power Limit"), 3200)
		b.want("Power", b.sum2("Power"), 3200)
		time.Sleep(5 * time.Second)
		b.want("Power Limit", b.sum2("Power Limit"), 2600)
		b.want("Power, restarting", b.sum2("Power"), 13)
		b.want("mineroff, restarting", b.read2("status", "Msg", "mineroff"), "false")
		time.Sleep(3 * time.Minute)
		b.want("Power", b.sum2("Power"), 2600)
		b.code2(powerOff, 131)
		time.Sleep(59 * time.Second)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "false")
		time.Sleep(2 * time.Second)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
	})
}

// TestSilent: the effect without the answer; what is refused is answered.
func TestSilent(t *testing.T) {
	on(t, both, func(b *bench) {
		b.m.Set(miners.Silent, true)
		if v := b.write2(powerOff); v != nil {
			b.Errorf("v2 answered: %v", v)
		}
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
		if v := b.write3("set.miner.service", `"start"`); v != nil {
			b.Errorf("v3 answered: %v", v)
		}
		b.want("working", b.info3("miner", "working"), "true")
		b.code3("set.miner.service", `"nonsense"`, -1)
		b.code2(`"cmd":"set_power_pct","percent":"101"`, 132)
	})
}

// TestMachineQuirks: averages in the short windows, texts for numbers, no pool.
func TestMachineQuirks(t *testing.T) {
	on(t, both, func(b *bench) {
		for _, q := range []miners.Quirk{miners.Averages, miners.NoPools} {
			b.m.Set(q, true)
		}
		b.code2(powerOff, 131)
		time.Sleep(time.Minute)
		for _, key := range []string{"MHS 1m", "MHS 5s", "HS RT"} {
			if x, _ := b.sum2(key).(float64); x < 90e6 {
				b.Errorf("%s fell to %g", key, x)
			}
		}
		if x, _ := b.sum3("hash-1min").(float64); x < 90 {
			b.Errorf("hash-1min fell to %g", x)
		}
		b.code2(`"cmd":"power_on"`, 131)
		b.want("Status", b.read2("pools", "POOLS", 0, "Status"), "Dead")
		b.want("Stratum Active", b.read2("pools", "POOLS", 0, "Stratum Active"), false)
		b.want("status", b.read3(`{"cmd":"get.miner.status","param":"pools"}`, "msg", "pools", 0, "status"), "dead")
		b.m.Set(miners.TextNumbers, true)
		b.want("Power Limit", b.sum2("Power Limit"), "3200")
		b.want("factory-hash", b.sum3("factory-hash"), "100")
		b.want("Code", b.read2("summary", "STATUS", 0, "Code"), 11)
	})
}
