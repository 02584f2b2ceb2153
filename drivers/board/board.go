package board

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"periph.io/x/host/v3"

	"rackagent/drivers/i2cbus"
)

// Opts are the settings of a Board. The zero value is the real board.
type Opts struct {
	// Root is the file system in which /dev and /sys are listed; nil takes the system's own. Device files are
	// opened by path all the same.
	Root fs.FS
	// Log hears which of periph's drivers failed; nil drops it.
	Log *slog.Logger
}

// Board is the hardware that the agent runs on. Its methods may be called from any goroutine.
type Board struct {
	root      fs.FS
	dir       string // where AdapterReset writes: the directory that root is
	open      func(path, adapter string) (i2cbus.Transport, error)
	functions func(path string) (i2cbus.Funcs, error)
}

// Open starts periph's drivers (a second time in one process it only repeats what the first found). A board without
// any bus or line is no error; neither is a driver of periph's that does not fit this board.
func Open(o Opts) (*Board, error) {
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	state, err := host.Init()
	if err != nil {
		return nil, fmt.Errorf("start periph's drivers: %w", err)
	}
	for _, f := range state.Failed {
		o.Log.Info("periph driver failed", "driver", f.D.String(), "err", f.Err)
	}
	return &Board{root: o.Root, dir: "/", open: i2cbus.Open, functions: i2cbus.Functions}, nil
}
