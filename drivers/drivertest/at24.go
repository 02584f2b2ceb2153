package drivertest

import (
	"fmt"
	"sync"
	"time"
)

// at24Busy is the longest time the chip is deaf after a write (Microchip AT24C02D, t_WR).
const at24Busy = 5 * time.Millisecond

// AT24Opts describes an EEPROM.
type AT24Opts struct {
	Size         int // bytes
	PointerBytes int // 1, up to 256 bytes; 2 above
	PageSize     int // bytes; a write wraps round inside its page
	Image        []byte
	Now          func() time.Time
}

// AT24 is a serial EEPROM. While it stores a page it does not acknowledge its address.
//
// A part with a one-byte pointer takes the second byte of a two-byte pointer as data and stores it: that is how
// guessing the kind of part by writing destroys an inventory record.
type AT24 struct {
	mu      sync.Mutex
	o       AT24Opts
	memory  []byte
	pointer int
	busy    time.Time // deaf until then
}

// NewAT24 checks the description. Memory beyond the image is FF, as delivered. Parts of 512 bytes to 2 KiB, which
// answer at several addresses, are not simulated.
func NewAT24(o AT24Opts) (*AT24, error) {
	switch {
	case o.PointerBytes != 1 && o.PointerBytes != 2:
		return nil, fmt.Errorf("at24: pointer of %d bytes, want 1 or 2", o.PointerBytes)
	case o.Size < 1 || o.Size > 1<<(8*o.PointerBytes):
		return nil, fmt.Errorf("at24: %d bytes cannot be reached by a pointer of %d bytes", o.Size, o.PointerBytes)
	case o.PageSize < 1 || o.Size%o.PageSize != 0:
		return nil, fmt.Errorf("at24: %d bytes are not whole pages of %d", o.Size, o.PageSize)
	case len(o.Image) > o.Size:
		return nil, fmt.Errorf("at24: image of %d bytes does not fit %d", len(o.Image), o.Size)
	}
	o.Now = clock(o.Now)
	c := &AT24{o: o, memory: make([]byte, o.Size)}
	c.Load(o.Image)
	return c, nil
}

// NewAT24C02 is the 256-byte part with pages of 8 bytes.
func NewAT24C02(image []byte, now func() time.Time) (*AT24, error) {
	return NewAT24(AT24Opts{Size: 256, PointerBytes: 1, PageSize: 8, Image: image, Now: now})
}

// Load replaces the contents, as another board's chip in the same place would; the rest is FF.
func (c *AT24) Load(image []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fill(c.memory, 0xFF)
	copy(c.memory, image)
}

// Memory is a copy of the contents.
func (c *AT24) Memory() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.memory...)
}

// Reset clears the pointer; the memory keeps its contents.
func (c *AT24) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pointer = 0
	c.busy = time.Time{}
}

// Tx sets the pointer, stores what follows it, and reads from the pointer on.
func (c *AT24) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.Now().Before(c.busy) {
		return NackAddress
	}
	if len(w) >= c.o.PointerBytes {
		c.pointer = 0
		for _, b := range w[:c.o.PointerBytes] {
			c.pointer = c.pointer<<8 | int(b)
		}
		c.pointer %= c.o.Size
		c.store(w[c.o.PointerBytes:])
	}
	for i := range r {
		r[i] = c.memory[c.pointer]
		c.pointer = (c.pointer + 1) % c.o.Size
	}
	return nil
}

func (c *AT24) store(data []byte) {
	if len(data) == 0 {
		return
	}
	page := c.pointer - c.pointer%c.o.PageSize
	for _, b := range data {
		c.memory[c.pointer] = b
		c.pointer = page + (c.pointer+1)%c.o.PageSize
	}
	c.busy = c.o.Now().Add(at24Busy)
}
