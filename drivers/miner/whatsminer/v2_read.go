package whatsminer

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Codes of v2 beside those of cgminer (WhatsminerAPI 2.0.5, return codes).
const (
	codeJSON  = 23  // the command is no JSON: also what a wrong key makes of it
	codeNone  = 24  // cgminer's: the key "command" is missing, which is what a build of 2020 knows it by
	codeToken = 135 // the token is not taken
	codeMany  = 136 // no more tokens: 32 for an address
)

// unlock is what a person has to do. It takes the vendor's tool, on purpose.
const unlock = "the write API is off: a person has to change the factory password and turn the API on with the vendor's desktop tool"

// read asks for one report and takes it out of the envelope of newer builds.
func (m *V2) read(ctx context.Context, command string) (rpc.Object, error) {
	o, err := m.readBy(ctx, "cmd", command)
	var told *rpc.StatusError
	if errors.As(err, &told) && told.Status.Code == codeNone {
		return m.readBy(ctx, "command", command)
	}
	return o, err
}

// readBy asks for a report under a key.
func (m *V2) readBy(ctx context.Context, key, command string) (rpc.Object, error) {
	raw, err := m.c.Exchange(ctx, rpc.Read, command, fmt.Appendf(nil, "{%q:%q}\n", key, command), miner.ReadLimit)
	if err != nil {
		return nil, err
	}
	o, f, err := reportV2(raw)
	if err != nil {
		return nil, m.o.Fault("read", command, f, err)
	}
	return o, nil
}

// reportV2 decodes the reply to a read. It is an object or an error.
func reportV2(raw []byte) (rpc.Object, drivers.Fault, error) {
	o, err := rpc.Decode(quoted(raw))
	switch {
	case errors.Is(err, rpc.ErrDown):
		return nil, drivers.Unreachable, err
	case err != nil:
		return nil, drivers.Corrupt, err
	}
	if f, err := refusal(rpc.StatusOf(o)); err != nil {
		return nil, f, err
	}
	in := unwrapped(o)
	if f, err := refusal(rpc.StatusOf(in)); in.Has("STATUS") && err != nil {
		return nil, f, err
	}
	return in, drivers.None, nil
}

// quotes are those that older builds forget to escape: "Firmware Version":""20200917.22.REL"".
var quotes = regexp.MustCompile(`("Firmware Version"\s*:\s*)""([^"]+)""`)

func quoted(raw []byte) []byte { return quotes.ReplaceAll(raw, []byte(`$1"$2"`)) }

// unwrapped is the usual object of a reply whose Msg holds it.
func unwrapped(o rpc.Object) rpc.Object {
	msg, _ := o["Msg"].(map[string]any)
	for _, name := range []string{"SUMMARY", "DEVS", "POOLS", "DEVDETAILS"} {
		if _, ok := msg[name]; ok {
			return msg
		}
	}
	return o
}

// refusal is what an envelope that is no success means. Two refusals come as texts, with any code.
func refusal(s rpc.Status) (drivers.Fault, error) {
	err := &rpc.StatusError{Status: s}
	switch {
	case s.Code == rpc.CodeDenied, locked(s.Text):
		return drivers.Locked, fmt.Errorf("%s: %w", unlock, err)
	case s.Code == codeMany, strings.Contains(strings.ToLower(s.Text), "over max connect"):
		return drivers.Busy, err
	case s.OK():
		return drivers.None, nil
	case s.Code == codeToken:
		return drivers.Denied, err
	}
	return s.Fault(), err
}

// locked tells the words of a unit whose write API is off (reported: pyasic #112).
func locked(text string) bool {
	return strings.Contains(strings.ToLower(text), "can't access write cmd")
}

// state asks for status and summary. A stopped unit may refuse the connection for the second, or answer it with an empty list.
func (m *V2) state(ctx context.Context) (status, summary rpc.Object, err error) {
	status, err = m.read(ctx, "status")
	if err != nil && !lacks(err) {
		return nil, nil, err
	}
	summary, err = m.read(ctx, "summary")
	if !spared(err, yes(asleepV2(status, summary))) {
		return nil, nil, err
	}
	if status == nil && summary == nil {
		return nil, nil, m.o.Fault("read", "summary", drivers.Corrupt, errors.New("neither status nor summary is there"))
	}
	return status, summary, nil
}

// Status asks for the reports one after the other. What the unit does not have leaves its part out.
func (m *V2) Status(ctx context.Context) (miner.Status, error) {
	status, summary, err := m.state(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	got := map[string]rpc.Object{"status": status, "summary": summary}
	asleep := yes(asleepV2(status, summary))
	for _, report := range []string{"get_version", "devdetails", "get_miner_info", "get_error_code", "pools", "edevs"} {
		if got[report], err = m.read(ctx, report); !spared(err, asleep) && drivers.FaultOf(err) != drivers.Corrupt {
			return miner.Status{}, err
		}
	}
	if got["edevs"] == nil { // an older build
		if got["edevs"], err = m.read(ctx, "devs"); !spared(err, asleep) && drivers.FaultOf(err) != drivers.Corrupt {
			return miner.Status{}, err
		}
	}
	s := statusV2(got)
	s.At = m.o.Now()
	return s, nil
}

// reading is the mode and the limit of now.
func (m *V2) reading(ctx context.Context) (reading, error) {
	status, summary, err := m.state(ctx)
	return readingV2(status, summary), err
}

// Setting reads the mode, the limit and the pools. What a sleeping unit does not tell, and pools that it refuses, are left out.
func (m *V2) Setting(ctx context.Context) (miner.Setting, error) {
	status, summary, err := m.state(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	asleep, r := yes(asleepV2(status, summary)), readingV2(status, summary)
	if r.empty() && !asleep {
		return miner.Setting{}, m.o.Fault("read", "summary", drivers.Settling, errors.New("neither mode nor limit: what a sleep would interrupt is not known"))
	}
	o, err := m.read(ctx, "pools")
	if !spared(err, asleep) {
		return miner.Setting{}, err
	}
	return r.setting(DialectV2, poolsHash(o, "POOLS", "URL", "User")), nil
}

// poolsHash is empty where no list of pools was read.
func poolsHash(o rpc.Object, list, url, user string) string {
	if !o.Has(list) {
		return ""
	}
	var pools [][2]string
	for _, p := range o.List(list) {
		pools = append(pools, [2]string{p.Text(url), p.Text(user)})
	}
	return miner.PoolsHash(pools)
}
