//go:build !linux

package link

import (
	"net"
	"syscall"
)

// socketOptions sets none: TCP_USER_TIMEOUT is Linux's. The limits on writes and pings hold everywhere.
func socketOptions(_, _ string, _ syscall.RawConn) error { return nil }

// quickAck turns Nagle's algorithm off; there is no portable TCP_QUICKACK.
func quickAck(c *net.TCPConn) net.Conn {
	_ = c.SetNoDelay(true)
	return c
}
