package scan

import (
	"context"
	"fmt"
	"strings"

	"rackagent/drivers/miner/rpc"
)

// codeOK is the success of API 2 (WhatsminerAPI 2.0.5).
const codeOK = 131

// v3Info is what get.device.info tells.
type v3Info struct {
	ok     bool
	model  string
	fw     string
	api    string
	mac    string
	name   string
	locked bool // takes no writes
}

// readV3 reads the answer of API 3: code 0, and sections.
func readV3(raw []byte) v3Info {
	o, err := rpc.Decode(raw)
	if err != nil {
		return v3Info{}
	}
	msg := o.Object("msg")
	code := o.Int("code")
	if msg == nil || code == nil || *code != 0 {
		return v3Info{}
	}
	sys, net := msg.Object("system"), msg.Object("network")
	on := sys.Bool("apiswitch")
	return v3Info{
		ok: true, model: first(msg.Object("miner"), "type"), fw: first(sys, "fwversion"), api: first(sys, "api"),
		mac: mac(net.Text("mac")), name: first(net, "hostname"), locked: on != nil && !*on,
	}
}

// v2Info is what get_version of API 2 tells.
type v2Info struct {
	ok      bool
	api, fw string
}

// readV2 reads it: code 131, and the version of the interface.
func readV2(raw []byte) v2Info {
	o, err := rpc.Decode(raw)
	if err != nil {
		return v2Info{}
	}
	msg := o.Object("Msg")
	if rpc.StatusOf(o).Code != codeOK || !msg.Has("api_ver") {
		return v2Info{}
	}
	return v2Info{ok: true, api: first(msg, "api_ver"), fw: first(msg, "fw_ver")}
}

// byV3 asks by API 3, which is preferred where both answer: firmwares of after November 2024 are reported to reject what API 2
// is told (pyasic, issue 363).
func (l *look) byV3(ctx context.Context) bool {
	raw, err := l.device(ctx)
	if err != nil {
		l.f.saw("4433: " + silence(err))
		return false
	}
	info := readV3(raw)
	if !info.ok {
		l.f.saw("4433 answers, and not as a Whatsminer")
		return false
	}
	l.f.is(kindWhatsminer, APIWhatsminerV3, Identified)
	l.f.Vendor, l.f.Model, l.f.Firmware, l.f.MAC, l.f.Hostname = microBT, info.model, info.fw, info.mac, info.name
	l.f.saw(strings.TrimSpace("4433 answers get.device.info, API " + info.api))
	if info.locked {
		l.f.Missing = append(l.f.Missing, "the unit takes writes only after its owner has enabled them (apiswitch is 0)")
	}
	if l.open[portRPC] && l.v2(ctx).ok {
		l.f.Alternatives = []string{APIWhatsminerV2}
		l.f.saw("4028 answers get_version")
	}
	return true
}

// v2 asks get_version.
func (l *look) v2(ctx context.Context) v2Info {
	raw, err := l.tell(ctx, askGetVersion)
	if err != nil {
		return v2Info{}
	}
	return readV2(raw)
}

// byV2 settles a Whatsminer that API 3 did not tell of. named: the answer to version named it.
func (l *look) byV2(ctx context.Context, named bool) bool {
	info := l.v2(ctx)
	if !info.ok && !named {
		return false
	}
	l.f.is(kindWhatsminer, APIWhatsminerV2, LooksLike)
	l.f.Vendor, l.f.Firmware = microBT, info.fw
	if info.ok {
		l.f.Sure = Identified
		l.f.saw("4028 answers get_version, API " + info.api)
	}
	version := strings.TrimLeftFunc(info.api, func(r rune) bool { return r < '0' || r > '9' }) // "whatsminer v1.4.0"
	if strings.HasPrefix(version, "1.") {
		l.f.Sure = LooksLike
		l.f.saw("older than the API that the agent speaks")
	}
	if l.open[portV3] {
		l.f.Alternatives = []string{APIWhatsminerV3}
	}
	who := unwrapped(l.object(ctx, askMinerInfo))
	l.f.MAC, l.f.Hostname = mac(who.Text("mac")), first(who, "hostname")
	l.f.Model = first(unwrapped(l.object(ctx, askDevDetails)).Object("DEVDETAILS"), "Model")
	return true
}

// unwrapped is what stands in the member Msg, if it is an object: so newer builds wrap everything.
func unwrapped(o rpc.Object) rpc.Object {
	if msg := o.Object("Msg"); msg != nil {
		return msg
	}
	return o
}

// closed4028 says of a unit whose port is closed what cannot work.
func (l *look) closed4028(api string) {
	if !l.open[portRPC] {
		l.f.Missing = append(l.f.Missing, fmt.Sprintf("port %d is closed, by which the agent speaks to %s", portRPC, api))
	}
}
