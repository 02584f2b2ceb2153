package luxos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
)

// spec has the steps of a recorded S19k Pro around a default of 390MHz.
func spec() miners.Spec {
	return miners.Spec{
		Model: "Antminer S19k Pro", MAC: "02:00:5e:00:00:0b", Serial: "SIM0000001", NominalTHs: 80.5, NominalW: 1657, StandbyW: 25,
		Boot: time.Minute, Ramp: 100 * time.Second, Fall: 4 * time.Second,
		Profiles: []miners.Profile{
			{Name: "190MHz", W: 784, THs: 39.2},
			{Name: "290MHz", W: 1188, THs: 59.8},
			{Name: "390MHz", W: 1657, THs: 80.5},
		},
	}
}

// bench is one server in a bubble of virtual time, and a client that asks over a port.
type bench struct {
	*testing.T
	m *miners.Machine
	h *miners.Host
	s *Server

	web bool // asks over HTTP
	sid string
}

// on runs a test over both ports: they are to do the same.
func on(t *testing.T, test func(b *bench)) {
	for _, web := range []bool{false, true} {
		t.Run(map[bool]string{false: "tcp", true: "http"}[web], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := miners.New(spec())
				h := miners.NewHost(m)
				defer h.Close()
				test(&bench{T: t, m: m, h: h, s: New(m, h), web: web})
			})
		})
	}
}

// send gives the raw answer, without its end mark.
func (b *bench) send(request string) []byte {
	b.Helper()
	ask := b.tcp
	if b.web {
		ask = b.http
	}
	raw, err := ask(request)
	if err != nil {
		b.Fatalf("%s: %v", request, err)
	}
	return raw
}

func (b *bench) tcp(request string) ([]byte, error) {
	c, err := b.h.Dial(b.Context(), "tcp", "miner:4028")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(c)
	if err == nil && len(raw) == 0 {
		return nil, io.EOF
	}
	if trimmed, ok := bytes.CutSuffix(raw, []byte{0}); ok || err != nil {
		return trimmed, err
	}
	return raw, errors.New("no NUL at the end")
}

func (b *bench) http(request string) ([]byte, error) {
	status, raw, err := b.do(http.MethodPost, "/api", request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return raw, err
}

func (b *bench) do(method, path, body string) (int, []byte, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: b.h.Dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(b.Context(), method, "http://miner:8080"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, raw, err
}

func command(name, parameter string) string {
	if parameter == "" {
		return fmt.Sprintf(`{"command":%q}`, name)
	}
	return fmt.Sprintf(`{"command":%q,"parameter":%q}`, name, parameter)
}

func (b *bench) ask(name, parameter string) any {
	b.Helper()
	var v any
	if err := json.Unmarshal(b.send(command(name, parameter)), &v); err != nil {
		b.Fatal(err)
	}
	return v
}

// read gives a member of the first element of a report's section.
func (b *bench) read(name, member string) any {
	b.Helper()
	return at(b.ask(name, ""), strings.ToUpper(name), 0, member)
}

// at goes down into a JSON value; nil: it does not lead there.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			o, _ := v.(map[string]any)
			v = o[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (b *bench) want(what string, got, want any) {
	b.Helper()
	for _, v := range []*any{&got, &want} {
		if n, ok := (*v).(int); ok {
			*v = float64(n)
		}
	}
	if !reflect.DeepEqual(got, want) {
		b.Errorf("%s: %v (%T), want %v", what, got, got, want)
	}
}

func (b *bench) near(what string, got any, want float64) {
	b.Helper()
	if v, ok := got.(float64); !ok || math.Abs(v-want) > 0.01 {
		b.Errorf("%s: %v, want %g", what, got, want)
	}
}

// code sends and wants a status and a code.
func (b *bench) code(name, parameter, status string, code int) any {
	b.Helper()
	v := b.ask(name, parameter)
	b.want(name+" "+parameter+": STATUS", at(v, "STATUS", 0, "STATUS"), status)
	b.want(name+" "+parameter+": Code", at(v, "STATUS", 0, "Code"), code)
	return v
}

func (b *bench) logon() {
	b.Helper()
	b.sid, _ = at(b.code("logon", "", "S", 316), "SESSION", 0, "SessionID").(string)
}

func (b *bench) logoff() {
	b.Helper()
	b.code("logoff", b.sid, "S", 317)
}

// write does one write in a session of its own.
func (b *bench) write(name, args, status string, code int) any {
	b.Helper()
	b.logon()
	defer b.logoff()
	return b.code(name, join(b.sid, args), status, code)
}

func join(sid, args string) string {
	if args == "" {
		return sid
	}
	return sid + "," + args
}

// state compares what config and power tell.
func (b *bench) state(what, mode string, supply bool, watts int) {
	b.Helper()
	b.want(what+": CurtailMode", b.read("config", "CurtailMode"), mode)
	b.want(what+": IsPowerSupplyOn", b.read("config", "IsPowerSupplyOn"), supply)
	b.want(what+": Watts", b.read("power", "Watts"), watts)
}

// TestEnvelope: the bytes of an answer, and the errors of the wire.
func TestEnvelope(t *testing.T) {
	on(t, func(b *bench) {
		status := func(code int, msg, status string) string {
			return fmt.Sprintf(`"STATUS":[{"Code":%d,"Description":"LUXminer 2025.4.8.220305-57b389c7","Msg":"%s","STATUS":"%s","When":%d}],"id":1}`,
				code, msg, status, b.m.Now().Unix())
		}
		power, unknown := `"POWER":[{"PSU":true,"Watts":1657}],`+status(311, "Power", "S"), status(14, "Invalid command", "E")
		for request, want := range map[string]string{
			`{"command":"power"}`:             `{` + power,
			`{"command":"power"}` + "\n":      `{` + power,
			`{"command":"session"}`:           `{"SESSION":[{"SessionID":""}],` + status(319, "Session information", "S"),
			`{"command":"nosuch"}`:            `{` + unknown,
			`{"command":"power"`:              `{` + status(23, "Invalid JSON", "E"),
			`power|`:                          `{` + status(23, "Invalid JSON", "E"),
			`[]`:                              `{` + status(23, "Invalid JSON", "E"),
			`{"parameter":"x"}`:               `{` + status(24, "Missing JSON 'command'", "E"),
			`{"command":7}`:                   `{` + status(24, "Missing JSON 'command'", "E"),
			`{"command":"power+nosuch+"}`:     `{"id":1,"nosuch":[{` + unknown + `],"power":[{` + power + `]}`,
			`{"command":"power+resetminer+"}`: `{"id":1,"power":[{` + power + `],"resetminer":[{` + unknown + `]}`,
		} {
			if got := string(b.send(request)); got != want {
				b.Errorf("%q:\n%s, want\n%s", request, got, want)
			}
		}
		if n := len(b.s.Writes()); n != 0 {
			b.Errorf("%d writes", n)
		}
	})
}

// TestHTTP: what is no request for the API.
func TestHTTP(t *testing.T) {
	on(t, func(b *bench) {
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{http.MethodGet, "/api", "", http.StatusMethodNotAllowed},
			{http.MethodPost, "/", `{"command":"power"}`, http.StatusNotFound},
		} {
			if status, _, err := b.do(c.method, c.path, c.body); err != nil || status != c.status {
				b.Errorf("%s %s: %d, %v", c.method, c.path, status, err)
			}
		}
		b.web = true
		long := strings.Repeat(" ", bodyMax) + command("power", "")
		if raw := string(b.send(long)); !strings.Contains(raw, `"Code":23`) {
			b.Error(raw)
		}
	})
}

// TestReads: each report of a machine at its full rate.
func TestReads(t *testing.T) {
	on(t, func(b *bench) {
		time.Sleep(time.Minute)
		for _, c := range []struct {
			command, section string
			code, length     int
		}{
			{"version", "VERSION", 22, 1},
			{"summary", "SUMMARY", 11, 1},
			{"devs", "DEVS", 9, 3},
			{"stats", "STATS", 70, 2},
			{"pools", "POOLS", 7, 2},
			{"config", "CONFIG", 33, 1},
			{"power", "POWER", 311, 1},
			{"temps", "TEMPS", 201, 3},
			{"temps", "METADATA", 201, 1},
			{"fans", "FANS", 202, 4},
			{"fans", "FANCTRL", 202, 1},
			{"profiles", "PROFILES", 323, 3},
			{"events", "EVENTS", 357, 0},
			{"limits", "LIMITS", codeLimits, 1},
			{"atm", "ATM", 339, 1},
			{"session", "SESSION", 319, 1},
		} {
			l, ok := at(b.code(c.command, "", "S", c.code), c.section).([]any)
			if !ok || len(l) != c.length {
				b.Errorf("%s: %s has %d elements", c.command, c.section, len(l))
			}
		}
		b.want("LUXminer", b.read("version", "LUXminer"), Firmware)
		b.want("Type", b.read("version", "Type"), "Antminer S19k Pro")
		for _, w := range []string{"5s", "1m", "5m", "15m", "30m"} {
			b.near("GHS "+w, b.read("summary", "GHS "+w), 80500)
		}
		if av, _ := b.read("summary", "GHS av").(float64); av < 80000 || av > 80500 {
			b.Errorf("GHS av %g", av)
		}
		b.want("summary Elapsed", b.read("summary", "Elapsed"), 24*3600+60)
		b.want("stats Elapsed", at(b.ask("stats", ""), "STATS", 1, "Elapsed"), 24*3600+60)
		b.want("chain_rate1", at(b.ask("stats", ""), "STATS", 1, "chain_rate1"), "26833.33")
		b.near("MHS 1m", at(b.ask("devs", ""), "DEVS", 2, "MHS 1m"), 80.5e6/3)
		b.near("Nominal MHS", b.read("devs", "Nominal MHS"), 80.5e6/3)
		b.want("IsRamping", b.read("devs", "IsRamping"), false)
		b.want("Status", b.read("devs", "Status"), "Alive")
		b.want("SerialNumber", b.read("devs", "SerialNumber"), "SIM0000001B0")
		b.want("pool", b.read("pools", "Status"), "Alive")
		b.want("URL", b.read("pools", "URL"), "stratum+tcp://pool.example:3333")
		b.want("User", b.read("pools", "User"), "acct.r1")
		b.want("TopLeft", b.read("temps", "TopLeft"), 65)
		b.want("Speed", b.read("fans", "Speed"), 65)
		b.want("RPM", b.read("fans", "RPM"), 3900)
		b.want("PowerOffSpeed", at(b.ask("fans", ""), "FANCTRL", 0, "PowerOffSpeed"), 20)
		b.want("PowerTargetMax", b.read("limits", "PowerTargetMax"), 1657)
		b.want("PowerTargetMin", b.read("limits", "PowerTargetMin"), 784)
		b.want("atm", b.read("atm", "Enabled"), false)
	})
}

// TestConfig: all members that the document names.
func TestConfig(t *testing.T) {
	on(t, func(b *bench) {
		b.m.Keep(spec().Profiles[0])
		for member, want := range map[string]any{
			"CurtailMode": "None", "IsPowerSupplyOn": true, "SystemStatus": "Normal", "IsTuning": false, "IsAtmEnabled": false,
			"Profile": "190MHz", "ProfileStep": "-2", "NameplateTHS": 80.5, "Model": "Antminer S19k Pro", "MACAddr": "02:00:5e:00:00:0b",
			"RedLed": "auto", "IsPowerTargetSupported": true, "IsPowerTargetEnabled": false, "IdealPowerTarget": 0, "ActualPowerTarget": 0,
			"PowerLimit": 1657,
		} {
			b.want(member, b.read("config", member), want)
		}
	})
}

// TestJoined: several reports in one answer.
func TestJoined(t *testing.T) {
	on(t, func(b *bench) {
		v := b.ask("summary+devs", "")
		b.want("id", at(v, "id"), 1)
		b.near("GHS 5s", at(v, "summary", 0, "SUMMARY", 0, "GHS 5s"), 80500)
		b.want("summary Code", at(v, "summary", 0, "STATUS", 0, "Code"), 11)
		b.want("summary id", at(v, "summary", 0, "id"), 1)
		b.want("devs Code", at(v, "devs", 0, "STATUS", 0, "Code"), 9)
		b.want("third board", at(v, "devs", 0, "DEVS", 2, "ID"), 2)
		b.want("STATUS of all", at(v, "STATUS"), nil)
		b.want("logon in a joined command", at(b.ask("logon+power", ""), "logon", 0, "STATUS", 0, "Code"), 14)
		b.want("session", b.read("session", "SessionID"), "")
	})
}

// TestSession: one at a time, with an id, for as long as it is used.
func TestSession(t *testing.T) {
	on(t, func(b *bench) {
		b.code("curtail", "sleep", "E", codeNoSession)
		b.code("curtail", ",sleep", "E", codeNoSession)
		b.code("curtail", "", "E", codeNoSession)
		b.logon()
		if len(b.sid) != 8 {
			b.Errorf("id %q", b.sid)
		}
		b.want("session", b.read("session", "SessionID"), b.sid)
		if v := b.code("logon", "", "E", 402); at(v, "SESSION") != nil {
			b.Errorf("the refusal gives an id: %v", v)
		}
		b.code("curtail", "yJN2nlj1,sleep", "E", codeNoSession)
		b.code("logoff", "yJN2nlj1", "E", codeNoSession)
		b.state("after refusals", "None", true, 1657)

		for range 3 { // use keeps it alive
			time.Sleep(59 * time.Second)
			b.code("ledset", b.sid+",red,blink", "S", 320)
		}
		b.want("RedLed", b.read("config", "RedLed"), "blink")
		b.want("GreenLed", b.read("config", "GreenLed"), "auto")
		time.Sleep(59 * time.Second)
		b.want("a look at it", b.read("session", "SessionID"), b.sid) // is no use of it
		time.Sleep(time.Second)
		b.want("session, idle for 60 s", b.read("session", "SessionID"), "")
		b.code("curtail", b.sid+",sleep", "E", codeNoSession)
		old := b.sid
		b.logon()
		if b.sid == old {
			b.Error("the same id again")
		}
		b.logoff()
		b.want("session after logoff", b.read("session", "SessionID"), "")
		b.code("logoff", b.sid, "E", codeNoSession)
		b.logon()
		if got, want := b.s.Sessions(), (Sessions{Logons: 3, Busy: 1, Logoffs: 1, Expired: 1, Open: true}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestWrites: what the judges see.
func TestWrites(t *testing.T) {
	on(t, func(b *bench) {
		begin := b.m.Now()
		b.write("curtail", "sleep", "S", 335)
		time.Sleep(time.Second)
		b.write("profileset", "nosuch", "E", codeParameter)
		b.code("resetminer", "x", "E", codeNoSession)
		id := []string{b.s.Writes()[0].Parameter[:8], b.sid}
		want := []Write{
			{At: begin, Command: "curtail", Parameter: id[0] + ",sleep", Accepted: true, Code: 335},
			{At: begin.Add(time.Second), Command: "profileset", Parameter: id[1] + ",nosuch", Code: codeParameter},
			{At: begin.Add(time.Second), Command: "resetminer", Parameter: "x", Code: codeNoSession},
		}
		if got := b.s.Writes(); !reflect.DeepEqual(got, want) {
			b.Errorf("%+v, want %+v", got, want)
		}
		b.want("event", b.read("events", "Message"), "curtail")
		b.want("second event", at(b.ask("events", ""), "EVENTS", 1), nil)
	})
}

// TestSleepAndWake: what is told on the way down, asleep, and on the way up.
func TestSleepAndWake(t *testing.T) {
	on(t, func(b *bench) {
		b.want("Action", at(b.write("curtail", "sleep", "S", 335), "CURTAIL", 0, "Action"), "sleep mode")
		time.Sleep(2 * time.Second)
		b.state("falling", "Sleep", true, 841) // half way from 1657 to 25
		time.Sleep(2 * time.Second)
		b.state("asleep", "Sleep", false, 25)
		time.Sleep(time.Hour)
		b.near("GHS 1m", b.read("summary", "GHS 1m"), 0)
		if av, _ := b.read("summary", "GHS av").(float64); av < 75000 {
			b.Errorf("GHS av fell to %g", av)
		}
		b.near("MHS 1m", b.read("devs", "MHS 1m"), 0)
		if av, _ := b.read("devs", "MHS av").(float64); av < 25e6 {
			b.Errorf("MHS av fell to %g", av)
		}
		b.want("Status", b.read("devs", "Status"), "NoStart")
		b.want("Speed", b.read("fans", "Speed"), 20)
		b.want("pool", b.read("pools", "Stratum Active"), false)
		b.write("curtail", "sleep", "S", 335)
		b.state("asleep twice", "Sleep", false, 25)

		b.want("Action", at(b.write("curtail", "wakeup", "S", 335), "CURTAIL", 0, "Action"), "wake up")
		time.Sleep(50 * time.Second)
		b.state("ramping", "None", true, 841)
		b.want("IsRamping", b.read("devs", "IsRamping"), true)
		b.want("Elapsed", b.read("summary", "Elapsed"), 50)
		b.near("GHS 1m, ramping", b.read("summary", "GHS 1m"), 40250)
		b.near("GHS av, ramping", b.read("summary", "GHS av"), 20125)
		time.Sleep(50 * time.Second)
		b.state("awake", "None", true, 1657)
		b.want("IsRamping", b.read("devs", "IsRamping"), false)
		b.near("GHS 1m", b.read("summary", "GHS 1m"), 80500)
		b.write("curtail", "wakeup", "S", 335)
		b.want("IsRamping after a second wake", b.read("devs", "IsRamping"), false)
	})
}

// TestCurtailOptions: what a wake takes besides.
func TestCurtailOptions(t *testing.T) {
	on(t, func(b *bench) {
		b.write("curtail", "sleep", "S", 335)
		for _, bad := range []string{
			"", "nap", "sleep,mode=unsafe", "wakeup,mode=safe", "wakeup,unsafe", "wakeup,mode=unsafe,voltage_step=1", "wakeup,voltage_step=x",
			"wakeup,frequency_step=-1", "wakeup,mode=unsafe,mode=unsafe", "wakeup,step=1",
		} {
			b.write("curtail", bad, "E", codeParameter)
		}
		b.want("CurtailMode", b.read("config", "CurtailMode"), "Sleep")
		for _, good := range []string{"wakeup,mode=unsafe", "wakeup,voltage_step=0.05", "wakeup,voltage_step=0.05,frequency_step=5"} {
			b.write("curtail", "sleep", "S", 335)
			b.write("curtail", good, "S", 335)
			b.want(good, b.read("config", "CurtailMode"), "None")
		}
	})
}

// TestProfileSet: all forms of its word, and what is none.
func TestProfileSet(t *testing.T) {
	for word, want := range map[string]string{
		"190MHz": "190MHz", "default": "390MHz", "1200W": "290MHz", "1.2kW": "290MHz", "3200W": "390MHz", "100THs": "390MHz", "58.5THs": "290MHz",
		"+1": "390MHz", "-1": "190MHz", "0,190MHz": "190MHz", "3,default": "390MHz",
		"": "", "nosuch": "", "+2": "", "-2": "", "+x": "", "0": "", "3": "", "0,nosuch": "", "4,190MHz": "", "190MHz,290MHz": "", "-5W": "", "0W": "", "W": "",
		"infW": "", "3200w": "",
	} {
		t.Run(word, func(t *testing.T) {
			on(t, func(b *bench) {
				b.m.Keep(spec().Profiles[1])
				time.Sleep(time.Hour)
				if want == "" {
					b.write("profileset", word, "E", codeParameter)
					b.want("Profile", b.read("config", "Profile"), "290MHz")
					b.want("IsRamping", b.read("devs", "IsRamping"), false)
					return
				}
				b.want("PROFILE", at(b.write("profileset", word, "S", 321), "PROFILE", 0, "Profile"), want)
				b.want("Profile", b.read("config", "Profile"), want)
				time.Sleep(100 * time.Second)
				for _, p := range spec().Profiles {
					if p.Name == want {
						b.want("Watts", b.read("power", "Watts"), p.W)
						b.near("GHS 5s", b.read("summary", "GHS 5s"), p.THs*1000)
					}
				}
			})
		})
	}
}

// TestProfiles: the table, and a change while asleep.
func TestProfiles(t *testing.T) {
	on(t, func(b *bench) {
		v := b.ask("profiles", "")
		for i, want := range []map[string]any{
			{"Profile Name": "190MHz", "Step": "-2", "Watts": 784.0, "Hashrate": 39.2, "Frequency": 190.0, "Voltage": 13.4, "IsDynamic": false, "IsTuned": false},
			{"Profile Name": "290MHz", "Step": "-1", "Watts": 1188.0, "Hashrate": 59.8, "Frequency": 290.0, "Voltage": 13.4, "IsDynamic": false, "IsTuned": false},
			{"Profile Name": "390MHz", "Step": "0", "Watts": 1657.0, "Hashrate": 80.5, "Frequency": 390.0, "Voltage": 13.4, "IsDynamic": false, "IsTuned": false},
		} {
			if got := at(v, "PROFILES", i); !reflect.DeepEqual(got, any(want)) {
				b.Errorf("%v, want %v", got, want)
			}
		}
		b.write("curtail", "sleep", "S", 335)
		time.Sleep(time.Minute)
		b.write("profileset", "190MHz", "S", 321)
		time.Sleep(time.Minute)
		b.state("asleep", "Sleep", false, 25)
		b.want("Profile", b.read("config", "Profile"), "190MHz")
		b.write("curtail", "wakeup", "S", 335)
		time.Sleep(100 * time.Second)
		b.state("awake", "None", true, 784)
	})
}

// TestNoTable: a machine without steps has one.
func TestNoTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := spec()
		sp.Profiles = nil
		m := miners.New(sp)
		h := miners.NewHost(m)
		defer h.Close()
		b := &bench{T: t, m: m, h: h, s: New(m, h)}
		b.want("Profile", b.read("config", "Profile"), "default")
		b.want("Profile Name", b.read("profiles", "Profile Name"), "default")
		b.want("Frequency", b.read("profiles", "Frequency"), 585)
		b.write("profileset", "default", "S", 321)
		b.write("profileset", "+1", "E", codeParameter)
	})
}

// TestPowerTarget: between the steps, and back to one.
func TestPowerTarget(t *testing.T) {
	on(t, func(b *bench) {
		for _, bad := range []string{"", "986", "power=783", "power=1658", "power=x", "power=986,power=986", "watts=986"} {
			b.write("powertargetset", bad, "E", codeParameter)
		}
		b.write("powertargetset", "power=986", "S", codePowerTarget)
		time.Sleep(100 * time.Second)
		b.want("Watts", b.read("power", "Watts"), 986)
		b.near("GHS 5s", b.read("summary", "GHS 5s"), 49500) // half way between the steps
		b.want("IsPowerTargetEnabled", b.read("config", "IsPowerTargetEnabled"), true)
		b.want("IdealPowerTarget", b.read("config", "IdealPowerTarget"), 986)
		b.want("ActualPowerTarget", b.read("config", "ActualPowerTarget"), 986)
		b.want("Profile", b.read("config", "Profile"), "190MHz")
		b.write("powertargetset", "power=1657", "S", codePowerTarget)
		b.want("target", b.m.Target(), miners.Profile{Name: powerTarget, W: 1657, THs: 80.5})
		b.write("profileset", "190MHz", "S", 321)
		b.want("IsPowerTargetEnabled after a profile", b.read("config", "IsPowerTargetEnabled"), false)
		time.Sleep(100 * time.Second)
		b.write("profileset", "190MHz", "S", 321)
		b.want("IsRamping after the same again", b.read("devs", "IsRamping"), false)
	})
}

// TestATM: its options, and what it tells.
func TestATM(t *testing.T) {
	on(t, func(b *bench) {
		for _, bad := range []string{"", "enabled=yes", "min_profile=nosuch", "temp_window=0", "enabled", "on=true"} {
			b.write("atmset", bad, "E", codeParameter)
		}
		b.write("atmset", "enabled=true,min_profile=190MHz,max_profile=290MHz,temp_window=10", "S", 340)
		b.want("ATM", at(b.ask("atm", ""), "ATM", 0), map[string]any{
			"Enabled": true, "MinProfile": "190MHz", "MaxProfile": "290MHz", "TempWindow": 10.0,
		})
		b.want("IsAtmEnabled", b.read("config", "IsAtmEnabled"), true)
		b.write("profileset", "190MHz", "S", 321) // newer builds take it while ATM is on
		b.write("atmset", "enabled=false", "S", 340)
		b.want("MaxProfile", b.read("atm", "MaxProfile"), "290MHz")
		b.want("IsAtmEnabled", b.read("config", "IsAtmEnabled"), false)
	})
}

// TestLED: what it does not take.
func TestLED(t *testing.T) {
	on(t, func(b *bench) {
		for _, bad := range []string{"", "red", "blue,on", "red,flash", "red,on,off"} {
			b.write("ledset", bad, "E", codeParameter)
		}
		b.write("ledset", "green,on", "S", 320)
		b.want("GreenLed", b.read("config", "GreenLed"), "on")
		b.write("ledset", "green,auto", "S", 320)
		b.want("GreenLed", b.read("config", "GreenLed"), "auto")
	})
}

// TestResetMiner: it ramps anew, is no sleep, and does not wake.
func TestResetMiner(t *testing.T) {
	on(t, func(b *bench) {
		b.write("resetminer", "now", "E", codeParameter)
		b.want("Elapsed", b.read("summary", "Elapsed"), 24*3600)
		b.write("resetminer", "", "S", codeReset)
		time.Sleep(9 * time.Second)
		b.state("restarting", "None", false, 25)
		time.Sleep(51 * time.Second)
		b.state("ramping", "None", true, 841)
		b.want("IsRamping", b.read("devs", "IsRamping"), true)
		b.want("Elapsed", b.read("summary", "Elapsed"), 50)
		b.want("uptime", at(b.ask("stats", ""), "STATS", 1, "Elapsed"), 24*3600+60)

		b.write("resetminer", "", "S", codeReset)
		time.Sleep(time.Second)
		b.write("curtail", "sleep", "S", 335)
		time.Sleep(5 * time.Second)
		b.state("a sleep during the restart", "Sleep", false, 25)
		time.Sleep(time.Minute)
		b.state("a sleep during the restart", "Sleep", false, 25)
		b.write("resetminer", "", "S", codeReset)
		time.Sleep(time.Minute)
		b.state("a restart during the sleep", "Sleep", false, 25)
	})
}

// reboot waits until the controller answers again.
func (b *bench) reboot() {
	b.Helper()
	b.logon()
	b.code("rebootdevice", b.sid, "S", 328)
	time.Sleep(59 * time.Second)
	if _, err := b.tcp(command("power", "")); !errors.Is(err, syscall.ECONNREFUSED) {
		b.Errorf("while booting: %v", err)
	}
	time.Sleep(time.Second)
}

// TestReboot: what outlasts it.
func TestReboot(t *testing.T) {
	on(t, func(b *bench) {
		b.write("rebootdevice", "now", "E", codeParameter)
		b.write("profileset", "190MHz", "S", 321)
		b.write("ledset", "red,blink", "S", 320)
		b.reboot()
		b.want("session", b.read("session", "SessionID"), "")
		b.code("curtail", b.sid+",sleep", "E", codeNoSession)
		b.want("booted sessions", b.s.Sessions().Booted, 1)
		b.want("events", at(b.ask("events", ""), "EVENTS", 0), nil)
		b.want("RedLed", b.read("config", "RedLed"), "auto")
		b.want("uptime", at(b.ask("stats", ""), "STATS", 1, "Elapsed"), 0)
		time.Sleep(100 * time.Second)
		b.state("awake", "None", true, 784)

		b.write("curtail", "sleep", "S", 335)
		time.Sleep(time.Minute)
		b.reboot()
		b.state("still asleep", "Sleep", false, 25)
		b.write("curtail", "wakeup,mode=unsafe", "E", codeState)
		b.write("curtail", "wakeup,mode=unsafe", "E", codeState)
		b.want("after the refusal", b.read("config", "CurtailMode"), "Sleep")
		b.write("curtail", "wakeup", "S", 335)
		b.want("after a usual wake", b.read("config", "CurtailMode"), "None")
		b.write("curtail", "sleep", "S", 335)
		b.write("curtail", "wakeup,mode=unsafe", "S", 335)
		b.want("after an unsafe wake", b.read("config", "CurtailMode"), "None")
	})
}

// TestMains: a sleep outlasts the outlet too, and the controller is gone meanwhile.
func TestMains(t *testing.T) {
	on(t, func(b *bench) {
		b.s.Set(NoAutosave, true)
		b.write("profileset", "190MHz", "S", 321)
		b.write("curtail", "sleep", "S", 335)
		b.s.Mains(false)
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		var timeout net.Error
		if _, err := b.h.Dial(ctx, "tcp", "miner:4028"); !errors.As(err, &timeout) || !timeout.Timeout() {
			b.Errorf("without mains: %v", err)
		}
		b.s.Mains(true)
		b.want("target while booting", b.m.Target(), spec().Profiles[2])
		time.Sleep(time.Minute)
		b.state("after the outlet", "Sleep", false, 25)
		b.want("Profile", b.read("config", "Profile"), "390MHz")
		b.write("curtail", "wakeup,mode=unsafe", "E", codeState)

		b.s.Set(SleepLost, true)
		b.s.Mains(false)
		b.s.Mains(true)
		time.Sleep(160 * time.Second)
		b.state("with sleep lost", "None", true, 1657)
	})
}

// TestNoAutosave: what was changed since is lost at a boot; what was before is not.
func TestNoAutosave(t *testing.T) {
	on(t, func(b *bench) {
		b.write("profileset", "290MHz", "S", 321)
		b.s.Set(NoAutosave, true)
		b.write("profileset", "190MHz", "S", 321)
		b.write("atmset", "enabled=true", "S", 340)
		b.reboot()
		time.Sleep(100 * time.Second)
		b.want("Profile", b.read("config", "Profile"), "290MHz")
		b.want("IsAtmEnabled", b.read("config", "IsAtmEnabled"), false)
		b.state("ramped since the boot", "None", true, 1188)
	})
}

// TestSessionHeld: another controller that stays, one that went without a word, and a robbery.
func TestSessionHeld(t *testing.T) {
	on(t, func(b *bench) {
		b.s.Set(SessionHeld, true)
		foreign, _ := b.read("session", "SessionID").(string)
		b.want("length of the id", len(foreign), 8)
		time.Sleep(time.Hour)
		b.want("session", b.read("session", "SessionID"), foreign)
		b.code("logon", "", "E", 402)
		b.code("curtail", foreign+",sleep", "S", 335)
		b.want("Foreign", b.s.Writes()[0].Foreign, true)
		b.want("CurtailMode", b.read("config", "CurtailMode"), "Sleep")
		b.code("logoff", foreign, "S", 317)
		b.code("logon", "", "E", 402)
		b.s.Set(SessionHeld, false)
		b.want("session", b.read("session", "SessionID"), "")

		foreign = b.s.Occupy()
		if foreign == "" || b.s.Occupy() != "" {
			b.Error("occupied twice, or not at all")
		}
		time.Sleep(59 * time.Second)
		b.code("logon", "", "E", 402)
		time.Sleep(time.Second)
		b.logon()
		b.s.Set(SessionHeld, true)
		b.want("a live session", b.read("session", "SessionID"), b.sid) // is not taken away
		b.logoff()
		if got, want := b.s.Sessions(), (Sessions{Logons: 1, Busy: 3, Logoffs: 1, Robbed: 1}); got != want {
			b.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestQuirks: each of the firmware's own once, where no other test has it.
func TestQuirks(t *testing.T) {
	for quirk, test := range map[Quirk]func(b *bench){
		ATMRefuses: func(b *bench) {
			b.want("IsAtmEnabled", b.read("config", "IsAtmEnabled"), true)
			b.write("profileset", "190MHz", "E", codeState)
			b.want("Profile", b.read("config", "Profile"), "390MHz")
			b.write("atmset", "enabled=false", "S", 340)
			b.write("profileset", "190MHz", "S", 321)
			b.write("atmset", "enabled=true", "S", 340)
			b.write("profileset", "390MHz", "E", codeState)
		},
		NoPowerTarget: func(b *bench) {
			b.want("IsPowerTargetSupported", b.read("config", "IsPowerTargetSupported"), false)
			b.write("powertargetset", "power=986", "E", codeState)
			b.want("target", b.m.Target(), spec().Profiles[2])
		},
		OldConfig: func(b *bench) {
			for _, member := range []string{"IsPowerTargetSupported", "IsPowerTargetEnabled", "IdealPowerTarget", "ActualPowerTarget", "PowerLimit"} {
				b.want(member, b.read("config", member), nil)
			}
			b.want("Profile", b.read("config", "Profile"), "390MHz")
		},
		Estimates: func(b *bench) { b.want("PSU", b.read("power", "PSU"), false) },
		NoUnsafe: func(b *bench) {
			b.write("curtail", "sleep", "S", 335)
			b.write("curtail", "wakeup,mode=unsafe", "E", codeState)
			b.want("CurtailMode", b.read("config", "CurtailMode"), "Sleep")
			b.write("curtail", "wakeup", "S", 335)
		},
		SleepLost: func(b *bench) {
			b.write("curtail", "sleep", "S", 335)
			b.reboot()
			time.Sleep(100 * time.Second)
			b.state("after a boot", "None", true, 1657)
		},
		ShowsWish: func(b *bench) {
			b.m.Set(miners.Ignores, true)
			b.write("curtail", "sleep", "S", 335)
			time.Sleep(time.Minute)
			b.state("asked to sleep", "Sleep", false, 1657)
			b.write("curtail", "wakeup", "S", 335)
			b.state("asked to wake", "None", true, 1657)
		},
		EmptyLists: func(b *bench) {
			for name, code := range map[string]int{"summary": 11, "devs": 9, "stats": 70} {
				b.want(name, at(b.code(name, "", "S", code), strings.ToUpper(name)), []any{})
			}
		},
	} {
		t.Run(string(quirk), func(t *testing.T) {
			on(t, func(b *bench) {
				b.s.Set(quirk, true)
				if !b.s.Has(quirk) {
					b.Error("not set")
				}
				test(b)
			})
		})
	}
}

// silent does a write that is to have no answer.
func (b *bench) silent(name, args string) {
	b.Helper()
	b.logon()
	defer b.logoff()
	ask := b.tcp
	if b.web {
		ask = b.http
	}
	if raw, err := ask(command(name, join(b.sid, args))); !errors.Is(err, io.EOF) {
		b.Errorf("%s: %q, %v", name, raw, err)
	}
}

// TestMachineQuirks: each of the machine's that shows in the dialect.
func TestMachineQuirks(t *testing.T) {
	for quirk, test := range map[miners.Quirk]func(b *bench){
		miners.Ignores: func(b *bench) {
			b.write("curtail", "sleep", "S", 335)
			b.write("profileset", "190MHz", "S", 321)
			b.write("atmset", "enabled=true", "S", 340)
			b.write("ledset", "red,blink", "S", 320)
			b.write("rebootdevice", "", "S", 328)
			b.write("resetminer", "", "S", codeReset)
			b.m.Set(miners.Ignores, false) // too late for what was sent
			time.Sleep(time.Minute)
			b.state("told to sleep", "None", true, 1657)
			b.want("IsRamping", b.read("devs", "IsRamping"), false)
			b.want("Profile", b.read("config", "Profile"), "390MHz")
			b.want("IsAtmEnabled", b.read("config", "IsAtmEnabled"), false)
			b.want("RedLed", b.read("config", "RedLed"), "auto")
			b.want("Elapsed", b.read("summary", "Elapsed"), 24*3600+60)
		},
		miners.ObeysLate: func(b *bench) {
			b.write("curtail", "sleep", "S", 335)
			b.write("ledset", "red,blink", "S", 320)
			time.Sleep(59 * time.Second)
			b.state("told to sleep", "None", true, 1657)
			b.want("RedLed", b.read("config", "RedLed"), "auto")
			time.Sleep(6 * time.Second)
			b.state("a minute later", "Sleep", false, 25)
			b.want("RedLed", b.read("config", "RedLed"), "blink")
			b.write("curtail", "wakeup", "S", 335)
			time.Sleep(161 * time.Second)
			b.state("awake", "None", true, 1657)
			b.write("resetminer", "", "S", codeReset)
			time.Sleep(59 * time.Second)
			b.state("told to restart", "None", true, 1657)
			time.Sleep(10 * time.Second)
			b.state("restarting", "None", false, 25)
			time.Sleep(51 * time.Second)
			b.state("ramping", "None", true, 841)
			time.Sleep(time.Minute)
			for _, args := range []string{"sleep", "wakeup"} {
				b.write("curtail", args, "S", 335)
				time.Sleep(time.Second)
			}
			for _, args := range []string{"190MHz", "390MHz"} {
				b.write("profileset", args, "S", 321)
				time.Sleep(time.Second)
			}
			time.Sleep(3 * time.Minute)
			b.state("there and back", "None", true, 1657)
		},
		miners.Silent: func(b *bench) {
			b.silent("curtail", "sleep")
			b.want("CurtailMode", b.read("config", "CurtailMode"), "Sleep")
			b.want("Accepted", b.s.Writes()[0].Accepted, true)
			b.write("profileset", "nosuch", "E", codeParameter) // a refusal is told
		},
		miners.Averages: func(b *bench) {
			b.write("curtail", "sleep", "S", 335)
			time.Sleep(time.Hour)
			for _, name := range []string{"GHS 5s", "GHS 1m", "GHS av"} {
				if v, _ := b.read("summary", name).(float64); v < 75000 {
					b.Errorf("%s fell to %g", name, v)
				}
			}
			if v, _ := b.read("devs", "MHS 1m").(float64); v < 25e6 {
				b.Errorf("MHS 1m fell to %g", v)
			}
			b.state("asleep", "Sleep", false, 25)
		},
		miners.TextNumbers: func(b *bench) {
			b.want("Watts", b.read("power", "Watts"), "1657")
			b.want("GHS 5s", b.read("summary", "GHS 5s"), "80500")
			b.want("IsPowerSupplyOn", b.read("config", "IsPowerSupplyOn"), true)
			b.code("power", "", "S", 311) // the status keeps its numbers
		},
		miners.NoPools: func(b *bench) {
			for i := range 2 {
				b.want("Status", at(b.ask("pools", ""), "POOLS", i, "Status"), "Dead")
				b.want("Stratum Active", at(b.ask("pools", ""), "POOLS", i, "Stratum Active"), false)
			}
		},
		miners.Locked: func(b *bench) {
			for _, name := range []string{"curtail", "profileset", "powertargetset", "atmset", "ledset", "resetminer", "rebootdevice"} {
				b.write(name, "sleep", "E", 45)
			}
			b.state("locked", "None", true, 1657)
			b.want("Code", b.s.Writes()[6].Code, 45)
		},
	} {
		t.Run(string(quirk), func(t *testing.T) {
			on(t, func(b *bench) {
				b.m.Set(quirk, true)
				test(b)
			})
		})
	}
}
