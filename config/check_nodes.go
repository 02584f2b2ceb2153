package config

import (
	"slices"
	"strconv"
	"strings"
)

// maxOutlet is the highest number of an outlet on the wire, where outlets are written PDU.N.
const maxOutlet = 99

// nodes judges the list of nodes.
func (k *checker) nodes() {
	names, fed := map[string]string{}, map[string]int{}
	for i, n := range k.c.Nodes {
		at := index("nodes", i)
		k.name(at+".name", n.Name)
		k.unique(names, at+".name", n.Name, "name")
		if k.given(at+".class", n.Class == "") {
			oneOf(k, at+".class", n.Class, ClassASIC, ClassGPU)
		}
		k.outlets(at+".outlets", i, fed)
		k.wiring(at+".wiring", n)
		k.watts(at, n)
		k.minOff(at+".min_off_s", n)
		oneOf(k, at+".on_power_return", n.OnPowerReturn, ReturnHold, ReturnRestore)
	}
}

// oneOf judges a text that has two choices.
func oneOf[T ~string](k *checker, at string, v, a, b T) {
	if v != a && v != b {
		k.errorf(at, "", "%s is neither %s nor %s", quote(string(v)), a, b)
	}
}

// outlets judges what feeds node i; fed maps outlets to the first node that names them.
func (k *checker) outlets(at string, i int, fed map[string]int) {
	outlets := k.c.Nodes[i].Outlets
	if !k.given(at, len(outlets) == 0) {
		return
	}
	if len(outlets) == 0 {
		k.errorf(at, "write for example [pdu-a.1]", "a node has at least one outlet")
	}
	for j, outlet := range outlets {
		path := index(at, j)
		if k.src.isBroken(path) || !k.outlet(path, outlet) {
			continue
		}
		switch first, twice := fed[outlet]; {
		case twice && first == i:
			k.errorf(path, "", "outlet %s stands here twice", outlet)
		case twice:
			k.errorf(path, "an outlet feeds one node", "outlet %s feeds %s already, %s",
				outlet, k.c.Nodes[first].Name, k.mention(index("nodes", first)))
		default:
			fed[outlet] = i
		}
	}
}

// outlet judges one outlet by itself.
func (k *checker) outlet(path, outlet string) bool {
	pdu, n, ok := splitOutlet(outlet)
	if !ok {
		k.errorf(path, "write PDU.N, for example pdu-a.3", "%s is not an outlet", quote(outlet))
		return false
	}
	p, ok := k.pdu(pdu)
	if !ok && k.src.isBroken("pdus") {
		return false
	}
	if !ok {
		k.errorf(path, k.known("PDUs", k.pduNames()), "outlet %s: no PDU is named %s", outlet, pdu)
		return false
	}
	if count, _, known := k.shape(p.Model); known && n > count {
		k.errorf(path, "", "outlet %s: %s has outlets 1 to %d", outlet, p.Model, count)
		return false
	}
	return true
}

// splitOutlet reads "pdu-a.3". The number is 1 to 99 without sign or leading zero, so that an outlet has one
// spelling only.
func splitOutlet(s string) (pdu string, n int, ok bool) {
	pdu, digits, ok := strings.Cut(s, ".")
	n, err := strconv.Atoi(digits)
	ok = ok && nameRule.MatchString(pdu) && err == nil && n >= 1 && n <= maxOutlet && strconv.Itoa(n) == digits
	return pdu, n, ok
}

func (k *checker) pdu(name string) (PDU, bool) {
	i := slices.IndexFunc(k.c.PDUs, func(p PDU) bool { return p.Name == name })
	if i < 0 {
		return PDU{}, false
	}
	return k.c.PDUs[i], true
}

func (k *checker) pduNames() []string {
	var names []string
	for _, p := range k.c.PDUs {
		names = append(names, p.Name)
	}
	return names
}

// wiring judges whether "declared" has something to stand on (S11): a declaration is about one board, known by
// its serial. Without a firm node in the file nothing firm can hang on the wrong outlet, and it may stand alone.
func (k *checker) wiring(at string, n Node) {
	oneOf(k, at, n.Wiring, WiringDeclared, WiringUnproven)
	if n.Wiring != WiringDeclared {
		if !k.src.has(at) && !n.Class.Firm() {
			k.warnf(at, "write wiring: declared once you have followed the cables",
				"wiring is not stated, so the outlets of %s count as firm and will not be cut", n.Name)
		}
		return
	}
	firm, mixed := k.firmNode()
	for _, outlet := range n.Outlets {
		pdu, _, ok := splitOutlet(outlet)
		if p, known := k.pdu(pdu); ok && known && p.Serial == "" && p.Identity == IdentityNone && mixed {
			k.errorf(at, "give the serial of the board, or write wiring: unproven",
				"declared needs a board that can be recognised; %s has identity: none, and the file holds the firm node %s", pdu, firm)
			return
		}
	}
}

func (k *checker) watts(at string, n Node) {
	const most = 200_000 // arbitrary; more than one rack draws
	if k.given(at+".max_w", n.MaxW == 0) {
		k.span(at+".max_w", n.MaxW, 1, most, " W")
	}
	k.span(at+".surge_w", n.SurgeW, 0, most, " W")
	k.span(at+".surge_s", n.SurgeS, 0, 3600, " s") // arbitrary
	switch {
	case n.SurgeW > 0 && n.SurgeS == 0 && !k.src.isBroken(at+".surge_s"):
		k.errorf(at+".surge_w", "", "a surge needs surge_s, the time it lasts")
	case n.SurgeS > 0 && n.SurgeW == 0 && !k.src.isBroken(at+".surge_w"):
		k.errorf(at+".surge_s", "", "a surge needs surge_w, its height above max_w")
	}
}

func (k *checker) minOff(at string, n Node) {
	k.span(at, n.MinOffS, 1, 3600, " s") // arbitrary
	usual, known := Defaults().Node[n.Class]
	if known && n.MinOffS >= 1 && n.MinOffS < usual.MinOffS {
		k.warnf(at, "", "%s s is less than the %s s after which the supply of such a node has discharged", number(n.MinOffS), number(usual.MinOffS))
	}
}
