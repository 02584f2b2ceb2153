package scan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"
)

// Defaults of Opts.
const (
	// DefaultSockets is the half of what users of miners' scanners report to work (asic-rs, issue 319: more lose units).
	DefaultSockets = 64
	DefaultRate    = 100 // arbitrary: a rack of 254 addresses begins within three seconds
	DefaultTimeout = 3 * time.Second
)

// knocks is the part of Timeout that a connection may take: one second of three, by which Linux has not yet sent its first
// segment again (RFC 6298, 2.1). The second try of a scan stands in for that.
const knocks = 3

// patience is how many times Timeout all questions to one address take together at most.
const patience = 5

// Opts are how to scan. Dial is required.
type Opts struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout is how long one question may take, connection and answer; zero: DefaultTimeout.
	Timeout time.Duration
	// Sockets is how many connections are open at once, at least one for each port that tells; zero: DefaultSockets.
	Sockets int
	// Rate is how many new addresses are begun in a second at most; zero: DefaultRate.
	Rate int
	// Progress is told how far a scan is, one call at a time; nil: nobody.
	Progress func(Progress)
}

// Limits of Opts. Arbitrary, beside the least of sockets.
const (
	MaxSockets = 1024
	MaxRate    = 10_000
	MinTimeout = 100 * time.Millisecond
	MaxTimeout = time.Minute
)

// MinSockets is one for each port that tells.
func MinSockets() int { return len(ports()) }

var errNoDial = errors.New("scan: there is no way to connect")

// Check refuses options that are nonsense.
func (o Opts) Check() error {
	_, err := o.filled()
	return err
}

// filled puts the defaults in, and refuses what is nonsense.
func (o Opts) filled() (Opts, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Sockets == 0 {
		o.Sockets = DefaultSockets
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	switch {
	case o.Dial == nil:
		return o, errNoDial
	case o.Timeout < MinTimeout || o.Timeout > MaxTimeout:
		return o, fmt.Errorf("scan: a timeout of %s is none of %s to %s", o.Timeout, MinTimeout, MaxTimeout)
	case o.Sockets < MinSockets() || o.Sockets > MaxSockets:
		return o, fmt.Errorf("scan: %d sockets are none of %d to %d", o.Sockets, MinSockets(), MaxSockets)
	case o.Rate < 1 || o.Rate > MaxRate:
		return o, fmt.Errorf("scan: a rate of %d is none of 1 to %d", o.Rate, MaxRate)
	}
	return o, nil
}

// hostFits tells whether a text can be dialled and stand in a request.
func hostFits(host string) bool {
	odd := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".:-_", r)
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, odd) // RFC 1035: 253 characters
}
