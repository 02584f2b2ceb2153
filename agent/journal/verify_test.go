package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"strings"
	"testing"
)

// forge changes one meta page and makes its checksum right again.
func forge(file []byte, id int, change func(body []byte)) []byte {
	file = bytes.Clone(file)
	body := file[id*pageSizeOf(file)+pageHeader:]
	change(body)
	sum := fnv.New64a()
	sum.Write(body[:56])
	binary.NativeEndian.PutUint64(body[56:], sum.Sum64())
	return file
}

// TestForgedMetaPages: pages whose checksum is right and whose content cannot be.
func TestForgedMetaPages(t *testing.T) {
	whole := gunzip(t, "testdata/v1/journal.db.gz")
	u32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint32(b[at:], v) }
	}
	u64 := func(at int, v uint64) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint64(b[at:], v) }
	}
	both := func(change func([]byte)) []byte { return forge(forge(whole, 1, change), 0, change) }
	if err := verify(bytes.NewReader(whole), int64(len(whole))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, words string
		file        []byte
	}{
		{"page size 0", "page size 0", forge(whole, 0, u32(8, 0))},
		{"page size 3000", "page size 3000", forge(whole, 0, u32(8, 3000))},
		{"page size 128 KiB", "page size 131072", forge(whole, 0, u32(8, 1<<17))},
		{"two page sizes", "differ in page size", forge(whole, 1, u32(8, 8192))},
		{"another format", "version 3", forge(whole, 0, u32(4, 3))},
		{"another file", "magic", forge(whole, 1, u32(0, 7))},
		{"the same transaction twice", "transactions", both(u64(48, 40))},
		{"far apart", "transactions", forge(whole, 0, u64(48, 4000))},
		{"on the wrong page", "transactions", forge(forge(whole, 0, u64(48, 41)), 1, u64(48, 40))},
		{"more pages than the file", "17 pages", both(u64(40, uint64(len(whole)/4096)+1))},
		{"fewer pages than any journal", "3 pages", both(u64(40, 3))},
		{"a stored free list", "free list", both(u64(32, 5))},
		{"the root is a meta page", "page 1 of", both(u64(16, 1))},
		{"the root is past the end", "page 99 of", both(u64(16, 99))},
		{"no second meta page", "meta page at 4096", whole[:4096+79]},
	} {
		err := verify(bytes.NewReader(c.file), int64(len(c.file)))
		if !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestSharedPage: two keys that lead to one page would let a deletion free what is in use.
func TestSharedPage(t *testing.T) {
	whole := gunzip(t, "testdata/v1/journal.db.gz")
	m, err := newestMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(m.pageSize)
	p, err := parsePage(whole[int64(m.root)*size:][:size:size])
	if err != nil {
		t.Fatal(err)
	}
	elements, err := p.elements()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range elements { // every bucket, inline or not, to the page of the root itself
		n := binary.NativeEndian
		old := n.Uint64(e.value)
		n.PutUint64(e.value, m.root)
		if err := verify(bytes.NewReader(whole), int64(len(whole))); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%s: %v", e.key, err)
		}
		n.PutUint64(e.value, old)
	}
}
