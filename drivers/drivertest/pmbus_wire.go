package drivertest

import (
	"bytes"
	"slices"
	"time"
)

// Tx takes a command with or without data, or gives an answer. A read without a command answers the one before.
func (c *PMBus) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !c.powered || !c.o.StaleAfterPage && c.turning(now) {
		return NackAddress
	}
	c.advance(now)
	if len(w) > 0 {
		c.last = w[0]
	}
	k, known := c.find(c.last, now, len(r) > 0)
	c.tally(w, r, k, known)
	switch {
	case len(w) == 0 && len(r) == 0:
		return nil
	case !known:
		return c.unsupported(r)
	case len(r) == 0:
		return c.write(k, w)
	default:
		return c.read(k, w, r, now)
	}
}

// turning tells whether a write to PAGE is too fresh for the device to have settled.
func (c *PMBus) turning(now time.Time) bool {
	return !c.paged.IsZero() && now.Sub(c.paged) < c.o.PageDelay
}

// readPage is the page that a read gets.
func (c *PMBus) readPage(now time.Time) byte {
	if c.o.StaleAfterPage && c.turning(now) {
		return c.before
	}
	return c.page
}

// find looks a command up; a paged one must be on the page, and FF is for writes only.
func (c *PMBus) find(code byte, now time.Time, reading bool) (PMBusCommand, bool) {
	k, ok := c.table[code]
	switch {
	case !ok, k.Hidden != nil && k.Hidden():
		return k, false
	case k.Pages == nil:
		return k, true
	case reading:
		return k, slices.Contains(k.Pages, c.readPage(now))
	default:
		return k, c.page == 0xFF || slices.Contains(k.Pages, c.page)
	}
}

// tally counts what orders something: a write with data, a send byte, and CLEAR_FAULTS however it comes.
func (c *PMBus) tally(w, r []byte, k PMBusCommand, known bool) {
	if len(w) == 0 {
		return
	}
	pointer := len(w) == 1 && known && k.Kind != PMBusSend
	if w[0] == pmCLEAR_FAULTS || len(r) == 0 && !pointer {
		c.writes[w[0]]++
	}
}

func (c *PMBus) unsupported(r []byte) error {
	if !c.o.NoBadCommand {
		c.flag(pmBadCommand)
	}
	if c.o.Unsupported == UnsupportedNACK {
		return NackData
	}
	c.give(r, nil, func() []byte { return nil })
	return nil
}

// flag latches bits of STATUS_CML, which is one for the whole device.
func (c *PMBus) flag(bits byte) { c.latched[pmKey{0, pmSTATUS_CML}] |= bits }

// read answers a command, or a process call where bytes came along.
func (c *PMBus) read(k PMBusCommand, w, r []byte, now time.Time) error {
	page := c.readPage(now)
	answer := func() []byte { return c.block(k, c.value(k, page)) }
	switch {
	case k.Kind == PMBusSend:
		return c.unsupported(r)
	case k.Kind == PMBusCall:
		out, ok := c.call(k, w)
		if !ok {
			c.flag(pmBadData)
			out = nil
		}
		answer = func() []byte { return out }
	case len(w) > 1: // data and a repeated START: not a shape this command has
		c.flag(pmOtherComms)
		answer = func() []byte { return nil }
	}
	if slices.Contains(c.o.FalseBadCommand, k.Code) {
		c.flag(pmBadCommand)
	}
	c.give(r, w, answer)
	return nil
}

// call runs a block process call; the answer has its count in front.
func (c *PMBus) call(k PMBusCommand, w []byte) ([]byte, bool) {
	if len(w) < 2 || int(w[1]) != len(w)-2 {
		return nil, false
	}
	out, ok := k.Call(w[2:])
	return append([]byte{byte(len(out))}, out...), ok
}

// value is what a command reads on a page, a block without its count.
func (c *PMBus) value(k PMBusCommand, page byte) []byte {
	key := c.key(page, k.Code)
	if v, ok := c.forced[key]; ok {
		return v
	}
	if k.Get != nil {
		return k.Get(key.page)
	}
	return c.regs[key]
}

// block puts the count before a block's data, or a false count where a test asked for one.
func (c *PMBus) block(k PMBusCommand, v []byte) []byte {
	if k.Kind != PMBusBlock {
		return v
	}
	n := len(v)
	if lie := c.counts[k.Code]; len(lie) > 0 {
		n = int(lie[0])
		c.counts[k.Code] = append(bytes.Clone(lie[1:]), lie[0])
	}
	out := []byte{byte(n)}
	for i := range n {
		b := byte(0xFF)
		if i < len(v) {
			b = v[i]
		}
		out = append(out, b)
	}
	return out
}

// give puts an answer on the wire; where it ends the bus floats. An empty answer is one of FF.
func (c *PMBus) give(r, w []byte, answer func() []byte) {
	fill(r, 0xFF)
	if c.o.QueuesUnread {
		for i := range r {
			if len(c.queue) == 0 {
				c.queue = bytes.Clone(answer())
			}
			if len(c.queue) > 0 {
				r[i], c.queue = c.queue[0], c.queue[1:]
			}
		}
		return
	}
	out := answer()
	n := copy(r, out)
	if len(out) > 0 && n < len(r) && c.o.PEC != PECNone {
		r[n] = c.check(w, out)
	}
}

// check is the packet error code of an answer.
func (c *PMBus) check(w, out []byte) byte {
	var on []byte
	if len(w) > 0 {
		on = append(append(on, byte(c.o.Addr<<1)), w...)
	}
	on = append(append(on, byte(c.o.Addr<<1|1)), out...)
	code := pmPEC(on)
	if c.badPEC > 0 || c.o.PEC == PECWrong {
		code ^= 0xFF
	}
	c.badPEC = max(c.badPEC-1, 0)
	return code
}

// write takes a send byte or data. A command without data and without a read points at what a later read gives.
func (c *PMBus) write(k PMBusCommand, w []byte) error {
	data := w[1:]
	if len(data) == 0 && k.Kind != PMBusSend {
		return nil
	}
	size := k.Kind.size()
	if k.Kind == PMBusBlock {
		size = 1 + int(data[0])
	}
	if len(data) == size+1 && c.o.PEC == PECGood && !c.o.QueuesUnread {
		if pmPEC(append([]byte{byte(c.o.Addr << 1)}, w[:size+1]...)) != data[size] {
			c.flag(pmBadPEC)
			return NackData
		}
		data = data[:size]
	}
	switch {
	case k.Kind == PMBusCall || len(data) < size:
		c.flag(pmOtherComms)
	case len(data) > size:
		c.flag(pmBadData)
	case k.Kind != PMBusSend && !k.Writable:
		c.flag(pmBadCommand)
	case !c.open(k.Code): // no fault is set (MAX31785 data sheet, WRITE_PROTECT)
	default:
		c.take(k, data)
	}
	return nil
}

// open tells whether WRITE_PROTECT lets a command through (PMBus 1.2 part II, 11.1).
func (c *PMBus) open(code byte) bool {
	level := c.regs[pmKey{0, pmWRITE_PROTECT}]
	if len(level) == 0 || code == pmWRITE_PROTECT {
		return true
	}
	switch code {
	case pmON_OFF_CONFIG, pmVOUT_COMMAND:
		return level[0]&0xC0 == 0
	case pmOPERATION, pmPAGE:
		return level[0]&0x80 == 0
	default:
		return level[0] == 0
	}
}

func (c *PMBus) setProtection(_ byte, d []byte) bool {
	if !slices.Contains([]byte{0, 0x20, 0x40, 0x80}, d[0]) {
		return false
	}
	c.regs[pmKey{0, pmWRITE_PROTECT}] = []byte{d[0]}
	return true
}

// take carries a good write out, on every page where PAGE is FF.
func (c *PMBus) take(k PMBusCommand, data []byte) {
	if k.Kind == PMBusBlock {
		data = data[1:]
	}
	if k.Code == pmCLEAR_FAULTS {
		c.clearFaults()
		return
	}
	pages := []byte{c.page}
	if k.Pages != nil && c.page == 0xFF {
		pages = k.Pages
	}
	for _, p := range pages {
		if !c.put(k, p, data) {
			c.flag(pmBadData)
		}
	}
	c.advance(c.now())
}

// put stores one value.
func (c *PMBus) put(k PMBusCommand, page byte, data []byte) bool {
	key := c.key(page, k.Code)
	switch {
	case k.Set != nil:
		return (k.Kind.size() < 0 || len(data) == k.Kind.size()) && k.Set(key.page, data)
	case k.Kind == PMBusSend:
		return true
	case k.Kind != PMBusBlock && len(data) != k.Kind.size():
		return false
	default:
		c.regs[key] = bytes.Clone(data)
		return true
	}
}

func (c *PMBus) setPage(_ byte, d []byte) bool {
	if d[0] != 0xFF && !slices.Contains(c.pages, d[0]) {
		return false
	}
	c.before, c.page, c.paged = c.page, d[0], c.now()
	return true
}

// statusWord sums the status registers of a page up and adds what is live.
func (c *PMBus) statusWord(page byte) uint16 {
	var v, live uint16
	if c.hooks.live != nil {
		live = c.hooks.live(page)
	}
	for _, s := range pmSummary {
		if c.latched[c.key(page, s.code)]&s.bits != 0 {
			v |= s.word
		}
	}
	if v&0xFF00 != 0 && (v|live)&0xFE == 0 {
		v |= pmNoneOfAbove
	}
	return v | live
}

// condition notes that something begins or ends to hold.
func (c *PMBus) condition(key pmKey, bits byte, holds bool) {
	if !holds {
		c.active[key] &^= bits
		return
	}
	c.active[key] |= bits
	c.latched[key] |= bits
}

// clear ends latched bits that do not hold any more.
func (c *PMBus) clear(key pmKey, bits byte) {
	c.latched[key] = c.latched[key]&^bits | c.active[key]
}

// clearFaults clears the page's registers and those of the whole device.
func (c *PMBus) clearFaults() {
	for key := range c.latched {
		if c.page == 0xFF || c.key(c.page, key.code) == key {
			c.clear(key, 0xFF)
		}
	}
	if c.o.GlitchOnClear > 0 {
		c.glitches++
		if c.hooks.glitch != nil {
			c.hooks.glitch(c.now())
		}
	}
}

// code is a word register as a number; 0 where there is none.
func (c *PMBus) code(page, code byte) uint16 {
	k, ok := c.table[code]
	if !ok {
		return 0
	}
	v := k.Value
	if k.Get != nil {
		v = k.Get(page)
	} else if s, stored := c.regs[pmKey{page, code}]; stored {
		v = s
	}
	if len(v) < 2 {
		return 0
	}
	return uint16(v[0]) | uint16(v[1])<<8
}

// compare runs comparators on a page.
func (c *PMBus) compare(page byte, limits ...pmLimit) {
	for _, l := range limits {
		reading, limit := int16(c.code(page, l.reading)), int16(c.code(page, l.limit))
		c.condition(pmKey{page, l.status}, l.bit, reading > limit && !l.below || reading < limit && l.below)
	}
}
