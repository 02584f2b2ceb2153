package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rackagent/agent/link"
	"rackagent/agent/wire"
	"rackagent/config"
)

type commandCmd struct {
	Op     string `arg:"" help:"What to do: outlet.cut, outlet.energise, outlet.cycle, shutdown, start, sleep, wake, limit, release, identify, cmd.get, cmd.list, cmd.cancel, lock, unlock."`
	Target string `arg:"" help:"On what: outlet/PDU.N, node/NAME, group/NAME, feed/NAME or rack; rack for the verbs that begin with cmd."`

	Arg  map[string]string `help:"An argument of the verb; may be repeated. For example off_s=60, deadline_s=30, id=COMMAND." placeholder:"KEY=VALUE" mapsep:"none"`
	ID   string            `help:"The command's identity: sent twice, it is done once. Default: a random one."`
	Dry  bool              `help:"Only show the plan, with what each level of the feed would carry."`
	TTL  time.Duration     `name:"ttl" help:"How long the command may wait for its first step; the agent allows 300 s." default:"60s"`
	Why  string            `help:"A reason for people who read the journal." placeholder:"TEXT"`
	Boot string            `name:"aud-boot" help:"Only this boot of the agent may take the command. Default: none, or, if the agent says that its clock is not synchronised, the boot that it names." placeholder:"BOOT"`
	Key  string            `help:"Sign with the key in this file; rackagent keys new makes one. Without it the command is unsigned: taken only where commands.unsigned says so, and never for a GPU server." type:"path" placeholder:"FILE"`
	JSON bool              `help:"Print each state as it came, one JSON object a line."`

	Local      bool   `help:"Send it through the agent's local socket on this machine: no broker is needed, and your user id is your name there."`
	Socket     string `help:"With --local: the agent's local socket. Default: the configuration's." placeholder:"PATH"`
	BreakGlass bool   `name:"break-glass" help:"With --local and --why: do without the second person's approval. It stands in for the approver and for no proof, and is told to everybody."`

	loginFlags
}

// Help is shown by rackagent command --help.
func (commandCmd) Help() string {
	return `Sends the command as any operator's program would, says each state as it comes, and ends with the command.

With --local it goes to the agent of this machine through its socket, whether there is a broker or not, past the same checks. The agent knows who you are by your user id: commands.users of its configuration says which issuer and role that is, and without an entry you may only read. Ctrl-C does not cancel the command.

With --key the command carries who signed it, when, and a number: the time in ms at the moment of sending. An agent takes each number of an issuer once and only above those before, so that a copy or a late arrival has no effect: of two commands of one person the one sent first must arrive first, and a machine whose clock is behind another one's of the same person is refused (replay) until it has caught up.

An agent whose clock is not synchronised takes commands for its present boot alone and judges --ttl by its own clock. Its state and telemetry tell both, which takes up to 8 s. Without telemetry --ttl counts from the agent's newest connection to the broker, so that a longer one may be needed.

Exit status: 0 succeeded, 3 rejected (nothing was done), 4 failed, partial, unknown, cancelled or expired, 1 a mistake in what was typed, 2 no word from the agent or no broker.`
}

// Run sends the command and follows it.
func (c commandCmd) Run(ctx context.Context, a *app) error {
	if c.Local {
		return c.local(ctx, a)
	}
	if c.BreakGlass || c.Socket != "" {
		return &failure{err: errors.New("--break-glass and --socket go with --local alone"), status: exitUsage}
	}
	m, err := c.session(a)
	if err != nil {
		return err
	}
	key, err := c.signer()
	if err != nil {
		return err
	}
	o := order{
		key: key, sent: time.Now(), id: cmp.Or(c.ID, newID()), op: c.Op, target: c.Target, site: m.site, agent: m.agent, args: c.Arg, ttl: c.TTL, dry: c.Dry, why: c.Why, audBoot: c.Boot,
	}
	if _, err := o.encode(time.Now()); err != nil {
		return slip(err)
	}
	return m.send(ctx, o, c.teller(a, o))
}

// slip is a mistake in what was typed.
func slip(err error) error {
	return &failure{err: err, hint: "for example: rackagent command outlet.cut outlet/pdu-a.3", status: exitUsage}
}

// teller shows what comes, and first of all, to a person, what is sent.
func (c commandCmd) teller(a *app, o order) teller {
	if c.JSON {
		return &rawTeller{app: a}
	}
	a.printf("%s\n", o)
	return &wordTeller{app: a}
}

// signer is the key to sign with; none: the command goes unsigned.
func (c commandCmd) signer() (wire.Key, error) {
	if c.Key == "" {
		return wire.Key{}, nil
	}
	k, err := signingKey(c.Key)
	switch {
	case err != nil:
		return wire.Key{}, keyFailure(c.Key, err)
	case k.Issuer == "":
		return wire.Key{}, &failure{err: fmt.Errorf("%s: it does not say who signs with it", c.Key), hint: `add "iss":"NAME" to the file, with the issuer of the key in the agents' configurations`, status: exitUsage}
	}
	return k, nil
}

// session is where the command goes and how to log in there.
type session struct {
	site, agent string
	mqtt        config.MQTT
}

// loginFlags say where the broker is and who logs in there.
type loginFlags struct {
	Broker       string `help:"The broker, mqtts://HOST:PORT. Together with --site and --agent no configuration is read." placeholder:"URL"`
	Site         string `help:"The site. Default: the configuration's." placeholder:"NAME"`
	Agent        string `help:"The agent. Default: the configuration's." placeholder:"NAME"`
	User         string `help:"Who logs in at the broker. Default: the configuration's, unless --broker names another one." placeholder:"NAME"`
	PasswordFile string `help:"File with the password." type:"path" placeholder:"FILE"`
	CA           string `name:"ca" help:"File with the authorities that vouch for the broker. Default: the system's." type:"path" placeholder:"FILE"`
	TLSCert      string `name:"tls-cert" aliases:"cert" help:"File with a client certificate, which logs in at the broker and signs nothing." type:"path" placeholder:"FILE"`
	TLSKey       string `name:"tls-key" help:"File with the certificate's key." type:"path" placeholder:"FILE"`
}

// session puts flags over the configuration.
func (c loginFlags) session(a *app) (session, error) {
	s := session{site: c.Site, agent: c.Agent, mqtt: config.MQTT{Broker: c.Broker}}
	if c.Broker == "" || c.Site == "" || c.Agent == "" {
		conf, _, err := a.mustLoad()
		if err != nil {
			return session{}, err
		}
		s.site, s.agent = cmp.Or(c.Site, conf.Site), cmp.Or(c.Agent, conf.Agent)
		if c.Broker == "" {
			s.mqtt = conf.MQTT
		}
	}
	s.mqtt.User, s.mqtt.PasswordFile = cmp.Or(c.User, s.mqtt.User), cmp.Or(c.PasswordFile, s.mqtt.PasswordFile)
	s.mqtt.CAFile = cmp.Or(c.CA, s.mqtt.CAFile)
	s.mqtt.CertFile, s.mqtt.KeyFile = cmp.Or(c.TLSCert, s.mqtt.CertFile), cmp.Or(c.TLSKey, s.mqtt.KeyFile)
	return s, s.check()
}

// check holds flags to the rules of the configuration: among others, no password goes over a network in the clear.
func (s session) check() error {
	as := config.Config{Schema: config.SchemaVersion, Site: s.site, Agent: s.agent, MQTT: s.mqtt}
	as.MQTT.ClientID = s.agent // not used here: the client has a name of its own
	for _, f := range as.Check(config.Catalogue{}) {
		concerns := f.Path == "site" || f.Path == "agent" || strings.HasPrefix(f.Path, "mqtt.")
		if concerns && f.Severity == config.Error {
			return &failure{err: fmt.Errorf("%s: %s", f.Path, f.Text), hint: f.Hint, status: exitUsage}
		}
	}
	return nil
}

// connect logs in at the broker under a name of its own: the agent's would throw the agent out.
func (s session) connect(ctx context.Context) (*link.Client, error) {
	dial, _, err := dialer(s.mqtt, nil, nil)
	if err != nil {
		return nil, &failure{err: err, status: exitUsage}
	}
	c, err := link.Connect(ctx, link.ClientOpts{Site: s.site, Dial: dial, User: s.mqtt.User, Password: password(s.mqtt)})
	if err != nil {
		return nil, &failure{err: fmt.Errorf("broker %s: %w", strings.Join(s.mqtt.URLs(), ", "), err), hint: "nothing was sent; --broker, --user, --password-file and --ca say where and how to log in", status: exitOther}
	}
	return c, nil
}
