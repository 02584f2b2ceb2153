package command

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// Role is what an issuer may do.
type Role struct {
	Name    string
	Verbs   []rack.Op
	Targets []rack.Target // none: every target
	Firm    bool          // may name firm nodes and their outlets
	Life    time.Duration // of a command, at most; 0: what the contract allows
	// AddsPerS is how many commands that add power an issuer may send per second, on average; 0: no bound but the desk's.
	AddsPerS float64
}

// Key is a public key whose commands are taken. An issuer may have several, so that one can be replaced while the
// other is in use.
type Key struct {
	ID      string // kid
	Issuer  string // iss of everything it signs
	Role    string
	Public  ed25519.PublicKey
	Revoked bool // known and not taken any more
	// Node makes it the key of another agent, the controller of a GPU server: what that agent calls this one. Its issuer is
	// SITE/AGENT, it has no role, and what it signs passes on a person's command.
	Node string
}

// User is who stands behind a uid of the local socket. The issuer is the person's, as with keys: whoever has both
// is one person.
type User struct {
	UID    uint32
	Issuer string
	Role   string
}

// Identities are all who may command.
type Identities struct {
	Roles []Role
	Keys  []Key
	Users []User
}

// ErrIdentities is returned by New for identities that a desk cannot work with.
var ErrIdentities = errors.New("command: bad identities")

// ring finds identities.
type ring struct {
	roles map[string]Role
	keys  map[string]Key
	users map[string]User // by "uid:N"
	adds  map[string]*bucket
}

func newRing(ids Identities) (*ring, error) {
	r := &ring{roles: map[string]Role{}, keys: map[string]Key{}, users: map[string]User{}, adds: map[string]*bucket{}}
	for _, role := range ids.Roles {
		r.roles[role.Name] = role
	}
	for _, k := range ids.Keys {
		_, twice := r.keys[k.ID]
		if _, known := r.roles[k.Role]; twice || known == (k.Node != "") || len(k.Public) != ed25519.PublicKeySize || !wire.ValidKeyID(k.ID) || !wire.ValidIssuer(k.Issuer) {
			return nil, fmt.Errorf("%w: key %q", ErrIdentities, k.ID)
		}
		r.keys[k.ID] = k
	}
	for _, u := range ids.Users {
		id := fmt.Sprintf("uid:%d", u.UID)
		_, twice := r.users[id]
		if _, known := r.roles[u.Role]; twice || !known || !wire.ValidIssuer(u.Issuer) {
			return nil, fmt.Errorf("%w: uid %d", ErrIdentities, u.UID)
		}
		r.users[id] = u
	}
	return r, nil
}

// key gives the key that a command claims, or says why there is none to believe.
func (r *ring) key(id string) (Key, *wire.Refused) {
	k, ok := r.keys[id]
	switch {
	case !ok:
		return Key{}, &wire.Refused{Code: rack.CodeUnknownKey, Text: "key " + id + " is not configured here"}
	case k.Revoked:
		return Key{}, &wire.Refused{Code: rack.CodeUnknownKey, Text: "key " + id + " is revoked"}
	}
	return k, nil
}

func (r *ring) takes(id string) bool {
	_, bad := r.key(id)
	return bad == nil
}

// local puts the identity that the socket has proven into a command. A uid that nobody entered keeps its number for a
// name and has no role.
func (r *ring) local(cmd *rack.Command, peer string) {
	cmd.Issuer, cmd.Signed = peer, peer != ""
	if u, ok := r.users[peer]; ok {
		cmd.Issuer, cmd.Role = u.Issuer, u.Role
	}
}

// permits tells whether the role of a command may do what it asks. The code is that of a key that is not known for
// this: the check is one (reference: mqtt 7.3).
func (r *ring) permits(l *rack.Layout, cmd *rack.Command) *rack.Refusal {
	role, ok := r.roles[cmd.Role]
	switch {
	case !ok:
		return refuse(rack.CodeUnknownKey, "%s has no role here", cmd.Issuer)
	case !role.allows(cmd.Op):
		return refuse(rack.CodeUnknownKey, "role %s of %s does not allow %s", role.Name, cmd.Issuer, cmd.Op)
	case about(cmd.Op):
		return nil
	}
	return r.covers(l, cmd, cmd.Target)
}

func (r Role) allows(op rack.Op) bool { return slices.Contains(r.Verbs, op) }

// about tells the verbs that are about another command: they name the rack and touch nothing of it.
func about(op rack.Op) bool {
	switch op {
	case rack.OpGet, rack.OpList, rack.OpCancel, rack.OpApprove, rack.OpJournalAccept:
		return true
	default:
		return false
	}
}

// covers tells whether the role of a command reaches a target, be it its own or that of one it approves.
func (r *ring) covers(l *rack.Layout, cmd *rack.Command, t rack.Target) *rack.Refusal {
	role := r.roles[cmd.Role]
	switch {
	case !role.Firm && touchesFirm(l, cmd.Op, t):
		return refuse(rack.CodeUnknownKey, "role %s of %s does not allow firm targets", role.Name, cmd.Issuer)
	case !role.reaches(l, t):
		return refuse(rack.CodeUnknownKey, "role %s of %s does not reach %s", role.Name, cmd.Issuer, t)
	}
	return nil
}

// reaches tells whether the role's targets cover all that t stands for.
func (r Role) reaches(l *rack.Layout, t rack.Target) bool {
	if len(r.Targets) == 0 || slices.Contains(r.Targets, rack.Target{Kind: rack.TargetRack}) || slices.Contains(r.Targets, t) {
		return true
	}
	covered := r.nodes(l)
	within := func(n rack.Node) bool { return covered[n.Name] }
	switch {
	case t.Kind == rack.TargetRack: // outlets without a node are of the rack too
		return false
	case t.Several():
		nodes, ok := l.Members(t)
		return ok && len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n rack.Node) bool { return !within(n) })
	case t.Kind == rack.TargetOutlet:
		node, ok := l.NodeOf(t.Outlet)
		return ok && within(node)
	default:
		return within(rack.Node{Name: t.Name})
	}
}

// nodes are the names of those that the role's targets stand for, alone or among others.
func (r Role) nodes(l *rack.Layout) map[string]bool {
	names := map[string]bool{}
	for _, t := range r.Targets {
		if t.Kind == rack.TargetNode {
			names[t.Name] = true
		}
		members, _ := l.Members(t) // none where t is a node or an outlet
		for _, n := range members {
			names[n.Name] = true
		}
	}
	return names
}

// touchesFirm tells whether a command on a target may do something to a firm node. A group that holds others too leaves
// its firm nodes out; an unlock does not, it allows more on all of them.
func touchesFirm(l *rack.Layout, op rack.Op, t rack.Target) bool {
	if !t.Several() {
		return firm(l, t)
	}
	nodes := nodesOf(l, t)
	isFirm := func(n rack.Node) bool { return n.Class.Firm() }
	if op == rack.OpUnlock {
		return slices.ContainsFunc(nodes, isFirm)
	}
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n rack.Node) bool { return !isFirm(n) })
}

// firm tells whether a target names a firm node or an outlet of one.
func firm(l *rack.Layout, t rack.Target) bool {
	if t.Several() {
		return false
	}
	nodes := nodesOf(l, t)
	return len(nodes) == 1 && nodes[0].Class.Firm()
}

// nodesOf lists the nodes that a target is about.
func nodesOf(l *rack.Layout, t rack.Target) []rack.Node {
	if t.Several() {
		nodes, _ := l.Members(t)
		return nodes
	}
	node, ok := l.Node(t.Name)
	if t.Kind == rack.TargetOutlet {
		node, ok = l.NodeOf(t.Outlet)
	}
	if !ok {
		return nil
	}
	return []rack.Node{node}
}

// mayAdd takes one of the commands that an issuer may add power with. What only its key proves counts per issuer, not
// per key: two keys are no double allowance.
func (r *ring) mayAdd(now time.Time, cmd *rack.Command) bool {
	role := r.roles[cmd.Role]
	if role.AddsPerS == 0 || !cmd.Op.AddsPower() {
		return true
	}
	b := r.adds[cmd.Issuer]
	if b == nil {
		fresh := newBucket(role.AddsPerS, max(1, addsBurst*role.AddsPerS))
		b = &fresh
		r.adds[cmd.Issuer] = b
	}
	return b.take(now)
}

// openTo tells what may be asked on the local socket without a role: reading; and, where no uid is entered at all,
// accepting a lost journal, as the socket's group is the only list of people then.
func (r *ring) openTo(cmd *rack.Command) bool {
	switch cmd.Op {
	case rack.OpGet, rack.OpList:
		return true
	case rack.OpJournalAccept:
		return len(r.users) == 0
	default:
		return false
	}
}
