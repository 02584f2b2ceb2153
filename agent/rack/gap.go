package rack

import "time"

// GapReason is the stable name of why telemetry will never arrive.
type GapReason string

// The reasons.
const (
	GapThinned GapReason = "thinned" // an outage was so long that what is stored was thinned
	GapBudget  GapReason = "budget"  // the oldest had to go for the newest
	GapYielded GapReason = "yielded" // the disk was full, and commands come first
	GapCrash   GapReason = "crash"   // the agent ended without a farewell
	GapDamaged GapReason = "damaged" // what was stored cannot be read any more
)

// Gap is telemetry that was made and will never arrive, by its numbers.
type Gap struct {
	Epoch string
	From  int64 // the first that is lost
	To    int64 // the last; 0: not known, everything from From on that has not arrived
	Count int64 // how many of From to To are lost; the others arrive. 0: all that do not arrive
	Why   GapReason
	Every time.Duration // of what was thinned, one batch in so long is left
	Since time.Time     // the time of From; zero: not known
	Until time.Time     // the time of To
	Next  string        // the epoch that follows, where To is not known
}
