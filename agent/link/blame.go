package link

import "time"

const (
	guilty  = 3         // cuts with nothing else outstanding, in addition to the one that led to sending singly
	barTime = time.Hour // that a birth is left out; arbitrary
)

// blame finds the message that makes the broker cut the connection (a packet over the broker's maximum, a topic
// that its ACL answers with a disconnect). After one early loss everything is sent singly; a message that is cut
// twice while it alone is outstanding is it. Silence proves nothing against a message, only a cut does.
// Link.mu guards it.
type blame struct {
	births map[string]int       // by topic: births are made anew on each connection
	bars   map[string]time.Time // topics of births that are left out until then
}

func newBlame() blame { return blame{births: map[string]int{}, bars: map[string]time.Time{}} }

// judge looks at a lost session. It tells whether a message is suspected of having caused the loss, and gives the
// message when that is certain.
func (b *blame) judge(now time.Time, s *session, lived time.Duration, why Reason) (suspected bool, found *outgoing) {
	if why != ReasonCut || lived >= steady || !s.single || len(s.ids) != 1 {
		return false, nil
	}
	for _, m := range s.ids {
		if b.count(m) < guilty {
			continue
		}
		if m.birth {
			delete(b.births, m.Topic)
			b.bars[m.Topic] = now.Add(barTime)
		}
		return true, m
	}
	return true, nil
}

func (b *blame) count(m *outgoing) int {
	if m.birth {
		b.births[m.Topic]++
		return b.births[m.Topic]
	}
	m.cuts++
	return m.cuts
}

// clear forgets what an acknowledged message was suspected of.
func (b *blame) clear(m *outgoing) {
	if m.birth {
		delete(b.births, m.Topic)
	}
}

// barred tells whether births on a topic are left out for now.
func (b *blame) barred(topic string, now time.Time) bool {
	until, ok := b.bars[topic]
	if ok && !now.Before(until) {
		delete(b.bars, topic)
		return false
	}
	return ok
}
