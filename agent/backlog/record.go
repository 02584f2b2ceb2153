package backlog

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"rackagent/agent/rack"
)

// FORMAT.md describes every byte. The figures here are frozen with it.
const (
	magic      = "RABKLOG1"
	headerLen  = 40       // of a segment's header
	firstAt    = 64       // where the first record of a segment stands
	fixedLen   = 52       // of a record before the name of the epoch
	endLen     = fixedLen // of the record that closes a segment
	maxEpoch   = 32       // bytes
	maxPayload = 1 << 16  // of one batch; what a broker takes
	// blockRaw is where a block is closed: 64 KiB compressed would be some 600 kB of batches, and reading one block
	// back must not take that much memory at once. Arbitrary.
	blockRaw = 256 << 10
	maxRaw   = blockRaw + maxPayload + 64
)

const (
	kindBatches byte = 1
	kindGap     byte = 2
	kindEnd     byte = 3 // of a segment: what follows is of an earlier use of the file
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is one message of telemetry as it was made.
type Batch struct {
	Epoch   string
	Seq     int64
	At      time.Time // to the millisecond on disk
	Payload []byte
}

// header begins a segment.
type header struct {
	serial   uint64 // random for each use of the file: records of an earlier use carry another one
	from, to uint64 // place among the segments; more than one where several were thinned into this one
	gen      uint32 // of two segments for one place, the higher has replaced the lower
}

func (h header) append(b []byte) []byte {
	at := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint64(b, h.serial)
	b = binary.BigEndian.AppendUint64(b, h.from)
	b = binary.BigEndian.AppendUint64(b, h.to)
	b = binary.BigEndian.AppendUint32(b, h.gen)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
	return append(b, make([]byte, firstAt-headerLen)...)
}

// readHeader tells whether a segment begins here.
func readHeader(b []byte) (header, bool) {
	if len(b) < firstAt || string(b[:8]) != magic || binary.BigEndian.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli) {
		return header{}, false
	}
	h := header{
		serial: binary.BigEndian.Uint64(b[8:]), from: binary.BigEndian.Uint64(b[16:]), to: binary.BigEndian.Uint64(b[24:]),
		gen: binary.BigEndian.Uint32(b[32:]),
	}
	return h, h.from <= h.to
}

// record is one record of a segment, its body still encoded.
type record struct {
	kind        byte
	epoch       string
	count       int
	first, last int64
	since       time.Time // of the first batch
	until       time.Time // of the last
	body        []byte
	end         int64   // where the next record stands
	of          []Batch // what was packed, where that is known
	found       bool    // stands on no disk: a gap that was found while reading
}

// append writes the record for the segment with the given serial.
func (r record) append(b []byte, serial uint64) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(fixedLen-8+len(r.epoch)+len(r.body)))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, serial)
	b = append(b, r.kind, byte(len(r.epoch)))
	b = binary.BigEndian.AppendUint16(b, uint16(r.count))
	b = binary.BigEndian.AppendUint64(b, uint64(r.first))
	b = binary.BigEndian.AppendUint64(b, uint64(r.last))
	b = binary.BigEndian.AppendUint64(b, uint64(millis(r.since)))
	b = binary.BigEndian.AppendUint64(b, uint64(millis(r.until)))
	b = append(b, r.epoch...)
	b = append(b, r.body...)
	binary.BigEndian.PutUint32(b[at+4:], sum(b[at:]))
	return b
}

// size is how many bytes append writes.
func (r record) size() int64 { return int64(fixedLen + len(r.epoch) + len(r.body)) }

// sum is the checksum of a record: over its length and everything behind the checksum.
func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

// readRecord reads the record that begins at a place of a segment. The body is a part of b.
func readRecord(b []byte, at int64, serial uint64) (record, bool) {
	if at < 0 || int64(len(b))-at < fixedLen {
		return record{}, false
	}
	b = b[at:]
	n := int64(binary.BigEndian.Uint32(b))
	if binary.BigEndian.Uint64(b[8:]) != serial || n < fixedLen-8 || n > int64(len(b))-8 {
		return record{}, false
	}
	b = b[:8+n]
	e := int(b[17])
	if binary.BigEndian.Uint32(b[4:]) != sum(b) || e > maxEpoch || fixedLen+e > len(b) {
		return record{}, false
	}
	return record{
		kind: b[16], count: int(binary.BigEndian.Uint16(b[18:])), epoch: string(b[fixedLen : fixedLen+e]),
		first: int64(binary.BigEndian.Uint64(b[20:])), last: int64(binary.BigEndian.Uint64(b[28:])),
		since: moment(int64(binary.BigEndian.Uint64(b[36:]))), until: moment(int64(binary.BigEndian.Uint64(b[44:]))),
		body: b[fixedLen+e:], end: at + 8 + n,
	}, true
}

// millis is 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// page is what a segment holds.
type page struct {
	records []record
	holes   []int // indexes into records: something in front of them cannot be read
	end     int64 // behind the last record
	closed  bool  // nothing can follow
}

// readPage reads all records of a segment from a place on. What cannot be read is left out; a record is searched for
// behind it, so that one bad sector costs one block.
func readPage(b []byte, serial uint64, at int64) page {
	p := page{end: at}
	for {
		r, ok := readRecord(b, p.end, serial)
		if !ok {
			r, ok = findRecord(b, p.end+1, serial)
			if !ok {
				return p
			}
			p.holes = append(p.holes, len(p.records))
		}
		if r.kind == kindEnd {
			p.closed = true
			return p
		}
		p.end = r.end
		p.records = append(p.records, r)
	}
}

// findRecord looks for the next readable record. The serial is at a fixed place in each, so that few are tried.
func findRecord(b []byte, at int64, serial uint64) (record, bool) {
	mark := binary.BigEndian.AppendUint64(nil, serial)
	for at+8 < int64(len(b)) {
		i := bytes.Index(b[at+8:], mark)
		if i < 0 {
			return record{}, false
		}
		at += int64(i)
		if r, ok := readRecord(b, at, serial); ok {
			return r, true
		}
		at++
	}
	return record{}, false
}

var (
	errBlock = errors.New("backlog: a block contradicts itself")
	// ErrBatch is returned for a batch that cannot be stored.
	ErrBatch = errors.New("backlog: a batch needs an epoch of 1 to 32 bytes, a number above 0 and at most 64 KiB")
)

// packer makes blocks out of batches. One compressor is used again and again: it holds most of a megabyte.
type packer struct {
	raw  []byte
	out  bytes.Buffer
	comp *flate.Writer
}

func newPacker() *packer {
	w, _ := flate.NewWriter(nil, flate.DefaultCompression) // the level is a valid one
	return &packer{comp: w}
}

// pack gives the records for batches of one epoch or more, in their order.
func (p *packer) pack(batches []Batch) ([]record, error) {
	var out []record
	for len(batches) > 0 {
		n, raw := 0, 0
		for n < len(batches) && batches[n].Epoch == batches[0].Epoch && raw < blockRaw && n < 1<<16-1 &&
			(n == 0 || batches[n].Seq > batches[n-1].Seq) {
			raw += len(batches[n].Payload)
			n++
		}
		r, err := p.block(batches[:n])
		if err != nil {
			return nil, err
		}
		out = append(out, r)
		batches = batches[n:]
	}
	return out, nil
}

func (p *packer) block(batches []Batch) (record, error) {
	first, last := batches[0], batches[len(batches)-1]
	p.raw = p.raw[:0]
	seq, at := first.Seq, int64(0)
	for _, b := range batches {
		if b.Epoch == "" || len(b.Epoch) > maxEpoch || b.Seq < 1 || len(b.Payload) > maxPayload {
			return record{}, ErrBatch
		}
		p.raw = binary.AppendUvarint(p.raw, uint64(b.Seq-seq))
		p.raw = binary.AppendVarint(p.raw, millis(b.At)-at)
		p.raw = binary.AppendUvarint(p.raw, uint64(len(b.Payload)))
		p.raw = append(p.raw, b.Payload...)
		seq, at = b.Seq, millis(b.At)
	}
	p.out.Reset()
	p.comp.Reset(&p.out)
	_, err := p.comp.Write(p.raw)
	if err = errors.Join(err, p.comp.Close()); err != nil {
		return record{}, err // not of a buffer in memory
	}
	return record{
		kind: kindBatches, epoch: first.Epoch, count: len(batches), first: first.Seq, last: last.Seq, since: first.At, until: last.At,
		body: bytes.Clone(p.out.Bytes()), of: batches,
	}, nil
}

// batches decodes a block. It takes at most maxRaw of memory, whatever the block says of itself.
func (r record) batches() ([]Batch, error) {
	if r.of != nil {
		return r.of, nil
	}
	inflate := flate.NewReader(bytes.NewReader(r.body))
	raw, err := io.ReadAll(io.LimitReader(inflate, maxRaw+1))
	if err != nil || len(raw) > maxRaw {
		return nil, fmt.Errorf("%w: %d bytes, %w", errBlock, len(raw), errors.Join(err))
	}
	var out []Batch
	seq, at := r.first, int64(0)
	for len(raw) > 0 {
		up, i := binary.Uvarint(raw)
		later, j := binary.Varint(raw[max(i, 0):])
		n, k := binary.Uvarint(raw[max(i, 0)+max(j, 0):])
		body := max(i, 0) + max(j, 0) + max(k, 0)
		if i <= 0 || j <= 0 || k <= 0 || n > maxPayload || n > uint64(len(raw)-body) || up > uint64(r.last-seq) {
			return nil, errBlock
		}
		seq, at = seq+int64(up), at+later
		out = append(out, Batch{Epoch: r.epoch, Seq: seq, At: moment(at), Payload: raw[body : body+int(n) : body+int(n)]})
		raw = raw[body+int(n):]
	}
	if len(out) != r.count || len(out) == 0 || seq != r.last || r.first < 1 {
		return nil, errBlock
	}
	return out, nil
}

// gapJSON is the body of a gap's record; numbers and times stand in the record itself.
type gapJSON struct {
	Count  int64          `json:"n,omitempty"`
	Why    rack.GapReason `json:"why"`
	EveryS int            `json:"every_s,omitempty"`
	Next   string         `json:"next,omitempty"`
	Frees  []uint64       `json:"frees,omitempty"` // the first and last place of the segment that was given up
}

// gapRecord writes down a gap, and the place that is free from then on, if there is one.
func gapRecord(g rack.Gap, frees ...uint64) record {
	body, _ := json.Marshal(gapJSON{Count: g.Count, Why: g.Why, EveryS: int(g.Every / time.Second), Next: g.Next, Frees: frees}) // such a struct always can be
	return record{kind: kindGap, epoch: g.Epoch, first: g.From, last: g.To, since: g.Since, until: g.Until, body: body}
}

// gap decodes a gap's record.
func (r record) gap() (g rack.Gap, frees []uint64, err error) {
	var j gapJSON
	if err := json.Unmarshal(r.body, &j); err != nil {
		return rack.Gap{}, nil, err
	}
	if len(j.Frees) != 0 && len(j.Frees) != 2 {
		return rack.Gap{}, nil, errBlock
	}
	return rack.Gap{
		Epoch: r.epoch, From: r.first, To: r.last, Count: j.Count, Why: j.Why, Every: time.Duration(j.EveryS) * time.Second,
		Since: r.since, Until: r.until, Next: j.Next,
	}, j.Frees, nil
}
