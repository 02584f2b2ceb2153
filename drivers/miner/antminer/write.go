package antminer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

// What a write may note.
const (
	noteAlready = "the configuration says so already: nothing was written"
	noteText    = "the unit took the mode as a number and changed nothing: it was sent as a text"
	noteUnread  = "the configuration does not read back yet"
	noteNormal  = "what is remembered is a sleep: the unit was woken into its normal mode"
)

// Sleep sets the mode that turns the boards off.
func (m *Miner) Sleep(ctx context.Context, _ miner.Urgency) (miner.Answer, error) {
	return m.write(ctx, func(string) (string, error) { return ModeSleep, nil })
}

// Wake sets the mode that is remembered. Where that is a sleep it is the normal one: any other would leave the unit asleep.
func (m *Miner) Wake(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	mode, err := m.remembered(before)
	if err != nil {
		return miner.Answer{}, err
	}
	asleep := mode == ModeSleep
	if asleep {
		mode = ModeNormal
	}
	a, err := m.write(ctx, func(string) (string, error) { return mode, nil })
	if asleep && err == nil {
		a.Notes = append(a.Notes, noteNormal)
	}
	return a, err
}

// Limit sets one of the modes that the options name.
func (m *Miner) Limit(ctx context.Context, l miner.Limit, _ miner.Urgency) (miner.Answer, error) {
	switch {
	case l.W != 0:
		return miner.Answer{}, m.refuse(errors.New("the firmware takes no watts"))
	case !slices.Contains(m.modes, l.Mode):
		return miner.Answer{}, m.refuse(fmt.Errorf("no mode %q", rpc.Plain(l.Mode)))
	}
	return m.write(ctx, m.awake(l.Mode))
}

// Release sets the mode that is remembered.
func (m *Miner) Release(ctx context.Context, before miner.Setting) (miner.Answer, error) {
	mode, err := m.remembered(before)
	if err != nil {
		return miner.Answer{}, err
	}
	if mode == ModeSleep {
		return miner.Answer{}, m.refuse(errors.New("what is remembered is a sleep"))
	}
	return m.write(ctx, m.awake(mode))
}

func (m *Miner) refuse(err error) error { return m.o.Fault("write", pageSet, drivers.Unsupported, err) }

// remembered is the mode to bring back, known or not.
func (m *Miner) remembered(before miner.Setting) (string, error) {
	if err := m.o.Remembered(before, Dialect, pageSet); err != nil {
		return "", err
	}
	mode, ok := modeOf(before.Mode)
	if !ok {
		return "", m.refuse(errors.New("no mode is remembered"))
	}
	return mode, nil
}

// awake chooses a mode for a unit that does not sleep.
func (m *Miner) awake(mode string) func(string) (string, error) {
	return func(now string) (string, error) {
		if now == ModeSleep {
			return "", m.refuse(errors.New("the miner sleeps, and any other mode wakes it: wake it first"))
		}
		return mode, nil
	}
}

// write sets the mode that is chosen, on the unit that is meant and within the time of a write.
func (m *Miner) write(ctx context.Context, choose func(now string) (string, error)) (miner.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	var a miner.Answer
	v, err := m.visit("write")
	if err != nil {
		return a, err
	}
	if err := v.whose(ctx); err != nil {
		return a, err
	}
	d, err := v.document(ctx)
	if err != nil {
		return a, err
	}
	mode, err := choose(d.mode)
	if err != nil {
		return a, err
	}
	if d.says(mode) {
		v.already(ctx, &a, mode)
		return a, nil
	}
	err = v.set(ctx, &a, d, mode)
	return a, err
}

// whose refuses another unit than the one that is meant.
func (v *visit) whose(ctx context.Context) error {
	if v.m.o.MAC == "" {
		return nil
	}
	info, err := v.report(ctx, pageInfo)
	if err != nil {
		return err
	}
	return v.m.o.Meant(rpc.MAC(info.Text("macaddr")), pageInfo)
}

// already answers for a configuration that is as it should be. A unit that runs in another mode all the same takes a reboot, or
// its outlet: to write the same again would restart its mining process and nothing else.
func (v *visit) already(ctx context.Context, a *miner.Answer, mode string) {
	a.At, a.Notes = v.m.o.Now(), append(a.Notes, noteAlready)
	stats, err := v.report(ctx, pageStats)
	if err != nil {
		return
	}
	if runs := runningMode(stats.Object("STATS")); runs != "" && runs != mode {
		a.Notes = append(a.Notes, fmt.Sprintf("the unit runs in mode %s and not in %s", runs, mode))
	}
}

// set sends the mode as a number, and where that is taken and nothing changes as a text. Both are absolute.
func (v *visit) set(ctx context.Context, a *miner.Answer, d *document, mode string) error {
	for _, text := range []bool{false, true} {
		if text {
			a.Notes = append(a.Notes, noteText)
		}
		if err := v.send(ctx, a, d.with(mode, text)); err != nil {
			return err
		}
		now, err := v.readBack(ctx, d.pools)
		switch {
		case err != nil:
			return err
		case now == nil:
			a.Notes = append(a.Notes, noteUnread)
			return nil
		case now.mode == mode:
			return nil
		}
		d = now
	}
	return v.m.o.Fault("write", pageSet, drivers.Mismatch, fmt.Errorf("it was taken twice, and the mode is still %s", d.mode))
}

// readBack gives the configuration after a write; nil: it cannot be read, as for some tens of seconds after a write that
// restarts the mining process. Other pools than before are an error, whatever became of the mode.
func (v *visit) readBack(ctx context.Context, pools string) (*document, error) {
	raw, err := v.get(ctx, pageConf)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	d, err := parseDocument(raw)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	if d.pools != pools {
		return nil, v.m.o.Fault("write", pageSet, drivers.Mismatch, errors.New("the pools are others than before the write"))
	}
	return d, nil
}

// Codes of set_miner_conf.cgi.
const (
	codeTaken = "M000"
	success   = "success"
	failure   = "error"
)

// send writes a configuration.
func (v *visit) send(ctx context.Context, a *miner.Answer, body []byte) error {
	p, err := v.post(ctx, pageSet, body)
	if err != nil {
		return err
	}
	text, f, err := takenOf(p)
	if err != nil {
		return v.m.o.Fault("write", pageSet, f, err)
	}
	a.At, a.Text = v.m.o.Now(), text
	return nil
}

// takenOf reads the answer to a configuration. One that cannot be read leaves open whether the unit obeys.
func takenOf(p web.Page) (string, drivers.Fault, error) {
	switch f := faultOf(p.Status); {
	case f == drivers.Corrupt && p.Status >= http.StatusBadRequest && p.Status < http.StatusInternalServerError:
		return "", drivers.Refused, statusError(p.Status)
	case f == drivers.Corrupt:
		return "", drivers.Unsure, statusError(p.Status)
	case f != drivers.None:
		return "", f, statusError(p.Status)
	}
	o, err := rpc.Decode(p.Body)
	if err != nil {
		return "", drivers.Unsure, rpc.ErrNoJSON
	}
	said, code := strings.ToLower(o.Text("stats")), o.Text("code")
	text := rpc.Plain(code + " " + o.Text("msg"))
	switch {
	case said == success, said == "" && code == codeTaken:
		return text, drivers.None, nil
	case said == failure, said == "" && code != "":
		return "", drivers.Refused, fmt.Errorf("the unit answers %s", text)
	}
	return "", drivers.Unsure, errors.New("the unit does not say whether it took the configuration")
}
