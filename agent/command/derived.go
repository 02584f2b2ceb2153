package command

import (
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// derivedLife is how long after a person's command an agent may still pass it on. Arbitrary: a drain and the steps before
// it take minutes, and nobody remembers today's command tomorrow.
const derivedLife = time.Hour

// derived judges a command of another agent. An agent has no will of its own here: it passes on what a person commanded
// it about its node, which is this agent. Both texts come along as that agent received them, and are verified against this
// agent's own list of keys: who holds a controller's key alone commands nothing here. The id is the person's command's,
// so that one command is passed on once.
func (d *Desk) derived(cmd *rack.Command) *rack.Refusal {
	peer := d.ring.keys[cmd.Key]
	if cmd.Parent == nil {
		return refuse(rack.CodeUnknownKey, "%s passes on commands of persons, and this one has no parent", cmd.Issuer)
	}
	parent, bad := d.person(cmd.Parent.Command, peer, cmd.Received)
	if bad != nil {
		return bad
	}
	switch {
	case parent.ID != cmd.ID:
		return refuse(rack.CodePrecondition, "the id is not the parent's: a command is passed on once, under its own id")
	case parent.Op != cmd.Op, cmd.Args.Force && !parent.Args.Force, parent.Dry && !cmd.Dry:
		return refuse(rack.CodeUnknownKey, "the parent says %s, not this", parent.Op)
	case cmd.Target.Kind != rack.TargetRack:
		return refuse(rack.CodeUnknownKey, "the parent is about this agent as a whole, not about %s", cmd.Target)
	case parent.If != nil:
		return refuse(rack.CodePrecondition, "the parent has a condition, and what it is about is not seen from here")
	case !within(cmd.Args, parent.Args):
		return refuse(rack.CodeUnknownKey, "the parent has other arguments")
	case parent.Target != rack.NodeTarget(peer.Node):
		return refuse(rack.CodeUnknownKey, "the parent is about %s, and this agent is %s of %s", parent.Target, peer.Node, peer.Issuer)
	case cmd.Received.Sub(parent.Issued) > derivedLife:
		return refuse(rack.CodeExpired, "the parent is older than %s", derivedLife)
	}
	if bad := d.ring.permits(d.o.Layout, parent); bad != nil {
		return bad
	}
	if !d.ring.roles[parent.Role].Firm {
		return refuse(rack.CodeUnknownKey, "role %s of %s does not allow firm targets", parent.Role, parent.Issuer)
	}
	return d.secondOf(cmd, parent, peer)
}

// within tells whether the arguments are the parent's: none more, and a deadline that is not later. Force was judged.
func within(a, parent rack.Args) bool {
	if parent.DeadlineS > 0 && a.DeadlineS > parent.DeadlineS {
		return false
	}
	a.DeadlineS, a.Force = parent.DeadlineS, parent.Force
	return a == parent
}

// secondOf verifies the approval of a parent, and asks for one where the verb may lower the power of a firm node.
func (d *Desk) secondOf(cmd, parent *rack.Command, peer Key) *rack.Refusal {
	if cmd.Parent.Approval == "" {
		if cmd.Op.MovesPower() && cmd.Op != rack.OpEnergise {
			return refuse(rack.CodeApprovalRequired, "the parent was not approved by another person")
		}
		cmd.Role = parent.Role
		return nil
	}
	second, bad := d.person(cmd.Parent.Approval, peer, cmd.Received)
	if bad != nil {
		return bad
	}
	role := d.ring.roles[second.Role]
	switch early := parent.Issued.Sub(second.Issued); {
	case second.Op != rack.OpApprove || second.Dry || second.Args.ID != parent.ID || second.Args.Sha256 != parent.Hash.String():
		return refuse(rack.CodeApprovalRequired, "the approval is of another command")
	case second.Issuer == parent.Issuer:
		return refuse(rack.CodeApprovalRequired, "%s approved a command of their own", second.Issuer)
	case early > skew || -early > approvalLimit+skew:
		return refuse(rack.CodeApprovalRequired, "the approval was not given within %s", approvalLimit)
	case !role.allows(rack.OpApprove) || !role.Firm || !role.reaches(d.o.Layout, parent.Target):
		return refuse(rack.CodeUnknownKey, "role %s of %s does not allow this approval", role.Name, second.Issuer)
	}
	cmd.Role = parent.Role
	cmd.Approval = &rack.Approval{By: second.Issuer, Key: second.Key, Command: second.ID, Sha256: parent.Hash, At: second.Issued}
	return nil
}

// person verifies a text that another agent received of a person. It has expired for that agent perhaps, and its number
// counts there; here it is evidence.
func (d *Desk) person(text string, peer Key, received time.Time) (*rack.Command, *rack.Refusal) {
	s, bad := wire.ReadSigned([]byte(text))
	if bad != nil {
		return nil, refuse(bad.Code, "parent: %s", bad.Text)
	}
	key, bad := d.ring.key(s.Key)
	if bad != nil {
		return nil, refuse(bad.Code, "parent: %s", bad.Text)
	}
	cmd, bad := s.Open(key.Public, received)
	switch {
	case bad != nil:
		return nil, refuse(bad.Code, "parent: %s", bad.Text)
	case key.Node != "":
		return nil, refuse(rack.CodeUnknownKey, "parent: %s is an agent, not a person", key.Issuer)
	case cmd.Issuer != key.Issuer:
		return nil, refuse(rack.CodeUnknownKey, "parent: key %s does not sign for another issuer", key.ID)
	case cmd.Aud != peer.Issuer:
		return nil, refuse(rack.CodeWrongAudience, "parent: it was sent to %s, not to %s", cmd.Aud, peer.Issuer)
	case cmd.Issued.Sub(wall(received)) > skew:
		return nil, refuse(rack.CodeNotYetValid, "parent: iat is over %s ahead", skew)
	}
	cmd.Signed, cmd.Role = true, key.Role
	return &cmd, nil
}
