package local

import (
	"net"
	"syscall"
)

// credentials asks the kernel who connected; the answer is that of the moment of connect(2).
func credentials(c net.Conn) Peer {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{UID: nobody}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{UID: nobody}
	}
	p := Peer{UID: nobody}
	// An error leaves the peer unknown: the connection is judged by what is known about it, not refused.
	_ = raw.Control(func(fd uintptr) {
		if u, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			p.UID = u.Uid
		}
	})
	return p
}
