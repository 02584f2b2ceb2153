package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// errUnreadable reports a file that is no whole journal: its pages, its tally or its identity are wrong.
var errUnreadable = errors.New("journal: unreadable file")

func unreadable(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUnreadable}, args...)...)
}

// Layout of a bbolt file, version 2, from go.etcd.io/bbolt v1.5.0 internal/common (meta.go, page.go, bucket.go).
// Numbers are in the byte order of the machine.
const (
	pageHeader    = 16 // id u64, flags u16, count u16, overflow u32
	elementHeader = 16 // branch: pos u32, ksize u32, pgid u64; leaf: flags, pos, ksize, vsize u32
	metaSize      = 64 // magic, version, pageSize, flags u32; root, sequence, freelist, pgid, txid, checksum u64
	bucketHeader  = 16 // root page u64, sequence u64

	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	bucketElement = 0x01
)

// meta is one of the two meta pages.
type meta struct {
	pageSize             uint32
	root, freelist, high uint64 // high: first page id that was never used
	tx                   uint64
}

// verify reads a bbolt file page by page and proves that bbolt can walk it without leaving it: every page is
// where it says it is, is reached once, and holds its elements within itself and in order.
//
// bbolt's own Check cannot stand here. It runs in a goroutine of its own, where no caller can recover from a
// fault, and it follows page numbers unchecked: one flipped bit can end the process. verify reads with pread,
// so a medium that cannot be read is an error and no SIGBUS.
//
// Both meta pages must be whole. bbolt would fall back from a damaged newer one to the older, and so lose the
// last commit without a word. A power cut does not need that fallback: a meta page's content lies in its first
// 80 bytes, within one sector, which is written whole or not.
func verify(r io.ReaderAt, size int64) error {
	m, err := newestMeta(r, size)
	if err != nil {
		return err
	}
	w := &walker{r: r, pageSize: int64(m.pageSize), high: m.high, seen: make([]bool, m.high)}
	return w.tree(m.root, nil, nil, w.bucket)
}

func newestMeta(r io.ReaderAt, size int64) (meta, error) {
	a, err := readMeta(r, 0, 0)
	if err != nil {
		return meta{}, err
	}
	if a.pageSize < 1024 || a.pageSize > 1<<16 || a.pageSize&(a.pageSize-1) != 0 {
		return meta{}, unreadable("page size %d", a.pageSize)
	}
	b, err := readMeta(r, 1, int64(a.pageSize))
	if err != nil {
		return meta{}, err
	}
	m, old, at := a, b, uint64(0)
	if b.tx > a.tx {
		m, old, at = b, a, 1
	}
	switch {
	case b.pageSize != a.pageSize:
		return meta{}, unreadable("meta pages differ in page size")
	case m.tx != old.tx+1 || m.tx%2 != at:
		return meta{}, unreadable("meta pages of transactions %d and %d", a.tx, b.tx)
	case m.high < 4 || m.high > uint64(size)/uint64(m.pageSize):
		return meta{}, unreadable("%d pages in a file of %d bytes", m.high, size)
	case m.freelist != noFreelist:
		return meta{}, unreadable("a free list is stored, which this journal never does")
	}
	return m, nil
}

func readMeta(r io.ReaderAt, id uint64, at int64) (meta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := r.ReadAt(b[:], at); err != nil {
		return meta{}, unreadable("meta page at %d: %w", at, err)
	}
	n := binary.NativeEndian
	body := b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(body[:metaSize-8]) // a hash never fails
	switch {
	case n.Uint64(b[:]) != id || n.Uint16(b[8:]) != metaPage:
		return meta{}, unreadable("meta page at %d: says it is page %d with flags %#x", at, n.Uint64(b[:]), n.Uint16(b[8:]))
	case n.Uint32(body) != boltMagic || n.Uint32(body[4:]) != boltVersion:
		return meta{}, unreadable("meta page at %d: magic %#x, version %d", at, n.Uint32(body), n.Uint32(body[4:]))
	case n.Uint64(body[56:]) != sum.Sum64():
		return meta{}, unreadable("meta page at %d: checksum", at)
	}
	return meta{
		pageSize: n.Uint32(body[8:]),
		root:     n.Uint64(body[16:]),
		freelist: n.Uint64(body[32:]),
		high:     n.Uint64(body[40:]),
		tx:       n.Uint64(body[48:]),
	}, nil
}

// walker goes through all pages that are in use. seen bounds both memory and depth: no page is read twice.
type walker struct {
	r        io.ReaderAt
	pageSize int64
	high     uint64
	seen     []bool
}

// tree walks a B+tree in order of its keys: all are at least lo and below hi (nil: no bound), and each is above
// the one before it.
func (w *walker) tree(id uint64, lo, hi []byte, leaf func(element) error) error {
	p, err := w.page(id)
	if err != nil {
		return err
	}
	elements, err := p.elements()
	if err != nil {
		return unreadable("page %d: %w", id, err)
	}
	if err := ordered(elements, lo, hi); err != nil {
		return unreadable("page %d: %w", id, err)
	}
	for i, e := range elements {
		if !p.branch {
			err = leaf(e)
		} else if i+1 < len(elements) {
			err = w.tree(e.child, e.key, elements[i+1].key, leaf)
		} else {
			err = w.tree(e.child, e.key, hi, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errOrder = errors.New("keys out of order")

func ordered(elements []element, lo, hi []byte) error {
	for i, e := range elements {
		if i == 0 && lo != nil && bytes.Compare(e.key, lo) < 0 ||
			i > 0 && bytes.Compare(e.key, elements[i-1].key) <= 0 ||
			hi != nil && bytes.Compare(e.key, hi) >= 0 {
			return errOrder
		}
	}
	return nil
}

// bucket walks the tree of one bucket, or the page within its value where it is small.
func (w *walker) bucket(e element) error {
	if e.flags != bucketElement || len(e.value) < bucketHeader {
		return unreadable("%q is no bucket", e.key)
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		return w.tree(root, nil, nil, plain)
	}
	p, err := parsePage(e.value[bucketHeader:])
	if err != nil || p.branch {
		return unreadable("bucket %q: bad page within it: %v", e.key, err)
	}
	elements, err := p.elements()
	if err == nil {
		err = ordered(elements, nil, nil)
	}
	if err != nil {
		return unreadable("bucket %q: %w", e.key, err)
	}
	for _, e := range elements {
		if err := plain(e); err != nil {
			return err
		}
	}
	return nil
}

func plain(e element) error {
	if e.flags != 0 {
		return unreadable("key %q: flags %#x", e.key, e.flags)
	}
	return nil
}

// page reads one page with its overflow pages.
func (w *walker) page(id uint64) (page, error) {
	if id < 2 || id >= w.high {
		return page{}, unreadable("page %d of %d", id, w.high)
	}
	var head [pageHeader]byte
	if _, err := w.r.ReadAt(head[:], int64(id)*w.pageSize); err != nil {
		return page{}, unreadable("page %d: %w", id, err)
	}
	n := binary.NativeEndian
	more := uint64(n.Uint32(head[12:]))
	if n.Uint64(head[:]) != id || more >= w.high-id {
		return page{}, unreadable("page %d says it is %d with %d more", id, n.Uint64(head[:]), more)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i] {
			return page{}, unreadable("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	b := make([]byte, int64(more+1)*w.pageSize)
	if _, err := w.r.ReadAt(b, int64(id)*w.pageSize); err != nil {
		return page{}, unreadable("page %d: %w", id, err)
	}
	p, err := parsePage(b)
	if err != nil {
		return page{}, unreadable("page %d: %w", id, err)
	}
	return p, nil
}

// page is a branch or leaf page in memory, header included.
type page struct {
	branch bool
	count  int
	data   []byte
}

var (
	errPage    = errors.New("neither branch nor leaf")
	errElement = errors.New("element outside its page")
)

func parsePage(b []byte) (page, error) {
	if len(b) < pageHeader {
		return page{}, errPage
	}
	n := binary.NativeEndian
	p := page{count: int(n.Uint16(b[10:])), data: b}
	switch flags := n.Uint16(b[8:]); {
	case flags == branchPage && p.count > 0:
		p.branch = true
	case flags != leafPage:
		return page{}, errPage
	}
	if pageHeader+p.count*elementHeader > len(b) {
		return page{}, errElement
	}
	return p, nil
}

type element struct {
	flags      uint32 // leaf
	child      uint64 // branch
	key, value []byte
}

// elements takes a page apart. Positions count from the element's own header.
func (p page) elements() ([]element, error) {
	n := binary.NativeEndian
	out := make([]element, p.count)
	for i := range out {
		at := pageHeader + i*elementHeader
		h := p.data[at : at+elementHeader]
		e := &out[i]
		var pos, ksize, vsize uint64
		if p.branch {
			pos, ksize, e.child = uint64(n.Uint32(h)), uint64(n.Uint32(h[4:])), n.Uint64(h[8:])
		} else {
			e.flags = n.Uint32(h)
			pos, ksize, vsize = uint64(n.Uint32(h[4:])), uint64(n.Uint32(h[8:])), uint64(n.Uint32(h[12:]))
		}
		from := uint64(at) + pos
		if ksize == 0 || from+ksize+vsize > uint64(len(p.data)) {
			return nil, errElement
		}
		e.key = p.data[from : from+ksize]
		e.value = p.data[from+ksize : from+ksize+vsize]
	}
	return out, nil
}
