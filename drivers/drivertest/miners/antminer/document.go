package antminer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// Members of the configuration. What is written as freq-level is read as bitmain-freq-level, a text.
const (
	keyMinerMode = string(KeyMinerMode)
	keyWorkMode  = string(KeyWorkMode)
	keyLevel     = "freq-level"
	keyReadLevel = "bitmain-freq-level"
	keyPools     = "pools"
)

// usualConfig is what get_miner_conf.cgi shows on an S19, and a member that no client knows.
func usualConfig() []byte {
	return []byte(`{"pools":[{"url":"stratum+tcp://pool.example:3333","user":"acct.r1","pass":"x"},` +
		`{"url":"stratum+tcp://pool2.example:3333","user":"acct.r1","pass":"x"},{"url":"","user":"","pass":""}],` +
		`"api-listen":true,"api-network":true,"api-groups":"A:stats:pools:devs:summary:version","api-allow":"A:0/0,W:*",` +
		`"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"100","bitmain-use-vil":true,"bitmain-freq":"485","bitmain-voltage":"1980",` +
		`"bitmain-ccdelay":"0","bitmain-pwth":"4","bitmain-derate":{"limit":1.50,"at":[]},` +
		`"bitmain-work-mode":"0","bitmain-freq-level":"100"}`)
}

// member is one of a JSON object, its value as it came.
type member struct {
	key string
	raw json.RawMessage
}

// document is a JSON object whose members keep their order.
type document []member

func parse(raw []byte) (document, error) {
	if !json.Valid(raw) {
		return nil, errors.New("no JSON")
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	if first, err := in.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.Join(errors.New("no JSON object"), err)
	}
	d := document{}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, err
		}
		d.set(key.(string), value)
	}
	return d, nil
}

func (d document) get(key string) (json.RawMessage, bool) {
	for _, m := range d {
		if m.key == key {
			return m.raw, true
		}
	}
	return nil, false
}

// set changes a member where it stands, or adds it at the end.
func (d *document) set(key string, raw json.RawMessage) {
	for i, m := range *d {
		if m.key == key {
			(*d)[i].raw = raw
			return
		}
	}
	*d = append(*d, member{key, raw})
}

func (d document) bytes() []byte {
	b := []byte{'{'}
	for i, m := range d {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, quote(m.key)...), ':')
		b = append(b, m.raw...)
	}
	return append(b, '}')
}

// text is a member that is a text, or a number as one; empty: it is not there.
func (d document) text(key string) string {
	raw, _ := d.get(key)
	return plain(raw)
}

// mode is what the configuration asks for; without a number, normal.
func (d document) mode() int { return number(d.text(keyWorkMode), modeNormal) }

// pool is an entry of pools.
type pool struct {
	URL  string `json:"url"`
	User string `json:"user"`
}

// pools gives them; an error: the member is not what it should be.
func (d document) pools() ([]pool, error) {
	raw, there := d.get(keyPools)
	if !there {
		return nil, nil
	}
	var list []pool
	err := json.Unmarshal(raw, &list)
	return list, err
}

func quote(text string) json.RawMessage {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // no text fails
	}
	return b
}

// plain takes the quotes off a JSON text, and leaves all else.
func plain(raw json.RawMessage) string {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return string(raw)
	}
	return text
}

func number(text string, otherwise int) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return otherwise
	}
	return n
}
