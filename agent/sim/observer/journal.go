package observer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// journal is what one state directory holds.
type journal struct {
	records []record // in their order
	damaged []string // values that cannot be believed, with the reason
}

// The two files of a state directory that the observer reads.
const (
	journalFile = "journal.db"
	markerFile  = "site"
)

// errLost is a state directory that had a journal and has none.
var errLost = errors.New("the marker says that there was a journal, and there is none")

// readJournal reads the journal of a state directory, without changing anything in it. A directory without journal
// and without marker is an agent's first start, and holds nothing.
func readJournal(dir string) (journal, error) {
	var j journal
	file, err := os.ReadFile(filepath.Join(dir, journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, markerFile)); err == nil {
			return j, errLost
		}
		return j, nil
	}
	if err != nil {
		return j, err
	}
	p, err := parsePages(file)
	if err != nil {
		return j, err
	}
	return j, j.read(p)
}

// buckets are all that a journal has, at its top level.
func buckets() []string {
	return []string{"command", "meta", "observed", "order", "wiring", "withdraw"}
}

// tally is what each transaction says of the whole file.
type tally struct {
	Tx   uint64 `json:"tx"`
	Seq  uint64 `json:"seq"`
	Keys int    `json:"keys"`
	Sum  uint64 `json:"sum"`
}

func (j *journal) read(p *pages) error {
	found := map[string][]byte{}
	var last []byte
	err := p.walk(p.root, &last, func(name, bucket []byte, is bool) error {
		if !is {
			return damaged("the key %q stands among the buckets", name)
		}
		found[string(name)] = bucket
		return nil
	})
	if err != nil {
		return err
	}
	if have := slices.Sorted(maps.Keys(found)); !slices.Equal(have, buckets()) {
		return fmt.Errorf("its buckets are %v, want %v", have, buckets())
	}
	is, says := tally{Tx: p.tx}, []byte(nil)
	for _, name := range buckets() {
		err := p.keys(found[name], func(key, value []byte, bucket bool) error {
			if bucket {
				return damaged("bucket %s holds another one", name)
			}
			if name == "meta" && string(key) == "tally" {
				says = value
				return nil
			}
			j.take(name, key, value, &is)
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(j.records, func(a, b record) int { return cmp.Compare(a.seq, b.seq) })
	return is.agrees(says)
}

// agrees compares what is in the file with what its tally says.
func (t tally) agrees(value []byte) error {
	var says tally
	raw, err := payload(value)
	if err == nil {
		err = json.Unmarshal(raw, &says)
	}
	switch {
	case err != nil:
		return fmt.Errorf("its tally: %w", err)
	case t.Seq > says.Seq || t.Tx != says.Tx || t.Keys != says.Keys || t.Sum != says.Sum:
		return fmt.Errorf("its tally says %+v, and there is %+v", says, t)
	}
	return nil
}

// take counts a key, and reads its record.
func (j *journal) take(bucket string, key, value []byte, t *tally) {
	t.Keys++
	t.Sum += uint64(crc32.Checksum(slices.Concat([]byte(bucket), []byte{0}, key), castagnoli))
	if bucket == "meta" {
		return
	}
	r, err := readRecord(bucket, key, value)
	if err != nil {
		j.damaged = append(j.damaged, fmt.Sprintf("key %q of %s: %v", key, bucket, err))
		return
	}
	t.Seq = max(t.Seq, r.seq)
	j.records = append(j.records, r)
}

// has tells whether a record stands in the journal.
func (j *journal) has(r *record) bool {
	return slices.ContainsFunc(j.records, func(have record) bool { return have.key == r.key })
}
