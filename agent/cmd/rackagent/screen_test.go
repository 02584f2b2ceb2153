package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"rackagent/agent/rack"
)

// TestNothingReachesATerminalThatItWouldObey, whichever way it is written.
func TestNothingReachesATerminalThatItWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"as it is: Größe <&> 1\n\t2":   "as it is: Größe <&> 1\n\t2",
		"\x1b[2J\a\r":                  `\u001b[2J\u0007\u000d`,
		"\u009b31m":                    `\u009b31m`,
		"\xc3\x9b31m \xff\x9b":         "Û31m \ufffd\ufffd",
		"\u202e1.a-udp\u2066":          `\u202e1.a-udp\u2066`,
		"\u200b\ufeff\u2028\U000e0041": `\u200b\ufeff\u2028\udb40\udc41`,
	} {
		var out bytes.Buffer
		n, err := screen{&out}.Write([]byte(in))
		if n != len(in) || err != nil || out.String() != want {
			t.Errorf("%q: %q, want %q; %d, %v", in, out.String(), want, n, err)
		}
	}
}

// TestWhatIsTypedIsShownPlainly: the program's own complaint about an argument quotes it.
func TestWhatIsTypedIsShownPlainly(t *testing.T) {
	var out bytes.Buffer
	execute(context.Background(), []string{"why", "a\x1b[2J\u202eb"}, outside{out: &out, err: &out})
	if out.Len() == 0 || bytes.ContainsAny(out.Bytes(), "\x1b\u202e") {
		t.Errorf("%q", out.Bytes())
	}
}

// FuzzScreen: nothing hidden comes through but line ends and tabs, and JSON stays what it was.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("a\u009b\u202e\xff\n"))
	f.Add([]byte("\U000e0041\x7f"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		if n, err := (screen{&out}).Write(in); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
		if !utf8.Valid(out.Bytes()) || bytes.ContainsFunc(out.Bytes(), func(r rune) bool { return r != '\n' && r != '\t' && rack.Hidden(r) }) {
			t.Fatalf("%q", out.Bytes())
		}
		text, err := json.Marshal(string(in))
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		var back, was string
		if _, err := (screen{&out}).Write(text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != was {
			t.Fatalf("%q, want %q: %v", back, was, err)
		}
	})
}
