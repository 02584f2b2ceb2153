package antminer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Members of the configuration. It reads back as bitmain-work-mode what browsers post as miner-mode, and builds were reported
// that obey only one of the two, whatever they answer (reported: pyasic #49; asic-rs #245, #249, #251). Likewise freq-level is
// read as bitmain-freq-level.
const (
	keyWork      = "bitmain-work-mode"
	keyMiner     = "miner-mode"
	keyLevel     = "freq-level"
	keyReadLevel = "bitmain-freq-level"
	keyPools     = "pools"
)

// ErrConfig is a configuration that cannot be changed in place with certainty. Nothing is written then.
var ErrConfig = errors.New("the configuration cannot be edited")

var (
	errNoMode  = fmt.Errorf("%w: it has no mode", ErrConfig)
	errOddMode = fmt.Errorf("%w: its mode is no number", ErrConfig)
	errNoJSON  = fmt.Errorf("%w: it is no JSON object", ErrConfig)
	errTwice   = fmt.Errorf("%w: a member is there twice", ErrConfig)
	errNoPools = fmt.Errorf("%w: it has no list of pools", ErrConfig)
)

// span is where a value stands.
type span struct{ from, to int }

// document is a configuration as it came. The bytes stay as they are: what is in it is more than any client knows, and pools
// were lost by clients that wrote only what they knew (reported: hass-miner #353, #380).
type document struct {
	raw   []byte
	at    map[string]span // values of the members
	end   int             // behind the last one
	mode  string
	pools string // miner.PoolsHash; empty: there is no list of them
}

// parseDocument reads a configuration that has one mode.
func parseDocument(raw []byte) (*document, error) {
	d := &document{raw: bytes.TrimRight(raw, "\x00\r\n\t "), at: map[string]span{}}
	if err := d.locate(); err != nil {
		return nil, err
	}
	if err := d.readMode(); err != nil {
		return nil, err
	}
	if at, there := d.at[keyPools]; there {
		d.pools = poolsHash(d.raw[at.from:at.to])
	}
	return d, nil
}

// locate finds the members, and refuses those that a unit may read in another way than we do.
func (d *document) locate() error {
	in := json.NewDecoder(bytes.NewReader(d.raw))
	if open, err := in.Token(); err != nil || open != json.Delim('{') || !json.Valid(d.raw) {
		return errNoJSON
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return errNoJSON
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return errNoJSON
		}
		d.end = int(in.InputOffset())
		name, from := key.(string), d.end-len(value)
		if from < 0 || !bytes.Equal(d.raw[from:d.end], value) {
			return errNoJSON
		}
		if _, twice := d.at[name]; twice && slices.Contains([]string{keyWork, keyMiner, keyLevel, keyReadLevel, keyPools}, name) {
			return fmt.Errorf("%w: %s", errTwice, name)
		}
		d.at[name] = span{from, d.end}
	}
	if _, err := in.Token(); err != nil {
		return errNoJSON
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errNoJSON
	}
	return nil
}

// readMode reads the mode, as a number or a text. Of two members that of the reading counts.
func (d *document) readMode() error {
	for _, key := range []string{keyMiner, keyWork} {
		at, there := d.at[key]
		if !there {
			continue
		}
		mode, ok := modeOf(strings.Trim(string(d.raw[at.from:at.to]), `"`))
		if !ok {
			return errOddMode
		}
		d.mode = mode
	}
	if d.mode == "" {
		return errNoMode
	}
	return nil
}

// says tells whether each member that is a mode is this one.
func (d *document) says(mode string) bool {
	for _, key := range []string{keyMiner, keyWork} {
		if at, there := d.at[key]; there {
			if now, _ := modeOf(strings.Trim(string(d.raw[at.from:at.to]), `"`)); now != mode {
				return false
			}
		}
	}
	return true
}

// edit is a piece of the document that becomes another one.
type edit struct {
	span
	text string
}

// with is the document in another mode, under both names. A number is what browsers post; some builds obey only a text. Older
// builds lose the frequency level where it does not come back under the name that they take it by.
func (d *document) with(mode string, text bool) []byte {
	if text {
		mode = `"` + mode + `"`
	}
	edits := []edit{d.put(keyWork, mode), d.put(keyMiner, mode)}
	if at, there := d.at[keyReadLevel]; there {
		if _, both := d.at[keyLevel]; !both {
			edits = append(edits, d.put(keyLevel, string(d.raw[at.from:at.to])))
		}
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	done := 0
	for _, e := range edits {
		out = append(append(out, d.raw[done:e.from]...), e.text...)
		done = e.to
	}
	return append(out, d.raw[done:]...)
}

// put replaces a value where it stands, or adds the member behind the last one.
func (d *document) put(key, value string) edit {
	if at, there := d.at[key]; there {
		return edit{at, value}
	}
	return edit{span{d.end, d.end}, `,"` + key + `":` + value}
}

// poolsHash is empty where the value is no list.
func poolsHash(raw []byte) string {
	o, err := rpc.Decode(fmt.Appendf(nil, `{%q:%s}`, keyPools, raw))
	if err != nil {
		return ""
	}
	if _, list := o[keyPools].([]any); !list {
		return ""
	}
	var pools [][2]string
	for _, p := range o.List(keyPools) {
		pools = append(pools, [2]string{p.Text("url"), p.Text("user")})
	}
	return miner.PoolsHash(pools)
}

// document reads the configuration. One that could not be written again is an error.
func (v *visit) document(ctx context.Context) (*document, error) {
	raw, err := v.get(ctx, pageConf)
	if err != nil {
		return nil, err
	}
	d, err := parseDocument(raw)
	if err == nil && d.pools == "" {
		err = errNoPools
	}
	if err != nil {
		return nil, v.m.o.Fault("read", pageConf, drivers.Corrupt, err)
	}
	return d, nil
}
