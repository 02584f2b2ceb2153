package observer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// pages is a file of bbolt's format 2, read as it stands there. The library is not asked: it maps the file, falls back
// to an older meta page in silence, and a torn page can take the whole process with it. Numbers are in the byte order
// of the machine.
type pages struct {
	file []byte
	size uint64 // of a page
	root uint64 // page of the bucket that holds the buckets
	end  uint64 // pages from here on are not in use
	tx   uint64 // newest transaction
	seen map[uint64]bool
}

// A page begins with its number (64 bits), its flags and its number of elements (16 each), and how many pages follow
// that belong to it (32). Elements follow, of 16 bytes each, and then what they point to, counted from themselves.
const (
	pageHeader  = 16
	elementSize = 16
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagMeta    = 0x04
	flagBucket  = 0x01 // of a leaf's element: its value is a bucket
	bucketSize  = 16   // root page, 0 for one whose page follows right there, and a sequence number
)

// A meta holds, behind the header of its page: magic, version, page size and flags (32 bits each), the root bucket,
// the free list's page, the first page not in use, the transaction, and the FNV-1a of all that (64 each).
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	metaRoot    = 16
	metaEnd     = 40
	metaTx      = 48
	metaSum     = 56
)

// errPage is the reason why nothing in a file can be believed.
var errPage = errors.New("the page structure is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errPage, fmt.Sprintf(format, args...))
}

// parsePages reads the two meta pages of a file, which are valid at all times and one transaction apart.
func parsePages(file []byte) (*pages, error) {
	first, err := meta(file)
	if err != nil {
		return nil, err
	}
	size := uint64(number32(first, 8))
	if size < pageHeader+metaSize || 2*size > uint64(len(file)) {
		return nil, damaged("pages of %d bytes in a file of %d", size, len(file))
	}
	second, err := meta(file[size:])
	if err != nil {
		return nil, err
	}
	one, two := number64(first, metaTx), number64(second, metaTx)
	if one != two+1 && two != one+1 {
		return nil, damaged("its meta pages are of the transactions %d and %d", one, two)
	}
	newest := first
	if two > one {
		newest = second
	}
	return &pages{
		file: file, size: size, root: number64(newest, metaRoot), end: number64(newest, metaEnd), tx: max(one, two),
		seen: map[uint64]bool{0: true, 1: true},
	}, nil
}

func number32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func number64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }

// meta is the meta at the beginning of a page, if it is valid.
func meta(page []byte) ([]byte, error) {
	if len(page) < pageHeader+metaSize {
		return nil, damaged("it has no two meta pages")
	}
	m := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaSum]) // a hash takes everything
	if page[8]&flagMeta == 0 || number32(m, 0) != metaMagic || number32(m, 4) != metaVersion || number64(m, metaSum) != sum.Sum64() {
		return nil, damaged("a meta page is not valid")
	}
	return m, nil
}

// page gives a page with all that belongs to it: one that carries its own number, is in use and was not reached before.
func (p *pages) page(n uint64) ([]byte, error) {
	if p.seen[n] || n >= min(p.end, uint64(len(p.file))/p.size) {
		return nil, damaged("page %d is reached twice, or is not in use", n)
	}
	p.seen[n] = true
	b := p.file[n*p.size:]
	whole := (uint64(number32(b, 12)) + 1) * p.size
	if number64(b, 0) != n || whole > uint64(len(b)) {
		return nil, damaged("page %d says it is %d, and of %d bytes", n, number64(b, 0), whole)
	}
	return b[:whole], nil
}

// visit is called for each key below a page, in order.
type visit func(key, value []byte, bucket bool) error

// walk visits all keys below a page.
func (p *pages) walk(n uint64, last *[]byte, v visit) error {
	page, err := p.page(n)
	if err != nil {
		return err
	}
	return p.walkPage(page, last, v)
}

func (p *pages) walkPage(page []byte, last *[]byte, v visit) error {
	if len(page) < pageHeader {
		return damaged("a page of %d bytes", len(page))
	}
	flags, count := page[8], int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeader+count*elementSize > len(page) || flags != flagBranch && flags != flagLeaf {
		return damaged("a page with the flags %#x has %d elements", flags, count)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		var err error
		if flags == flagBranch {
			err = p.walk(number64(page, at+8), last, v)
		} else {
			err = leaf(page[at:], last, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf visits one key: an element with the rest of its page behind it.
func leaf(e []byte, last *[]byte, v visit) error {
	pos, key, value := uint64(number32(e, 4)), uint64(number32(e, 8)), uint64(number32(e, 12))
	if pos+key+value > uint64(len(e)) {
		return damaged("an element points beyond its page")
	}
	k := e[pos : pos+key]
	if *last != nil && bytes.Compare(*last, k) >= 0 {
		return damaged("its keys are not in order")
	}
	*last = k
	return v(k, e[pos+key:pos+key+value], number32(e, 0)&flagBucket != 0)
}

// keys visits all keys of a bucket, given as the value that its parent holds.
func (p *pages) keys(bucket []byte, v visit) error {
	if len(bucket) < bucketSize {
		return damaged("a bucket of %d bytes", len(bucket))
	}
	var last []byte
	if root := number64(bucket, 0); root != 0 {
		return p.walk(root, &last, v)
	}
	return p.walkPage(bucket[bucketSize:], &last, v)
}
