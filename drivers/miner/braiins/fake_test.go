package braiins

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers/drivertest/miners"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const mac = "02:00:5e:00:00:31"

// answer is what a fake says to one request; 0 is 200.
type answer struct {
	status int
	body   string
}

// fake is a unit as the documents have it, just enough: it answers as it is told to, and notes what it was asked.
type fake struct {
	host     *miners.Host
	password string
	life     time.Duration // of a token, from its last use
	says     int           // the life as it tells it, in s
	noREST   int           // status of a log-in where there is no REST interface
	reports  map[string]string
	commands map[string]string         // replies of 4028; none: nothing listens
	write    func(call string) *answer // nil: the usual
	lost     string                    // a call that is obeyed and not answered
	hangs    bool                      // a lost call stays open
	hang     bool                      // reads are not answered

	asked  []string // all calls but log-ins
	wrote  []string // those that could change something, with their bodies
	logins int
	token  string
	until  time.Time
	heads  []http.Header
}

func newFake() *fake {
	return &fake{password: "root", life: time.Hour, says: 3600, reports: reportsOf(), commands: map[string]string{}}
}

// on runs a test against a fake, in a bubble of virtual time.
func on(t *testing.T, change func(*miner.Opts, *fake), test func(t *testing.T, m *Miner, f *fake)) {
	t.Helper()
	onWith(t, Options{}, change, test)
}

func onWith(t *testing.T, x Options, change func(*miner.Opts, *fake), test func(t *testing.T, m *Miner, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.host = miners.NewHost(miners.New(miners.Spec{NominalTHs: 252, NominalW: 3500, StandbyW: 20}))
		defer f.host.Close()
		o := miner.Opts{Host: "192.0.2.7", Dial: f.host.Dial, MAC: mac}
		if change != nil {
			change(&o, f)
		}
		if f.noREST >= 0 {
			f.host.HandleHTTP(Port, f)
		}
		if len(f.commands) > 0 {
			f.host.HandleRPC(rpc.Port, f.old)
		}
		m, err := New(o, x)
		if err != nil {
			t.Fatal(err)
		}
		test(t, m, f)
		synctest.Wait()
		if f.host.Open() != 0 || f.host.Most() > 1 {
			t.Errorf("%d connections are open, %d were at once", f.host.Open(), f.host.Most())
		}
	})
}

// old is the port 4028.
func (f *fake) old(r miners.Request) miners.Reply {
	if r.Command == "pause" || r.Command == "resume" {
		f.wrote = append(f.wrote, "4028 "+r.Command)
		if f.lost == r.Command {
			return nil
		}
	}
	if reply, ok := f.commands[r.Command]; ok {
		return miners.Reply(reply)
	}
	return miners.Reply(`{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}],"id":1}`)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.heads = append(f.heads, r.Header)
	name := r.Method + " " + strings.TrimPrefix(r.URL.Path, base)
	a := f.reply(name, r.Header.Get("Authorization"), string(body))
	if a == nil {
		if f.hangs || f.hang {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = io.WriteString(w, a.body)
}

// reply is nil where there is none.
func (f *fake) reply(name, token, body string) *answer {
	if name == "POST auth/login" {
		return f.login(body)
	}
	if f.token == "" || token != f.token || time.Now().After(f.until) {
		return &answer{401, `{"error":"token ` + token + ` is not known"}`}
	}
	f.until = time.Now().Add(f.life)
	f.asked = append(f.asked, name)
	if path, ok := strings.CutPrefix(name, "GET "); ok {
		if f.hang {
			return nil
		}
		report, ok := f.reports[path]
		if !ok {
			return &answer{404, "not found"}
		}
		if n := 0; len(report) == 3 && report > "400" && report < "600" {
			_, _ = fmt.Sscan(report, &n)
			return &answer{n, "no"}
		}
		return &answer{0, report}
	}
	f.wrote = append(f.wrote, strings.TrimSpace(name+" "+body))
	if f.write != nil {
		if a := f.write(name); a != nil {
			return a
		}
	}
	reply := f.obey(strings.TrimPrefix(name, "PUT "), body)
	if f.lost == name {
		return nil
	}
	return &answer{0, reply}
}

func (f *fake) login(body string) *answer {
	f.logins++
	var c struct{ Username, Password string }
	switch err := json.Unmarshal([]byte(body), &c); {
	case f.noREST != 0:
		return &answer{f.noREST, "<html>"}
	case err != nil || c.Username != "root" || c.Password != f.password:
		return &answer{401, `{"error":"no user ` + c.Username + ` with ` + c.Password + `"}`}
	}
	f.token = fmt.Sprintf("Zm9vYmFy%d", f.logins)
	f.until = time.Now().Add(f.life)
	return &answer{0, fmt.Sprintf(`{"token":%q,"timeout_s":%d}`, f.token, f.says)}
}

// obey does what a write says and gives the reply.
func (f *fake) obey(path, body string) string {
	was := f.reports["miner/details"]
	set := func(status int) string {
		f.reports["miner/details"] = detailsOf(status)
		return fmt.Sprint(was == f.reports["miner/details"])
	}
	switch path {
	case "actions/pause":
		return set(isPaused)
	case "actions/resume":
		return set(isNormal)
	case "performance/power-target":
		f.reports["performance/tuner-state"] = tunerOf(2, "powertargetmodestate", body)
	case "performance/hashrate-target":
		f.reports["performance/tuner-state"] = tunerOf(2, "hashratetargetmodestate", body)
	}
	return body
}

func (f *fake) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(f.wrote, want) {
		t.Errorf("it wrote %q, want %q", f.wrote, want)
	}
}

// hangingUp gives a port that takes a connection and ends it.
func hangingUp(c net.Conn) {
	_, _ = c.Read(make([]byte, 4096))
	_ = c.Close()
}

// nobody is a way to a host that does not answer.
func nobody(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
}

func detailsOf(status int) string {
	return fmt.Sprintf(`{"uid":"u","miner_identity":{"brand":1,"name":"Antminer S21 Pro","miner_model":"Antminer S21 Pro"},"bos_version":{"current":"2026-04-14-0-1a2b3c4d-26.04-plus",`+
		`"major":"2026-04","bos_plus":true},"hostname":"m31","mac_address":"02:00:5E:00:00:31","sticker_hashrate":{"gigahash_per_second":234000},"bosminer_uptime_s":36120,`+
		`"system_uptime_s":90000,"status":%d,"serial_number":"SMT0031"}`, status)
}

func tunerOf(state int, mode, current string) string {
	return fmt.Sprintf(`{"overall_tuner_state":%d,"mode_state":{%q:{"current_target":%s,"profile":{"target":%[3]s,"estimated_power_consumption":{"watt":3490}}}}}`, state, mode, current)
}

const configDPS = `{"pool_groups":[{"name":"a","pools":[{"url":"stratum+tcp://a.example:3333","user":"acct.r1","password":"poolsecret"}]}],"tuner":{"enabled":true,"tuner_mode":1,` +
	`"power_target":{"watt":3500}},"dps":{"enabled":true},"hashboard_config":{"hashboards":[],"quick_ramping_time_up_s":5,"quick_ramping_time_down_s":2}}`

// reportsOf are composed after the Braiins OS Public API documents: an S21 Pro.
func reportsOf() map[string]string {
	rates := func(now, average float64) string {
		return fmt.Sprintf(`"real_hashrate":{"last_5s":{"gigahash_per_second":%g},"last_1m":{"gigahash_per_second":%[2]g},"last_24h":{"gigahash_per_second":%[2]g},"since_restart":{"gigahash_per_second":%[2]g}}`, now, average)
	}
	return map[string]string{
		"version/":      `{"major":1,"minor":10,"patch":0}`,
		"miner/details": detailsOf(isNormal),
		"miner/stats": `{"pool_stats":{"accepted_shares":2901,"rejected_shares":7},"miner_stats":{` + rates(251800.5, 252100.25) + `,"nominal_hashrate":{"gigahash_per_second":252597.6}},` +
			`"power_stats":{"approximated_consumption":{"watt":3480},"efficiency":{"joule_per_terahash":14.07}}}`,
		"miner/hw/hashboards": `{"hashboards":[{"id":"1","enabled":true,"chips_count":65,"board_temp":{"degree_c":55.5},"highest_chip_temp":{"location":1,"temperature":{"degree_c":68}},` +
			`"lowest_inlet_temp":{"degree_c":30},"stats":{` + rates(84000, 84100) + `},"serial_number":"HB1"},{"id":"2","enabled":false,"chips_count":null,"stats":null}]}`,
		"cooling/state":             `{"fans":[{"position":0,"rpm":5943,"target_speed_ratio":0.92},{"position":1,"rpm":0,"target_speed_ratio":0.92},{"position":2}]}`,
		"performance/tuner-state":   tunerOf(2, "powertargetmodestate", `{"watt":3500}`),
		"configuration/constraints": `{"tuner_constraints":{"power_target":{"default":{"watt":3500},"min":{"watt":1200},"max":{"watt":4200}}}}`,
		"miner/errors":              `{"errors":[]}`,
		"pools/": `[{"uid":"g","name":"High","pools":[{"uid":"1","url":"stratum+tcp://a.example:3333","user":"acct.r1","enabled":true,"alive":true,"active":true},` +
			`{"uid":"2","url":"stratum+tcp://b.example:3333","user":"acct.r1","enabled":true,"alive":false,"active":false}]},{"uid":"h","name":"Low","pools":[]}]`,
	}
}

// commandsOf are composed after the BOSminer API documentation: an S9.
func commandsOf() map[string]string {
	out := map[string]string{}
	for name, report := range map[string]string{
		"version": `"VERSION":[{"API":"3.7","BOSminer+":"0.2.0-ea64aec8e"}]`,
		"summary": `"SUMMARY":[{"Elapsed":36120,"MHS 5s":14100000.5,"MHS 1m":14050000,"MHS av":14020000.25}]`,
		"devs":    `"DEVS":[{"ASC":0,"ID":6,"Enabled":"Y","Status":"Alive","MHS 5s":4700000},{"ASC":1,"ID":7,"Enabled":"N","Status":"Dead"}]`,
		"devdetails": `"DEVDETAILS":[{"DEVDETAILS":0,"ID":6,"Chips":63,"Model":"Bitmain Antminer S9","Name":"Hash Chain 6"},` +
			`{"DEVDETAILS":1,"ID":7,"Chips":63,"Model":"Bitmain Antminer S9"}]`,
		"temps":       `"TEMPS":[{"TEMP":0,"ID":6,"Board":81.875,"Chip":104.625},{"TEMP":1,"ID":7,"Board":63.0,"Chip":0.0}]`,
		"fans":        `"FANS":[{"FAN":0,"ID":0,"RPM":5340,"Speed":100},{"FAN":1,"ID":1,"RPM":0,"Speed":100}]`,
		"tunerstatus": `"TUNERSTATUS":[{"ApproximateChainPowerConsumption":1344,"ApproximateMinerPowerConsumption":1419,"DynamicPowerScaling":"Disabled","PowerLimit":1420}]`,
		"pools":       `"POOLS":[{"POOL":0,"URL":"stratum+tcp://a.example:3333","User":"acct.r1","Status":"Alive"},{"POOL":1,"URL":"stratum+tcp://b.example:3333","Status":"Dead"}]`,
		"pause":       `"PAUSE":[true]`,
		"resume":      `"RESUME":[true]`,
	} {
		out[name] = `{"STATUS":[{"STATUS":"S","When":1595938492,"Code":1,"Msg":"` + name + `","Description":"BOSminer+ 0.2.0-ea64aec8e"}],` + report + `,"id":1}`
	}
	return out
}

// with is a copy with some members exchanged; an empty one is taken out.
func with(of, changes map[string]string) map[string]string {
	out := maps.Clone(of)
	for k, v := range changes {
		out[k] = v
		if v == "" {
			delete(out, k)
		}
	}
	return out
}
