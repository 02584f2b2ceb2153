package scan

import (
	"net/netip"
	"strings"
	"testing"
)

func prefixes(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, s := range texts {
		p, err := Prefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// TestAddresses: hosts alone, each once, in order.
func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.0/30":              "192.0.2.1 192.0.2.2",
		"192.0.2.3/30":              "192.0.2.1 192.0.2.2",
		"192.0.2.0/31":              "192.0.2.0 192.0.2.1",
		"192.0.2.0/32":              "192.0.2.0",
		"192.0.2.255":               "192.0.2.255",
		"192.0.2.0/29 192.0.2.4/30": "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6",
		"198.51.100.9 192.0.2.9":    "192.0.2.9 198.51.100.9",
		"2001:db8::/126":            "2001:db8::1 2001:db8::2 2001:db8::3",
		"2001:db8::/127":            "2001:db8:: 2001:db8::1",
		"2001:db8::7":               "2001:db8::7",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127": "refused", // multicast
		"223.255.255.255": "223.255.255.255",
	} {
		var ps []netip.Prefix
		var got []string
		for s := range strings.FieldsSeq(in) {
			p, err := Prefix(s)
			if err != nil {
				got = []string{"refused"}
				break
			}
			ps = append(ps, p)
		}
		addrs, err := Addresses(ps)
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %q", in, err, got)
		}
	}
	for in, n := range map[string]int{"10.0.0.0/16": 65534, "2001:db8::/112": 65535, "10.0.3.0/24": 254} {
		if got, err := Addresses(prefixes(t, in)); err != nil || len(got) != n {
			t.Errorf("%s: %d, %v", in, len(got), err)
		}
	}
	if _, err := Addresses(prefixes(t, "10.0.0.0/16", "10.1.0.0/24")); err == nil || !strings.Contains(err.Error(), "65536") {
		t.Errorf("%v", err)
	}
}

// TestRefusedRanges: what is no range, or none of hosts, or too large.
func TestRefusedRanges(t *testing.T) {
	for _, s := range []string{
		"", "10.0.3", "10.0.3.0/33", "10.0.3.0/-1", "rack-1", "10.0.3.0/24,10.0.4.0/24", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "::/0", "2001:db8::/64",
		"224.0.0.1", "255.255.255.255", "240.0.0.0/24", "0.0.0.0", "::", "ff02::1", "::ffff:10.0.0.0/120", "fe80::1%eth0", "http://10.0.3.0/24",
	} {
		if p, err := Prefix(s); err == nil {
			t.Errorf("%s: %s", s, p)
		}
	}
}
