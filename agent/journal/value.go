package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"rackagent/agent/rack"
)

// schema is the version of the whole layout, in the identity and in the site marker; valueVersion that of one
// value. Both are raised together with a change that an older reader would misread.
const (
	schema       = 2
	valueVersion = 1
)

const (
	valueHead = 5 // version byte, CRC32C
	// maxValue bounds one value. A plan for 48 outlets with its feed levels takes about 40 KiB; 512 KiB is
	// arbitrary above that and half of the reserve.
	maxValue = 512 << 10
)

// castagnoli is never written after start.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged reports a value that cannot be read: its checksum, version or content is wrong.
var ErrDamaged = errors.New("journal: damaged value")

// errNewerValue reports an intact value of a later version.
var errNewerValue = errors.New("journal: value of a later version")

// ErrInvalid reports a record that lacks what its kind needs, contradicts itself or could not be read back.
var ErrInvalid = errors.New("journal: invalid record")

// seal wraps v as JSON: version byte, CRC32C (Castagnoli, big endian) of version byte and JSON, JSON.
func seal(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(body) > maxValue {
		return nil, fmt.Errorf("%d bytes, at most %d", len(body), maxValue)
	}
	b := make([]byte, valueHead, valueHead+len(body))
	b[0] = valueVersion
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[1:], checksum(b))
	return b, nil
}

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:1], castagnoli), castagnoli, b[valueHead:])
}

// unseal is the reverse of seal.
func unseal(b []byte, into any) error {
	switch {
	case len(b) < valueHead:
		return fmt.Errorf("%w: %d bytes", ErrDamaged, len(b))
	case len(b) > valueHead+maxValue:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrDamaged, len(b), valueHead+maxValue)
	case binary.BigEndian.Uint32(b[1:]) != checksum(b):
		return fmt.Errorf("%w: checksum", ErrDamaged)
	case b[0] > valueVersion:
		return fmt.Errorf("%w: %d, this program knows %d", errNewerValue, b[0], valueVersion)
	case b[0] != valueVersion:
		return fmt.Errorf("%w: version %d", ErrDamaged, b[0])
	}
	if err := json.Unmarshal(b[valueHead:], into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// encode makes the value of a record and proves that it can be read back: a record that only fails when it is
// needed after a crash would be worse than one refused now.
func encode(r rack.Record) ([]byte, error) {
	b, err := seal(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, r.Kind, err)
	}
	if _, err := decode(b); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read back: %w", ErrInvalid, r.Kind, err)
	}
	return b, nil
}

// decode reads the value of a record. Whether it stands under the right key is the caller's to check.
func decode(b []byte) (rack.Record, error) {
	var r rack.Record
	if err := unseal(b, &r); err != nil {
		return rack.Record{}, err
	}
	return r, nil
}
