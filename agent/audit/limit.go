package audit

import "time"

// bucket lets rate through per second on average, and burst at once.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

func newBucket(rate, burst float64) bucket { return bucket{rate: rate, burst: burst, level: burst} }

// take lets one through, or not.
func (b *bucket) take(now time.Time) bool {
	b.fill(now)
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// wait is how long it takes until one is let through.
func (b *bucket) wait(now time.Time) time.Duration {
	b.fill(now)
	if b.level >= 1 {
		return 0
	}
	return time.Duration((1-b.level)/b.rate*float64(time.Second)) + time.Millisecond // so that rounding leaves none short
}

func (b *bucket) fill(now time.Time) {
	if !b.at.IsZero() {
		b.level = min(b.burst, b.level+b.rate*max(0, now.Sub(b.at).Seconds()))
	}
	b.at = now
}
