package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"github.com/alecthomas/kong"

	"rackagent/systemd"
)

// outside is what the program needs of the machine it runs on.
type outside struct {
	out, err io.Writer
	clocks   clocks
	// hardware finds buses and lines; it may take a moment and is called only where they are needed.
	hardware func(*slog.Logger) (hardware, error)
	// group tells why there is no group of that name.
	group func(name string) error
	// notifier speaks to the service manager.
	notifier func(*slog.Logger) (*systemd.Notifier, error)
}

// globals are the flags of all subcommands.
type globals struct {
	Config string   `help:"The configuration file." type:"path" env:"RACKAGENT_CONFIG" default:"/etc/rackagent/config.yaml" placeholder:"FILE"`
	Help   helpFlag `help:"Show what there is to type." short:"h"`
}

// commandLine is everything that can be typed.
type commandLine struct {
	globals

	Run           runCmd     `cmd:"" help:"Run the agent. This is what the service does."`
	Check         checkCmd   `cmd:"" help:"Judge the configuration: every mistake, with its line."`
	Devices       devicesCmd `cmd:"" help:"List buses, GPIO lines and PDUs. Reads only."`
	Miners        minersCmd  `cmd:"" help:"Look for miners on the network. Reads only."`
	Models        modelsCmd  `cmd:"" help:"List, show and check PDU models and PSU profiles."`
	Status        statusCmd  `cmd:"" help:"Show how the rack stands, as the running agent sees it."`
	Feeds         feedsCmd   `cmd:"" help:"Draw the tree of the feed: limits, what is reserved and what is measured on each level."`
	Command       commandCmd `cmd:"" help:"Send a command through the broker, or the local socket, and follow it to its end."`
	Echo          echoCmd    `cmd:"" help:"Answer the self tests of a site's agents, until interrupted."`
	Get           getCmd     `cmd:"" help:"Show what is recorded of a command."`
	List          listCmd    `cmd:"" help:"List the newest commands."`
	Why           whyCmd     `cmd:"" help:"Tell the story of a command: who asked, what was planned, what came of it and why."`
	Approve       approveCmd `cmd:"" help:"Approve a command that waits for a second person."`
	Lock          lockCmd    `cmd:"" help:"Set a maintenance lock through the local socket: nothing is switched there until it is unlocked."`
	Unlock        unlockCmd  `cmd:"" help:"Take a maintenance lock away, through the local socket."`
	Keys          keysCmd    `cmd:"" help:"Make and show the keys that sign commands."`
	JournalAccept acceptCmd  `cmd:"" help:"Accept that the journal was lost: the agent stops observing and switches again."`
	Audit         auditCmd   `cmd:"" help:"Judge and show the audit log: who asked for what, and what became of it."`
	Version       versionCmd `cmd:"" help:"Show which program this is."`
}

const description = `The agent of one rack controller: it reads PDUs and sensors over I2C, switches outlets on command over MQTT, proves ` +
	`it by the outlet's meter, and refuses what is dangerous.`

// errHelp ends a run that was only asked for help.
var errHelp = errors.New("help was shown")

// helpFlag prints help and ends, without ending the process as kong's own does.
type helpFlag bool

// BeforeReset is called by kong before anything else is looked at.
func (helpFlag) BeforeReset(k *kong.Context) error { return errors.Join(k.PrintUsage(false), errHelp) }

// execute runs one command line and gives the status to exit with.
func execute(ctx context.Context, args []string, o outside) int {
	var line commandLine
	o.out, o.err = screen{o.out}, screen{o.err}
	k, err := kong.New(&line, kong.Name("rackagent"), kong.Description(description), kong.NoDefaultHelp(), kong.Writers(o.out, o.err),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, WrapUpperBound: 100}))
	if err != nil {
		return tell(o.err, err)
	}
	chosen, err := k.Parse(args)
	if errors.Is(err, errHelp) {
		return exitOK
	}
	if err != nil {
		return tell(o.err, &failure{err: err, hint: "rackagent --help lists what there is", status: exitUsage})
	}
	chosen.BindTo(ctx, (*context.Context)(nil))
	return tell(o.err, chosen.Run(&app{outside: o, globals: line.globals}))
}

// app is what every subcommand gets.
type app struct {
	outside
	globals
}

// printf writes to standard output.
func (a *app) printf(format string, args ...any) { say(a.out, format, args...) }

// say writes for a person. A text within it ends no line. A reader that has gone is no error of what is said.
func say(w io.Writer, format string, args ...any) {
	for i, a := range args {
		if s := reflect.ValueOf(a); s.Kind() == reflect.String { // states and codes, too
			args[i] = oneLine(s.String())
		}
	}
	_, _ = fmt.Fprintf(w, format, args...)
}
