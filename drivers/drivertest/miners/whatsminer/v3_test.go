package whatsminer

import (
	"strconv"
	"testing"
	"time"
)

// TestV3Reads: each read, whole and in part.
func TestV3Reads(t *testing.T) {
	on(t, both, func(b *bench) {
		v := b.object(b.send3(`{"cmd":"get.miner.status","param":"summary+pools+edevs"}`))
		b.want("code", at(v, "code"), 0)
		b.want("desc", at(v, "desc"), "get.miner.status")
		b.want("when", at(v, "when"), int(time.Now().Unix()))
		b.want("power-realtime", at(v, "msg", "summary", "power-realtime"), 3200)
		b.want("hash-realtime", at(v, "msg", "summary", "hash-realtime"), 100)
		b.want("bootup-time", at(v, "msg", "summary", "bootup-time"), 25*3600)
		b.want("account", at(v, "msg", "pools", 0, "account"), "acct.r1")
		b.want("pool", at(v, "msg", "pools", 0, "status"), "alive")
		b.want("effective-chips", at(v, "msg", "edevs", 2, "effective-chips"), chips)
		b.want("pools alone", b.read3(`{"cmd":"get.miner.status","param":"pools"}`, "msg", "summary"), nil)
		b.want("no such view", b.read3(`{"cmd":"get.miner.status","param":"nonsense"}`, "code"), -1)
		b.want("no such command", b.read3(`{"cmd":"nonsense"}`, "code"), -2)
		b.want("no JSON", b.read3(`nonsense`, "code"), -1)
		whole := b.info3()
		for param, path := range map[string][]any{
			"miner": {"type"}, "system": {"apiswitch"}, "network": {"mac"}, "power": {"mode"}, "salt": {}, "error-code": {0},
		} {
			part := b.read3(`{"cmd":"get.device.info","param":"`+param+`"}`, "msg")
			path = append([]any{param}, path...)
			b.want(param, at(part, path...), at(whole, path...))
			b.want(param+" alone", float64(len(part.(map[string]any))), 1)
		}
		b.want("no such section", b.read3(`{"cmd":"get.device.info","param":"nonsense"}`, "code"), -1)
		b.want("apiswitch", at(whole, "system", "apiswitch"), "1")
		b.want("fwversion", at(whole, "system", "fwversion"), "20230803.11.REL")
		b.want("power-mode", b.read3(`{"cmd":"get.miner.setting"}`, "msg", "power-mode"), "normal")
	})
}

// TestV3SleepAndWake: what is told asleep and on the way up.
func TestV3SleepAndWake(t *testing.T) {
	on(t, both, func(b *bench) {
		b.want("working", b.info3("miner", "working"), "true")
		b.code3("set.miner.service", `"stop"`, 0)
		time.Sleep(time.Minute)
		b.want("working", b.info3("miner", "working"), "false")
		b.want("power-realtime", b.sum3("power-realtime"), 13)
		b.want("hash-1min", b.sum3("hash-1min"), 0)
		if av, _ := b.sum3("hash-average").(float64); av < 90 {
			b.Errorf("hash-average fell to %g", av)
		}
		b.want("status", b.read3(`{"cmd":"get.miner.status","param":"edevs"}`, "msg", "edevs", 0, "status"), "Initialising")
		b.code3("set.miner.service", `"start"`, 0)
		time.Sleep(50 * time.Second)
		b.want("working", b.info3("miner", "working"), "true")
		b.want("up-freq-finish, ramping", b.sum3("up-freq-finish"), 0)
		time.Sleep(50 * time.Second)
		b.want("up-freq-finish", b.sum3("up-freq-finish"), 1)
		b.want("hash-realtime", b.sum3("hash-realtime"), 100)
		b.code3("set.miner.service", `"restart"`, 0)
		time.Sleep(5 * time.Second)
		b.want("power-realtime, restarting", b.sum3("power-realtime"), 13)
		b.want("working, restarting", b.info3("miner", "working"), "true")
		time.Sleep(restartTime + 100*time.Second)
		b.want("elapsed", b.sum3("elapsed"), 105)
	})
}

// TestV3Power: modes, the limit and the percentage.
func TestV3Power(t *testing.T) {
	on(t, both, func(b *bench) {
		settled := func(what string, w int, mode string) {
			b.Helper()
			time.Sleep(3 * time.Minute)
			b.want(what+": power-realtime", b.sum3("power-realtime"), w)
			b.want(what+": mode", b.info3("power", "mode"), mode)
		}
		b.code3("set.miner.power_mode", `"high"`, 0)
		settled("high", 3800, "2")
		b.code3("set.miner.power_mode", `"low"`, 0)
		settled("low", 2000, "0")
		b.code3("set.miner.power_mode", `"normal"`, 0)
		b.code3("set.miner.power_limit", `2600`, 0)
		settled("limit", 2600, "1")
		b.want("power-limit", b.sum3("power-limit"), 2600)
		for _, bad := range []string{`"2600"`, `100000`, `-1`, `null`, `2600.5`} {
			b.code3("set.miner.power_limit", bad, -1)
		}
		b.code3("set.miner.power_percent", `{"percent":"50","mode":"normal"}`, 0)
		settled("percent", 1300, "1")
		b.want("hash-percent", b.info3("miner", "hash-percent"), "50")
		for _, bad := range []string{`{"percent":80,"mode":"normal"}`, `"{\"percent\":\"80\",\"mode\":\"normal\"}"`, `{"percent":"101","mode":"normal"}`} {
			b.code3("set.miner.power_percent", bad, -1)
		}
		b.code3("set.miner.power_mode", `"eco"`, -1)
		settled("after refusals", 1300, "1")
	})
}

// TestV3Forms: the forms in which firmwares differ.
func TestV3Forms(t *testing.T) {
	o := both
	o.PercentInText, o.ModeCommand = true, "set.miner.mode"
	on(t, o, func(b *bench) {
		b.code3("set.miner.power_percent", `{"percent":"80","mode":"normal"}`, -1)
		b.code3("set.miner.power_percent", `"{\"percent\":\"80\",\"mode\":\"normal\"}"`, 0)
		b.code3("set.miner.power_mode", `"low"`, -2)
		b.code3("set.miner.mode", `"low"`, 0)
		time.Sleep(3 * time.Minute)
		b.want("power-realtime", b.sum3("power-realtime"), 1600)
	})
}

// TestV3Permission: -4 for what is not signed as it must be.
func TestV3Permission(t *testing.T) {
	on(t, both, func(b *bench) {
		salt, _ := b.info3("salt").(string)
		ts := time.Now().Unix()
		stop := func(token, account, ts string) any {
			return b.read3(`{"cmd":"set.miner.service","param":"stop","ts":`+ts+`,"token":"`+token+`","account":"`+account+`"}`, "code")
		}
		good, text := token3("set.miner.service", "super", salt, ts), strconv.FormatInt(ts, 10)
		b.want("another password", stop(token3("set.miner.service", "admin", salt, ts), "super", text), -4)
		b.want("another salt", stop(token3("set.miner.service", "super", "x", ts), "super", text), -4)
		b.want("another command", stop(token3("set.miner.power_limit", "super", salt, ts), "super", text), -4)
		b.want("another account", stop(good, "user1", text), -4)
		b.want("another time", stop(good, "super", strconv.FormatInt(ts+1, 10)), -4)
		b.want("a text for a time", stop(good, "super", `"`+text+`"`), -1)
		b.want("nothing", b.read3(`{"cmd":"set.miner.service","param":"stop"}`, "code"), -4)
		b.want("working", b.info3("miner", "working"), "true")
		b.want("as it must be", stop(good, "super", text), 0)
		b.want("working", b.info3("miner", "working"), "false")
	})
}

// TestV3Rest: the light and the reboot.
func TestV3Rest(t *testing.T) {
	on(t, both, func(b *bench) {
		b.code3("set.system.led", `[{"color":"green","period":60,"duration":20,"start":0}]`, 0)
		b.want("ledstatus", b.info3("system", "ledstatus"), "manual")
		b.code3("set.system.led", `"auto"`, 0)
		b.want("ledstatus", b.info3("system", "ledstatus"), "auto")
		b.code3("set.system.led", `[]`, -1)
		b.code3("set.system.led", `[{"color":"green"}]`, -1)
		b.code3("set.system.reboot", `null`, 0)
		if _, err := b.dial(PortV3); err == nil {
			b.Error("it answers while it boots")
		}
		time.Sleep(2 * time.Minute)
		b.want("bootup-time", b.sum3("bootup-time"), 60)
	})
}
