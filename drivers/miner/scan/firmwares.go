package scan

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"rackagent/drivers/miner/rpc"
)

// Kinds of firmware that have no client.
const (
	kindVnish = "Vnish"
	kindAxeOS = "AxeOS"
)

// machine takes over what the answer to version tells of the machine. Avalon has the product and the model in two members.
func (v version) machine(f *Found) {
	f.Firmware, f.MAC = v.firmware(), mac(v.v.Text("MAC"))
	prod, model := first(v.v, "PROD"), first(v.v, "MODEL")
	if !strings.Contains(prod, model) {
		prod = strings.TrimSpace(prod + " " + model)
	}
	f.Model = cmp.Or(first(v.v, "Type"), prod)
	if v.family == famAvalon {
		f.Vendor = "Canaan"
	}
}

// luxOS settles a unit that named LUXminer. config tells the rest, and wants no session.
func (l *look) luxOS(ctx context.Context, v version) {
	l.f.is(kindLuxOS, APILuxOS, Identified)
	v.machine(&l.f)
	c := l.object(ctx, askConfig).Object("CONFIG")
	l.f.MAC, l.f.Hostname = mac(c.Text("MACAddr")), first(c, "Hostname")
	if m := first(c, "Model"); m != "" {
		l.f.Model = m
	}
}

// braiins settles a unit that named its mining program.
func (l *look) braiins(ctx context.Context, v version) {
	l.f.is(kindBraiins, APIBraiins, Identified)
	l.f.Firmware = v.firmware()
	if l.f.Firmware == "" {
		l.f.Firmware = v.text
	}
	l.f.Model = first(l.object(ctx, askDetails).Object("DEVDETAILS"), "Model")
	l.f.Model = strings.TrimPrefix(l.f.Model, bitmain+" ")
}

// braiinsPage settles a unit whose page names Braiins OS.
func (l *look) braiinsPage(ctx context.Context) {
	l.f.is(kindBraiins, APIBraiins, LooksLike)
	l.f.saw("its page names Braiins OS")
	p, err := l.get(ctx, pageBraiins)
	if err != nil {
		return
	}
	v := p.object()
	if major, minor := v.Int("major"), v.Int("minor"); major != nil && minor != nil {
		l.f.Sure = Identified
		l.f.saw(fmt.Sprintf("REST API %d.%d", *major, *minor))
	}
}

// stock settles a unit whose web pages want the log-in of the stock firmware. Clones show the same realm, and the type stands
// behind the log-in: only both ports together tell.
func (l *look) stock(p page) {
	l.f.is(kindAntminer, APIAntminer, LooksLike)
	l.f.Vendor = bitmain
	l.f.saw(`HTTP asks for a log-in, realm "` + p.realm + `"`)
	if l.bitmain != nil {
		l.f.Sure = Identified
	}
}

// vnishInfo is what /api/v1/info tells.
type vnishInfo struct {
	ok                  bool
	firmware, mac, name string
}

// readVnish reads it (xminer-api: fw_name, fw_version, system.network_status).
func readVnish(o rpc.Object) vnishInfo {
	name := first(o, "fw_name")
	if name == "" {
		return vnishInfo{}
	}
	out := vnishInfo{ok: true, firmware: name}
	if v := first(o, "fw_version"); v != "" {
		out.firmware += " " + v
	}
	net := o.Object("system").Object("network_status")
	out.mac, out.name = mac(net.Text("mac")), first(net, "hostname")
	return out
}

// vnish asks for what Vnish tells without a log-in.
func (l *look) vnish(ctx context.Context) bool {
	p, err := l.get(ctx, pageInfo)
	if err != nil {
		return false
	}
	info := readVnish(p.object())
	if !info.ok {
		return false
	}
	l.f.unsupported(kindVnish, Identified)
	l.f.saw("HTTP " + pageInfo + " names its firmware")
	l.f.Firmware, l.f.MAC, l.f.Hostname = info.firmware, info.mac, info.name
	if p, err := l.get(ctx, pageModel); err == nil {
		if m := first(p.object(), "full_name"); m != "" {
			l.f.Model = m
		}
	}
	return true
}

// axeInfo is what /api/system/info tells.
type axeInfo struct {
	ok                         bool
	model, firmware, mac, name string
}

// readAxe reads it (ESP-Miner, openapi.yaml: all members are optional, and ASICModel is whose it is).
func readAxe(o rpc.Object) axeInfo {
	chip := first(o, "ASICModel")
	if chip == "" {
		return axeInfo{}
	}
	return axeInfo{ok: true, model: chip, firmware: first(o, "version"), mac: mac(o.Text("macAddr")), name: first(o, "hostname")}
}

// axe asks for what AxeOS tells. Its page is compressed and names nothing that can be read.
func (l *look) axe(ctx context.Context) bool {
	p, err := l.get(ctx, pageSystem)
	if err != nil {
		return false
	}
	info := readAxe(p.object())
	if !info.ok {
		return false
	}
	l.f.unsupported(kindAxeOS, Identified)
	l.f.saw("HTTP " + pageSystem + " names an ASICModel")
	l.f.Model, l.f.Firmware, l.f.MAC, l.f.Hostname = info.model, info.firmware, info.mac, info.name
	return true
}
