package rack

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	name      = regexp.MustCompile(`^[a-z0-9-]{1,23}$`)
	commandID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,36}$`)
)

// ValidName tells whether s may name a site, agent, node, PDU, group or feed: [a-z0-9-]{1,23}.
func ValidName(s string) bool { return name.MatchString(s) }

// ValidCommandID tells whether s may be the id of a command: [A-Za-z0-9_-]{1,36}.
func ValidCommandID(s string) bool { return commandID.MatchString(s) }

// OutletID is one outlet of one PDU, counted from 1, written "pdu-a.3".
type OutletID struct {
	PDU string
	N   int
}

// String writes "pdu-a.3".
func (o OutletID) String() string { return o.PDU + "." + strconv.Itoa(o.N) }

// IsZero tells the absent outlet.
func (o OutletID) IsZero() bool { return o == OutletID{} }

// ParseOutletID reads "pdu-a.3". The number is 1 to 99 without sign or leading zero.
func ParseOutletID(s string) (OutletID, error) {
	pdu, n, ok := strings.Cut(s, ".")
	if !ok || !ValidName(pdu) {
		return OutletID{}, fmt.Errorf("outlet %q: want PDU.N, for example pdu-a.3", s)
	}
	v, err := strconv.Atoi(n)
	if err != nil || v < 1 || v > 99 || strconv.Itoa(v) != n {
		return OutletID{}, fmt.Errorf("outlet %q: outlet number %q is not 1 to 99", s, n)
	}
	return OutletID{PDU: pdu, N: v}, nil
}

// BankID is one relay bank: the relays of a PDU that one chip drives and that lose control together.
type BankID struct {
	PDU string
	N   int // counted from 1; 0: the PDU has one bank only
}

// String writes "pdu-a", or "pdu-a bank 2" where there are several.
func (b BankID) String() string {
	if b.N == 0 {
		return b.PDU
	}
	return b.PDU + " bank " + strconv.Itoa(b.N)
}

// Key is the bank in the keys of alarms: "pdu-a" or "pdu-a.2".
func (b BankID) Key() string {
	if b.N == 0 {
		return b.PDU
	}
	return b.PDU + "." + strconv.Itoa(b.N)
}

// Point is the bank's Control.
func (b BankID) Point() Point { return Point{Device: b.PDU, Quantity: Control, Index: max(1, b.N)} }

// MeterID is a meter for several outlets together, as a supply bank has: place N in PDU.Supplies, counted from 1.
// Zero: none.
type MeterID struct {
	PDU string
	N   int
}

// IsZero tells the absent meter.
func (m MeterID) IsZero() bool { return m == MeterID{} }

// MarshalText and UnmarshalText let an OutletID stand in JSON as "pdu-a.3", also as a map key.
func (o OutletID) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (o *OutletID) UnmarshalText(b []byte) error {
	v, err := ParseOutletID(string(b))
	if err == nil {
		*o = v
	}
	return err
}

// TargetKind is the first half of a target.
type TargetKind string

// The kinds of target of the command contract.
const (
	TargetNode   TargetKind = "node"
	TargetOutlet TargetKind = "outlet"
	TargetGroup  TargetKind = "group"
	TargetFeed   TargetKind = "feed"
	TargetRack   TargetKind = "rack"
)

// Target is what a command is about: node/NAME, outlet/PDU.N, group/NAME, feed/NAME or rack.
type Target struct {
	Kind   TargetKind
	Name   string   // node, group or feed; empty for outlet and rack
	Outlet OutletID // only for TargetOutlet
}

// NodeTarget and OutletTarget build the two targets that plans name.
func NodeTarget(name string) Target { return Target{Kind: TargetNode, Name: name} }

// OutletTarget is the target of one outlet.
func OutletTarget(o OutletID) Target { return Target{Kind: TargetOutlet, Outlet: o} }

// String writes the target as it stands on the wire.
func (t Target) String() string {
	switch t.Kind {
	case TargetRack:
		return string(TargetRack)
	case TargetOutlet:
		return string(TargetOutlet) + "/" + t.Outlet.String()
	default:
		return string(t.Kind) + "/" + t.Name
	}
}

// ParseTarget reads a target; the error names what is wrong with it.
func ParseTarget(s string) (Target, error) {
	if s == string(TargetRack) {
		return Target{Kind: TargetRack}, nil
	}
	kind, rest, ok := strings.Cut(s, "/")
	if !ok {
		return Target{}, fmt.Errorf("target %q: want node/NAME, outlet/PDU.N, group/NAME, feed/NAME or rack", s)
	}
	switch TargetKind(kind) {
	case TargetOutlet:
		o, err := ParseOutletID(rest)
		return Target{Kind: TargetOutlet, Outlet: o}, err
	case TargetNode, TargetGroup, TargetFeed:
		if !ValidName(rest) {
			return Target{}, fmt.Errorf("target %q: %q is not a name of 1 to 23 characters a-z, 0-9 and -", s, rest)
		}
		return Target{Kind: TargetKind(kind), Name: rest}, nil
	default:
		return Target{}, fmt.Errorf("target %q: no such kind %q", s, kind)
	}
}

// MarshalText and UnmarshalText let a Target stand in JSON as text.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (t *Target) UnmarshalText(b []byte) error {
	v, err := ParseTarget(string(b))
	if err == nil {
		*t = v
	}
	return err
}
