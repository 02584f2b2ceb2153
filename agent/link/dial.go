package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	portPlain = "1883"
	portTLS   = "8883"
	// minDial is the least time that one broker of a list is given to answer. Arbitrary.
	minDial = 2 * time.Second
)

// TLS names the files of a broker connection. They are read at every attempt, so that renewed ones are taken
// without a restart. A running connection keeps what it began with.
type TLS struct {
	CA         string // PEM; empty: the system's roots. Not empty: nobody else is believed
	Cert, Key  string // PEM, both or neither
	ServerName string // default: the host dialled
	// ReadKey reads the key's file. nil: os.ReadFile.
	ReadKey func(path string) ([]byte, error)
	// Names are whom the client certificate may be for, as common name or DNS name. None: whoever it is for.
	Names []string
	// Now gives the best time there is, and whether it can be relied on. nil: that of the system, and it can.
	Now func() (now time.Time, known bool)
}

// given is a connection to one broker of a list.
type given struct {
	net.Conn
	broker string
	keep   func() // has the next attempt begin with this broker
}

// Dialer gives a Dial function for a list of brokers, mqtt://host[:1883] or mqtts://host[:8883]. Each call tries all of
// them once, in the order of the list. It begins with the first one, and later with the one whose connection has held
// for 10 s, where the session is and what the broker keeps for it; nothing leads back to the first one while another
// works. After a connection that did not hold it begins with the next one: a broker that takes connections and then
// refuses to work does not hide the others. Calls must not overlap.
func Dialer(brokers []string, files TLS) (func(ctx context.Context) (net.Conn, error), error) {
	if len(brokers) == 0 {
		return nil, errors.New("no broker")
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("tls: certificate and key go together")
	}
	list := make([]endpoint, 0, len(brokers))
	for _, b := range brokers {
		e, err := parseBroker(b)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	start := 0
	return func(ctx context.Context) (net.Conn, error) {
		look := files.Look()
		if look.Err != nil && slices.ContainsFunc(list, func(e endpoint) bool { return e.secure }) {
			return nil, &failure{why: ReasonCertificate, err: look.Err}
		}
		var whys []string
		for i := range list {
			at := (start + i) % len(list)
			c, err := list[at].dial(ctx, look.to(or(files.ServerName, list[at].host)), share(ctx, len(list)-i))
			if err == nil {
				start = at + 1
				return &given{Conn: c, broker: brokers[at], keep: func() { start = at }}, nil
			}
			if len(list) == 1 {
				return nil, err
			}
			whys = append(whys, brokers[at]+": "+err.Error())
		}
		return nil, errors.New(strings.Join(whys, "; "))
	}, nil
}

// share divides what is left of ctx among n brokers.
func share(ctx context.Context, n int) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return dialLimit
	}
	return max(minDial, time.Until(end)/time.Duration(n))
}

// endpoint is one broker address.
type endpoint struct {
	addr, host string
	secure     bool
}

func parseBroker(s string) (endpoint, error) {
	u, err := url.Parse(s)
	if err != nil {
		return endpoint{}, errors.New("broker: not a URL") // the text could hold a password
	}
	if u.User != nil {
		return endpoint{}, fmt.Errorf("broker %s: user and password do not belong into the URL", u.Redacted())
	}
	if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, fmt.Errorf("broker %q: want mqtt://host:port or mqtts://host:port", s)
	}
	port := u.Port()
	e := endpoint{host: u.Hostname()}
	switch u.Scheme {
	case "mqtt":
		port = or(port, portPlain)
	case "mqtts":
		e.secure, port = true, or(port, portTLS)
	default:
		return endpoint{}, fmt.Errorf("broker %q: scheme %q is neither mqtt nor mqtts", s, u.Scheme)
	}
	e.addr = net.JoinHostPort(e.host, port)
	return e, nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (e endpoint) dial(ctx context.Context, cfg *tls.Config, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := net.Dialer{KeepAlive: -1} // MQTT has its own
	d.Control = socketOptions
	c, err := d.DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, err
	}
	c = quickAck(c.(*net.TCPConn)) //nolint:forcetypeassert // network "tcp"
	if !e.secure {
		return c, nil
	}
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", e.addr, err)
	}
	return t, nil
}
