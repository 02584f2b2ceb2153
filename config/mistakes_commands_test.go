package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// keyed puts keys, users and roles into the small configuration.
func keyed(text string) string {
	return strings.ReplaceAll(text, "|", "\n")
}

const aKey = `{kid: a-1, issuer: alice, role: operator, public: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}`

func TestMistakesInCommands(t *testing.T) {
	const commands = "commands: {unsigned: false}"
	judge(t, []mistake{
		{"two keys of one issuer", commands, keyed(`commands:|  keys:|    - ` + aKey + `|    - {kid: a-2, issuer: alice, role: operator, public: PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw}`), ``},
		{
			"everything missing", commands, keyed(`commands:|  keys:|    - {revoked: true}`),
			`c.yaml:9:7: commands.keys[0].issuer: this key is missing
c.yaml:9:7: commands.keys[0].kid: this key is missing
c.yaml:9:7: commands.keys[0].public: this key is missing
c.yaml:9:7: commands.keys[0].role: this key is missing`,
		},
		{
			"a private key's length", commands, keyed(`commands:|  keys:|    - {kid: a-1, issuer: alice, role: operator, public: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}`),
			`c.yaml:9:57: commands.keys[0].public: not an Ed25519 public key: 43 characters of base64url (rackagent keys show FILE prints it)`,
		},
		{
			"kid and key twice", commands, keyed(`commands:|  keys:|    - ` + aKey + `|    - ` + strings.Replace(aKey, "alice", "bob", 1)),
			`c.yaml:10:13: commands.keys[1].kid: "a-1" is also the kid of commands.keys[0] on line 9
c.yaml:10:55: commands.keys[1].public: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcH…" is also the key of commands.keys[0] on line 9`,
		},
		{
			"names that are none", commands, keyed(`commands:|  keys:|    - {kid: "a 1", issuer: local/power-return, role: king, public: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}`),
			`c.yaml:9:13: commands.keys[0].kid: not 1 to 64 of the characters A-Z a-z 0-9 . _ @ / -
c.yaml:9:28: commands.keys[0].issuer: names that begin with local/ are the agent's own
c.yaml:9:54: commands.keys[0].role: no role is named "king" (roles: operator, approver, automation, grid, read-only)`,
		},
		{
			"agents", commands, keyed(`commands:|  agents:|    - {agent: r17, kid: ams1/r17, node: gpu-9, public: PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw}|    - {agent: ctl, kid: a-1, public: x}`),
			`c.yaml:9:15: commands.agents[0].agent: this agent passes nothing on to itself
c.yaml:10:7: commands.agents[1].node: this key is missing
c.yaml:10:38: commands.agents[1].public: not an Ed25519 public key: 43 characters of base64url (rackagent keys show FILE prints it)`,
		},
		{
			"users", commands, keyed(`commands:|  users:|    - {uid: 65534, issuer: alice, role: operator}|    - {uid: -1, issuer: alice, role: operator}|    - {uid: 0, issuer: root, role: operator}|    - {uid: 0, issuer: "", role: operator}|    - {issuer: alice, role: operator}`),
			`c.yaml:9:13: commands.users[0].uid: 65534 is nobody's uid
c.yaml:10:13: commands.users[1].uid: -1 is nobody's uid
c.yaml:12:13: commands.users[3].uid: 0 is also the uid of commands.users[2] on line 11
c.yaml:12:24: commands.users[3].issuer: not 1 to 64 of the characters A-Z a-z 0-9 . _ @ / -
c.yaml:13:7: commands.users[4].uid: this key is missing`,
		},
		{
			"roles", commands, keyed(`commands:|  roles:|    - {name: grid, verbs: []}|    - {name: x, verbs: [outlet.off], targets: [asic-1, node/asic-1], life_s: 900, adds_per_s: 0}`),
			`c.yaml:9:27: commands.roles[0].verbs: a role without a verb allows nothing: leave it out
c.yaml:10:25: commands.roles[1].verbs[0]: "outlet.off" is not a verb (verbs: shutdown, start, sleep, wake, limit, release, outlet.energise, outlet.cut, outlet.cycle, drain, undrain, curtail, restore, switch, approve, lock, unlock, identify, cmd.get, cmd.list, cmd.cancel, journal.accept)
c.yaml:10:48: commands.roles[1].targets[0]: "asic-1" is not a target (write node/NAME, outlet/PDU.N, group/NAME, feed/NAME or rack)
c.yaml:10:78: commands.roles[1].life_s: 900 is outside 0 to 600 s
c.yaml:10:95: commands.roles[1].adds_per_s: 0 is outside 0.01 to 10`,
		},
		{
			"unsigned beside keys", commands, keyed(`commands:|  unsigned: true|  keys:|    - ` + aKey),
			`c.yaml:8:13: warning: commands.unsigned: unsigned commands are taken beside signed ones: whoever may publish may command (turn it off once every sender signs)`,
		},
	})
}

// TestTheFilesRoleStandsInPlaceOfTheDefault: a site can narrow a role that need not be written.
func TestTheFilesRoleStandsInPlaceOfTheDefault(t *testing.T) {
	c, findings := Parse("c.yaml", []byte(strings.Replace(small, "commands: {unsigned: false}", keyed(`commands:|  roles:|    - {name: operator, verbs: [cmd.get]}`), 1)))
	if len(findings) > 0 {
		t.Fatal(lines(findings))
	}
	var operators int
	for _, r := range c.Commands.AllRoles() {
		if r.Name == "operator" {
			operators++
			if len(r.Verbs) != 1 || r.Firm || r.AddsPerS != 1 {
				t.Errorf("%+v", r)
			}
		}
	}
	if operators != 1 || len(c.Commands.AllRoles()) != 5 {
		t.Errorf("%+v", c.Commands.AllRoles())
	}
}

// TestKeysThatAreNobodys: under a point of low order a signature verifies that no private key made: R = the identity,
// S = 0. Each such key is refused, with either sign of x.
func TestKeysThatAreNobodys(t *testing.T) {
	forged := append([]byte{1}, make([]byte, 63)...)
	taken := 0
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			for n := range 64 { // one in at most eight texts verifies
				if ed25519.Verify(key, fmt.Appendf(nil, "text %d", n), forged) {
					taken++
					break
				}
			}
			if (Key{Public: base64.RawURLEncoding.EncodeToString(key)}).PublicKey() != nil {
				t.Errorf("%x is taken for a key", key)
			}
		}
	}
	if taken == 0 {
		t.Error("no forgery verified: the test shows nothing")
	}
	if (Key{Public: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}).PublicKey() == nil {
		t.Error("a good key is refused")
	}
}
