// Command rackagent is the agent of one rack controller, and what a person needs around it: checking its
// configuration, looking at the board's buses, asking it how the rack stands, sending it a command.
//
// It holds no simulator and no broker. It decides nothing about relays: `run` builds the world for package agent, and
// every other subcommand either reads or asks the running agent.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"rackagent/drivers/board"
	"rackagent/systemd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], outside{
		out: os.Stdout, err: os.Stderr, clocks: systemClocks(), notifier: systemd.FromEnvironment, group: group,
		hardware: func(log *slog.Logger) (hardware, error) { return board.Open(board.Opts{Log: log}) },
	}))
}
