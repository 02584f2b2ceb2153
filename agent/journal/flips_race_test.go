//go:build race

package journal

// flips is smaller under the race detector, which makes each of them six times as slow and has nothing to find in
// a test of one goroutine.
const flips = 1_000
