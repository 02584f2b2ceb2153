package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestCommandOfTheContract(t *testing.T) {
	const payload = `{"v":1,"id":"01JD9XB7","op":"outlet.cycle","target":"outlet/pdu-a.3","args":{"deadline_s":600,"off_s":12.5,"force":true},` +
		`"exp":1795411676000,"iss":"ctl-1","iat":1795411616000,"seq":4711,"aud":"ams1/r17","aud_boot":"01JD9X3M","if":{"gen":18},"dry":true,"why":"grid event 5521"}`
	got, bad := DecodeCommand([]byte(payload), noon)
	if bad != nil {
		t.Fatal(bad)
	}
	gen := int64(18)
	want := rack.Command{
		ID: "01JD9XB7", Op: rack.OpCycle, Target: rack.OutletTarget(rack.OutletID{PDU: "pdu-a", N: 3}),
		Args: rack.Args{DeadlineS: 600, OffS: 12.5, Force: true}, Exp: time.UnixMilli(1795411676000).UTC(),
		Issuer: "ctl-1", Issued: time.UnixMilli(1795411616000).UTC(), Seq: 4711, Aud: "ams1/r17", AudBoot: "01JD9X3M",
		If: &rack.If{Gen: &gen}, Dry: true, Why: "grid event 5521", Hash: rack.HashOf([]byte(payload)), Received: noon,
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
	conform(t, "closed", "command", []byte(payload))
}

// envelopeWith is a valid cut with one thing replaced or added.
func envelopeWith(change string) string {
	members := map[string]json.RawMessage{
		"v": json.RawMessage(`1`), "id": json.RawMessage(`"c1"`), "op": json.RawMessage(`"outlet.cut"`),
		"target": json.RawMessage(`"outlet/pdu-a.3"`), "exp": json.RawMessage(`1795411676000`),
	}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal([]byte("{"+change+"}"), &changes); err != nil {
		panic(err)
	}
	for k, v := range changes {
		members[k] = v
		if string(v) == `"-"` {
			delete(members, k)
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestCommandsTaken(t *testing.T) {
	for _, change := range []string{
		``, `"later":{"a":[1,2,{"b":null}]}`, `"origin":"x"`, `"if":{}`, `"if":{"state":"off"}`, `"args":{}`, `"args":{"deadline_s":0.5}`,
		`"args":{"deadline_s":6e2}`, `"args":{"force":false}`, `"exp":253402300799999`, `"why":""`, `"why":"Größe <&>"`, `"seq":0`,
		`"op":"outlet.energise"`, `"op":"identify","target":"rack"`, `"op":"cmd.list","target":"rack"`,
		`"op":"cmd.list","target":"rack","args":{"n":200}`, `"op":"cmd.get","target":"rack","args":{"id":"x_-9"}`,
		`"op":"cmd.cancel","target":"rack","args":{"id":"x"}`, `"op":"journal.accept","target":"rack","args":{"reason":"disk was swapped"}`,
		`"target":"rack"`, `"target":"node/gpu-1"`, `"target":"group/miners"`, `"target":"feed/f1"`, `"id":"` + strings.Repeat("x", 36) + `"`,
	} {
		payload := envelopeWith(change)
		if _, bad := DecodeCommand([]byte(payload), noon); bad != nil {
			t.Errorf("%s: %v", payload, bad)
		}
		conform(t, "open", "command", []byte(payload))
	}
}

// refusals are envelopes with one mistake, and what is said about it.
var refusals = []struct {
	change string
	code   rack.Code
	field  string
}{
	{`"v":"-"`, rack.CodeBadSchema, "v"},
	{`"v":2`, rack.CodeUnsupported, "v"},
	{`"v":0`, rack.CodeBadSchema, "v"},
	{`"v":1.0`, rack.CodeBadSchema, "v"},
	{`"v":"1"`, rack.CodeBadSchema, "v"},
	{`"op":"-"`, rack.CodeBadSchema, "op"},
	{`"op":"outlet.toggle"`, rack.CodeUnsupported, "op"},
	{`"op":"curtail"`, rack.CodeUnsupported, "op"},
	{`"op":"Outlet.Cut"`, rack.CodeBadSchema, "op"},
	{`"op":7`, rack.CodeBadSchema, "op"},
	{`"op":null`, rack.CodeBadSchema, "op"},
	{`"target":"-"`, rack.CodeBadSchema, "target"},
	{`"target":"pdu-a/3"`, rack.CodeBadSchema, "target"},
	{`"target":"outlet/pdu-a.03"`, rack.CodeBadSchema, "target"},
	{`"target":"node/#"`, rack.CodeBadSchema, "target"},
	{`"target":["rack"]`, rack.CodeBadSchema, "target"},
	{`"op":"cmd.list","target":"node/a"`, rack.CodeBadSchema, "target"},
	{`"exp":"-"`, rack.CodeBadSchema, "exp"},
	{`"exp":0`, rack.CodeBadSchema, "exp"},
	{`"exp":-5`, rack.CodeBadSchema, "exp"},
	{`"exp":1795411676000.0`, rack.CodeBadSchema, "exp"},
	{`"exp":1.795411676e12`, rack.CodeBadSchema, "exp"},
	{`"exp":"1795411676000"`, rack.CodeBadSchema, "exp"},
	{`"exp":253402300800000`, rack.CodeBadSchema, "exp"},
	{`"exp":99999999999999999999999`, rack.CodeBadSchema, "exp"},
	{`"exp":null`, rack.CodeBadSchema, "exp"},
	{`"iat":1.5`, rack.CodeBadSchema, "iat"},
	{`"iss":""`, rack.CodeBadSchema, "iss"},
	{`"iss":"uid:0"`, rack.CodeBadSchema, "iss"},
	{`"iss":"local/power-return"`, rack.CodeBadSchema, "iss"},
	{`"seq":-1`, rack.CodeBadSchema, "seq"},
	{`"seq":9007199254740992`, rack.CodeBadSchema, "seq"},
	{`"aud":""`, rack.CodeBadSchema, "aud"},
	{`"aud":["ams1/r17"]`, rack.CodeBadSchema, "aud"},
	{`"aud_boot":"a b"`, rack.CodeBadSchema, "aud_boot"},
	{`"dry":"yes"`, rack.CodeBadSchema, "dry"},
	{`"dry":null`, rack.CodeBadSchema, "dry"},
	{`"why":"a\nb"`, rack.CodeBadSchema, "why"},
	{`"why":"a\u009b31mb"`, rack.CodeBadSchema, "why"},       // C1: the start of a terminal's escape sequence
	{`"why":"cut \u202e1.a-udp"`, rack.CodeBadSchema, "why"}, // reads the other way round
	{`"why":"a\u200bb"`, rack.CodeBadSchema, "why"},
	{`"why":"a\u2028b"`, rack.CodeBadSchema, "why"},
	{`"why":"` + strings.Repeat("x", 257) + `"`, rack.CodeBadSchema, "why"},
	{`"args":null`, rack.CodeBadSchema, "args"},
	{`"args":[]`, rack.CodeBadSchema, "args"},
	{`"args":{"max_w":100}`, rack.CodeBadSchema, "args.max_w"},
	{`"args":{"Deadline_s":100}`, rack.CodeBadSchema, `args."Deadline_s"`},
	{`"args":{"off_s":10}`, rack.CodeBadSchema, "args.off_s"},
	{`"args":{"deadline_s":0}`, rack.CodeBadSchema, "args.deadline_s"},
	{`"args":{"deadline_s":86401}`, rack.CodeBadSchema, "args.deadline_s"},
	{`"args":{"deadline_s":1e999}`, rack.CodeBadSchema, "args.deadline_s"},
	{`"args":{"deadline_s":"60"}`, rack.CodeBadSchema, "args.deadline_s"},
	{`"args":{"force":1}`, rack.CodeBadSchema, "args.force"},
	{`"op":"cmd.get","target":"rack"`, rack.CodeBadSchema, "args.id"},
	{`"op":"cmd.get","target":"rack","args":{"id":"a/b"}`, rack.CodeBadSchema, "args.id"},
	{`"op":"cmd.list","target":"rack","args":{"n":0}`, rack.CodeBadSchema, "args.n"},
	{`"op":"cmd.list","target":"rack","args":{"n":201}`, rack.CodeBadSchema, "args.n"},
	{`"op":"cmd.list","target":"rack","args":{"n":5.0}`, rack.CodeBadSchema, "args.n"},
	{`"op":"journal.accept","target":"rack","args":{"reason":""}`, rack.CodeBadSchema, "args.reason"},
	{`"op":"identify","target":"rack","args":{"id":"x"}`, rack.CodeBadSchema, "args.id"},
	{`"if":[]`, rack.CodeBadSchema, "if"},
	{`"if":{"watts":100}`, rack.CodePrecondition, "if.watts"},
	{`"if":{"gen":-1}`, rack.CodeBadSchema, "if.gen"},
	{`"if":{"gen":1.5}`, rack.CodeBadSchema, "if.gen"},
	{`"if":{"state":"OFF"}`, rack.CodeBadSchema, "if.state"},
	{`"Dry":true`, rack.CodeBadSchema, `"Dry"`},
	{`"DRY":true`, rack.CodeBadSchema, `"DRY"`},
	{`"If":{"gen":1}`, rack.CodeBadSchema, `"If"`},
	{`"Aud":"ams1/r18"`, rack.CodeBadSchema, `"Aud"`},
	{`"aud_Boot":"01JD9X3M"`, rack.CodeBadSchema, `"aud_Boot"`},
	{`"Args":{"deadline_s":5}`, rack.CodeBadSchema, `"Args"`},
	{`"op":"-","Op":"outlet.cut"`, rack.CodeBadSchema, `"Op"`},
	{`"exp":"-","EXP":1795411676000`, rack.CodeBadSchema, `"EXP"`},
	{`"arg\u017f":{}`, rack.CodeBadSchema, `"arg\u017f"`},
	{`"\u0131f":{"gen":1}`, rack.CodeBadSchema, `"\u0131f"`},
}

// TestMembersInAnotherCase: each letter of each member of the envelope, in every form that folds to it, is refused
// by the decoder and by the schema alike; a member that merely begins like one is not.
func TestMembersInAnotherCase(t *testing.T) {
	forms := map[rune]string{'i': "I\u0131\u0130", 's': "S\u017f"}
	for _, member := range members() {
		for i, letter := range member {
			others := forms[letter]
			if others == "" && letter != '_' {
				others = strings.ToUpper(string(letter))
			}
			for _, other := range others {
				key := member[:i] + string(other) + member[i+1:]
				payload := envelopeWith(fmt.Sprintf("%q:1,%q:%q", key, member, "-"))
				if _, bad := DecodeCommand([]byte(payload), noon); bad == nil || bad.Code != rack.CodeBadSchema || bad.Answerable != (member != "id") {
					t.Errorf("%s: %+v", payload, bad)
				}
				if violation("open", "command", []byte(payload)) == nil {
					t.Errorf("the schema takes %s", payload)
				}
			}
		}
		longer := envelopeWith(fmt.Sprintf("%q:1", "X"+member))
		if _, bad := DecodeCommand([]byte(longer), noon); bad != nil {
			t.Errorf("%s: %v", longer, bad)
		}
		conform(t, "open", "command", []byte(longer))
	}
}

func TestCommandsRefusedUnderTheirID(t *testing.T) {
	for _, c := range refusals {
		payload := envelopeWith(c.change)
		cmd, bad := DecodeCommand([]byte(payload), noon)
		if bad == nil {
			t.Errorf("taken: %s", payload)
			continue
		}
		if bad.Code != c.code || bad.Field != c.field || !bad.Answerable || bad.ID != "c1" {
			t.Errorf("%s: %+v, want %s of %s", payload, bad, c.code, c.field)
		}
		keepable(t, cmd, payload)
		if c.field != "v" && c.field != "op" && violation("open", "command", []byte(payload)) == nil && !integral(c.change) {
			t.Errorf("the schema takes %s", payload)
		}
	}
}

// integral tells the cases that JSON Schema cannot refuse: 5.0 is an integer to it.
func integral(change string) bool {
	return strings.Contains(change, ".0") || strings.Contains(change, "e12")
}

// keepable fails unless what came with an answerable refusal can go into the journal and back.
func keepable(t failer, cmd rack.Command, payload string) {
	t.Helper()
	b, err := json.Marshal(cmd)
	if err != nil {
		t.Fatalf("%v\n%s", err, payload)
	}
	var back rack.Command
	if err := json.Unmarshal(b, &back); err != nil || back.Hash != rack.HashOf([]byte(payload)) || back.Exp.IsZero() {
		t.Fatalf("%v, %+v\n%s", err, back, payload)
	}
}

func TestCommandsThatCannotBeAnswered(t *testing.T) {
	valid := envelopeWith("")
	for _, c := range []struct {
		name, payload string
		code          rack.Code
	}{
		{"nothing", "", rack.CodeBadSchema},
		{"no JSON", "cut it", rack.CodeBadSchema},
		{"an array", "[" + valid + "]", rack.CodeBadSchema},
		{"a string", `"outlet.cut"`, rack.CodeBadSchema},
		{"two objects", valid + valid, rack.CodeBadSchema},
		{"cut short", valid[:len(valid)-1], rack.CodeBadSchema},
		{"a comment", "// x\n" + valid, rack.CodeBadSchema},
		{"not UTF-8", strings.Replace(valid, "c1", "c\xff", 1), rack.CodeBadSchema},
		{"byte order mark", "\ufeff" + valid, rack.CodeBadSchema},
		{"UTF-16", "\xff\xfe{\x00}\x00", rack.CodeBadSchema},
		{"id twice", strings.Replace(valid, `"id"`, `"id":"c2","id"`, 1), rack.CodeBadSchema},
		{"id twice, other case", strings.Replace(valid, `"id"`, `"ID":"c2","id"`, 1), rack.CodeBadSchema},
		{"twice within args", envelopeWithRaw(`"args":{"force":true,"force":false}`), rack.CodeBadSchema},
		{"twice in what is ignored", envelopeWithRaw(`"x":[{"a":1,"a":1}]`), rack.CodeBadSchema},
		{"too deep", envelopeWithRaw(`"x":[[[[[[[[0]]]]]]]]`), rack.CodeBadSchema},
		{"no id", envelopeWith(`"id":"-"`), rack.CodeBadSchema},
		{"id is a topic", envelopeWith(`"id":"../down/cmd"`), rack.CodeBadSchema},
		{"id with wildcard", envelopeWith(`"id":"a#"`), rack.CodeBadSchema},
		{"id too long", envelopeWith(`"id":"` + strings.Repeat("x", 37) + `"`), rack.CodeBadSchema},
		{"id is a number", envelopeWith(`"id":5`), rack.CodeBadSchema},
		{"8193 bytes", valid + strings.Repeat(" ", MaxCommandBytes+1-len(valid)), rack.CodeTooBig},
		{"a JWS", "eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2ln", rack.CodeBadSchema},
		{"an unsecured JWS", "eyJhbGciOiJub25lIn0.eyJ2IjoxfQ.", rack.CodeBadSchema},
	} {
		cmd, bad := DecodeCommand([]byte(c.payload), noon)
		if bad == nil || bad.Answerable || bad.ID != "" || bad.Code != c.code || cmd.ID != "" {
			t.Errorf("%s: %+v, %+v, want %s without an answer", c.name, cmd, bad, c.code)
		}
	}
	if _, bad := DecodeCommand([]byte(valid+strings.Repeat(" ", MaxCommandBytes-len(valid))), noon); bad != nil {
		t.Errorf("8192 bytes: %v", bad)
	}
	if _, bad := DecodeCommand([]byte(envelopeWithRaw(`"x":[[[[[[[0]]]]]]]`)), noon); bad != nil {
		t.Errorf("nested 8 deep: %v", bad)
	}
}

func envelopeWithRaw(member string) string {
	valid := envelopeWith("")
	return valid[:len(valid)-1] + "," + member + "}"
}

func TestRefusalsQuoteNothingUnprintable(t *testing.T) {
	for _, payload := range []string{
		envelopeWithRaw(`"args":{"a\u0007\u001b[31m":1}`), envelopeWithRaw(`"if":{"` + strings.Repeat("é", 500) + `":1}`),
		envelopeWith(`"target":"node/\u0000\u001b"`),
	} {
		_, bad := DecodeCommand([]byte(payload), noon)
		if bad == nil || len(bad.Text) > 200 || strings.ContainsFunc(bad.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%+v", bad)
		}
	}
}

// command draws any valid command.
func command(t *rapid.T) string {
	ms := rapid.Int64Range(1, maxMillis)
	m := map[string]any{
		"v": 1, "id": rapid.StringMatching(`[A-Za-z0-9_-]{1,36}`).Draw(t, "id"), "exp": ms.Draw(t, "exp"), "target": drawTarget(t).String(),
	}
	op := rapid.SampledFrom(Verbs()).Draw(t, "op")
	m["op"] = op
	shape, _ := formOf(op)
	if shape.rackOnly {
		m["target"] = "rack"
	}
	args := map[string]any{}
	if op == rack.OpLimit {
		args["limit_w"] = rapid.Float64Range(1, maxLimitW).Draw(t, "limit_w")
		shape.args = nil
	}
	for _, a := range shape.args {
		if len(shape.needs) == 0 && rapid.Bool().Draw(t, "skip "+a) {
			continue
		}
		switch a {
		case "id":
			args[a] = rapid.StringMatching(`[A-Za-z0-9_-]{1,36}`).Draw(t, a)
		case "n":
			args[a] = rapid.IntRange(1, MaxListed).Draw(t, a)
		case "outlet":
			args[a] = "cut"
		case "force", "now":
			args[a] = rapid.Bool().Draw(t, a)
		case "sha256":
			args[a] = rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, a)
		case "reason":
			args[a] = rapid.StringMatching(`[ -~]{1,80}`).Draw(t, a)
		default:
			args[a] = rapid.Float64Range(1e-3, maxDuration).Draw(t, a)
		}
	}
	if len(args) > 0 || rapid.Bool().Draw(t, "args") {
		m["args"] = args
	}
	optional := map[string]func() any{
		"iss":      func() any { return rapid.StringMatching(`[a-z][A-Za-z0-9._@-]{0,20}`).Draw(t, "iss") },
		"iat":      func() any { return ms.Draw(t, "iat") },
		"seq":      func() any { return rapid.Int64Range(0, maxSafe).Draw(t, "seq") },
		"aud":      func() any { return rapid.StringMatching(`[a-z0-9-]{1,23}/[a-z0-9-]{1,23}`).Draw(t, "aud") },
		"aud_boot": func() any { return rapid.StringMatching(`[A-Z0-9]{8,26}`).Draw(t, "aud_boot") },
		"dry":      func() any { return rapid.Bool().Draw(t, "dry") },
		"parent": func() any {
			return map[string]any{"command": rapid.StringMatching(`[A-Za-z0-9_-]{1,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}`).Draw(t, "parent")}
		},
		"break_glass": func() any { return rapid.Bool().Draw(t, "break_glass") },
		"why":         func() any { return rapid.StringMatching(`[ -~]{0,80}`).Draw(t, "why") },
		"if":          func() any { return map[string]any{"gen": rapid.Int64Range(0, maxSafe).Draw(t, "gen")} },
		"x":           func() any { return []any{1.5, nil, map[string]any{"y": true}} },
	}
	for _, key := range slices.Sorted(maps.Keys(optional)) {
		if rapid.Bool().Draw(t, "with "+key) {
			m[key] = optional[key]()
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnyValidCommandIsTakenAndMatchesTheSchema(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := command(t)
		cmd, bad := DecodeCommand([]byte(payload), noon)
		if bad != nil {
			t.Fatalf("%v\n%s", bad, payload)
		}
		keepable(t, cmd, payload)
		conform(t, "open", "command", []byte(payload))
	})
}

func TestWhatTheDecoderTakesTheSchemaTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(command(t))
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.SampledFrom([]byte(`0123456789-."{}[]:,aeEntrfusl_ /`)).Draw(t, "byte")
		}
		if _, bad := DecodeCommand(b, noon); bad == nil {
			conform(t, "open", "command", b)
		}
	})
}

func TestEveryVerbHasAForm(t *testing.T) {
	for _, op := range Verbs() {
		if _, ok := formOf(op); !ok {
			t.Errorf("%s has no form", op)
		}
	}
}

func ExampleDecodeCommand() {
	cmd, bad := DecodeCommand([]byte(`{"v":1,"id":"01JD9XB7","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1795411676000}`), time.Now())
	fmt.Println(cmd.Op, cmd.Target, bad == nil)
	_, bad = DecodeCommand([]byte(`{"v":1,"id":"01JD9XB8","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1795411676000,"args":{"ramp_s":3}}`), time.Now())
	fmt.Println(bad, bad.Answerable)
	// Output:
	// outlet.cut outlet/pdu-a.3 true
	// bad_schema: args.ramp_s: is not an argument of this verb true
}
