package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	"rackagent/agent/journal"
	"rackagent/agent/rack"
)

// randomWord is a fresh name of n bytes in hexadecimal.
func randomWord(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b)
}

// refusalOf names the journal's errors for the operator.
func refusalOf(err error) rack.Code {
	switch {
	case errors.Is(err, journal.ErrBusy):
		return rack.CodeBusy
	case errors.Is(err, journal.ErrKnown):
		return rack.CodeReplay
	case errors.Is(err, journal.ErrObserving):
		return rack.CodeObserving
	default:
		return rack.CodeJournalFull
	}
}
