package scan

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Progress is how far a scan is. The first round asks every address, the second one those that were silent.
type Progress struct {
	Round int // 1 or 2
	Asked int // in this round
	Of    int // in this round
	Found int // in both
}

// Summary is what became of the addresses of a scan. Those that are in none of the numbers were not asked to the end.
type Summary struct {
	Addresses int    `json:"addresses"`
	Found     int    `json:"found"`
	Silent    int    `json:"silent"`            // twice
	Closed    int    `json:"closed"`            // there, and no port of a miner is open
	Failed    int    `json:"failed"`            // for a reason of this machine's own network
	Failure   string `json:"failure,omitempty"` // the first such reason
}

// Run looks at every address of some prefixes. found is called at the end, for each address that tells something, in the order
// of the addresses. Where ctx ends first, found gets what is known by then, and the error is the context's.
//
// An address that hangs holds up to MinSockets sockets for five times o.Timeout at most, and delays nobody else as long as
// there are others.
func Run(ctx context.Context, o Opts, prefixes []netip.Prefix, found func(Found)) (Summary, error) {
	o, err := o.filled()
	if err != nil {
		return Summary{}, err
	}
	all, err := Addresses(prefixes)
	if err != nil {
		return Summary{}, err
	}
	s := &sweep{o: o, found: make(map[netip.Addr]Found)}
	s.sum.Addresses = len(all)
	silent := s.round(ctx, 1, all)
	silent = s.round(ctx, 2, silent)
	s.sum.Silent = len(silent)
	s.sum.Found = len(s.found)
	sameMAC(all, s.found)
	for _, a := range all {
		if f, ok := s.found[a]; ok {
			found(f)
		}
	}
	return s.sum, ctx.Err()
}

// sweep is one scan.
type sweep struct {
	o Opts

	mu    sync.Mutex
	sum   Summary
	at    Progress
	found map[netip.Addr]Found
	quiet map[netip.Addr]bool // in this round
}

// round asks addresses and gives those that were silent, in order. As many are looked at at once as there are sockets for a
// knock at all ports of each.
func (s *sweep) round(ctx context.Context, n int, addrs []netip.Addr) []netip.Addr {
	s.quiet = make(map[netip.Addr]bool)
	s.at.Round, s.at.Asked, s.at.Of = n, 0, len(addrs)
	if len(addrs) == 0 || ctx.Err() != nil {
		return nil
	}
	s.o.Progress(s.at)
	feed := make(chan netip.Addr)
	var wg sync.WaitGroup
	for range min(len(addrs), s.o.Sockets/MinSockets()) {
		wg.Go(func() {
			for a := range feed {
				s.visit(ctx, a)
			}
		})
	}
	s.feed(ctx, feed, addrs)
	close(feed)
	wg.Wait()
	var silent []netip.Addr
	for _, a := range addrs {
		if s.quiet[a] {
			silent = append(silent, a)
		}
	}
	return silent
}

// feed hands addresses out, at most Rate of them in a second.
func (s *sweep) feed(ctx context.Context, feed chan<- netip.Addr, addrs []netip.Addr) {
	tick := time.NewTicker(time.Second / time.Duration(s.o.Rate))
	defer tick.Stop()
	for i, a := range addrs {
		if i > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		select {
		case feed <- a:
		case <-ctx.Done():
			return
		}
	}
}

// visit looks at one address and notes what became of it.
func (s *sweep) visit(ctx context.Context, a netip.Addr) {
	f, err := at(ctx, s.o, a.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.found[a] = f
		s.at.Found++
	case errors.Is(err, ErrSilent):
		s.quiet[a] = true
	case errors.Is(err, ErrClosed):
		s.sum.Closed++
	case ctx.Err() != nil:
		return
	default:
		s.sum.Failed++
		if s.sum.Failure == "" {
			s.sum.Failure = text(err.Error())
		}
	}
	s.at.Asked++
	s.o.Progress(s.at)
}

// sameMAC notes who else told the MAC of each: one unit with two addresses, or a clone.
func sameMAC(all []netip.Addr, found map[netip.Addr]Found) {
	by := make(map[string][]netip.Addr)
	for _, a := range all {
		if f := found[a]; f.MAC != "" {
			by[f.MAC] = append(by[f.MAC], a)
		}
	}
	for _, same := range by {
		for _, a := range same {
			f := found[a]
			for _, other := range same {
				if other != a {
					f.SameMAC = append(f.SameMAC, other.String())
				}
			}
			found[a] = f
		}
	}
}
