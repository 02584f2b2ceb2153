package command

import "time"

// bucket is a token bucket: burst at once, rate per second on average. It starts full.
type bucket struct {
	rate, burst float64
	level       float64
	at          time.Time // when level was right; zero: full
}

func newBucket(rate, burst float64) bucket { return bucket{rate: rate, burst: burst} }

// take uses one token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.level = b.burst
	} else if d := now.Sub(b.at); d > 0 {
		b.level = min(b.burst, b.level+d.Seconds()*b.rate)
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
