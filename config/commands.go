package config

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"time"
)

// Commands says which commands are taken, and of whom.
type Commands struct {
	Unsigned bool  `yaml:"unsigned"` // take unsigned commands; they never move a firm node
	Keys     []Key `yaml:"keys,omitempty"`
	// KeyFile is the agent's own key, which signs what it passes on to other agents; a path, or credential:NAME.
	KeyFile string `yaml:"key_file,omitempty"`
	Agents  []Peer `yaml:"agents,omitempty"`
	Users   []User `yaml:"users,omitempty"`
	Roles   []Role `yaml:"roles,omitempty"` // of the file; AllRoles has the others too
}

// AllRoles are the roles of the file, and after them those that it need not name.
func (c Commands) AllRoles() []Role {
	all := slices.Clone(c.Roles)
	for _, r := range roles() {
		if !slices.ContainsFunc(c.Roles, func(own Role) bool { return own.Name == r.Name }) {
			all = append(all, r)
		}
	}
	return all
}

// Key is a public key whose commands are taken. Private keys stand in no configuration.
type Key struct {
	KID     string `yaml:"kid"`
	Issuer  string `yaml:"issuer"` // the person or program; may have several keys
	Role    string `yaml:"role"`
	Public  string `yaml:"public"` // Ed25519, base64url without padding: x of a JWK (RFC 8037 section 2)
	Revoked bool   `yaml:"revoked,omitempty"`
}

// PublicKey is Public as bytes; nil if it is not one.
func (k Key) PublicKey() []byte { return publicKey(k.Public) }

// PublicKey is Public as bytes; nil if it is not one.
func (p Peer) PublicKey() []byte { return publicKey(p.Public) }

func publicKey(text string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != publicKeyBytes || lowOrder(b) {
		return nil
	}
	return b
}

// lowOrder tells a point whose order divides 8, in any of its encodings: under such a "key" signatures of nobody verify.
// These seven values of y are all there are; the highest bit is the sign of x and does not count.
func lowOrder(key []byte) bool {
	k := slices.Clone(key)
	k[31] &= 0x7f
	points := [][]byte{
		lowPoint(0x00, 0x00, 0x00), // y = 0, order 4
		lowPoint(0x01, 0x00, 0x00), // y = 1, order 1
		lowPoint(0xec, 0xff, 0x7f), // y = p - 1, order 2
		lowPoint(0xed, 0xff, 0x7f), // y = p, that is 0
		lowPoint(0xee, 0xff, 0x7f), // y = p + 1, that is 1
		mustHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), // order 8
		mustHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), // order 8
	}
	return slices.ContainsFunc(points, func(p []byte) bool { return slices.Equal(p, k) })
}

// lowPoint is an encoding with a first, a last and 30 equal bytes between.
func lowPoint(first, middle, last byte) []byte {
	p := make([]byte, publicKeyBytes)
	for i := range p {
		p[i] = middle
	}
	p[0], p[31] = first, last
	return p
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return b
}

const publicKeyBytes = 32 // Ed25519

// Peer is another agent that passes on commands of persons: the controller whose node this agent is.
type Peer struct {
	Agent  string `yaml:"agent"`  // of this site; its issuer is SITE/AGENT
	KID    string `yaml:"kid"`    // usually SITE/AGENT too
	Public string `yaml:"public"` // as in Key
	Node   string `yaml:"node"`   // what that agent calls this one
}

// User is who stands behind a uid of the local socket.
type User struct {
	UID    int64  `yaml:"uid"`
	Issuer string `yaml:"issuer"` // of the person's keys too: one who has both is one person
	Role   string `yaml:"role"`
}

// Role is what an issuer may do.
type Role struct {
	Name     string   `yaml:"name"`
	Verbs    []string `yaml:"verbs"`
	Targets  []string `yaml:"targets,omitempty"` // node/NAME, outlet/PDU.N, group/NAME, feed/NAME; none: every target
	Firm     bool     `yaml:"firm"`              // may name firm nodes and their outlets
	LifeS    float64  `yaml:"life_s"`            // of a command, at most; 0: what the contract allows
	AddsPerS float64  `yaml:"adds_per_s"`        // commands that add power, per issuer, on average
}

// Life is LifeS as a duration.
func (r Role) Life() time.Duration { return seconds(r.LifeS) }

// roles are what a site gets that writes none. Nobody may approve and command under one role: a site that wants that
// says so.
func roles() []Role {
	reading := []string{"cmd.get", "cmd.list"}
	nodes := []string{
		"shutdown", "start", "sleep", "wake", "limit", "release", "outlet.energise", "outlet.cut", "outlet.cycle", "curtail", "restore",
		"identify", "cmd.cancel",
	}
	// 1 command per second that adds power: reference mqtt 7.4.
	return []Role{
		{Name: "operator", Verbs: slices.Concat(nodes, []string{"drain", "undrain", "switch", "lock", "unlock", "journal.accept"}, reading), Firm: true, AddsPerS: 1},
		{Name: "approver", Verbs: slices.Concat([]string{"approve", "identify"}, reading), Firm: true, AddsPerS: 1},
		{Name: "automation", Verbs: slices.Concat(nodes, reading), AddsPerS: 1},
		{Name: "grid", Verbs: slices.Concat([]string{"curtail", "restore"}, reading), AddsPerS: 1},
		{Name: "read-only", Verbs: reading, AddsPerS: 1},
	}
}

// verbs are those of the contract.
func verbs() []string {
	return []string{
		"shutdown", "start", "sleep", "wake", "limit", "release", "outlet.energise", "outlet.cut", "outlet.cycle", "drain", "undrain",
		"curtail", "restore", "switch", "approve", "lock", "unlock", "identify", "cmd.get", "cmd.list", "cmd.cancel", "journal.accept",
	}
}

// completeRoles fills in what the file leaves out of the roles that it names.
func (c *Config) completeRoles(preset Preset, has func(path string) bool) {
	for i := range c.Commands.Roles {
		if !has(index("commands.roles", i) + ".adds_per_s") {
			c.Commands.Roles[i].AddsPerS = preset.Role.AddsPerS
		}
	}
}

var (
	// kidRule and issuerRule are the forms that agent/wire reads. No issuer begins with local/: those are the agent's own.
	kidRule    = regexp.MustCompile(`^[A-Za-z0-9._@/-]{1,64}$`)
	targetRule = regexp.MustCompile(`^(rack|(node|group|feed)/[a-z0-9-]{1,23}|outlet/[a-z0-9-]{1,23}\.[1-9][0-9]?)$`)
)

// localPrefix begins the names of the agent's own commands.
const localPrefix = "local/"

// nobody is the uid of a peer without a name in its user namespace (user_namespaces(7)).
const nobody = 65534

// commands judges who may command.
func (k *checker) commands() {
	k.credential("commands.key_file", k.c.Commands.KeyFile)
	k.commandKeys()
	k.users()
	k.roles()
	if k.c.Commands.Unsigned && len(k.c.Commands.Keys) > 0 {
		k.warnf("commands.unsigned", "turn it off once every sender signs", "unsigned commands are taken beside signed ones: whoever may publish may command")
	}
}

func (k *checker) commandKeys() {
	kids, publics := map[string]string{}, map[string]string{}
	for i, key := range k.c.Commands.Keys {
		at := index("commands.keys", i)
		k.key(at, key.KID, key.Public, kids, publics)
		k.issuer(at+".issuer", key.Issuer)
		k.role(at+".role", key.Role)
	}
	for i, peer := range k.c.Commands.Agents {
		at := index("commands.agents", i)
		k.name(at+".agent", peer.Agent)
		k.name(at+".node", peer.Node)
		k.key(at, peer.KID, peer.Public, kids, publics)
		if peer.Agent != "" && peer.Agent == k.c.Agent {
			k.errorf(at+".agent", "", "this agent passes nothing on to itself")
		}
	}
}

// key judges a public key and its name. One key with two names would be one person with two voices.
func (k *checker) key(at, kid, public string, kids, publics map[string]string) {
	if k.given(at+".kid", kid == "") && !kidRule.MatchString(kid) {
		k.errorf(at+".kid", "", "not 1 to 64 of the characters A-Z a-z 0-9 . _ @ / -")
	}
	k.unique(kids, at+".kid", kid, "kid")
	if k.given(at+".public", public == "") && publicKey(public) == nil {
		k.errorf(at+".public", "rackagent keys show FILE prints it", "not an Ed25519 public key: 43 characters of base64url")
	}
	k.unique(publics, at+".public", public, "key")
}

func (k *checker) users() {
	uids := map[int64]string{}
	for i, u := range k.c.Commands.Users {
		at := index("commands.users", i)
		if k.given(at+".uid", u.UID == 0) {
			if u.UID < 0 || u.UID > 1<<32-2 || u.UID == nobody {
				k.errorf(at+".uid", "", "%d is nobody's uid", u.UID)
			}
			if first, twice := uids[u.UID]; twice {
				k.errorf(at+".uid", "", "%d is also the uid of %s", u.UID, k.mention(first))
			}
			uids[u.UID] = at
		}
		k.issuer(at+".issuer", u.Issuer)
		k.role(at+".role", u.Role)
	}
}

func (k *checker) issuer(at, name string) {
	switch {
	case !k.given(at, name == ""):
	case !kidRule.MatchString(name):
		k.errorf(at, "", "not 1 to 64 of the characters A-Z a-z 0-9 . _ @ / -")
	case len(name) >= len(localPrefix) && name[:len(localPrefix)] == localPrefix:
		k.errorf(at, "", "names that begin with %s are the agent's own", localPrefix)
	}
}

func (k *checker) role(at, name string) {
	if !k.given(at, name == "") {
		return
	}
	var names []string
	for _, r := range k.c.Commands.AllRoles() {
		names = append(names, r.Name)
	}
	if !slices.Contains(names, name) {
		k.errorf(at, k.known("roles", names), "no role is named %s", quote(name))
	}
}

func (k *checker) roles() {
	names := map[string]string{}
	for i, r := range k.c.Commands.Roles {
		at := index("commands.roles", i)
		k.name(at+".name", r.Name)
		k.unique(names, at+".name", r.Name, "name")
		if k.given(at+".verbs", len(r.Verbs) == 0) && len(r.Verbs) == 0 {
			k.errorf(at+".verbs", "", "a role without a verb allows nothing: leave it out")
		}
		for j, v := range r.Verbs {
			if path := index(at+".verbs", j); !k.src.isBroken(path) && !slices.Contains(verbs(), v) {
				k.errorf(path, k.known("verbs", verbs()), "%s is not a verb", quote(v))
			}
		}
		for j, t := range r.Targets {
			if path := index(at+".targets", j); !k.src.isBroken(path) && !targetRule.MatchString(t) {
				k.errorf(path, "write node/NAME, outlet/PDU.N, group/NAME, feed/NAME or rack", "%s is not a target", quote(t))
			}
		}
		k.span(at+".life_s", r.LifeS, 0, 600, " s")        // the longest life of the contract
		k.span(at+".adds_per_s", r.AddsPerS, 0.01, 10, "") // the desk takes 10 commands per second in all
	}
}
