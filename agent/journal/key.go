package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"rackagent/agent/rack"
)

// The buckets. bucketMeta holds no records.
const (
	bucketCommand  = "command"
	bucketOrder    = "order"
	bucketWiring   = "wiring"
	bucketWithdraw = "withdraw"
	bucketObserved = "observed"
	bucketMeta     = "meta"
)

// The keys of bucketMeta.
const (
	keyIdentity  = "identity"
	keyObserving = "observing"
	keyTally     = "tally"
	keySeqs      = "seqs" // schema 2
)

// recordBuckets lists the buckets that hold records.
func recordBuckets() []string {
	return []string{bucketCommand, bucketOrder, bucketWiring, bucketWithdraw, bucketObserved}
}

// observedSubject is the subject of all observed records.
const observedSubject = "journal"

// kindOf is the kind that a key's last byte stands for; empty: none.
func kindOf(letter byte) rack.RecordKind {
	switch letter {
	case 'v':
		return rack.RecordWaiting
	case 'a':
		return rack.RecordAccepted
	case 'r':
		return rack.RecordRejected
	case 'p':
		return rack.RecordProgress
	case 'e':
		return rack.RecordEnded
	case 'k':
		return rack.RecordAcked
	case 'o':
		return rack.RecordOrder
	case 'l':
		return rack.RecordReleased
	case 'w':
		return rack.RecordWiring
	case 'x':
		return rack.RecordWithdraw
	case 'j':
		return rack.RecordObserved
	default:
		return ""
	}
}

// place gives the bucket of a kind and the letter that stands for it in keys; ok is false for no kind of ours.
func place(k rack.RecordKind) (bucket string, letter byte, ok bool) {
	switch k {
	case rack.RecordWaiting:
		return bucketCommand, 'v', true
	case rack.RecordAccepted:
		return bucketCommand, 'a', true
	case rack.RecordRejected:
		return bucketCommand, 'r', true
	case rack.RecordProgress:
		return bucketCommand, 'p', true
	case rack.RecordEnded:
		return bucketCommand, 'e', true
	case rack.RecordAcked:
		return bucketCommand, 'k', true
	case rack.RecordOrder:
		return bucketOrder, 'o', true
	case rack.RecordReleased:
		return bucketOrder, 'l', true
	case rack.RecordWiring:
		return bucketWiring, 'w', true
	case rack.RecordWithdraw:
		return bucketWithdraw, 'x', true
	case rack.RecordObserved:
		return bucketObserved, 'j', true
	default:
		return "", 0, false
	}
}

// replaces tells whether a new record of the bucket takes the place of the older one of its subject.
func replaces(bucket string) bool {
	return bucket == bucketOrder || bucket == bucketWiring || bucket == bucketWithdraw
}

// subjectOf says what a record is about: the first part of its key.
func subjectOf(r *rack.Record) string {
	switch r.Kind {
	case rack.RecordOrder, rack.RecordReleased:
		if r.Order == nil {
			return ""
		}
		return orderSubject(*r.Order)
	case rack.RecordWiring, rack.RecordWithdraw:
		return r.Outlet.String()
	case rack.RecordObserved:
		return observedSubject
	default:
		return r.ID
	}
}

func orderSubject(o rack.Order) string { return string(o.Kind) + "/" + o.Target.String() }

// A key is SUBJECT 0x00 SEQ KIND: SEQ is a number never used before in this journal, 8 bytes big endian, KIND
// one letter. So no key is ever written twice, and the set of keys alone tells a stale page from a current one.
const keyTail = 1 + 8 + 1

func prefixOf(subject string) []byte { return append([]byte(subject), 0) }

func keyOf(subject string, seq uint64, letter byte) []byte {
	return append(binary.BigEndian.AppendUint64(prefixOf(subject), seq), letter)
}

// splitKey takes a key apart.
func splitKey(k []byte) (subject string, seq uint64, kind rack.RecordKind, ok bool) {
	n := len(k) - keyTail
	if n < 1 || k[n] != 0 || bytes.IndexByte(k[:n], 0) >= 0 {
		return "", 0, "", false
	}
	kind = kindOf(k[len(k)-1])
	return string(k[:n]), binary.BigEndian.Uint64(k[n+1:]), kind, kind != ""
}

// tally is what every commit writes about the whole journal, so that opening can tell lost, stale and altered
// pages, on which bbolt has no checksum: the transaction that wrote it, and count and sum of all keys.
type tally struct {
	Tx   uint64 `json:"tx"`   // bbolt's transaction id of the commit; the meta page in use must carry the same
	Seq  uint64 `json:"seq"`  // last sequence number given
	Keys uint64 `json:"keys"` // how many keys there are in all buckets, the tally's own not counted
	Sum  uint64 `json:"sum"`  // sum of keyHash over them, wrapping
}

// keyHash is CRC32C over bucket name, 0x00 and key.
func keyHash(bucket string, key []byte) uint64 {
	c := crc32.Update(crc32.Checksum([]byte(bucket), castagnoli), castagnoli, []byte{0})
	return uint64(crc32.Update(c, castagnoli, key))
}

func (t *tally) add(bucket string, key []byte) {
	t.Keys++
	t.Sum += keyHash(bucket, key)
}

func (t *tally) remove(bucket string, key []byte) {
	t.Keys--
	t.Sum -= keyHash(bucket, key)
}
