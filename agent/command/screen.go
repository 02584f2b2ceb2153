package command

import (
	"fmt"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// screen makes the checks that need neither the payload's meaning nor a key. It may run on any goroutine.
func screen(in Inbound) *wire.Refused {
	local := in.Origin == rack.OriginLocal
	switch {
	case !local && in.Topic != "cmd":
		return &wire.Refused{Code: rack.CodeUnsupported, Text: "nothing is taken on this topic"}
	case len(in.Payload) > wire.MaxCommandBytes:
		return &wire.Refused{Code: rack.CodeTooBig, Text: fmt.Sprintf("%d bytes", len(in.Payload))}
	case !local && in.Retained:
		return &wire.Refused{Code: rack.CodeRetained, Text: "a retained command is an old one"}
	}
	return nil
}

// read makes a command of a message, with the identity that stands behind it.
func (d *Desk) read(now time.Time, in Inbound) (rack.Command, *wire.Refused) {
	if bad := screen(in); bad != nil {
		return rack.Command{}, bad
	}
	if in.Origin != rack.OriginLocal && wire.IsSigned(in.Payload) {
		return d.signed(now, in)
	}
	return d.unsigned(in)
}

// signed verifies. What fails here chose no topic: whoever sent it is not known.
func (d *Desk) signed(now time.Time, in Inbound) (rack.Command, *wire.Refused) {
	s, bad := wire.ReadSigned(in.Payload)
	if bad != nil {
		return rack.Command{}, bad
	}
	key, bad := d.ring.key(s.Key)
	if bad != nil {
		return rack.Command{}, bad
	}
	if !d.verifies.take(now) {
		return rack.Command{}, &wire.Refused{Code: rack.CodeRateLimited, Text: fmt.Sprintf("over %d signatures per second", verifyPerS)}
	}
	cmd, bad := s.Open(key.Public, in.Received)
	if bad != nil && !bad.Answerable {
		return rack.Command{}, bad
	}
	claimed := cmd.Issuer
	cmd.Origin, cmd.Signed, cmd.Issuer, cmd.Role = rack.OriginMQTT, true, key.Issuer, key.Role
	if bad == nil && claimed != key.Issuer {
		bad = &wire.Refused{Code: rack.CodeUnknownKey, Text: "key " + key.ID + " does not sign for another issuer", Field: "iss", ID: cmd.ID, Answerable: true}
	}
	return cmd, bad
}

// unsigned reads a command whose way in vouches for its issuer, or nobody.
func (d *Desk) unsigned(in Inbound) (rack.Command, *wire.Refused) {
	cmd, bad := wire.DecodeCommand(in.Payload, in.Received)
	if bad != nil && !bad.Answerable {
		return rack.Command{}, bad
	}
	cmd.Origin = rack.OriginMQTT
	if in.Origin == rack.OriginLocal {
		cmd.Origin = rack.OriginLocal
		d.ring.local(&cmd, in.Issuer)
	} else if !d.o.Unsigned {
		return rack.Command{}, &wire.Refused{Code: rack.CodeBadSignature, Text: "unsigned, and commands.unsigned is off"}
	}
	return cmd, bad
}

// entitled tells whether a command is meant for this agent in this life, and its sender has a right to it.
func (d *Desk) entitled(cmd *rack.Command) *rack.Refusal {
	self := d.o.Layout.Site + "/" + d.o.Layout.Agent
	switch {
	case cmd.Aud != "" && cmd.Aud != self:
		return refuse(rack.CodeWrongAudience, "this is %s", self)
	case cmd.AudBoot != "" && cmd.AudBoot != d.o.Boot:
		return refuse(rack.CodeReplay, "bound to another boot than %s", d.o.Boot)
	}
	bad := d.authorise(cmd)
	cmd.Firm = bad == nil && cmd.Signed && d.ring.roles[cmd.Role].Firm
	return bad
}

// judge makes the checks that need the clock, and fixes until when the command may start.
func (d *Desk) judge(now time.Time, cmd *rack.Command) *rack.Refusal {
	if bad := breakGlass(cmd); bad != nil {
		return bad
	}
	base := cmd.Received
	switch {
	case cmd.Origin == rack.OriginLocal: // exp and receipt are of the same clock, whatever it shows
	case !d.o.Synced() && cmd.AudBoot == "":
		return refuse(rack.CodeClockUnsynced, "the clock is not synchronised: send aud_boot, and count exp from the ts of the birth")
	case !d.o.Synced():
		base = d.o.Birth()
	case cmd.Issued.Sub(wall(cmd.Received)) > skew:
		return refuse(rack.CodeNotYetValid, "iat is over %s ahead", skew)
	}
	cmd.StartBy = base.Add(cmd.Exp.Sub(wall(base)))
	if bad := inTime(now, cmd, d.lifeOf(cmd)); bad != nil {
		return bad
	}
	return d.inOrder(now, cmd)
}

// breakGlass holds the use of break-glass to its form: a person at the rack, a reason, and never in the place of a proof.
func breakGlass(cmd *rack.Command) *rack.Refusal {
	switch {
	case !cmd.BreakGlass:
		return nil
	case cmd.Origin != rack.OriginLocal:
		return refuse(rack.CodeUnsupported, "break_glass is taken on the local socket only")
	case !cmd.Op.MovesPower():
		return refuse(rack.CodeUnsupported, "break_glass stands in for a second person, and %s needs none", cmd.Op)
	case strings.TrimSpace(cmd.Why) == "":
		return refuse(rack.CodeBadSchema, "break_glass needs a reason in why")
	case cmd.Args.Force:
		return refuse(rack.CodePrecondition, "break_glass stands in for the second person, never for the proof: not with force")
	}
	return nil
}

// authorise holds a command to the role of its issuer. An unsigned one over MQTT has none, and the power logic keeps
// it from firm nodes; what a uid that nobody entered may do is little, see openTo.
func (d *Desk) authorise(cmd *rack.Command) *rack.Refusal {
	switch {
	case !cmd.Signed:
		return nil
	case cmd.Origin == rack.OriginLocal && d.ring.openTo(cmd):
		return nil
	case d.ring.keys[cmd.Key].Node != "":
		return d.derived(cmd)
	case cmd.Parent != nil:
		return refuse(rack.CodeUnknownKey, "%s is no agent: only an agent passes on a person's command", cmd.Issuer)
	}
	return d.ring.permits(d.o.Layout, cmd)
}

// inOrder refuses what has been overtaken, and what adds power too often.
func (d *Desk) inOrder(now time.Time, cmd *rack.Command) *rack.Refusal {
	if cmd.Key != "" && !d.seqs.fresh(cmd) {
		return refuse(rack.CodeReplay, "seq %d is not above the last one that was taken of %s", cmd.Seq, cmd.Issuer)
	}
	if !d.ring.mayAdd(now, cmd) {
		return refuse(rack.CodeRateLimited, "%s adds power too often", cmd.Issuer)
	}
	if cmd.Key != "" {
		d.seqs.take(cmd)
	}
	return nil
}

// wall drops the monotonic clock, for comparing with times that came over the wire.
func wall(t time.Time) time.Time { return t.Round(0) }

func inTime(now time.Time, cmd *rack.Command, longest time.Duration) *rack.Refusal {
	switch left := cmd.StartBy.Sub(cmd.Received); {
	case !cmd.StartBy.After(now):
		return refuse(rack.CodeExpired, "exp passed before the command was read")
	case left > longest:
		return refuse(rack.CodePrecondition, "exp is %s after receipt, at most %s are allowed", left.Round(time.Second), longest)
	}
	return nil
}

// lifeOf is how long a command may wait for its start. What cannot be told apart gets the shorter life.
func (d *Desk) lifeOf(cmd *rack.Command) time.Duration {
	longest := life
	if firm(d.o.Layout, cmd.Target) {
		longest = firmLife
	}
	if of := d.ring.roles[cmd.Role].Life; of > 0 {
		longest = min(longest, of)
	}
	return longest
}

func refuse(code rack.Code, format string, args ...any) *rack.Refusal {
	return &rack.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// observing is why nothing is moved once a journal was lost.
func observing() *rack.Refusal {
	return refuse(rack.CodeObserving, "the journal was lost and nobody has accepted that: nothing is moved")
}
