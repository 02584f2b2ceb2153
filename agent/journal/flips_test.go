//go:build !race

package journal

// flips is how many single-byte changes TestFlippedBytes makes.
const flips = 10_000
