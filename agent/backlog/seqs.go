package backlog

import "slices"

// seqs is a set of sequence numbers as ranges, both ends included, in order and apart from each other.
type seqs [][2]int64

// maxRanges bounds a set; beyond it the oldest range is forgotten, which costs duplicates. Arbitrary.
const maxRanges = 200

func (s *seqs) add(n int64) {
	i, found := slices.BinarySearchFunc(*s, n, func(r [2]int64, n int64) int {
		switch {
		case r[1]+1 < n:
			return -1
		case r[0]-1 > n:
			return 1
		default:
			return 0
		}
	})
	switch {
	case !found:
		*s = slices.Insert(*s, i, [2]int64{n, n})
	default:
		r := &(*s)[i]
		r[0], r[1] = min(r[0], n), max(r[1], n)
		if i+1 < len(*s) && (*s)[i+1][0] <= r[1]+1 {
			r[1] = max(r[1], (*s)[i+1][1])
			*s = slices.Delete(*s, i+1, i+2)
		}
	}
	if len(*s) > maxRanges {
		*s = slices.Delete(*s, 0, 1)
	}
}

func (s seqs) has(n int64) bool {
	_, found := slices.BinarySearchFunc(s, n, func(r [2]int64, n int64) int {
		switch {
		case r[1] < n:
			return -1
		case r[0] > n:
			return 1
		default:
			return 0
		}
	})
	return found
}
