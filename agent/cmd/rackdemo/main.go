// Command rackdemo is the agent on a simulated rack, with an embedded MQTT broker on loopback. It needs no hardware, no
// broker and no rights.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type flags struct {
	Broker string   `help:"Where the embedded broker listens; a port of 0 takes a free one." placeholder:"HOST:PORT" default:"127.0.0.1:0"`
	Fault  []string `help:"A fault in force from the start, as KIND=WHAT; may be repeated. For example welded=pdu-a.3, stuckopen=pdu-a.2, crossed=pdu-a.1:pdu-a.2, frozen=pdu-a.meter.2, nack=pdu-a.meter.1, hang=sim-i2c-0, brownout=pdu-a, serial=pdu-a:OTHER." placeholder:"KIND=WHAT" sep:"none"`
	Once   bool     `help:"Play a short story and end: status 0 if everything went as it must."`
	Seed   uint64   `help:"Of the simulated noise." default:"1"`
	Log    bool     `help:"Show the agent's own log on standard error."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("rackdemo"), kong.Description("The rack agent on a simulated rack: 24 miners of several firmwares and a GPU server, on PDUs with 8 and 24 outlets."))
	if f.Broker == "" {
		fmt.Fprintln(os.Stderr, "rackdemo: --broker wants HOST:PORT, for example 127.0.0.1:1883")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rackdemo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}
