package link

import (
	"context"
	"fmt"
	"time"

	"rackagent/agent/rack"
)

const (
	lookEvery   = time.Minute     // at the files of the connection; arbitrary
	renewSpread = 5 * time.Minute // a fleet whose files change together does not move together; arbitrary
	renewBefore = time.Minute     // the new connection is there so long before the old certificate expires; arbitrary
	renewAgain  = 5 * time.Minute // after a new connection that did not come about; arbitrary

	warnBefore  = 30 * 24 * time.Hour
	alarmBefore = 7 * 24 * time.Hour
)

// renewal is what Run knows of the files of its connection.
type renewal struct {
	used Look      // what the present connection was made with, or before
	due  time.Time // when there is to be a new one; zero: the files are the same
}

func (l *Link) sooner(d time.Duration) time.Duration { return d / time.Duration(l.o.hurry) }

func (l *Link) look() Look {
	if l.o.Look == nil {
		return Look{}
	}
	return l.o.Look()
}

// outdated looks whether the files have changed since the connection was made, and tells when a new one is due. Files
// that cannot be used are waited for: certificate and key are seldom replaced in the same moment.
func (l *Link) outdated(now time.Time) {
	k := l.look()
	r := &l.renewal
	switch {
	case k.Err != nil || k.Digest == r.used.Digest:
		r.due = time.Time{}
	case r.due.IsZero():
		wait := time.Duration(float64(l.sooner(renewSpread)) * l.o.Rand())
		if left := r.used.Until.Sub(k.At) - renewBefore; k.Known && !r.used.Until.IsZero() {
			wait = min(wait, max(0, left))
		}
		r.due = now.Add(wait)
	}
}

// renew makes a connection with the new files while the old one is up, and gives the session that takes its place: a
// broker that refuses them costs nothing. The broker ends the old connection itself, because both have one client id.
func (l *Link) renew(ctx context.Context) *session {
	used := l.look()
	s, err := l.connect(ctx)
	if s == nil {
		l.renewal.due = time.Now().Add(l.sooner(renewAgain))
		if ctx.Err() == nil {
			l.report(rack.Error, ReasonCertificate, "the files of the connection have changed, and the broker cannot be logged in to with them; the old connection stays", err)
		}
		return nil
	}
	l.renewal = renewal{used: used}
	l.mu.Lock()
	l.stats.Renewals++
	l.mu.Unlock()
	l.report(rack.Info, ReasonCertificate, fmt.Sprintf("connection %d takes over: the files of the connection have changed", s.conn), nil)
	return s
}

// replace takes a session out of service whose place another one takes. A broker that does not see that both are the
// same client hears DISCONNECT, which suppresses the will.
func (l *Link) replace(s *session) {
	l.mu.Lock()
	l.withdraw(s)
	l.mu.Unlock()
	s.client.Disconnect(quiesce)
	s.w.Close()
	close(s.done)
}

// watch looks at the files for as long as ctx lasts, connected or not, and keeps the alarm about them.
func (l *Link) watch(ctx context.Context) {
	tick := time.NewTicker(l.sooner(lookEvery))
	defer tick.Stop()
	for told := ""; ; {
		told = l.tellExpiry(l.look(), told)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellExpiry raises the alarm about the files, or takes it back, and gives what is told now.
func (l *Link) tellExpiry(k Look, told string) string {
	sev, text := expiry(k)
	switch {
	case text == told:
	case text == "":
		l.report(rack.Info, ReasonCertificate, "the files of the connection are in order again", nil)
		l.calm(alarmCertificate)
	default:
		l.report(sev, ReasonCertificate, text, nil)
		l.raise(alarmCertificate, sev, text)
	}
	return text
}

// expiry says what is wrong with the files, or will be. Empty: nothing.
func expiry(k Look) (rack.Severity, string) {
	left := k.Until.Sub(k.At)
	switch {
	case k.Err != nil:
		return rack.Critical, "no connection can be made: " + k.Err.Error()
	case k.Until.IsZero() || !k.Known || left >= warnBefore:
		return rack.Info, ""
	case left < 0:
		return rack.Critical, "all authorities in the CA file have expired, the last on " + day(k.Until)
	case left < alarmBefore:
		return rack.Error, "less than 7 days left: certificate or authority expires on " + day(k.Until)
	default:
		return rack.Warn, "less than 30 days left: certificate or authority expires on " + day(k.Until)
	}
}
