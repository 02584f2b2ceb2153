package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Errors of Listen.
var (
	ErrInUse     = errors.New("somebody answers on it")
	ErrNotSocket = errors.New("not a socket")
)

// Listen makes the socket with mode 0660 and, if a group is named, that group. A socket file that is left over
// is removed if nobody answers on it; anything else at the path is left alone. Where systemd holds the socket,
// its listener is given to Run instead.
//
// Between the bind and the change of mode the process' umask decides who may connect.
func Listen(ctx context.Context, path, group string) (net.Listener, error) {
	gid := -1
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return nil, fmt.Errorf("socket %s: %w", path, err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, fmt.Errorf("socket %s: group %s: %w", path, group, err)
		}
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err // names the path itself
	}
	if err := errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660)); err != nil { //nolint:gosec // the group's members may connect: that is what it is for
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket file that nobody listens on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return ErrNotSocket
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // only that proves that nobody is there
		return err
	}
	return os.Remove(path)
}

const (
	// maxConns bounds the connections, and with them all that requests can hold at once. Arbitrary.
	maxConns = 32
	// maxOfOne bounds those of one uid, so that a program that leaks them shuts out no person. Arbitrary.
	maxOfOne = 8
)

// capped hands out a bounded number of connections at a time and asks the kernel about each. One too many is told so and
// closed, so that a person sees why.
type capped struct {
	net.Listener
	who func(net.Conn) Peer

	mu   sync.Mutex
	open map[Peer]int // connections in use
	all  int
}

func newCapped(l net.Listener, who func(net.Conn) Peer) *capped {
	return &capped{Listener: l, who: who, open: map[Peer]int{}}
}

// Accept waits for the next connection that there is room for.
func (l *capped) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p := l.who(c)
		if l.take(p) {
			return &conn{Conn: c, peer: p, release: sync.OnceFunc(func() { l.giveBack(p) })}, nil
		}
		turnAway(c)
	}
}

func (l *capped) take(p Peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxConns || l.open[p] >= maxOfOne {
		return false
	}
	l.all++
	l.open[p]++
	return true
}

func (l *capped) giveBack(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[p]--; l.open[p] == 0 {
		delete(l.open, p)
	}
}

// turnAway answers without reading; what it writes fits into the socket's buffer.
func turnAway(c net.Conn) {
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err == nil {
		_, _ = c.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	}
}

type conn struct {
	net.Conn
	peer    Peer
	release func()
}

// Close gives the slot back.
func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
