package whatsminer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// Codes of v3 (WhatsminerAPI 3.0, response format).
const (
	codeOK         = 0
	codeInvalid    = -2 // no such command
	codePermission = -4 // the salt, the password or the account is another one
)

// codeError is a reply that is no success.
type codeError struct {
	code int
	text string
}

func (e *codeError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("the miner answers code %d: %s", e.code, e.text), ": ")
}

// read asks for one report and gives its msg. param may be empty.
func (m *V3) read(ctx context.Context, command, param string) (rpc.Object, error) {
	name, message := command, fmt.Appendf(nil, `{"cmd":%q}`, command)
	if param != "" {
		name, message = command+" "+param, fmt.Appendf(nil, `{"cmd":%q,"param":%q}`, command, param)
	}
	raw, err := m.exchange(ctx, rpc.Read, name, message, miner.ReadLimit)
	if err != nil {
		return nil, err
	}
	msg, f, err := reportV3(raw)
	if err != nil {
		return nil, m.o.Fault("read", name, f, err)
	}
	return msg, nil
}

// reportV3 decodes the reply to a read. It is an object or an error.
func reportV3(raw []byte) (rpc.Object, drivers.Fault, error) {
	o, err := rpc.Decode(raw)
	if err != nil {
		return nil, drivers.Corrupt, err
	}
	if f, err := refusalV3(o); err != nil {
		return nil, f, err
	}
	msg, ok := o["msg"].(map[string]any)
	if !ok || msg == nil {
		return nil, drivers.Corrupt, errors.New("no report in the reply")
	}
	return msg, drivers.None, nil
}

// refusalV3 is what an envelope that is no success means.
func refusalV3(o rpc.Object, secrets ...string) (drivers.Fault, error) {
	code := o.Int("code")
	if code == nil {
		return drivers.Corrupt, errors.New("the reply has no code")
	}
	err := &codeError{*code, said(o.Text("msg"), secrets...)}
	switch *code {
	case codeOK:
		return drivers.None, nil
	case codeInvalid:
		return drivers.Unsupported, err
	case codePermission:
		return drivers.Denied, err
	}
	return drivers.Refused, err
}

// info is what the unit says of itself. Without it nothing is known.
func (m *V3) info(ctx context.Context) (rpc.Object, error) { return m.read(ctx, "get.device.info", "") }

// state asks for the device and the summary. A stopped unit may have none.
func (m *V3) state(ctx context.Context) (info, summary rpc.Object, err error) {
	info, err = m.info(ctx)
	if err != nil {
		return nil, nil, err
	}
	summary, err = m.read(ctx, "get.miner.status", "summary")
	if !spared(err, yes(asleepV3(info))) {
		return nil, nil, err
	}
	return info, summary, nil
}

// Status asks for the reports one after the other: a unit that does not mine may reject the pools, and would reject all that
// are asked for with them.
func (m *V3) Status(ctx context.Context) (miner.Status, error) {
	info, summary, err := m.state(ctx)
	if err != nil {
		return miner.Status{}, err
	}
	got := map[string]rpc.Object{"info": info, "summary": summary}
	for _, report := range []string{"edevs", "pools"} {
		got[report], err = m.read(ctx, "get.miner.status", report)
		if !spared(err, yes(asleepV3(info))) && drivers.FaultOf(err) != drivers.Corrupt {
			return miner.Status{}, err
		}
	}
	s := statusV3(got)
	s.At = m.o.Now()
	return s, nil
}

// reading is the mode and the limit of now.
func (m *V3) reading(ctx context.Context) (reading, error) {
	info, summary, err := m.state(ctx)
	return readingV3(info, summary), err
}

// Setting reads the mode, the limit and the pools. What a sleeping unit does not tell, and pools that it rejects, are left out.
func (m *V3) Setting(ctx context.Context) (miner.Setting, error) {
	info, summary, err := m.state(ctx)
	if err != nil {
		return miner.Setting{}, err
	}
	asleep, r := yes(asleepV3(info)), readingV3(info, summary)
	if r.empty() && !asleep {
		return miner.Setting{}, m.o.Fault("read", "get.device.info", drivers.Settling,
			errors.New("neither mode nor limit: what a sleep would interrupt is not known"))
	}
	o, err := m.read(ctx, "get.miner.status", "pools")
	if !spared(err, asleep) {
		return miner.Setting{}, err
	}
	return r.setting(DialectV3, poolsHash(o, "pools", "url", "account")), nil
}
