package whatsminer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

var errLength = errors.New("the length before the reply is none of a reply")

// framed puts the length before a message, 4 bytes, the least significant first (WhatsminerAPI 3.0, TCP data framing).
func framed(message []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// unframed reads one message. What follows it is not read.
func unframed(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > miner.MaxReply {
		return nil, errLength
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

// exchange sends one message on a connection of its own and gives the reply. Faults: drivers.Unreachable, nothing was sent; for
// a read Timeout or Corrupt; for a write Unsure once its first byte has left. The call ends with its context and after limit.
func (m *V3) exchange(ctx context.Context, k rpc.Kind, name string, message []byte, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := m.dial(ctx)
	if err != nil {
		return nil, m.o.Fault(k.String(), name, drivers.Unreachable, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // whatever it is doing
	if n, err := conn.Write(framed(message)); n == 0 && err != nil {
		return nil, m.o.Fault(k.String(), name, drivers.Unreachable, err)
	} else if err != nil {
		return nil, m.o.Fault(k.String(), name, silence(ctx, k, err), err)
	}
	reply, err := unframed(conn)
	if err != nil {
		return nil, m.o.Fault(k.String(), name, silence(ctx, k, err), err)
	}
	return reply, nil
}

// silence is what an answer that does not come means.
func silence(ctx context.Context, k rpc.Kind, err error) drivers.Fault {
	switch {
	case k == rpc.Write:
		return drivers.Unsure
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return drivers.Timeout
	}
	return drivers.Corrupt
}

func (m *V3) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, miner.DialLimit)
	defer cancel()
	return m.o.Dial(ctx, "tcp", net.JoinHostPort(m.o.Host, strconv.Itoa(PortV3)))
}
