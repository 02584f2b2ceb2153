package drivertest

import "sync"

// Registers of the MCP23017 in the order of one port (Microchip DS20001952). With BANK = 0 a register is at
// 2n for port A and 2n+1 for port B, with BANK = 1 at n and 10h + n.
const (
	mcpIODIR = iota
	mcpIPOL
	mcpGPINTEN
	mcpDEFVAL
	mcpINTCON
	mcpIOCON
	mcpGPPU
	mcpINTF
	mcpINTCAP
	mcpGPIO
	mcpOLAT
	mcpRegisters
)

// Bits of IOCON, the one register both ports share.
const (
	mcpBANK  = 1 << 7
	mcpSEQOP = 1 << 5 // 1: the address does not move on
)

// MCP23017 is a 16-bit I/O expander. At power-on all pins are inputs and the output latch is 00, the opposite of a
// PCA9555. In Pins port A is the lower half.
//
// Left out: GPPU is stored and changes no level; newer data sheets want GPA7 and GPB7 used as outputs only, which is not
// enforced.
type MCP23017 struct {
	mu       sync.Mutex
	pointer  byte
	iocon    byte
	regs     [2][mcpRegisters]byte
	before   [2]byte // levels that a change is measured against
	external uint16
	pins     func(Pins)
}

// NewMCP23017 is an expander after power-on. For the function see Expander.
func NewMCP23017(pins func(Pins)) *MCP23017 {
	c := &MCP23017{pins: pins, external: 0xFFFF}
	c.defaults()
	return c
}

func (c *MCP23017) defaults() {
	c.pointer, c.iocon = 0, 0
	c.regs = [2][mcpRegisters]byte{{mcpIODIR: 0xFF}, {mcpIODIR: 0xFF}}
	c.before = split(c.external)
}

// Reset is a brown-out: every register at its power-on value, every pin an input.
func (c *MCP23017) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defaults()
	c.report()
}

// Load puts the latch and the direction where a program that ran before would have left them, both at once.
func (c *MCP23017) Load(output, direction uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for port := range c.regs {
		c.regs[port][mcpOLAT], c.regs[port][mcpIODIR] = split(output)[port], split(direction)[port]
	}
	c.report()
}

// Disturb sets IOCON.BANK, as a disturbed write would: the registers move to other addresses.
func (c *MCP23017) Disturb() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.iocon |= mcpBANK
}

// Drive sets the level that outside circuits put on the pins; it shows where a pin is an input, and may set interrupts.
func (c *MCP23017) Drive(level uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.external = level
	c.interrupts()
}

// Output is the output latch.
func (c *MCP23017) Output() uint16 { return c.both(mcpOLAT) }

// Direction is IODIR; 1 is an input.
func (c *MCP23017) Direction() uint16 { return c.both(mcpIODIR) }

func (c *MCP23017) both(reg int) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return join([2]byte{c.regs[0][reg], c.regs[1][reg]})
}

// Pins tells what the pins do now.
func (c *MCP23017) Pins() Pins { c.mu.Lock(); defer c.mu.Unlock(); return c.now() }

// Tx writes the register address and then registers, and reads registers.
func (c *MCP23017) Tx(w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		c.pointer = w[0]
		for _, b := range w[1:] {
			c.write(b)
			c.step()
		}
	}
	for i := range r {
		r[i] = c.read()
		c.step()
	}
	return nil
}

// locate finds the register at the pointer.
func (c *MCP23017) locate() (port, reg int, ok bool) {
	if c.iocon&mcpBANK == 0 {
		port, reg = int(c.pointer&1), int(c.pointer>>1)
	} else {
		port, reg = int(c.pointer>>4&1), int(c.pointer&0xEF)
	}
	return port, reg, reg < mcpRegisters
}

// step moves the pointer after a byte. With SEQOP = 1 it stays, but with BANK = 0 it swings between the two ports.
func (c *MCP23017) step() {
	banked := c.iocon&mcpBANK != 0
	switch {
	case c.iocon&mcpSEQOP != 0 && banked:
		return
	case c.iocon&mcpSEQOP != 0:
		c.pointer ^= 1
		return
	}
	c.pointer++
	if last := byte(2*mcpRegisters - 1); !banked && c.pointer > last || banked && c.pointer > 0x10+mcpRegisters-1 {
		c.pointer = 0
	}
}

func (c *MCP23017) write(b byte) {
	port, reg, ok := c.locate()
	if !ok {
		return
	}
	switch reg {
	case mcpIOCON:
		c.iocon = b &^ 1
	case mcpINTF, mcpINTCAP: // read only
	case mcpGPIO, mcpOLAT:
		c.regs[port][mcpOLAT] = b
		c.report()
	default:
		c.regs[port][reg] = b
		if reg == mcpIODIR {
			c.report()
		}
	}
	c.interrupts()
}

// read gives the register at the pointer; 00 where there is none. GPIO and INTCAP clear the interrupts of their port.
func (c *MCP23017) read() byte {
	port, reg, ok := c.locate()
	if !ok {
		return 0
	}
	v := c.regs[port][reg]
	switch reg {
	case mcpIOCON:
		return c.iocon
	case mcpGPIO:
		v = c.level(port) ^ c.regs[port][mcpIPOL]
	case mcpINTCAP:
	default:
		return v
	}
	c.regs[port][mcpINTF] = 0
	c.before[port] = c.level(port)
	c.interrupts()
	return v
}

// level is what is on the pins of a port.
func (c *MCP23017) level(port int) byte {
	in := c.regs[port][mcpIODIR]
	return split(c.external)[port]&in | c.regs[port][mcpOLAT]&^in
}

// interrupts flags enabled inputs that changed or that differ from DEFVAL. While a flag of a port is set, INTCAP keeps
// what it caught.
func (c *MCP23017) interrupts() {
	for port := range c.regs {
		r, level := &c.regs[port], c.level(port)
		differs := (level^c.before[port])&^r[mcpINTCON] | (level^r[mcpDEFVAL])&r[mcpINTCON]
		hit := differs & r[mcpGPINTEN] & r[mcpIODIR]
		if hit != 0 && r[mcpINTF] == 0 {
			r[mcpINTF], r[mcpINTCAP] = hit, level^r[mcpIPOL]
		}
	}
}

func (c *MCP23017) now() Pins {
	return Pins{
		Driven: ^join([2]byte{c.regs[0][mcpIODIR], c.regs[1][mcpIODIR]}),
		Level:  join([2]byte{c.regs[0][mcpOLAT], c.regs[1][mcpOLAT]}),
	}
}

func (c *MCP23017) report() {
	if c.pins != nil {
		c.pins(c.now())
	}
}
