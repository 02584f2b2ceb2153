package link

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	keepAlive    = 5 * time.Second
	pingTimeout  = 2 * time.Second
	connackLimit = 10 * time.Second
	// handOff is how long a publish may wait for paho's writer before it is offered again. After a loss nobody
	// takes it any more, so this is also how long the publisher of a dead connection lives on. Arbitrary.
	handOff = time.Second
	quiesce = 250 // ms, for DISCONNECT to be written
	// subscribeLimit is for SUBACK.
	subscribeLimit = 10 * time.Second
)

// clientOptions are what both sides need of paho. The URL is not dialled; the connection is there already.
func clientOptions(w *conn, id, user string, password func() (string, error)) (*mqtt.ClientOptions, error) {
	o := mqtt.NewClientOptions().
		AddBroker("tcp://broker").
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return w, nil }).
		SetProtocolVersion(4).
		SetClientID(id).
		SetOrderMatters(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetConnectTimeout(connackLimit).
		SetWriteTimeout(handOff).
		SetUsername(user)
	if password != nil {
		secret, err := password()
		if err != nil {
			return nil, &failure{why: ReasonCredentials, err: err}
		}
		o.SetPassword(secret)
	}
	return o, nil
}

// connect sends CONNECT and waits for CONNACK. It tells whether the broker had kept the session.
func connect(ctx context.Context, c mqtt.Client, w *conn) (present bool, err error) {
	t := c.Connect().(*mqtt.ConnectToken) //nolint:forcetypeassert // paho documents it
	select {
	case <-t.Done():
	case <-ctx.Done():
		_ = w.kill(ctx.Err())
		<-t.Done()
	}
	if err := t.Error(); err != nil {
		return false, refusal(t.ReturnCode(), err, w.ended())
	}
	// A code over 5 is no error to paho: it closes the connection and goes on as if it were open.
	if cause := w.ended(); cause != nil && reasonOf(cause) == ReasonStopped {
		return false, &failure{why: ReasonRefused, err: errors.New("unknown CONNACK code")}
	}
	return t.SessionPresent(), nil
}

func refusal(code byte, err, cause error) error {
	switch {
	case code == packets.ErrRefusedBadUsernameOrPassword || code == packets.ErrRefusedNotAuthorised:
		return &failure{why: ReasonAuth, err: err}
	case code < packets.ErrNetworkError:
		return &failure{why: ReasonRefused, err: err}
	case cause != nil:
		return &failure{why: reasonOf(cause), err: cause}
	default:
		return &failure{why: ReasonMalformed, err: err}
	}
}

// subscribe asks for one filter with QoS 1 and gives the code of the answer: the granted QoS, or 0x80. A token
// without an error does not mean that the broker agreed.
func subscribe(c mqtt.Client, filter string, done <-chan struct{}) (byte, error) {
	t := c.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken) //nolint:forcetypeassert // paho documents it
	limit := time.NewTimer(subscribeLimit)
	defer limit.Stop()
	select {
	case <-t.Done():
	case <-limit.C:
		return 0, &failure{why: ReasonSubscribe, err: errors.New("no SUBACK")}
	case <-done:
		return 0, errClosed
	}
	if err := t.Error(); err != nil {
		return 0, &failure{why: ReasonSubscribe, err: err}
	}
	code, ok := t.Result()[filter]
	if !ok {
		return 0, &failure{why: ReasonSubscribe, err: errors.New("SUBACK without a code")}
	}
	return code, nil
}

// store is the mqtt.Store of one session. It keeps nothing: what is outstanding is the Link's, and paho is not to
// resend. It is there because Put tells the identifier of a packet before it is sent, and Del that its PUBACK came.
type store struct {
	link    *Link
	session *session
}

var _ mqtt.Store = (*store)(nil)

const outbound = "o." // paho's prefix for packets that this side sent

// Put is called by Publish, in the caller's goroutine.
func (s *store) Put(key string, _ packets.ControlPacket) {
	if id, ok := outboundID(key); ok {
		s.link.bind(s.session, id)
	}
}

// Del is called when PUBACK, SUBACK or UNSUBACK came; identifiers that were not bound are of no interest.
func (s *store) Del(key string) {
	if id, ok := outboundID(key); ok {
		s.link.acked(s.session, id)
	}
}

func outboundID(key string) (uint16, bool) {
	n, ok := strings.CutPrefix(key, outbound)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(n, 10, 16)
	return uint16(id), err == nil
}

// Open, Get, All, Close and Reset have nothing to do.
func (s *store) Open() {}

// Get finds nothing.
func (s *store) Get(string) packets.ControlPacket { return nil }

// All finds nothing, so paho resends nothing.
func (s *store) All() []string { return nil }

// Close has nothing to close.
func (s *store) Close() {}

// Reset has nothing to forget.
func (s *store) Reset() {}
