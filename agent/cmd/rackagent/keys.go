package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
	"rackagent/config"
)

type keysCmd struct {
	New  keysNewCmd  `cmd:"" help:"Make a key that signs commands, and print what the configuration needs of it."`
	Show keysShowCmd `cmd:"" help:"Print what the configuration needs of a key."`
}

// Help is shown by rackagent keys --help.
func (keysCmd) Help() string {
	return `A key is one file in JWK form (RFC 8037, Ed25519). The private half never leaves it; the agents' configurations hold the public one, with the role that their owner grants.`
}

type keysNewCmd struct {
	KID    string `name:"kid" help:"What the key is called, for example alice-2026: 1 to 64 letters, digits and . _ @ / -. No other key of the site has that name." required:"" placeholder:"NAME"`
	Issuer string `help:"Who signs with it: a person or a program. Its next key gets the same issuer and another kid." required:"" placeholder:"NAME"`
	Role   string `help:"The role that is printed." default:"operator" placeholder:"NAME"`
	Node   string `help:"The key is an agent's, its issuer SITE/AGENT: print it for the GPU server that this agent calls NAME." placeholder:"NAME"`
	File   string `arg:"" help:"The file to make, with mode 0600. One that exists is left as it is." type:"path"`
}

// Run makes the key's file first: what is printed is on disk.
func (c keysNewCmd) Run(a *app) error {
	if err := agentIssuer(c.Node, c.Issuer); err != nil {
		return err
	}
	k, err := wire.NewKey(c.KID, c.Issuer, rand.Reader)
	if err != nil {
		return &failure{err: err, status: exitUsage}
	}
	if err := makeFile(c.File, k.Reveal()); err != nil {
		f := &failure{err: err, status: exitOther}
		if errors.Is(err, fs.ErrExist) {
			f.hint, f.status = "a key is never overwritten; name another file", exitUsage
		}
		return f
	}
	a.printf("# %s holds the private half: it stays where it is, and is for nobody else's eyes.\n", c.File)
	printKey(a, k, c.Role, c.Node)
	return nil
}

// makeFile makes a file that only its owner may read, whole or not at all, and never takes the place of another.
func makeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

type keysShowCmd struct {
	Role string `help:"The role that is printed." default:"operator" placeholder:"NAME"`
	Node string `help:"The key is an agent's, its issuer SITE/AGENT: print it for the GPU server that this agent calls NAME." placeholder:"NAME"`
	File string `arg:"" help:"A private or a public key." type:"path"`
}

// Run reads the file as anybody's first: a public key may be readable for all.
func (c keysShowCmd) Run(a *app) error {
	k, err := publicKey(c.File)
	if err == nil && k.HasPrivate() {
		k, err = signingKey(c.File)
	}
	if err != nil {
		return keyFailure(c.File, err)
	}
	if err := agentIssuer(c.Node, k.Issuer); err != nil {
		return err
	}
	printKey(a, k, c.Role, c.Node)
	return nil
}

// maxKeyFile is more than any key file has; the rest is not read. Arbitrary.
const maxKeyFile = 64 << 10

// publicKey reads a key of which only the public half matters.
func publicKey(file string) (wire.Key, error) {
	f, err := os.Open(file)
	if err != nil {
		return wire.Key{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return wire.Key{}, err
	}
	return wire.DecodeKey(b)
}

// signingKey reads a private key, which nobody but its owner may be able to read.
func signingKey(file string) (wire.Key, error) {
	s, err := config.ReadPersonal(file)
	if err != nil {
		return wire.Key{}, err
	}
	k, err := wire.DecodeKey([]byte(s.Reveal()))
	if err == nil && !k.HasPrivate() {
		err = wire.ErrNoPrivate
	}
	return k, err
}

// keyFailure names the file, which only some errors do, and says what to type.
func keyFailure(file string, err error) error {
	f := &failure{err: err, status: exitUsage}
	switch {
	case errors.Is(err, wire.ErrKey):
		f.err, f.hint = fmt.Errorf("%s: %w", file, err), "rackagent keys new makes one; the key of a TLS certificate is another thing: --tls-key"
	case errors.Is(err, wire.ErrNoPrivate):
		f.err, f.hint = fmt.Errorf("%s: %w", file, err), "a public key only verifies; sign with the file that keys new has made"
	}
	return f
}

// agentIssuer holds the key that is printed for a node to be an agent's.
func agentIssuer(node, issuer string) error {
	site, name, _ := strings.Cut(issuer, "/")
	if node == "" || rack.ValidName(site) && rack.ValidName(name) {
		return nil
	}
	return &failure{err: fmt.Errorf("issuer %q: an agent's key has the issuer SITE/AGENT", issuer), status: exitUsage}
}

// printKey prints lines of the configuration, for the agents that take its commands, or for the node that an agent's key is
// for. All texts are quoted: a kid may look like a number or begin with @.
func printKey(a *app, k wire.Key, role, node string) {
	if node != "" {
		_, name, _ := strings.Cut(k.Issuer, "/")
		a.printf("commands:\n  agents:\n    - agent: %q\n      kid: %q\n      public: %q\n      node: %q\n", name, k.ID, k.X(), node)
		return
	}
	unknown := ""
	if k.Issuer == "" {
		unknown = "   # the file does not say who signs with it (iss)"
	}
	a.printf("commands:\n  keys:\n    - kid: %q\n      issuer: %q%s\n      role: %q\n      public: %q\n", k.ID, k.Issuer, unknown, role, k.X())
}
