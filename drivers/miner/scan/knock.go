package scan

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// knock connects to the ports that tell, all at once, and says nothing. Somebody who refuses is there.
func knock(ctx context.Context, o Opts, host string) (open map[int]bool, err error) {
	all := ports()
	errs := make([]error, len(all))
	limited, cancel := context.WithTimeout(ctx, o.Timeout/knocks)
	defer cancel()
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = touch(limited, o, host, p) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	open = make(map[int]bool)
	refused := false
	var failed error
	for i, p := range all {
		switch e := errs[i]; {
		case e == nil:
			open[p] = true
		case errors.Is(e, syscall.ECONNREFUSED), errors.Is(e, syscall.ECONNRESET):
			refused = true
		case !absent(e):
			failed = e
		}
	}
	switch {
	case len(open) > 0:
		return open, nil
	case failed != nil:
		return nil, failed
	case refused:
		return nil, ErrClosed
	}
	return nil, ErrSilent
}

func touch(ctx context.Context, o Opts, host string, port int) error {
	c, err := o.Dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	_ = c.Close()
	return nil
}

// absent tells an address at which nobody is from a failure of this machine, as without a route or a free descriptor. Linux
// says EHOSTUNREACH where nobody answers its ARP.
func absent(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EHOSTDOWN) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.As(err, &timeout) && timeout.Timeout()
}
