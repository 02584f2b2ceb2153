package wire

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"rackagent/agent/rack"
)

// MaxCommandBytes bounds the payload of a command. Every member at its bound comes to about 1 KiB; the rest is for a
// signature and for members of later versions.
const MaxCommandBytes = 8 << 10

// Bounds of single members.
const (
	maxName     = 64                  // issuer, audience, boot: two names of 23 and a slash fit, and a ULID
	maxWhy      = 256                 // bytes of free text, arbitrary
	maxSafe     = 1<<53 - 1           // largest integer that readers with binary64 numbers keep (RFC 8259 section 6)
	maxMillis   = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z, the last that RFC 3339 can write into the journal
	maxDuration = 86_400              // seconds, arbitrary: no command is given a day
)

// MaxListed is how many commands cmd.list gives at most. A line takes up to 200 bytes, so that they fit into one message.
const MaxListed = 200

var (
	jws    = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$`)
	verb   = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,31}$`)
	party  = regexp.MustCompile(`^[A-Za-z0-9._@/-]+$`)
	digest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Refused says why a payload is no command.
type Refused struct {
	Code  rack.Code
	Text  string // for people; it quotes nothing of the payload but names of fields and the target
	Field string // path of the member at fault, where there is one: "args.deadline_s"
	ID    string // of the command, only if Answerable
	// Answerable tells that the payload is one object with a valid id, so that a rejection can be published under
	// that id. Anything else must not choose a topic for us.
	Answerable bool
}

// Error lets a Refused travel as an error.
func (r *Refused) Error() string { return string(r.Code) + ": " + r.Text }

// form is what the contract says about one verb.
type form struct {
	args     []string // the arguments it takes
	needs    []string // those it cannot do without
	rackOnly bool     // its target is "rack": it names what it is about in its arguments
}

func formOf(op rack.Op) (form, bool) {
	switch op {
	case rack.OpEnergise, rack.OpSleep, rack.OpWake, rack.OpStart, rack.OpRelease:
		return form{args: []string{"deadline_s"}}, true
	case rack.OpLimit:
		return form{args: []string{"deadline_s", "limit_w", "mode"}}, true
	case rack.OpShutdown:
		return form{args: []string{"deadline_s", "outlet", "now"}}, true
	case rack.OpCut:
		return form{args: []string{"deadline_s", "force"}}, true
	case rack.OpCycle:
		return form{args: []string{"deadline_s", "off_s", "force"}}, true
	case rack.OpIdentify, rack.OpLock, rack.OpUnlock:
		return form{}, true
	case rack.OpGet, rack.OpCancel:
		return form{args: []string{"id"}, needs: []string{"id"}, rackOnly: true}, true
	case rack.OpList:
		return form{args: []string{"n"}, rackOnly: true}, true
	case rack.OpApprove:
		return form{args: []string{"id", "sha256"}, needs: []string{"id", "sha256"}, rackOnly: true}, true
	case rack.OpJournalAccept:
		return form{args: []string{"reason"}, needs: []string{"reason"}, rackOnly: true}, true
	}
	return form{}, false
}

// Verbs lists the verbs that DecodeCommand knows.
func Verbs() []rack.Op {
	return []rack.Op{
		rack.OpEnergise, rack.OpCut, rack.OpCycle, rack.OpShutdown, rack.OpStart, rack.OpSleep, rack.OpWake, rack.OpLimit, rack.OpRelease, rack.OpIdentify,
		rack.OpGet, rack.OpList, rack.OpCancel, rack.OpLock, rack.OpUnlock, rack.OpApprove, rack.OpJournalAccept,
	}
}

// members are the names that the envelope knows.
func members() []string {
	return []string{"v", "id", "op", "target", "args", "exp", "iss", "iat", "seq", "aud", "aud_boot", "if", "dry", "why", "break_glass", "parent"}
}

// DecodeCommand reads the payload of down/cmd that was received at the given moment. Members of the envelope that
// it does not know are ignored, as later versions may add some; but one that differs from a known one in case alone
// is refused, as its sender relies on it: "Dry" ignored would move a relay. Arguments and preconditions that it does
// not know are refused, as each may be a limit that the sender relies on. Origin, Signed and StartBy are left to the
// caller.
//
// With an answerable refusal comes as much of the command as could be read, fit to be kept in the journal: target
// rack and expiry on receipt stand in for what could not.
//
// A signed command is refused here; ReadSigned is for those.
func DecodeCommand(payload []byte, received time.Time) (rack.Command, *Refused) {
	if len(payload) > MaxCommandBytes {
		return rack.Command{}, tooBig(payload)
	}
	if IsSigned(payload) {
		return rack.Command{}, &Refused{Code: rack.CodeBadSchema, Text: "signed, where an unsigned command is read"}
	}
	cmd, _, bad := decode(payload, received)
	return cmd, bad
}

func tooBig(payload []byte) *Refused {
	return &Refused{Code: rack.CodeTooBig, Text: fmt.Sprintf("%d bytes, at most %d", len(payload), MaxCommandBytes)}
}

// decode reads the JSON of a command. The members come along for what only some ways in ask for.
func decode(payload []byte, received time.Time) (rack.Command, map[string]any, *Refused) {
	m, err := parseObject(payload)
	if err != nil {
		return rack.Command{}, nil, &Refused{Code: rack.CodeBadSchema, Text: err.Error()}
	}
	id, _ := m["id"].(string)
	if !rack.ValidCommandID(id) {
		return rack.Command{}, nil, &Refused{Code: rack.CodeBadSchema, Field: "id", Text: "id: want 1 to 36 letters, digits, _ and -"}
	}
	cmd := rack.Command{
		ID: id, Hash: rack.HashOf(payload), Received: received,
		Target: rack.Target{Kind: rack.TargetRack}, Exp: received,
	}
	if bad := envelope(&cmd, m); bad != nil {
		bad.ID, bad.Answerable = id, true
		return cmd, m, bad
	}
	return cmd, m, nil
}

// envelope fills the command from its members, in the order of their worth to the journal: what is read before the
// first mistake stays.
func envelope(cmd *rack.Command, m map[string]any) *Refused {
	f := &fields{m: m}
	if v := f.integer("v", 1, maxSafe); v > 1 {
		f.refuse(rack.CodeUnsupported, "v", "this agent knows version 1")
	}
	f.spelt(members())
	f.need("v", "op", "target", "exp")
	shape := operation(f, cmd)
	target(f, cmd, shape.rackOnly)
	if exp := moment(f.integer("exp", 1, maxMillis)); !exp.IsZero() {
		cmd.Exp = exp
	}
	cmd.Issuer = f.text("iss", 1, maxName, issuer)
	cmd.Issued = moment(f.integer("iat", 1, maxMillis))
	cmd.Seq = f.integer("seq", 0, maxSafe)
	cmd.Aud = f.text("aud", 1, maxName, party.MatchString)
	cmd.AudBoot = f.text("aud_boot", 1, maxName, rack.ValidCommandID)
	cmd.Dry = f.flag("dry")
	cmd.BreakGlass = f.flag("break_glass")
	cmd.Why = f.text("why", 0, maxWhy, rack.OneLine)
	args, conditions, parent := f.object("args"), f.object("if"), f.object("parent")
	arguments(args, cmd, shape)
	preconditions(conditions, cmd)
	passedOn(parent, cmd)
	for _, bad := range []*Refused{f.bad, args.bad, conditions.bad, parent.bad} {
		if bad != nil {
			return bad
		}
	}
	return nil
}

// issuer tells whether s may stand as iss. Names of the agent's own and of users of the local socket ("local/...",
// "uid:N") are not to be had over the wire.
func issuer(s string) bool { return party.MatchString(s) && !strings.HasPrefix(s, "local/") }

func operation(f *fields, cmd *rack.Command) form {
	cmd.Op = rack.Op(f.text("op", 1, maxName, verb.MatchString))
	shape, ok := formOf(cmd.Op)
	if !ok && cmd.Op != "" {
		f.refuse(rack.CodeUnsupported, "op", string(cmd.Op)+" is not a verb of this agent")
	}
	return shape
}

func target(f *fields, cmd *rack.Command, rackOnly bool) {
	s := f.text("target", 1, maxName, nil)
	if s == "" {
		return
	}
	t, err := rack.ParseTarget(s)
	if err != nil {
		f.refuse(rack.CodeBadSchema, "target", err.Error())
		return
	}
	cmd.Target = t
	if rackOnly && t.Kind != rack.TargetRack {
		f.wrong("target", "rack for this verb")
	}
}

// Bounds of a limit, arbitrary: ten times the largest miner of 2026, and the longest name of a profile that was seen.
const (
	maxLimitW = 200_000
	maxMode   = 64
)

func outletWord(s string) bool { return s == rack.OutletKeep || s == rack.OutletCut }

func arguments(f *fields, cmd *rack.Command, shape form) {
	f.only(rack.CodeBadSchema, shape.args, "is not an argument of this verb")
	f.need(shape.needs...)
	cmd.Args = rack.Args{
		ID:        f.text("id", 1, maxName, rack.ValidCommandID),
		N:         int(f.integer("n", 1, MaxListed)),
		DeadlineS: f.number("deadline_s", 0, maxDuration),
		OffS:      f.number("off_s", 0, maxDuration),
		Force:     f.flag("force"),
		Reason:    f.text("reason", 1, maxWhy, rack.OneLine),
		Sha256:    f.text("sha256", 64, 64, digest.MatchString),
		Outlet:    f.text("outlet", 1, maxName, outletWord),
		Now:       f.flag("now"),
		LimitW:    f.number("limit_w", 0, maxLimitW),
		Mode:      f.text("mode", 1, maxMode, rack.OneLine),
	}
	if cmd.Op == rack.OpLimit && (cmd.Args.LimitW > 0) == (cmd.Args.Mode != "") {
		f.wrong("limit_w", "either limit_w or mode")
	}
	if cmd.Args.Now && cmd.Args.Outlet == rack.OutletKeep {
		f.wrong("now", "no now beside outlet keep: it cuts at once")
	}
}

// passedOn reads what another agent received of persons.
func passedOn(f *fields, cmd *rack.Command) {
	if len(f.m) == 0 {
		return
	}
	f.only(rack.CodeBadSchema, []string{"command", "approval"}, "has no place in a parent")
	f.need("command")
	signed := func(s string) bool { return IsSigned([]byte(s)) }
	cmd.Parent = &rack.Parent{Command: f.text("command", 1, MaxCommandBytes, signed), Approval: f.text("approval", 1, MaxCommandBytes, signed)}
}

func preconditions(f *fields, cmd *rack.Command) {
	if len(f.m) == 0 {
		return
	}
	f.only(rack.CodePrecondition, []string{"gen", "state"}, "this agent cannot judge it")
	cmd.If = &rack.If{State: f.text("state", 1, maxName, verb.MatchString)}
	if _, ok := f.m["gen"]; ok {
		gen := f.integer("gen", 0, maxSafe)
		cmd.If.Gen = &gen
	}
}

// known tells whether s is one of the states of the contract.
func known(s rack.State) bool {
	return slices.Contains([]rack.State{
		rack.StateRejected, rack.StateWaiting, rack.StateAccepted, rack.StateRunning, rack.StateSucceeded, rack.StateConfirmed,
		rack.StatePartial, rack.StateFailed, rack.StateCancelled, rack.StateUnknown, rack.StateExpired,
	}, s)
}
