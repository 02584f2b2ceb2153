package local

import (
	"context"
	"net"
	"strconv"
)

// nobody is the kernel's overflow uid: what a process sees for a peer that has no name in its user namespace
// (user_namespaces(7)). It is nobody in particular and may only read. It also stands for a peer that is not known.
const nobody = 65534

// Peer is who is at the other end of a connection.
type Peer struct{ UID uint32 }

// Issuer is the peer's name as the issuer of a command.
func (p Peer) Issuer() string { return "uid:" + strconv.FormatUint(uint64(p.UID), 10) }

// ReadOnly tells whether nobody vouches for the peer.
func (p Peer) ReadOnly() bool { return p.UID == nobody }

type peerKey struct{}

// withPeer puts the peer of a connection into the context of its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	p := Peer{UID: nobody}
	if known, ok := c.(*conn); ok {
		p = known.peer
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) Peer {
	if p, ok := ctx.Value(peerKey{}).(Peer); ok {
		return p
	}
	return Peer{UID: nobody}
}
