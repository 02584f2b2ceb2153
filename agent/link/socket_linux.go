package link

import (
	"net"
	"syscall"
)

// Linux include/uapi/linux/tcp.h; package syscall has the constant on some architectures only.
const (
	tcpUserTimeout   = 18
	tcpUserTimeoutMS = 10_000 // unacknowledged data for so long ends the connection (tcp(7))
)

// socketOptions is a net.Dialer.Control.
func socketOptions(_, _ string, rc syscall.RawConn) error {
	var err error
	if e := rc.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, tcpUserTimeoutMS)
	}); e != nil {
		return e
	}
	return err
}

// ackedConn sends TCP acknowledgements at once. The kernel leaves that mode by itself (tcp(7), TCP_QUICKACK), so it
// is set again after each read. A broker that has Nagle's algorithm on, as mosquitto does unless told otherwise,
// holds the second of two small packets back until the first is acknowledged, for up to 40 ms.
type ackedConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// quickAck also turns Nagle's algorithm off on this side, which is Go's default. Where the options cannot be set
// the connection is slower and otherwise the same.
func quickAck(c *net.TCPConn) net.Conn {
	_ = c.SetNoDelay(true)
	raw, err := c.SyscallConn()
	if err != nil {
		return c
	}
	a := &ackedConn{TCPConn: c, raw: raw}
	a.arm()
	return a
}

func (c *ackedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.arm()
	return n, err
}

func (c *ackedConn) arm() {
	_ = c.raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
