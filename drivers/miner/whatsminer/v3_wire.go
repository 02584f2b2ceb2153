package whatsminer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

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

// exchange sends one message on a connection of its own and gives the reply; rpc.Client.Converse has the faults.
func (m *V3) exchange(ctx context.Context, k rpc.Kind, name string, message []byte, limit time.Duration) ([]byte, error) {
	return m.c.Converse(ctx, k, name, framed(message), limit, func(_ context.Context, c net.Conn) ([]byte, error) { return unframed(c) })
}
