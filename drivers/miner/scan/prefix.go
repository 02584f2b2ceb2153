package scan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// MaxAddresses is how many addresses one scan takes: 65,536, a /16 of IPv4 or a /112 of IPv6.
const MaxAddresses = 1 << 16

// Prefix reads an argument: a prefix, or one address. Bits behind the prefix are dropped, as people write their own address.
func Prefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errors.New("neither a range, as 10.0.3.0/24, nor an address")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return p.Masked(), fits(p.Masked())
}

// fits refuses what is no place for miners, or too large.
func fits(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return errors.New("no range")
	case a.Is4In6():
		return errors.New("IPv4 within IPv6: write it as IPv4")
	case a.IsMulticast(), a.IsUnspecified(), a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 224): // RFC 1122 3.2.1.3, RFC 1112
		return errors.New("no addresses of hosts")
	case a.BitLen()-p.Bits() > 16:
		return fmt.Errorf("more than %d addresses", MaxAddresses)
	}
	return nil
}

// Addresses are those of some prefixes, each once and in order. The network's own address and the broadcast address of IPv4
// are none of hosts but in a /31 and a /32 (RFC 3021); nor is the routers' anycast address of IPv6, the first one, but in a
// /127 and a /128 (RFC 4291 2.6.1, RFC 6164).
func Addresses(prefixes []netip.Prefix) ([]netip.Addr, error) {
	seen := make(map[netip.Addr]struct{})
	for _, p := range prefixes {
		if err := fits(p); err != nil {
			return nil, fmt.Errorf("scan: %s: %w", p, err)
		}
		p = p.Masked()
		bare := p.Addr().BitLen()-p.Bits() <= 1
		for a := p.Addr(); a.IsValid() && p.Contains(a); a = a.Next() {
			if !bare && (a == p.Addr() || a.Is4() && !p.Contains(a.Next())) {
				continue
			}
			seen[a] = struct{}{}
		}
		if len(seen) > MaxAddresses {
			return nil, fmt.Errorf("scan: with %s these are more than %d addresses", p, MaxAddresses)
		}
	}
	out := make([]netip.Addr, 0, len(seen))
	for a := range seen {
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}
