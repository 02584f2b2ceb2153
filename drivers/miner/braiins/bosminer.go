package braiins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// bosminer is a unit by the 4028 protocol.
type bosminer struct{ *Miner }

var _ speaker = bosminer{}

func (b bosminer) read(ctx context.Context, command string) (rpc.Object, error) {
	return b.old.Command(ctx, rpc.Read, command, "", miner.ReadLimit)
}

// version is what the unit says of itself. Without it nothing is known.
func (b bosminer) version(ctx context.Context) (rpc.Object, error) {
	o, err := b.read(ctx, "version")
	b.answered(ctx, err)
	if err != nil {
		return nil, err
	}
	if !isBraiins(o) {
		b.speaks = nil
		return nil, b.o.Fault("identify", "version", drivers.WrongDevice, errors.New("the unit runs no Braiins OS"))
	}
	return o, nil
}

// isBraiins tells whether the reply names BOSer or BOSminer, wherever it does so: the member differs from build to build.
func isBraiins(version rpc.Object) bool {
	b, err := json.Marshal(version)
	text := strings.ToLower(string(b))
	return err == nil && (strings.Contains(text, "boser") || strings.Contains(text, "bosminer"))
}

// commands are what a status is made of, beside the version.
func commands() []string {
	return []string{"summary", "devs", "devdetails", "temps", "fans", "tunerstatus", "pools"}
}

func (b bosminer) status(ctx context.Context) (miner.Status, error) {
	version, err := b.version(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	got := map[string]rpc.Object{}
	for _, c := range commands() {
		o, err := b.read(ctx, c)
		switch {
		case err == nil:
			got[c] = o
		case !lacks(err) && drivers.FaultOf(err) != drivers.Corrupt:
			return miner.Status{}, err
		}
	}
	return status4028(version, got), nil
}

// status4028 puts a status together from the reports that there are. None tells whether the unit is paused.
func status4028(version rpc.Object, got map[string]rpc.Object) miner.Status {
	sum, tuner := got["summary"].Object("SUMMARY"), got["tunerstatus"].Object("TUNERSTATUS")
	s := miner.Status{
		Model: rpc.Plain(got["devdetails"].Object("DEVDETAILS").Text("Model")), Firmware: firmwareOf(version),
		API: rpc.Plain(version.Object("VERSION").Text("API")), Uptime: seconds(sum.Number("Elapsed"), 0), Hashrate: shortest4028(sum),
		LimitW: tuner.Number("PowerLimit"),
	}
	if ths := rate(sum, "av"); ths != nil {
		s.Average = &miner.Hashrate{THs: *ths}
	}
	if w := tuner.Number("ApproximateMinerPowerConsumption"); w != nil && *w >= 0 {
		s.Power = &miner.Power{W: *w, Source: miner.Estimated}
	}
	s.Boards = boards4028(got["devs"].List("DEVS"), got["temps"].List("TEMPS"), got["devdetails"].List("DEVDETAILS"))
	for _, f := range got["fans"].List("FANS") {
		if rpm := f.Number("RPM"); rpm != nil {
			s.Fans = append(s.Fans, *rpm)
		}
	}
	for _, p := range got["pools"].List("POOLS") {
		if url := rpc.Plain(p.Text("URL")); url != "" {
			alive := p.Text("Status") == "Alive"
			s.Pools = append(s.Pools, miner.Pool{URL: url, Alive: &alive})
		}
	}
	s.State = miner.Judge(&s, nil)
	return s
}

// firmwareOf is the member of VERSION that is named after the program, else how the envelope names it.
func firmwareOf(version rpc.Object) string {
	v := version.Object("VERSION")
	for _, k := range slices.Sorted(maps.Keys(v)) {
		if strings.HasPrefix(strings.ToLower(k), "bos") {
			return rpc.Plain(v.Text(k))
		}
	}
	return rpc.Plain(version.Object("STATUS").Text("Description"))
}

// rate is a hashrate in TH/s, in whichever of the two units the name of the member says.
func rate(o rpc.Object, window string) *float64 {
	for _, unit := range []struct {
		name  string
		perTH float64
	}{{"MHS ", 1e6}, {"GHS ", 1e3}} {
		if n := o.Number(unit.name + window); n != nil {
			v := *n / unit.perTH
			return &v
		}
	}
	return nil
}

func shortest4028(sum rpc.Object) *miner.Hashrate {
	if ths := rate(sum, "5s"); ths != nil {
		return &miner.Hashrate{THs: *ths, Window: 5 * time.Second}
	}
	if ths := rate(sum, "1m"); ths != nil {
		return &miner.Hashrate{THs: *ths, Window: time.Minute}
	}
	return nil
}

// boards4028 puts the boards together from three reports, by their ID (BOSminer API documentation, temps and devdetails).
func boards4028(devs, temps, details []rpc.Object) []miner.Board {
	var out []miner.Board
	for _, d := range devs {
		b := miner.Board{ID: rpc.Plain(cmp.Or(d.Text("ID"), d.Text("ASC"))), Enabled: d.Bool("Enabled")}
		if r := shortest4028(d); r != nil {
			b.THs = &r.THs
		}
		for _, t := range temps {
			if t.Text("ID") == d.Text("ID") {
				b.BoardC, b.ChipMaxC = rpc.Hottest(t.Numbers("Board")), rpc.Hottest(t.Numbers("Chip"))
			}
		}
		for _, e := range details {
			if e.Text("ID") == d.Text("ID") {
				b.Chips = e.Int("Chips")
			}
		}
		out = append(out, b)
	}
	return out
}
