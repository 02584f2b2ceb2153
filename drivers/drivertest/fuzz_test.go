package drivertest

import (
	"errors"
	"testing"
	"time"
)

// Whatever a master sends, a chip answers or refuses; it never panics, and it fills what it was asked for.
func FuzzChips(f *testing.F) {
	for _, s := range []string{
		"\x00\x02\x04\x01\x02\x00\x04\x00", "\x01\x03\x00\x02\x3f\x00", "\x02\x02\x00\x01\x60", "\x03\x01\x01\x05", "\x04\x03\x10\x00\xaa\xbb",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		tick := func() time.Time { now = now.Add(7 * time.Millisecond); return now }
		memory, err := NewAT24C02(nil, tick)
		if err != nil {
			t.Fatal(err)
		}
		o := board(load(230, 10, 2300, 0))
		o.Now, o.NoiseCodes = tick, 40
		chips := []Chip{
			NewADE7953(o), NewTCA9555(nil), NewTMP75(func(time.Time) float64 { return 1e9 }, tick), NewPCA9548(), memory,
		}
		// Each step: which chip, how many bytes to write, how many to read, the bytes.
		for len(script) >= 3 {
			c, w, r := chips[int(script[0])%len(chips)], int(script[1]%8), make([]byte, script[2]%40)
			script = script[3:]
			w = min(w, len(script))
			if err := c.Tx(script[:w], r); err != nil && !errors.Is(err, NackAddress) && !errors.Is(err, NackData) {
				t.Fatalf("%T answered %v", c, err)
			}
			script = script[w:]
		}
	})
}
