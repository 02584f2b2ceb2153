package backlog

import "time"

// Of one batch compressed alone, measured on batches of 256 values: 1.6 kB (mqtt.md 8.3), of which a record's head and
// what every batch begins with are some 150 bytes.
const (
	batchBytes = 150
	valueBytes = 6
)

// Days tells how long an outage a budget carries: at full rate, that is until thinning begins, and until the oldest is
// dropped, when everything is thinned to one batch a minute. It is an estimate: how well values compress is theirs.
func Days(budget int64, values int, period time.Duration) (full, last float64) {
	day := func(every time.Duration) float64 {
		return float64(24*time.Hour) / float64(every) * float64(batchBytes+valueBytes*values)
	}
	return thinAt * float64(budget) / day(period), float64(budget) / day(max(period, thinMoreTo))
}
