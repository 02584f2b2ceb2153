package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// maxAnswer bounds an answer of the web and of API 3, in bytes. Arbitrary: the longest that tells something has 10 KiB.
const maxAnswer = 64 << 10

// breath is what lies between two connections to one unit: some serve one client at a time, and want 100 ms between them
// (Avalon).
const breath = 100 * time.Millisecond

// asker asks one address, one question at a time.
type asker struct {
	o            Opts
	host         string
	old, v3, web *rpc.Client
}

func newAsker(o Opts, host string) *asker {
	m := miner.Opts{Host: host, Dial: o.Dial}
	return &asker{o, host, rpc.New(m, portRPC), rpc.New(m, portV3), rpc.New(m, portWeb)}
}

// pause lets the unit breathe.
func pause(ctx context.Context) {
	t := time.NewTimer(breath)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// tell asks on 4028 and gives the answer as it came.
func (a *asker) tell(ctx context.Context, request string) ([]byte, error) {
	pause(ctx)
	return a.old.Exchange(ctx, rpc.Read, "scan", []byte(request+"\n"), a.o.Timeout)
}

// object asks on 4028 for what is not needed to know who it is; nil: it does not tell.
func (a *asker) object(ctx context.Context, request string) rpc.Object {
	raw, err := a.tell(ctx, request)
	if err != nil {
		return nil
	}
	o, err := rpc.Decode(raw)
	if err != nil {
		return nil
	}
	return o
}

// device asks by API 3.
func (a *asker) device(ctx context.Context) ([]byte, error) {
	pause(ctx)
	return a.v3.Converse(ctx, rpc.Read, "scan", framed(askDevice), a.o.Timeout, func(_ context.Context, c net.Conn) ([]byte, error) {
		return unframed(c)
	})
}

var errLength = errors.New("the length before the answer is none of an answer")

// unframed reads one message.
func unframed(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxAnswer {
		return nil, errLength
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

// get asks for a page.
func (a *asker) get(ctx context.Context, name string) (p page, err error) {
	pause(ctx)
	_, err = a.web.Converse(ctx, rpc.Read, "scan", getOf(a.host, name), a.o.Timeout, func(_ context.Context, c net.Conn) ([]byte, error) {
		var err error
		p, err = readPage(c)
		return nil, err
	})
	return p, err
}

// silence is an error in the words of evidence.
func silence(err error) string {
	switch drivers.FaultOf(err) {
	case drivers.Timeout:
		return "no answer in time"
	case drivers.Unreachable:
		return "open, and closed a moment later"
	}
	return "no answer that can be read"
}
