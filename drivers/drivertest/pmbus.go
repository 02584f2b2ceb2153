package drivertest

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"
)

// PMBusKind is the shape of a command on the wire.
type PMBusKind uint8

// The shapes. A word travels low byte first; a block is led by the count of its bytes.
const (
	PMBusByte PMBusKind = iota + 1
	PMBusWord
	PMBusBlock
	PMBusSend // no data
	PMBusCall // block write and block read in one transfer
)

// size is the count of data bytes a write carries; -1 where the data say.
func (k PMBusKind) size() int {
	switch k {
	case PMBusByte:
		return 1
	case PMBusWord:
		return 2
	case PMBusSend:
		return 0
	default:
		return -1
	}
}

// PMBusPEC is what a device makes of packet error codes.
type PMBusPEC uint8

// The ways. PECAsBuilt is what the part is known for; for a bare PMBus it is PECNone.
const (
	PECAsBuilt PMBusPEC = iota
	PECNone             // none sent; one more byte of a write is one byte too many
	PECGood             // sent with reads; checked on writes that carry one
	PECWrong            // sent with reads and wrong; on writes as PECNone
)

// PMBusUnsupported is the answer to a command that a device does not have.
type PMBusUnsupported uint8

// The answers. UnsupportedAsBuilt is what the part is known for; for a bare PMBus it is UnsupportedNACK.
const (
	UnsupportedAsBuilt PMBusUnsupported = iota
	UnsupportedNACK                     // the command byte is not acknowledged
	UnsupportedOnes                     // reads give FF, writes are acknowledged and dropped
)

// PMBusOpts is how a device behaves on the bus, whatever it measures.
type PMBusOpts struct {
	Addr        uint16 // seven bits; a packet error code covers it
	PEC         PMBusPEC
	Unsupported PMBusUnsupported
	// NoBadCommand keeps STATUS_CML still on an unsupported command (Delta DPS920AB, Linux driver dps920ab).
	NoBadCommand bool
	// FalseBadCommand are commands that are answered rightly and set "bad command" all the same: VOUT_MODE of the
	// BEL PFE1100 and PFE3000 (Linux driver bel-pfe).
	FalseBadCommand []byte
	// QueuesUnread keeps what a master left unread of an answer and hands it out at the next read of any command, as
	// some microcontrollers and QEMU 7.2's PMBus devices do. Reading past the end repeats the answer. Such a device
	// sends no packet error code.
	QueuesUnread bool
	// PageDelay is how long the device acknowledges nothing after a write to PAGE; FSP's YM-2151E needs 20 ms (Linux
	// driver fsp-3y).
	PageDelay time.Duration
	// StaleAfterPage makes it answer during PageDelay, with values of the page before.
	StaleAfterPage bool
	// GlitchOnClear takes the outputs away for that long at every CLEAR_FAULTS. Of the Delta AHE-50DC about every
	// twentieth does it (Linux driver delta-ahe50dc-fan); here it is each.
	GlitchOnClear time.Duration
	Now           func() time.Time // nil: the system's clock
}

// asBuilt puts a part's own ways where none were asked for.
func (o PMBusOpts) asBuilt(p PMBusPEC, u PMBusUnsupported) PMBusOpts {
	if o.PEC == PECAsBuilt {
		o.PEC = p
	}
	if o.Unsupported == UnsupportedAsBuilt {
		o.Unsupported = u
	}
	o.Now = clock(o.Now)
	return o
}

// capability is CAPABILITY with bit 7 as the device keeps it.
func (o PMBusOpts) capability(v byte) byte {
	if o.PEC == PECNone || o.QueuesUnread {
		return v &^ 0x80
	}
	return v
}

// PMBusCommand is one row of a device's command table. Its functions are called with the device locked.
type PMBusCommand struct {
	Code     byte
	Kind     PMBusKind
	Pages    []byte // the pages that have it; nil: one for the whole device, whatever PAGE says
	Writable bool
	Value    []byte // at power-on; a block's without its count
	// Get gives the value instead of the stored one.
	Get func(page byte) []byte
	// Set takes a write instead of storing it; false is bad data.
	Set func(page byte, data []byte) bool
	// Hidden tells whether the device at this moment does as if it had no such command.
	Hidden func() bool
	// Call answers a block process call; false is bad data.
	Call func(in []byte) ([]byte, bool)
}

// pmKey is a register: a command on a page; page 0 for a command of the whole device.
type pmKey struct{ page, code byte }

// pmHooks are what a part adds to the device. They are called with it locked; any may be nil.
type pmHooks struct {
	advance func(now time.Time)    // bring what runs in time up to now
	reset   func(now time.Time)    // power-on values of what is not in the table
	live    func(page byte) uint16 // the bits of STATUS_WORD that do not latch
	glitch  func(now time.Time)    // a CLEAR_FAULTS shook the outputs
}

// PMBus is a register-level device: pages, a table of commands, packet error codes, status registers that latch
// (PMBus 1.2 part II). NewPMBus builds a bare one from a table; the parts build on it.
//
// Left out: PAGE_PLUS commands, SMBALERT, storing to flash.
type PMBus struct {
	mu    sync.Mutex
	o     PMBusOpts
	pages []byte
	table map[byte]PMBusCommand
	hooks pmHooks

	regs    map[pmKey][]byte
	latched map[pmKey]byte // status registers
	active  map[pmKey]byte // conditions that hold now: they latch again at once
	page    byte
	before  byte      // the page before the last write to PAGE
	paged   time.Time // of that write
	last    byte      // command last addressed
	queue   []byte    // answer bytes nobody has read
	powered bool

	forced   map[pmKey][]byte // answers a test put in place of the device's own
	counts   map[byte][]byte  // count bytes to lie with, in turn
	badPEC   int              // answers still to be sent with a wrong code
	writes   map[byte]int     // by command, refused ones too
	glitches int
}

// NewPMBus is a device with some pages and commands. The pages may be nil: one page, 0. PAGE, CLEAR_FAULTS,
// STATUS_BYTE and STATUS_WORD need only be named (NamePMBus); of STATUS_VOUT to STATUS_FANS_3_4 those in the table
// latch.
func NewPMBus(o PMBusOpts, pages []byte, commands ...PMBusCommand) *PMBus {
	c := newPMBus(o.asBuilt(PECNone, UnsupportedNACK), pages)
	c.start(pmHooks{}, commands...)
	return c
}

// NamePMBus is a row for a command whose behaviour is the device's own: PAGE, CLEAR_FAULTS, WRITE_PROTECT and the
// status registers. Status registers named with clearing take a 1 in a bit as an order to clear it.
func NamePMBus(clearing bool, pages []byte, codes ...byte) []PMBusCommand {
	var out []PMBusCommand
	for _, code := range codes {
		k := PMBusCommand{Code: code, Kind: PMBusByte}
		switch {
		case code == pmPAGE || code == pmWRITE_PROTECT:
			k.Writable, k.Value = true, []byte{0}
		case code == pmCLEAR_FAULTS:
			k.Kind = PMBusSend
		case code == pmSTATUS_WORD:
			k.Kind, k.Pages = PMBusWord, pages
		case code == pmSTATUS_CML: // what went wrong on the wire belongs to no page
			k.Writable = clearing
		case code == pmSTATUS_BYTE:
			k.Pages = pages
		default:
			k.Pages, k.Writable = pages, clearing
		}
		out = append(out, k)
	}
	return out
}

func newPMBus(o PMBusOpts, pages []byte) *PMBus {
	if len(pages) == 0 {
		pages = []byte{0}
	}
	return &PMBus{
		o: o, pages: pages, table: make(map[byte]PMBusCommand), powered: true,
		active: make(map[pmKey]byte), forced: make(map[pmKey][]byte), counts: make(map[byte][]byte), writes: make(map[byte]int),
	}
}

// start fills the table and powers the device.
func (c *PMBus) start(h pmHooks, commands ...PMBusCommand) {
	c.hooks = h
	for _, k := range commands {
		switch {
		case k.Code == pmPAGE:
			k.Get = func(byte) []byte { return []byte{c.page} }
			k.Set = c.setPage
		case k.Code == pmWRITE_PROTECT:
			k.Set = c.setProtection
		case k.Code == pmSTATUS_BYTE:
			k.Get = func(p byte) []byte { return []byte{byte(c.statusWord(p))} }
		case k.Code == pmSTATUS_WORD:
			k.Get = func(p byte) []byte { return pmLE(c.statusWord(p)) }
		case k.Code >= pmSTATUS_VOUT && k.Code <= pmSTATUS_FANS_3_4:
			k.Get = func(p byte) []byte { return []byte{c.latched[pmKey{p, k.Code}]} }
			k.Set = func(p byte, d []byte) bool { c.clear(pmKey{p, k.Code}, d[0]); return true }
		}
		c.table[k.Code] = k
	}
	c.reset(c.now())
}

func (c *PMBus) reset(now time.Time) {
	c.regs = make(map[pmKey][]byte)
	for _, k := range c.table {
		for _, p := range k.homes() {
			c.regs[pmKey{p, k.Code}] = bytes.Clone(k.Value)
		}
	}
	c.latched = maps.Clone(c.active)
	c.page, c.before, c.paged, c.last, c.queue = 0, 0, time.Time{}, 0, nil
	if c.hooks.reset != nil {
		c.hooks.reset(now)
	}
	c.advance(now)
}

// key is the register of a command on a page.
func (c *PMBus) key(page, code byte) pmKey {
	if c.table[code].Pages == nil {
		page = 0
	}
	return pmKey{page, code}
}

// homes are the pages a command keeps registers on.
func (k PMBusCommand) homes() []byte {
	if k.Pages == nil {
		return []byte{0}
	}
	return k.Pages
}

func (c *PMBus) advance(now time.Time) {
	if c.hooks.advance != nil {
		c.hooks.advance(now)
	}
}

// Reset is a brown-out: registers and counters at their power-on values, PAGE 0, nothing latched but what still holds.
func (c *PMBus) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(c.now())
	c.reset(c.now())
}

// SetPowered takes away or gives back the device's supply. Without it nothing answers; with it the device starts at
// its power-on values.
func (c *PMBus) SetPowered(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(c.now())
	if on && !c.powered {
		c.reset(c.now())
	}
	c.powered = on
}

// SetFault sets which conditions hold now behind a status register: its bits latch, and come back after a clear for as
// long as the condition holds. No bits ends them and leaves what has latched.
func (c *PMBus) SetFault(page, code, bits byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.condition(c.key(page, code), 0xFF, false)
	c.condition(c.key(page, code), bits, true)
}

// Store puts a value into a register as a program that ran before would have left it, without a transfer. A block's
// value stands without its count.
func (c *PMBus) Store(page, code byte, data ...byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(c.now())
	if k, ok := c.table[code]; ok {
		c.put(k, page, data)
		c.advance(c.now())
	}
}

// Force makes reads of a command give some bytes whatever the device would say; no bytes ends that. A block's bytes
// stand without the count.
func (c *PMBus) Force(page, code byte, data ...byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(data) == 0 {
		delete(c.forced, c.key(page, code))
		return
	}
	c.forced[c.key(page, code)] = data
}

// SetCounts makes a block answer with false lengths: each read takes the next count, and after the last begins again.
// The device means what it says: data are cut or filled up with FF to the count. No counts ends that.
func (c *PMBus) SetCounts(code byte, counts ...byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[code] = counts
}

// CorruptPEC makes the packet error codes of the next n answers wrong.
func (c *PMBus) CorruptPEC(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.badPEC = n
}

// Register is what a read would give now, without a count and without any trace of the asking; nil where there is
// none.
func (c *PMBus) Register(page, code byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(c.now())
	k, ok := c.table[code]
	if !ok || !slices.Contains(k.homes(), page) {
		return nil
	}
	return bytes.Clone(c.value(k, page))
}

// Page is the PAGE register.
func (c *PMBus) Page() byte { c.mu.Lock(); defer c.mu.Unlock(); return c.page }

// Writes counts the writes and send bytes to a command since the device was made, refused ones too.
func (c *PMBus) Writes(code byte) int { c.mu.Lock(); defer c.mu.Unlock(); return c.writes[code] }

// Clears counts the CLEAR_FAULTS received.
func (c *PMBus) Clears() int { return c.Writes(pmCLEAR_FAULTS) }

// Glitches counts how often a CLEAR_FAULTS shook the outputs.
func (c *PMBus) Glitches() int { c.mu.Lock(); defer c.mu.Unlock(); return c.glitches }

// now is the device's time.
func (c *PMBus) now() time.Time { return c.o.Now() }
