package link

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Why a client certificate is not used.
var (
	ErrExpired     = errors.New("the certificate has expired")
	ErrNotYetValid = errors.New("the certificate is not valid yet")
	// ErrForeign: with the certificate of another agent this one would be taken for it, and could throw it out.
	ErrForeign = errors.New("the certificate is for somebody else")
)

// Look is what the files of a broker connection hold at a moment.
type Look struct {
	At    time.Time
	Known bool // the clock is synchronised: At may be compared with what a certificate says

	Digest [sha256.Size]byte // of all files; of none of them if one cannot be read
	// Leaf is the client certificate; nil: none. Until is when it or the last of the authorities expires; zero: there are
	// neither.
	Leaf  *x509.Certificate
	Until time.Time
	Err   error // why no connection can be made with them; nil: nothing is known against it

	config *tls.Config // for one connection
}

// Look reads the files as a connection attempt does, and judges them.
func (f TLS) Look() Look {
	l := Look{At: time.Now(), Known: true}
	if f.Now != nil {
		l.At, l.Known = f.Now()
	}
	l.Err = l.read(f)
	return l
}

func (l *Look) read(f TLS) error {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	hash := sha256.New()
	digested := func(path string, read func(string) ([]byte, error)) ([]byte, error) {
		if read == nil {
			read = os.ReadFile
		}
		b, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		fmt.Fprintf(hash, "%d ", len(b))
		hash.Write(b)
		return b, nil
	}
	var roots []*x509.Certificate
	if f.CA != "" {
		b, err := digested(f.CA, nil)
		if err != nil {
			return err
		}
		if roots = certificatesIn(b); len(roots) == 0 {
			return fmt.Errorf("tls: no certificate in %s", f.CA)
		}
		c.RootCAs = x509.NewCertPool()
		for _, r := range roots {
			c.RootCAs.AddCert(r)
			l.Until = later(l.Until, r.NotAfter)
		}
	}
	if f.Cert != "" {
		cert, err := digested(f.Cert, nil)
		if err != nil {
			return err
		}
		key, err := digested(f.Key, f.ReadKey)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("tls: %s and its key: %w", f.Cert, err)
		}
		c.Certificates, l.Leaf = []tls.Certificate{pair}, pair.Leaf
		if l.Until.IsZero() || l.Leaf.NotAfter.Before(l.Until) {
			l.Until = l.Leaf.NotAfter
		}
	}
	hash.Sum(l.Digest[:0])
	l.config = c
	l.clock(f, roots)
	return l.judge(f)
}

// clock has TLS judge by the best time there is. A board without a battery begins in the past, where every certificate
// is not valid yet; but the files here were made in its future.
func (l *Look) clock(f TLS, roots []*x509.Certificate) {
	if !l.Known {
		for _, c := range append(roots, l.Leaf) {
			if c != nil {
				l.At = later(l.At, c.NotBefore)
			}
		}
	}
	if f.Now == nil {
		return
	}
	began, now := time.Now(), l.At
	l.config.Time = func() time.Time { return now.Add(time.Since(began)) }
}

// judge tells why the client certificate must not be used. By a clock that is not synchronised none has expired.
func (l *Look) judge(f TLS) error {
	switch leaf := l.Leaf; {
	case leaf == nil:
		return nil
	case len(f.Names) > 0 && !slices.Contains(f.Names, leaf.Subject.CommonName) &&
		!slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return slices.Contains(f.Names, n) }):
		return fmt.Errorf("%s: %w: it names %q, this agent is %s", f.Cert, ErrForeign, leaf.Subject.CommonName, strings.Join(f.Names, " or "))
	case l.Known && l.At.After(leaf.NotAfter):
		return fmt.Errorf("%s: %w: on %s", f.Cert, ErrExpired, day(leaf.NotAfter))
	case l.Known && l.At.Before(leaf.NotBefore):
		return fmt.Errorf("%s: %w: from %s on", f.Cert, ErrNotYetValid, day(leaf.NotBefore))
	}
	return nil
}

// to gives the configuration of one connection.
func (l *Look) to(serverName string) *tls.Config {
	if l.config == nil {
		return nil // no broker of the list asks for TLS
	}
	c := l.config.Clone()
	c.ServerName = serverName
	return c
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// certificatesIn reads what is readable, as x509.CertPool.AppendCertsFromPEM does.
func certificatesIn(b []byte) (all []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return all
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
}
