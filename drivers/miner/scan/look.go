package scan

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Why an address told nothing.
var (
	ErrSilent = errors.New("nobody answers")
	ErrClosed = errors.New("somebody is there, and none of the ports of a miner is open")
)

// Look tells what answers at one address. The error is ErrSilent, ErrClosed, an error of this machine's own network, one of
// the options, or the context's. It ends with its context, and takes at most five times o.Timeout and the third of one.
func Look(ctx context.Context, o Opts, host string) (Found, error) {
	o, err := o.filled()
	if err != nil {
		return Found{}, err
	}
	if !hostFits(host) {
		return Found{}, fmt.Errorf("scan: %q is no address and no name of a host", host)
	}
	return at(ctx, o, host)
}

// at is Look with options that are filled.
func at(ctx context.Context, o Opts, host string) (Found, error) {
	open, err := knock(ctx, o, host)
	if err != nil {
		return Found{}, err
	}
	l := &look{asker: newAsker(o, host), open: open, f: Found{Host: host, Sure: Unknown}}
	for _, p := range ports() {
		if open[p] {
			l.f.Ports = append(l.f.Ports, p)
		}
	}
	limited, cancel := context.WithTimeout(ctx, patience*o.Timeout)
	defer cancel()
	l.all(limited)
	if err := ctx.Err(); err != nil {
		return Found{}, err
	}
	l.f.maker()
	l.f.lacking()
	return l.f, nil
}

// look is the questions to one address, and what they told.
type look struct {
	*asker
	open    map[int]bool
	f       Found
	bitmain *version // 4028 answered as the stock firmware does, and as others in its clothes
}

// all asks until something has told.
func (l *look) all(ctx context.Context) {
	switch {
	case l.open[portV3] && l.byV3(ctx):
	case l.open[portRPC] && l.byVersion(ctx):
	case l.open[portWeb] && l.byWeb(ctx):
	case l.bitmain != nil:
		l.f.is("Antminer, stock firmware or another", "", LooksLike)
		l.f.Vendor, l.f.Alternatives = bitmain, []string{APIAntminer}
		if !l.open[portWeb] {
			l.f.saw("port 80 is closed, which would tell them apart")
		}
	}
}

// byVersion asks on 4028.
func (l *look) byVersion(ctx context.Context) bool {
	raw, err := l.tell(ctx, askVersion)
	if err != nil {
		l.f.saw("4028: " + silence(err))
		return false
	}
	v := readVersion(raw)
	if v.family != famNone {
		l.f.saw(v.words())
	}
	switch v.family {
	case famLuxOS:
		l.luxOS(ctx, v)
	case famBraiins:
		l.braiins(ctx, v)
	case famWhatsminer:
		return l.byV2(ctx, true)
	case famAntminer:
		v.machine(&l.f)
		l.bitmain = &v
		return false
	case famVnish:
		v.machine(&l.f)
		if !l.open[portWeb] || !l.vnish(ctx) {
			l.f.unsupported(kindVnish, LooksLike)
		}
	case famNone, famCgminer:
		if l.byV2(ctx, false) {
			return true
		}
		v.machine(&l.f)
		if v.family == famNone {
			l.f.saw(v.words())
		}
		return false
	default:
		v.machine(&l.f)
		l.f.unsupported(string(v.family), Identified)
	}
	return true
}

// byWeb asks on port 80.
func (l *look) byWeb(ctx context.Context) bool {
	p, err := l.get(ctx, pageRoot)
	if err != nil {
		l.f.saw("80: " + silence(err))
		return false
	}
	if p.realmBegins(realmAntminer) {
		l.stock(p)
		return true
	}
	switch {
	case p.says("AnthillOS"):
		l.f.unsupported(kindVnish, LooksLike)
		l.f.saw("its page names AnthillOS")
		l.vnish(ctx)
		return true
	case p.says("Braiins OS"):
		l.braiinsPage(ctx)
		return true
	case p.says("Luxor Firmware"):
		l.f.is(kindLuxOS, APILuxOS, LooksLike)
		l.f.saw("its page names Luxor Firmware")
		l.closed4028(kindLuxOS)
		return true
	}
	return l.byOtherPages(ctx, p)
}

// byOtherPages goes on where the first page named nobody that the agent speaks to.
func (l *look) byOtherPages(ctx context.Context, p page) bool {
	l.f.saw(p.words())
	if kind := strangerOf(p); kind != "" && l.bitmain == nil {
		l.f.unsupported(kind, LooksLike)
		return true
	}
	switch {
	case p.luci():
		l.f.saw("Whatsminers do so, and routers with OpenWrt")
		return false
	case p.status == http.StatusUnauthorized && l.bitmain == nil: // somebody else's log-in
		return false
	case l.bitmain != nil:
		if cgi, err := l.get(ctx, pageCGI); err == nil && cgi.realmBegins(realmAntminer) {
			l.stock(cgi)
			return true
		}
		return l.vnish(ctx)
	}
	return l.axe(ctx) || l.vnish(ctx)
}

// strangerOf names firmwares without a client by their page or realm (pyasic, miners/factory.py); empty: none of these.
func strangerOf(p page) string {
	switch {
	case p.realmBegins(realmHammer):
		return "Hammer"
	case p.realmBegins(realmElphapex):
		return "Elphapex"
	}
	for _, s := range []struct{ words, kind string }{
		{"Lucky miner", "Lucky Miner"},
		{"cloud-box", "Goldshell"},
		{"Miner Web Dashboard", "ePIC"},
		{"DragonMint", "Innosilicon"},
		{"Miner UI", "Auradine"},
		{"<title>Antminer</title>", "MSKMINER"},
		{"Avalon", "Avalon"},
		{"<TITLE>用户界面</TITLE>", "IceRiver"},
	} {
		if p.says(s.words) {
			return s.kind
		}
	}
	return ""
}
