package whatsminer

import (
	"strings"
	"testing"
	"time"
)

const powerOff = `"cmd":"power_off","respbefore":"true"`

// TestV2Reads: each read, in both envelopes.
func TestV2Reads(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		o := both
		o.Wrapped, o.OldStatus = wrapped, !wrapped
		on(t, o, func(b *bench) {
			list := func(cmd, key string, i int, member string) any {
				v := b.object(b.send2(`{"command":"` + cmd + `"}`))
				if wrapped {
					b.want(cmd+" STATUS", at(v, "STATUS"), "S")
					v = at(v, "Msg")
				}
				b.want(cmd+" STATUS[0]", at(v, "STATUS", 0, "STATUS"), "S")
				return at(v, key, i, member)
			}
			b.want("api_ver", b.read2("get_version", "Msg", "api_ver"), "2.0.5")
			b.want("fw_ver", b.read2("get_version", "Msg", "fw_ver"), "20230803.11.REL")
			b.want("mac", b.read2("get_miner_info", "Msg", "mac"), "02:00:5E:00:00:07")
			b.want("Model", list("devdetails", "DEVDETAILS", 0, "Model"), "M50S_VH30")
			b.want("URL", list("pools", "POOLS", 0, "URL"), "stratum+tcp://pool.example:3333")
			b.want("Status", list("pools", "POOLS", 0, "Status"), "Alive")
			b.want("pin", b.read2("get_psu", "Msg", "pin"), "3200")
			b.want("Power", list("summary", "SUMMARY", 0, "Power"), 3200)
			b.want("Power Mode", list("summary", "SUMMARY", 0, "Power Mode"), "Normal")
			b.want("HS RT", list("summary", "SUMMARY", 0, "HS RT"), 100e6)
			b.want("Power Rate", list("summary", "SUMMARY", 0, "Power Rate"), 32)
			b.want("Uptime", list("summary", "SUMMARY", 0, "Uptime"), 25*3600)
			b.near("board", list("edevs", "DEVS", 2, "MHS 1m"), 100e6/3)
			b.want("devs", list("devs", "DEVS", 0, "Effective Chips"), chips)
			off := []any{b.read2("status", "Msg", "mineroff"), b.read2("status", "Msg", "btmineroff")}
			if wrapped {
				b.want("mineroff", off[0], "false")
				b.want("btmineroff", off[1], nil)
			} else {
				b.want("mineroff", off[0], nil)
				b.want("btmineroff", off[1], "false")
				b.want("firmware", b.read2("status", "Msg", "Firmware Version"), "'20230803.11.REL'")
			}
			if raw := b.send2(`{"cmd":"get_error_code"}`); !strings.Contains(raw, `"Msg":{"error_code":[]}`) {
				b.Error(raw)
			}
		})
	}
}

// TestV2SleepAndWake: what is told on the way down, asleep, and on the way up.
func TestV2SleepAndWake(t *testing.T) {
	on(t, both, func(b *bench) {
		answer := b.write2(powerOff)
		b.want("STATUS", at(answer, "STATUS"), "S")
		b.want("Code", at(answer, "Code"), 131)
		b.want("Msg", at(answer, "Msg"), "API command OK")
		time.Sleep(time.Second)
		b.want("Power, falling", b.sum2("Power"), 1607) // half way from 3200 to 13
		time.Sleep(time.Minute)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
		b.want("mineroff_reason", b.read2("status", "Msg", "mineroff_reason"), "power_off")
		b.want("Power", b.sum2("Power"), 13)
		b.want("Power Limit", b.sum2("Power Limit"), 0)
		b.want("MHS 1m", b.sum2("MHS 1m"), 0)
		if av, _ := b.sum2("MHS av").(float64); av < 90e6 {
			b.Errorf("MHS av fell to %g", av)
		}
		b.want("Status", b.read2("edevs", "DEVS", 0, "Status"), "Initialising")
		b.want("Effective Chips", b.read2("edevs", "DEVS", 0, "Effective Chips"), 0)

		b.code2(`"cmd":"power_on"`, 131)
		time.Sleep(50 * time.Second)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "false")
		b.want("Upfreq Complete, ramping", b.sum2("Upfreq Complete"), 0)
		b.want("Elapsed", b.sum2("Elapsed"), 50)
		b.near("MHS 1m, ramping", b.sum2("MHS 1m"), 50e6)
		time.Sleep(50 * time.Second)
		b.want("Upfreq Complete", b.sum2("Upfreq Complete"), 1)
		b.want("Hash Stable", b.sum2("Hash Stable"), true)
		b.want("Power Limit", b.sum2("Power Limit"), 3200)
		b.code2(`"cmd":"power_on"`, 131)
		b.want("a second power_on lets it ramp", b.sum2("Upfreq Complete"), 1)
	})
}

// TestV2Power: modes, the limit and the percentage.
func TestV2Power(t *testing.T) {
	o := both
	o.FastBoot = true
	on(t, o, func(b *bench) {
		settled := func(what string, w, limit int, mode string) {
			b.Helper()
			time.Sleep(3 * time.Minute)
			b.want(what+": Power", b.sum2("Power"), w)
			b.want(what+": Power Limit", b.sum2("Power Limit"), limit)
			b.want(what+": Power Mode", b.sum2("Power Mode"), mode)
		}
		for _, c := range []struct {
			cmd, mode string
			watts     int
		}{{"set_high_power", "High", 3800}, {"set_low_power", "Low", 2000}, {"set_normal_power", "Normal", 3200}} {
			b.code2(`"cmd":"`+c.cmd+`"`, 131)
			settled(c.cmd, c.watts, c.watts, c.mode)
		}
		b.want("Elapsed, with fast boot", b.sum2("Elapsed").(float64) > 3600, true)
		b.code2(`"cmd":"adjust_power_limit","power_limit":"2600"`, 131)
		settled("limit", 2600, 2600, "Normal")
		b.want("power_limit_set", b.read2("status", "Msg", "power_limit_set"), "2600")
		b.code2(`"cmd":"set_power_pct","percent":"50"`, 131)
		settled("percent", 1300, 2600, "Normal")
		b.want("hash_percent", b.read2("status", "Msg", "hash_percent"), "50")
		b.code2(`"cmd":"restore_power_pct"`, 131)
		b.code2(`"cmd":"adjust_power_limit","power_limit":"99999"`, 131)
		settled("cleared", 3200, 3200, "Normal")
		b.code2(`"cmd":"adjust_power_limit","power_limit":"5000"`, 131)
		settled("a limit above the mode", 3200, 5000, "Normal")
		for _, bad := range []string{`"power_limit":3000`, `"power_limit":"100000"`, `"power_limit":"-1"`} {
			b.code2(`"cmd":"adjust_power_limit",`+bad, 132)
		}
		b.code2(`"cmd":"set_power_pct","percent":"101"`, 132)
		settled("after refusals", 3200, 5000, "Normal")
	})
	o.API2 = "2.0.4"
	on(t, o, func(b *bench) { b.code2(`"cmd":"adjust_power_limit","power_limit":"2600"`, 14) })
}

// TestRestarts: a mode change without fast boot and a restart begin to mine anew; a stopped machine is not woken by a mode.
func TestRestarts(t *testing.T) {
	on(t, both, func(b *bench) {
		for _, cmd := range []string{"set_low_power", "restart_btminer"} {
			b.code2(`"cmd":"`+cmd+`"`, 131)
			time.Sleep(5 * time.Second)
			b.want(cmd+": Power", b.sum2("Power"), 13)
			b.want(cmd+": mineroff", b.read2("status", "Msg", "mineroff"), "false")
			time.Sleep(restartTime + 100*time.Second)
			b.want(cmd+": Power after it", b.sum2("Power"), 2000)
			b.want(cmd+": Elapsed", b.sum2("Elapsed"), 105)
		}
		b.code2(powerOff, 131)
		b.code2(`"cmd":"set_high_power"`, 131)
		time.Sleep(time.Hour)
		b.want("Power", b.sum2("Power"), 13)
		b.want("Power Mode", b.sum2("Power Mode"), "High")
		b.code2(`"cmd":"restart_btminer"`, 131)
		b.code2(powerOff, 131)
		time.Sleep(time.Second)
		b.want("mineroff of what was stopped while it restarted", b.read2("status", "Msg", "mineroff"), "true")
		time.Sleep(time.Hour)
		b.want("Power of what was stopped while it restarted", b.sum2("Power"), 13)
	})
}

// TestReboot: no answer, the tokens are forgotten, the salts change where they do.
func TestReboot(t *testing.T) {
	for _, c := range []struct {
		news, survives bool
		off            string
	}{{false, false, "false"}, {true, true, "true"}} {
		o := both
		o.SleepSurvives = c.survives
		on(t, o, func(b *bench) {
			b.s.Change(func(q *Quirks) { q.NewSalts = c.news })
			b.code2(powerOff, 131)
			sign, key := b.token()
			salt2, salt3 := b.read2("get_token", "Msg", "salt"), b.info3("salt")
			if v := b.write2(`"cmd":"reboot"`); v != nil {
				b.Errorf("the reboot was answered: %v", v)
			}
			b.want("accepted", b.last().Accepted, true)
			if _, err := b.dial(PortV2); err == nil {
				b.Error("it answers while it boots")
			}
			time.Sleep(2 * time.Minute)
			b.want("salt of v2 changed", b.read2("get_token", "Msg", "salt") != salt2, c.news)
			b.want("salt of v3 changed", b.info3("salt") != salt3, c.news)
			b.want("mineroff", b.read2("status", "Msg", "mineroff"), c.off)
			want := 135
			if c.news {
				want = 23 // under the old key
			}
			b.want("old token", at(b.secret(key, PadZero, `{"cmd":"power_off","token":"`+sign+`"}`), "Code"), want)
			b.code2(`"cmd":"power_on"`, 131)
		})
	}
}

// TestTokens: their life, and how many there are.
func TestTokens(t *testing.T) {
	on(t, both, func(b *bench) {
		sign, key := b.token()
		led := `{"cmd":"set_led","param":"auto","token":"` + sign + `"}`
		time.Sleep(tokenLife - time.Second)
		b.want("after 29:59", at(b.secret(key, PadZero, led), "Code"), 131)
		time.Sleep(time.Second)
		b.want("after 30:00", at(b.secret(key, PadZero, led), "Code"), 135)
		for range tokenMax {
			b.token()
		}
		refused := b.object(b.send2(`{"cmd":"get_token"}`))
		b.want("Code", at(refused, "Code"), 136)
		b.want("Msg", at(refused, "Msg"), "over max connect")
		time.Sleep(tokenLife)
		b.want("half an hour later", b.read2("get_token", "Code"), 134)
		if n := len(b.s.Tokens()); n != tokenMax+2 {
			b.Errorf("%d tokens", n)
		}
		b.want("sign", b.s.Tokens()[0].Sign, sign)
	})
}

// TestV2Stamp: the time is a text of four digits, the leading zeros among them.
func TestV2Stamp(t *testing.T) {
	on(t, both, func(b *bench) {
		b.want("time", b.read2("get_token", "Msg", "time"), "8400") // the bubble began at 946684800, an hour ago
		time.Sleep(1605 * time.Second)
		b.want("time", b.read2("get_token", "Msg", "time"), "0005")
	})
}

// TestV2Codes: what is wrong with a request.
func TestV2Codes(t *testing.T) {
	on(t, both, func(b *bench) {
		sign, key := b.token()
		code := func(what string, v any, want int) {
			b.Helper()
			b.want(what, at(v, "Code"), want)
			b.want(what+" STATUS", at(v, "STATUS"), "E")
		}
		code("no JSON", b.object(b.send2("summary|")), 23)
		code("no such read", b.object(b.send2(`{"cmd":"nonsense"}`)), 14)
		code("a write in clear", b.object(b.send2(`{`+powerOff+`,"token":"`+sign+`"}`)), 45)
		code("no base64", b.object(b.send2(`{"enc":1,"data":"%"}`)), 137)
		code("another key", b.secret(aesKey("x"), PadZero, `{`+powerOff+`,"token":"`+sign+`"}`), 23)
		code("no token", b.secret(key, PadZero, `{`+powerOff+`}`), 135)
		code("another token", b.secret(key, PadZero, `{`+powerOff+`,"token":"x"}`), 135)
		code("no such write", b.write2(`"cmd":"nonsense"`), 14)
		code("a colour without times", b.write2(`"cmd":"set_led","color":"red"`), 132)
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "false")
		b.code2(`"cmd":"set_led","color":"red","period":"60","duration":"20","start":"0"`, 131)
		b.want("ledstat", b.read2("get_miner_info", "Msg", "ledstat"), "manual")
		if v := b.write2(`"cmd":"power_off"`); v != nil {
			b.Errorf("power_off without respbefore was answered: %v", v)
		}
		b.want("mineroff", b.read2("status", "Msg", "mineroff"), "true")
	})
}

// TestV2Padding: Code 23 for the padding that is not taken.
func TestV2Padding(t *testing.T) {
	for p, want := range map[Padding][2]int{PadEither: {131, 131}, PadZero: {131, 23}, PadPKCS7: {23, 131}} {
		o := both
		o.Padding = p
		on(t, o, func(b *bench) {
			sign, key := b.token()
			for i, sent := range []Padding{PadZero, PadPKCS7} {
				b.want("sent "+string(sent), at(b.secret(key, sent, `{"cmd":"power_on","token":"`+sign+`"}`), "Code"), want[i])
			}
		})
	}
}

// TestWrites: the record.
func TestWrites(t *testing.T) {
	on(t, both, func(b *bench) {
		sign, key := b.token()
		clear := `{` + powerOff + `,"token":"` + sign + `"}`
		b.secret(key, PadPKCS7, clear)
		if w := b.last(); w != (Write{At: time.Now(), Port: 4028, Command: "power_off", Clear: clear, Accepted: true, Code: 131}) {
			b.Errorf("%+v", w)
		}
		b.code3("set.miner.service", `"nonsense"`, -1)
		w := b.last()
		if w.Port != 4433 || w.Command != "set.miner.service" || w.Accepted || w.Code != -1 || w.Why != "parameter" || !strings.Contains(w.Clear, "nonsense") {
			b.Errorf("%+v", w)
		}
		if n := len(b.s.Writes()); n != 2 {
			b.Errorf("%d writes", n)
		}
	})
}
