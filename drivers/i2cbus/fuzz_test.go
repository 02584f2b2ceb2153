package i2cbus

import (
	"fmt"
	"testing"
)

// FuzzClientName: what is taken for a device's name is written as the kernel would write it, but for leading
// zeros of the bus number.
func FuzzClientName(f *testing.F) {
	for _, s := range []string{"1-0048", "i2c-1", "1-a048", "12-0070", "i2c-INT33C2:00", "0001-007F", "-0048"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		bus, addr, ok := clientName(name)
		if !ok {
			return
		}
		again := fmt.Sprintf("%d-%04x", bus, addr)
		b, a, ok := clientName(again)
		if !ok || b != bus || a != addr || addr > 0x7f || bus < 0 {
			t.Errorf("%q: %d, 0x%02x; %q: %d, 0x%02x, %v", name, bus, addr, again, b, a, ok)
		}
	})
}
