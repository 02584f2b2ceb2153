package luxos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// session is the right to write, for one verb.
type session struct {
	m      *Miner
	id     string
	answer miner.Answer
}

// write carries a verb out within a session. The session ends whatever became of it, and whatever became of ctx.
func (m *Miner) write(ctx context.Context, u miner.Urgency, verb func(context.Context, *session) error) (miner.Answer, error) {
	if err := m.whose(ctx); err != nil {
		return miner.Answer{}, err
	}
	s, foreign, err := m.logon(ctx, u)
	if err != nil {
		return miner.Answer{}, err
	}
	if !foreign {
		defer s.logoff(ctx)
	}
	err = s.hide(verb(ctx, s))
	s.answer.At = m.o.Now()
	return s.answer, err
}

// logon gets the session, or in an emergency uses the one that somebody else has. foreign tells that.
func (m *Miner) logon(ctx context.Context, u miner.Urgency) (s *session, foreign bool, err error) {
	patience := time.NewTimer(waitFor)
	defer patience.Stop()
	for {
		o, err := m.c.Command(ctx, rpc.Write, "logon", "", writeLimit)
		switch {
		case err == nil:
			s, err := m.sessionOf(o, "logon")
			return s, false, err
		case rpc.CodeOf(err) != codeSessionActive:
			return nil, false, harmless(err)
		case u.Emergency:
			s, err := m.takeOver(ctx)
			return s, true, err
		}
		busy := m.o.Fault("write", "logon", drivers.Busy, errors.New("another controller holds the session"))
		select {
		case <-time.After(waitStep):
		case <-patience.C:
			return nil, false, busy
		case <-ctx.Done():
			return nil, false, busy
		}
	}
}

// harmless makes of an unsure logon what it is: whatever became of it, the miner does what it did.
func harmless(err error) error {
	var e *drivers.Error
	if errors.As(err, &e) && e.Fault == drivers.Unsure {
		return &drivers.Error{Op: e.Op, Device: e.Device, Reg: e.Reg, Fault: drivers.Timeout, Err: e.Err}
	}
	return err
}

// takeOver uses the session that is active.
func (m *Miner) takeOver(ctx context.Context) (*session, error) {
	o, err := m.c.Command(ctx, rpc.Read, "session", "", miner.ReadLimit)
	if err != nil {
		return nil, err
	}
	s, err := m.sessionOf(o, "session")
	if err != nil {
		return nil, err
	}
	s.note("the session of another controller was used: it was an emergency")
	return s, nil
}

// validID is what may stand in a parameter without being taken for two of them.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_')
	})
}

func (m *Miner) sessionOf(o rpc.Object, command string) (*session, error) {
	id := o.Object("SESSION").Text("SessionID")
	if !validID(id) {
		return nil, m.o.Fault("write", command, drivers.Corrupt, errors.New("no session in the reply"))
	}
	return &session{m: m, id: id}, nil
}

// logoff gives the session back, also where the verb's time is over: else the next one finds it held for a minute.
func (s *session) logoff(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	if _, err := s.m.c.Command(ctx, rpc.Write, "logoff", s.id, writeLimit); err != nil {
		s.note("the session was not given back: it ends by itself after a minute")
	}
}

func (s *session) note(text string) { s.answer.Notes = append(s.answer.Notes, text) }

// send writes, with the session before the fields.
func (s *session) send(ctx context.Context, command, fields string) error {
	o, err := s.m.c.Command(ctx, rpc.Write, command, s.id+","+fields, writeLimit)
	if err != nil {
		return err
	}
	s.answer.Text = rpc.StatusOf(o).Text
	return nil
}

// hide takes the session out of an error: with it anybody could write.
func (s *session) hide(err error) error {
	var e *drivers.Error
	if err == nil || !strings.Contains(err.Error(), s.id) {
		return err
	}
	if !errors.As(err, &e) {
		return errors.New(strings.ReplaceAll(err.Error(), s.id, "***"))
	}
	return &drivers.Error{Op: e.Op, Device: e.Device, Reg: e.Reg, Fault: e.Fault, Err: errors.New(strings.ReplaceAll(fmt.Sprint(e.Err), s.id, "***"))}
}

// profile sets one by name. An older build refuses while its thermal manager is on: then that is off for the moment of the
// write, and on again whatever became of it (reported: pyasic #267, #322).
func (s *session) profile(ctx context.Context, name string) error {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n <= 3 {
		return s.m.o.Fault("write", "profileset", drivers.Unsupported, fmt.Errorf("profile %q would be taken for the number of a board", name))
	}
	if name == "" || strings.ContainsAny(name, ",|\x00\r\n") {
		return s.m.o.Fault("write", "profileset", drivers.Unsupported, errors.New("not the name of a profile"))
	}
	err := s.send(ctx, "profileset", name)
	if drivers.FaultOf(err) != drivers.Refused {
		return err
	}
	c, cerr := s.m.config(ctx)
	if cerr != nil || !yes(c.Bool("IsAtmEnabled")) {
		return err
	}
	if err := s.send(ctx, "atmset", "enabled=false"); err != nil {
		return err
	}
	err = s.send(ctx, "profileset", name)
	said := s.answer.Text
	s.note("the thermal manager was off for the moment of the write")
	on, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	if back := s.send(on, "atmset", "enabled=true"); back != nil {
		s.note("the thermal manager could not be turned on again")
		return errors.Join(err, back)
	}
	s.answer.Text = said
	return err
}

// bringBack sets what the unit did before, where it does something else now.
func (s *session) bringBack(ctx context.Context, before miner.Setting) error {
	c, err := s.m.config(ctx)
	if err != nil {
		return err
	}
	now := settingOf(c)
	// No command takes a power target away; to set a profile does, also the one that is told beside the target.
	targeted := before.TargetW == nil && now.TargetW != nil
	if before.Profile != "" && (now.Profile != before.Profile || targeted) {
		if err := s.profile(ctx, before.Profile); err != nil {
			return err
		}
	}
	if w := before.TargetW; w != nil && (now.TargetW == nil || *now.TargetW != *w) {
		return s.send(ctx, "powertargetset", fmt.Sprintf("power=%.0f", *w))
	}
	return nil
}
