package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
)

// Port is where cgminer and its kin listen.
const Port = 4028

// maxRequest is what the reference server reads, in one piece; the rest of a longer request is not seen (cgminer, api.c).
const maxRequest = 4095

// settle is how long the end mark of a complete reply is waited for: some servers glue a second object to it, and some keep
// the connection open. Arbitrary: a packet on a local network takes a thousandth of it.
const settle = 200 * time.Millisecond

// Kind says what a request is, and so what it means when no answer comes.
type Kind uint8

// The kinds.
const (
	Read  Kind = iota // without an answer, nothing was learnt
	Write             // without an answer, it may have been obeyed
)

func (k Kind) String() string {
	if k == Write {
		return "write"
	}
	return "read"
}

// Client sends requests to one port of one miner. It holds no connection between calls.
type Client struct {
	o    miner.Opts
	port int
}

// New makes a client. It connects to nothing.
func New(o miner.Opts, port int) *Client { return &Client{o: o, port: port} }

// Exchange sends a request and gives the bytes of the reply, without its end mark. name is what the request is called in
// errors. A request that is too long is drivers.Unsupported; for the rest, Converse.
func (c *Client) Exchange(ctx context.Context, k Kind, name string, request []byte, limit time.Duration) ([]byte, error) {
	if len(request) > maxRequest {
		return nil, c.o.Fault(k.String(), name, drivers.Unsupported, errors.New("the request is longer than the miner reads"))
	}
	return c.Converse(ctx, k, name, request, limit, reply)
}

// Converse sends a request on a connection of its own and gives what read takes for the reply. Faults: drivers.Unreachable,
// nothing was sent; for a read Timeout or Corrupt; for a write Unsure once its first byte has left. The call ends with its
// context and after limit.
func (c *Client) Converse(ctx context.Context, k Kind, name string, request []byte, limit time.Duration,
	read func(context.Context, net.Conn) ([]byte, error),
) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, c.o.Fault(k.String(), name, drivers.Unreachable, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // whatever it is doing
	if n, err := conn.Write(request); n == 0 && err != nil {
		return nil, c.o.Fault(k.String(), name, drivers.Unreachable, err)
	} else if err != nil {
		return nil, c.o.Fault(k.String(), name, silence(ctx, k, err), err)
	}
	got, err := read(ctx, conn)
	if err != nil {
		return nil, c.o.Fault(k.String(), name, silence(ctx, k, err), err)
	}
	return got, nil
}

// silence is what an answer that does not come means.
func silence(ctx context.Context, k Kind, err error) drivers.Fault {
	switch {
	case k == Write:
		return drivers.Unsure
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return drivers.Timeout
	}
	return drivers.Corrupt
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, miner.DialLimit)
	defer cancel()
	return c.o.Dial(ctx, "tcp", net.JoinHostPort(c.o.Host, strconv.Itoa(c.port)))
}

var (
	errTooLong = errors.New("the reply does not end")
	errNothing = errors.New("the connection ended without a reply")
	errCut     = errors.New("the reply ends in the middle")
)

// reply reads up to a NUL, the end of the connection, or the end of a JSON value after which nothing more comes.
func reply(ctx context.Context, conn net.Conn) ([]byte, error) {
	var got bytes.Buffer
	var value extent
	chunk := make([]byte, 4<<10)
	for {
		n, err := conn.Read(chunk)
		part := chunk[:n]
		if end := bytes.IndexByte(part, 0); end >= 0 {
			got.Write(part[:end])
			return got.Bytes(), nil
		}
		got.Write(part)
		value.add(part)
		switch {
		case got.Len() > miner.MaxReply:
			return nil, errTooLong
		case err != nil && value.whole():
			return got.Bytes(), nil // by the end of the connection, or of the patience after the last byte
		case errors.Is(err, io.EOF) && got.Len() == 0:
			return nil, errNothing
		case errors.Is(err, io.EOF) && value.open():
			return nil, errCut
		case errors.Is(err, io.EOF):
			return got.Bytes(), nil // no JSON: the caller may know it
		case err != nil:
			return nil, err
		case value.whole() && ctx.Err() == nil:
			if err := conn.SetReadDeadline(time.Now().Add(settle)); err != nil {
				return nil, err
			}
		}
	}
}

// extent follows JSON as it comes in, to tell where a value ends.
type extent struct {
	depth           int
	begun           bool
	inText, escaped bool
}

func (e *extent) add(b []byte) {
	for _, c := range b {
		switch {
		case e.escaped:
			e.escaped = false
		case e.inText && c == '\\':
			e.escaped = true
		case c == '"':
			e.inText = !e.inText
		case e.inText:
		case c == '{', c == '[':
			e.depth++
			e.begun = true
		case c == '}', c == ']':
			e.depth--
		}
	}
}

// whole tells that a value has begun and ended.
func (e *extent) whole() bool { return e.begun && e.depth <= 0 && !e.inText }

// open tells that a value has begun and not ended.
func (e *extent) open() bool { return e.begun && !e.whole() }
