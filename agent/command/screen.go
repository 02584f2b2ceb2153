package command

import (
	"fmt"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

// screen makes the checks that need the message alone. It may run on any goroutine.
func screen(in Inbound, unsigned bool) (rack.Command, *wire.Refused) {
	local := in.Origin == rack.OriginLocal
	switch {
	case !local && in.Topic != "cmd":
		return rack.Command{}, &wire.Refused{Code: rack.CodeUnsupported, Text: "nothing is taken on this topic"}
	case len(in.Payload) > wire.MaxCommandBytes:
		return rack.Command{}, &wire.Refused{Code: rack.CodeTooBig, Text: fmt.Sprintf("%d bytes", len(in.Payload))}
	case !local && in.Retained:
		return rack.Command{}, &wire.Refused{Code: rack.CodeRetained, Text: "a retained command is an old one"}
	}
	cmd, bad := wire.DecodeCommand(in.Payload, in.Received)
	if bad != nil && !bad.Answerable {
		return rack.Command{}, bad
	}
	cmd.Origin = rack.OriginMQTT
	if local {
		cmd.Origin, cmd.Issuer, cmd.Signed = rack.OriginLocal, in.Issuer, in.Issuer != ""
	} else if !unsigned {
		return rack.Command{}, &wire.Refused{Code: rack.CodeBadSignature, Text: "unsigned, and commands.unsigned is off"}
	}
	return cmd, bad
}

// judge makes the checks that need the agent's name, boot and clock, and fixes until when the command may start.
func (d *Desk) judge(now time.Time, cmd *rack.Command) *rack.Refusal {
	self := d.o.Layout.Site + "/" + d.o.Layout.Agent
	switch {
	case cmd.Aud != "" && cmd.Aud != self:
		return refuse(rack.CodeWrongAudience, "this is %s", self)
	case cmd.AudBoot != "" && cmd.AudBoot != d.o.Boot:
		return refuse(rack.CodeReplay, "bound to another boot than %s", d.o.Boot)
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
	return inTime(now, cmd, d.lifeOf(cmd.Target))
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
func (d *Desk) lifeOf(t rack.Target) time.Duration {
	node, ok := rack.Node{}, false
	switch t.Kind {
	case rack.TargetNode:
		node, ok = d.o.Layout.Node(t.Name)
	case rack.TargetOutlet:
		node, ok = d.o.Layout.NodeOf(t.Outlet)
	}
	if ok && node.Class.Firm() {
		return firmLife
	}
	return life
}

func refuse(code rack.Code, format string, args ...any) *rack.Refusal {
	return &rack.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}
