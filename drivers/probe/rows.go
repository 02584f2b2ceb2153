package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/fru"
	"rackagent/drivers/pmbus"
)

// row says what may be asked at some addresses, and how.
type row struct {
	name     string
	ranges   []uint16 // pairs of first and last
	pointers []byte   // that may be written, one at a time; none: a read without any write
	ask      func(q *question) (Found, bool)
}

func (r row) covers(addr uint16) bool {
	for i := 0; i+1 < len(r.ranges); i += 2 {
		if addr >= r.ranges[i] && addr <= r.ranges[i+1] {
			return true
		}
	}
	return false
}

func (r row) may(pointer byte) bool { return slices.Contains(r.pointers, pointer) }

// Identification registers.
const (
	makerID  = 0xfe // INA226, INA3221, TMP42x; SMSC's parts
	deviceID = 0xff // INA226, INA3221, TMP42x
	smscID   = 0xfd // product, SMSC's parts
	ina2ID   = 0x3e // INA228, INA238: MANUFACTURER_ID
	ina2Die  = 0x3f // DEVICE_ID
	tLow     = 0x02 // LM75 and its successors
	tHigh    = 0x03
)

// rows is the table. Of several rows for one address the first that identifies ends the asking, so the ones that bother a
// part least come first.
func rows() []row {
	return []row{
		// Hot-swap parts and supplies. MFR_ID and MFR_MODEL alone: supplies are known that latch a fault on a command they
		// do not have (Linux, drivers/hwmon/pmbus).
		{"PMBus", []uint16{0x10, 0x1f, 0x58, 0x5f}, []byte{byte(pmbus.MFR_ID), byte(pmbus.MFR_MODEL)}, askPMBus},
		{"TMP42x", []uint16{0x1c, 0x1f, 0x4c, 0x4f}, []byte{makerID, deviceID}, askTMP42x},
		{"SMSC", []uint16{0x1c, 0x1f, 0x4c, 0x4f}, []byte{makerID, smscID}, askSMSC},
		{"INA", []uint16{0x40, 0x4f}, []byte{makerID, deviceID, ina2ID, ina2Die}, askINA},
		{"LM75", []uint16{0x48, 0x4f}, []byte{tLow, tHigh}, askLM75},
		// A pointer of one byte. A part that takes two would read on from where it is, which harms nothing; two bytes sent
		// to a part that takes one would write the second into its memory.
		{"memory", []uint16{0x50, 0x57}, []byte{0x00, half}, askMemory},
		// Relay expanders, LED drivers, muxes; digital potentiometers and, at 2a, converters (MAX519), which take any byte for a
		// setting: no byte at all.
		{"expander", []uint16{0x20, 0x27, 0x2a, 0x2a, 0x2c, 0x2f, 0x60, 0x60, 0x62, 0x6f, 0x70, 0x77}, nil, receive},
	}
}

// at lists the rows of an address.
func at(addr uint16) []row {
	return slices.DeleteFunc(rows(), func(r row) bool { return !r.covers(addr) })
}

// receive only learns that somebody is there.
func receive(q *question) (Found, bool) {
	read, ok := q.receive()
	if !ok {
		return Found{}, false
	}
	what := "a mux, an expander, a meter or an air sensor"
	switch {
	case q.addr == 0x2a:
		what = "a converter that sets a voltage, or a temperature sensor"
	case q.addr >= 0x2c && q.addr <= 0x2f:
		what = "a fan controller, or a digital potentiometer that sets a voltage"
	case q.addr <= 0x27:
		what = "an expander, perhaps with relays, or a fan controller"
	case q.addr <= 0x6f:
		what = "an expander, a clock or a meter"
	}
	return Found{Confidence: Answers, Read: read, Why: fmt.Sprintf("reads %02x; %s: not asked, the label or the schematic must say", read, what)}, true
}

func found(part, format string, args ...any) (Found, bool) {
	return Found{Part: part, Confidence: Identified, Why: fmt.Sprintf(format, args...)}, true
}

// askTMP42x: Linux driver tmp421.
func askTMP42x(q *question) (Found, bool) {
	maker, _ := q.byte(makerID)
	device, ok := q.byte(deviceID)
	family, diodes := device&0xf0, device&0x0f
	if !ok || maker != 0x55 || family != 0x20 && family != 0x40 || diodes < 1 || diodes > 3 || family == 0x40 && diodes > 2 {
		return Found{}, false
	}
	return found(fmt.Sprintf("tmp4%02x", device), "manufacturer %02x, device %02x", maker, device)
}

// smscPart is a part with SMSC's manufacturer ID.
type smscPart struct {
	name string
	fans bool // a fan controller; else a temperature sensor
}

// smscParts maps product IDs (Linux drivers emc1403 and emc2305) to parts.
func smscParts() map[byte]smscPart {
	return map[byte]smscPart{
		0x20: {name: "emc1412"}, 0x21: {name: "emc1413"}, 0x25: {name: "emc1414"},
		0x34: {name: "emc2305", fans: true}, 0x35: {name: "emc2303", fans: true}, 0x36: {name: "emc2302", fans: true}, 0x37: {name: "emc2301", fans: true},
	}
}

// sits tells whether the part can be at an address: 0x4c and 0x4d have either kind. Where else fan controllers can be
// no byte is written.
func (p smscPart) sits(addr uint16) bool {
	both := addr == 0x4c || addr == 0x4d
	return both || !p.fans
}

func askSMSC(q *question) (Found, bool) {
	maker, _ := q.byte(makerID)
	if maker != 0x5d {
		return Found{}, false
	}
	product, ok := q.byte(smscID)
	if !ok {
		return Found{}, false
	}
	part, known := smscParts()[product]
	if !known || !part.sits(q.addr) {
		return Found{Confidence: Answers, Why: fmt.Sprintf("manufacturer %02x is SMSC, product %02x is none that is known here", maker, product)}, true
	}
	return found(part.name, "manufacturer %02x, product %02x", maker, product)
}

// texas is the manufacturer ID "TI" of power monitors.
const texas = 0x5449

// askINA: Linux drivers ina2xx, ina3221, ina238. An INA237 has no identification.
func askINA(q *question) (Found, bool) {
	maker, _ := q.word(makerID)
	device, ok := q.word(deviceID)
	if ok && maker == texas {
		switch {
		case device == 0x2260:
			return found("ina226", "manufacturer %04x, die %04x", maker, device)
		case device == 0x3220 && q.addr <= 0x43:
			return found("ina3221", "manufacturer %04x, die %04x", maker, device)
		}
		return Found{Confidence: Answers, Why: fmt.Sprintf("manufacturer %04x is Texas Instruments, die %04x is none that is known", maker, device)}, true
	}
	maker, _ = q.word(ina2ID)
	device, ok = q.word(ina2Die)
	if !ok || maker != texas {
		return Found{}, false
	}
	switch {
	case device == 0x2381:
		return found("ina238", "manufacturer %04x, device %04x", maker, device)
	case device&^0x000f == 0x2280: // the rest is the revision
		return found("ina228", "manufacturer %04x, device %04x", maker, device)
	}
	return Found{Confidence: Answers, Why: fmt.Sprintf("manufacturer %04x is Texas Instruments, device %04x is none that is known", maker, device)}, true
}

// askLM75 looks at two registers that parts without identification have at power-on: the limits of temperature sensors (TI
// SBOS288: 75 and 80 degrees), the thresholds of converters (TI SBAS444). Whoever wrote them since is not recognised.
func askLM75(q *question) (Found, bool) {
	low, _ := q.word(tLow)
	high, ok := q.word(tHigh)
	switch {
	case ok && low == 0x4b00 && high == 0x5000:
		return Found{Part: "tmp75", Confidence: LooksLike, Why: "the limits stand at 4b00 and 5000 as after power-on; a TMP105, a TMP1075, an LM75 and other twins read the same"}, true
	case ok && low == 0x8000 && high == 0x7fff && q.addr <= 0x4b:
		return Found{Part: "ads1115", Confidence: LooksLike, Why: "the thresholds stand at 8000 and 7fff as after power-on; an ADS1015 and other twins read the same"}, true
	default:
		return Found{}, false
	}
}

// maker is who makes parts that have drivers of their own.
type maker struct {
	length int      // of MFR_MODEL, as the drivers have it
	parts  []string // what MFR_MODEL begins with, the longer first
}

// makers are found by MFR_ID.
func makers() map[string]maker {
	return map[string]maker{
		"ADI": {10, []string{"ADM1272", "ADM1275", "ADM1278"}},
		"LTC": {7, []string{"LTC4286", "LTC4287"}},
		"NSC": {8, []string{"LM5066I", "LM5066"}},
	}
}

const (
	likelyMaker = 3 // of MFR_ID: "ADI", "LTC", "NSC"
	likelyModel = 8 // arbitrary: other lengths are read once more
)

func askPMBus(q *question) (Found, bool) {
	raw, ok := q.block(byte(pmbus.MFR_ID), likelyMaker)
	if !ok {
		return Found{}, false
	}
	name, ok := pmbus.Text(raw)
	if !ok || name == "" {
		return Found{}, false
	}
	known, ok := makers()[name]
	if !ok {
		known.length = likelyModel
	}
	raw, ok = q.block(byte(pmbus.MFR_MODEL), known.length)
	if !ok {
		return Found{}, false
	}
	model, ok := pmbus.Text(raw)
	if !ok {
		return Found{}, false
	}
	f := Found{
		Part: PartPMBus, Confidence: Identified, Ident: drivers.Ident{Manufacturer: name, Product: model},
		Why: fmt.Sprintf("MFR_ID %q, MFR_MODEL %q", name, model),
	}
	for _, p := range known.parts {
		if strings.HasPrefix(model, p) {
			f.Part = strings.ToLower(p)
			break
		}
	}
	return f, true
}

// half is where the second piece of a memory of 256 bytes begins; reading it at once would keep the bus from others for
// 23 ms at 100 kHz.
const half = 0x80

// header is the length of a FRU record's common header.
const header = 8

// askMemory looks for the FRU record of a board. The header is read twice: a part with a pointer of two bytes goes on
// reading where it stopped instead.
func askMemory(q *question) (Found, bool) {
	head, ok := q.again(0x00, header)
	if !ok {
		return Found{}, false
	}
	switch _, err := fru.Parse(head); {
	case errors.Is(err, fru.ErrEmpty):
		return Found{Part: PartMemory, Confidence: LooksLike, Why: "all ones, as an empty memory reads"}, true
	case head[0] != 0x01 || sum(head) != 0: // format version 1, and the bytes add up to nothing
		return Found{Confidence: Answers, Why: "no FRU record: a memory of something else, or no memory"}, true
	}
	again, ok := q.again(0x00, header)
	if !ok {
		return Found{}, false
	}
	if !slices.Equal(head, again) {
		return Found{
			Part: PartMemory, Confidence: LooksLike,
			Why: "a memory with a pointer of two bytes, perhaps with a FRU record: not read, since two bytes are a write to other memories",
		}, true
	}
	return record(q)
}

// record reads a FRU record and takes its board area.
func record(q *question) (Found, bool) {
	image, ok := q.again(0x00, half)
	if !ok {
		return Found{}, false
	}
	rest, ok := q.again(half, half)
	if !ok {
		return Found{}, false
	}
	f := Found{Part: PartMemory, Confidence: LooksLike, Why: "a FRU record without a board"}
	all, err := fru.Parse(slices.Concat(image, rest))
	if b := all.Board; b != nil {
		f.Confidence, f.Ident = Identified, drivers.Ident{Manufacturer: b.Manufacturer, Product: b.Product, Part: b.PartNumber, Serial: b.Serial}
		f.Why = fmt.Sprintf("FRU record of a board: %q %q, serial %q", b.Manufacturer, b.Product, b.Serial)
	} else if err != nil {
		f.Why = "a FRU record that is damaged: " + err.Error()
	}
	return f, true
}

func sum(b []byte) (s byte) {
	for _, x := range b {
		s += x
	}
	return s
}
