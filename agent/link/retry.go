package link

import "time"

// The timetable of attempts. All waits are multiplied by 0.5 to 1.5 so that a fleet does not move in step.
const (
	quickWait = 250 * time.Millisecond
	quickFor  = 5 * time.Second
	slowWait  = time.Second
	slowMax   = 30 * time.Second

	authTries = 10              // refusals of the credentials in a row
	authAfter = 5 * time.Minute // that they have to last, then authWait: a person has to act. A store of users is up by then
	authWait  = 5 * time.Minute
	inUse     = 3 // cuts within inUseLife in a row, then inUseWait: two clients with one id throw each other out
	inUseLife = 5 * time.Second
	inUseWait = time.Minute
	aloneFor  = time.Minute      // at least, without a cut: nobody else uses the client id
	steady    = 10 * time.Second // a connection that lived so long was a good one
	wipeAfter = 3                // losses by an inbound frame over the limit, in a row
)

// LongestWait is the longest pause between two attempts in ordinary trouble, with the given spread. It also holds for
// the first 5 minutes of refused credentials. LongestRefused and LongestInUse are for the two kinds of trouble with
// longer pauses, which are reported when they begin.
func LongestWait(spread time.Duration) time.Duration { return longest(slowMax, spread) }

// LongestRefused is the longest pause once the broker has refused the credentials for 5 minutes.
func LongestRefused(spread time.Duration) time.Duration { return longest(authWait, spread) }

// LongestInUse is the longest pause while the client id seems to be in use elsewhere.
func LongestInUse(spread time.Duration) time.Duration { return longest(inUseWait, spread) }

// longest is what jitter stays below.
func longest(d, spread time.Duration) time.Duration { return d*3/2 + spread }

// retry decides when the next attempt is made. It reads no clock. Run owns it.
type retry struct {
	rnd    func() float64 // 0 <= x < 1
	spread time.Duration

	since time.Time // when this outage began
	tries int       // attempts in it
	slow  time.Duration

	early   int       // sessions in a row that did not reach steady
	cuts    int       // of these, in a row, cut by the peer within inUseLife
	auth    int       // refusals of the credentials in a row
	refused time.Time // when the first of them came
	barred  bool      // they have lasted for authAfter
	big     int       // losses by an oversized frame in a row
}

func (r *retry) restart(now time.Time) { r.since, r.tries, r.slow = now, 0, 0 }

// wait is the pause before the next attempt.
func (r *retry) wait(now time.Time) time.Duration {
	first := r.tries == 0
	r.tries++
	switch {
	case r.barred:
		return r.jitter(authWait)
	case r.cuts >= inUse:
		return r.jitter(inUseWait)
	case first:
		return 0
	case now.Sub(r.since) < quickFor:
		return r.jitter(quickWait)
	default:
		r.slow = min(max(slowWait, 2*r.slow), slowMax)
		return r.jitter(r.slow)
	}
}

func (r *retry) jitter(d time.Duration) time.Duration {
	d = time.Duration(float64(d) * (0.5 + r.rnd()))
	if r.spread > 0 {
		d += time.Duration(float64(r.spread) * r.rnd())
	}
	return d
}

// failed notes an attempt that gave no session, and tells whether the long waits for refused credentials begin with it.
// Two clients with one id do get sessions: no session is no sign of a second client.
func (r *retry) failed(now time.Time, why Reason) (barred bool) {
	r.cuts = 0
	if why != ReasonAuth {
		r.admitted()
		return false
	}
	if r.auth == 0 {
		r.refused = now
	}
	r.auth++
	if r.barred || r.auth < authTries || now.Sub(r.refused) < authAfter {
		return false
	}
	r.barred = true
	return true
}

// admitted forgets refusals of the credentials.
func (r *retry) admitted() { r.auth, r.barred = 0, false }

// lost notes the end of a session. A loss soon after connecting goes on in the timetable where it was, so that a
// broker that accepts and cuts is not asked in a tight loop. A cut of which a message is suspected is no sign of a
// second client. It tells whether the long waits for a second client begin with this loss.
func (r *retry) lost(now time.Time, lived time.Duration, why Reason, suspected bool) (second bool) {
	if lived >= steady || r.early == 0 {
		r.restart(now)
	}
	r.admitted()
	r.early = streak(r.early, lived < steady)
	r.big = streak(r.big, why == ReasonOversize)
	if suspected {
		return false
	}
	r.cuts = streak(r.cuts, lived < inUseLife && why == ReasonCut)
	return r.cuts == inUse
}

func streak(n int, again bool) int {
	if !again {
		return 0
	}
	return n + 1
}
