package telemetry

import (
	"fmt"
	"time"
)

// loss puts lost batches together, so that a day without a broker is two events and not one per period: one when
// it begins, one with the range and the number when it is over.
type loss struct {
	since    time.Time
	from, to int64
	n        int // 0: nothing is being lost
	why      string
}

// add notes a lost batch; the text is to be told, if there is one.
func (l *loss) add(now time.Time, seq int64, why string) (text string) {
	if l.n == 0 {
		l.since, l.from = now, seq
		text = fmt.Sprintf("telemetry is being lost from seq %d on: %s", seq, why)
	}
	l.to, l.n, l.why = max(l.to, seq), l.n+1, why
	return text
}

// end closes the range; the text is to be told, if there is one. Between the first and the last lost batch others
// may have got through.
func (l *loss) end() (text string) {
	switch {
	case l.n == 0:
		return ""
	case int64(l.n) == l.to-l.from+1:
		text = fmt.Sprintf("telemetry lost: seq %d to %d: %s", l.from, l.to, l.why)
	default:
		text = fmt.Sprintf("telemetry lost: %d batches within seq %d to %d: %s", l.n, l.from, l.to, l.why)
	}
	*l = loss{}
	return text
}

// older tells whether it is time to tell about a loss that does not end.
func (l *loss) older(now time.Time, than time.Duration) bool {
	return l.n > 0 && now.Sub(l.since) >= than
}
