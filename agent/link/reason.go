package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Reason says, in a stable short word, why there is no connection.
type Reason string

// The reasons.
const (
	ReasonDial        Reason = "dial"        // no TCP connection, or TLS refused it
	ReasonCertificate Reason = "certificate" // the files of the connection cannot be used, or have changed
	ReasonCredentials Reason = "credentials" // the password could not be had
	ReasonAuth        Reason = "auth"        // CONNACK 4 or 5
	ReasonRefused     Reason = "refused"     // another CONNACK code
	ReasonCut         Reason = "cut"         // the peer closed or reset the connection
	ReasonSilent      Reason = "silent"      // no CONNACK, or no answer to a ping
	ReasonStuck       Reason = "stuck"       // the socket took no bytes for 10 s
	ReasonOversize    Reason = "oversize"    // a frame over 256 KiB
	ReasonMalformed   Reason = "malformed"   // a frame that no broker sends
	ReasonSubscribe   Reason = "subscribe"   // SUBSCRIBE was not answered
	ReasonLocked      Reason = "locked"      // of no loss: the ACL locks the agent out
	ReasonStopped     Reason = "stopped"     // this side ended it
	ReasonOther       Reason = "other"
)

// failure is why an attempt or a connection ended.
type failure struct {
	why Reason
	err error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", f.why, f.err) }
func (f *failure) Unwrap() error { return f.err }

// reasonOf finds the Reason in an error of a connection.
func reasonOf(err error) Reason {
	var f *failure
	var timeout net.Error
	switch {
	case errors.As(err, &f):
		return f.why
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ReasonSilent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ReasonCut
	default:
		return ReasonOther
	}
}
