package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	golden(t, "version", typed(t, "version"))
	s := typed(t, "version", "--json")
	var v versionFound
	if err := json.Unmarshal([]byte(s.out), &v); err != nil || s.status != exitOK {
		t.Fatal(s, err)
	}
	if v.Go == "" || !strings.HasPrefix(v.Digest, "sha256:") || v.Platform == "" {
		t.Errorf("%+v", v)
	}
}

func TestWhatIsTypedWrongly(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "expected one of",
		"frob":                           "unexpected argument frob",
		"status --jsn":                   "unknown flag --jsn",
		"command outlet.cut":             `expected "<target>"`,
		"journal-accept":                 "missing flags: --reason",
		"list --n many":                  "--n",
		"why":                            `expected "<id>"`,
		"approve":                        `expected "<id>"`,
		"keys new x --kid a":             "--issuer",
		"command outlet.cut x --sign k":  "unknown flag --sign",
		"command outlet.cut x --ttl 1":   "--ttl",
		"command outlet.cut x --arg off": "--arg",
	} {
		s := typed(t, strings.Fields(args)...)
		if s.status != exitUsage || !strings.Contains(s.err, want) || !strings.Contains(s.err, "rackagent --help") || s.out != "" {
			t.Errorf("%q: status %d, %q, %q", args, s.status, s.out, s.err)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"command", "--help"}, {"run", "-h"}, {"keys", "new", "-h"}, {"why", "-h"}, {"approve", "-h"}} {
		s := typed(t, args...)
		if s.status != exitOK || !strings.HasPrefix(s.out, "Usage: rackagent") || s.err != "" {
			t.Errorf("%v: status %d, %q, %q", args, s.status, s.out, s.err)
		}
	}
}

// Where a command goes is judged before anything is sent.
func TestCommandGoesNowhere(t *testing.T) {
	secret := t.TempDir() + "/password"
	write(t, secret, "hunter2")
	cut := []string{"command", "outlet.cut", "outlet/pdu-a.3", "--config", "/nowhere/config.yaml"}
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no configuration":      {nil, exitUsage, "no such file"},
		"no site":               {[]string{"--broker", "mqtt://127.0.0.1:1"}, exitUsage, "no such file"},
		"bad name":              {[]string{"--broker", "mqtt://127.0.0.1:1", "--site", "AMS", "--agent", "r1"}, exitUsage, "site"},
		"no broker":             {[]string{"--broker", "mqtt://127.0.0.1:1", "--site", "ams", "--agent", "r1"}, exitOther, "nothing was sent"},
		"password in the clear": {[]string{"--broker", "mqtt://10.1.2.3:1883", "--site", "ams", "--agent", "r1", "--user", "x", "--password-file", secret}, exitUsage, "in the clear"},
		"user in the address":   {[]string{"--broker", "mqtts://x:hunter2@ams:8883", "--site", "ams", "--agent", "r1"}, exitUsage, "password_file"},
	} {
		s := typed(t, append(cut, c.args...)...)
		if s.status != c.status || !strings.Contains(s.err, c.want) {
			t.Errorf("%s: status %d\n%s%s", name, s.status, s.out, s.err)
		}
		if strings.Contains(s.out+s.err, "hunter2") {
			t.Errorf("%s: the password was printed:\n%s", name, s.err)
		}
	}
}
