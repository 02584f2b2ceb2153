package link

import "time"

// The timetable of attempts. All waits are multiplied by 0.5 to 1.5 so that a fleet does not move in step.
const (
	quickWait = 250 * time.Millisecond
	quickFor  = 5 * time.Second
	slowWait  = time.Second
	slowMax   = 30 * time.Second

	authTries = 10 // refusals of the credentials in a row, then authWait: a person has to act
	authWait  = 5 * time.Minute
	inUse     = 3 // cuts within inUseLife in a row, then inUseWait: two clients with one id throw each other out
	inUseLife = 5 * time.Second
	inUseWait = time.Minute
	steady    = 10 * time.Second // a connection that lived so long was a good one
	wipeAfter = 3                // losses by an inbound frame over the limit, in a row
)

// LongestWait is the longest pause between two attempts in ordinary trouble, with the given spread. After
// refused credentials or a client id in use the pauses are longer and are reported.
func LongestWait(spread time.Duration) time.Duration { return slowMax*3/2 + spread }

// retry decides when the next attempt is made. It reads no clock. Run owns it.
type retry struct {
	rnd    func() float64 // 0 <= x < 1
	spread time.Duration

	since time.Time // when this outage began
	tries int       // attempts in it
	slow  time.Duration

	early int // sessions in a row that did not reach steady
	cuts  int // of these, in a row, cut by the peer within inUseLife
	auth  int // refusals of the credentials in a row
	big   int // losses by an oversized frame in a row
}

func (r *retry) restart(now time.Time) { r.since, r.tries, r.slow = now, 0, 0 }

// wait is the pause before the next attempt.
func (r *retry) wait(now time.Time) time.Duration {
	first := r.tries == 0
	r.tries++
	switch {
	case r.auth >= authTries:
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

// failed notes an attempt that gave no session.
func (r *retry) failed(why Reason) {
	if why == ReasonAuth {
		r.auth++
		return
	}
	r.auth = 0
}

// lost notes the end of a session. A loss soon after connecting goes on in the timetable where it was, so that a
// broker that accepts and cuts is not asked in a tight loop. A cut of which a message is suspected is no sign of a
// second client.
func (r *retry) lost(now time.Time, lived time.Duration, why Reason, suspected bool) {
	if lived >= steady || r.early == 0 {
		r.restart(now)
	}
	r.auth = 0
	r.early = streak(r.early, lived < steady)
	if !suspected {
		r.cuts = streak(r.cuts, lived < inUseLife && why == ReasonCut)
	}
	r.big = streak(r.big, why == ReasonOversize)
}

func streak(n int, again bool) int {
	if !again {
		return 0
	}
	return n + 1
}
