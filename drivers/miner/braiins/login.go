package braiins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

// factory is the user and the password that a unit comes with.
const factory = "root"

// token is the right to use the REST interface.
type token struct {
	text string // empty: there is none
	used time.Time
	life time.Duration // from its last use on (Braiins OS Public API, LoginResponse.timeout_s); 0: the unit does not say
}

// early is the part of a token's life that is not used: its clock is the unit's. Arbitrary.
const early = 10

// good tells whether the unit should still know it.
func (t token) good(now time.Time) bool {
	age := now.Sub(t.used)
	return t.text != "" && age >= 0 && (t.life == 0 || age < t.life-t.life/early)
}

var (
	errToken    = errors.New("no token in the reply")
	errPassword = errors.New("the user or the password is another one")
	errFresh    = errors.New("a fresh token is not taken either")
)

// login gets a token. drivers.Unsupported: there is no REST interface.
func (m *Miner) login(ctx context.Context) error {
	m.token = token{}
	c := call{rpc.Read, http.MethodPost, "auth/login", nil, miner.ReadLimit}
	password, err := m.password(c.name())
	if err != nil {
		return err
	}
	if c.body, err = json.Marshal(map[string]string{"username": m.o.User, "password": password}); err != nil {
		return m.o.Fault("read", c.name(), drivers.Denied, errPassword)
	}
	r, err := m.exchange(ctx, c, "")
	if err != nil {
		return err
	}
	t, f, err := tokenOf(r, password)
	if err != nil {
		return m.o.Fault("read", c.name(), f, err)
	}
	t.used = m.o.Now()
	m.token = t
	return nil
}

func (m *Miner) password(what string) (string, error) {
	if m.o.Password == nil {
		return factory, nil
	}
	p, err := m.o.Password()
	if err != nil {
		return "", m.o.Fault("read", what, drivers.Denied, fmt.Errorf("no password: %w", err))
	}
	return p, nil
}

// tokenOf reads the reply to a log-in.
func tokenOf(r web.Page, password string) (token, drivers.Fault, error) {
	switch f, err := refusalOf(r, rpc.Read, password); {
	case f == drivers.Denied, f == drivers.Locked:
		return token{}, drivers.Denied, errPassword
	case err != nil:
		return token{}, f, err
	}
	o, err := document(r.Body)
	if err != nil {
		return token{}, drivers.Corrupt, err
	}
	t := token{text: o.Text("token")}
	if !validToken(t.text) {
		return token{}, drivers.Corrupt, errToken
	}
	if s := o.Number("timeout_s"); s != nil && *s > 0 && *s < math.MaxInt32 {
		t.life = time.Duration(*s * float64(time.Second))
	}
	return t, drivers.None, nil
}

// validToken is what may stand in a header and is no more than that. Its bound is arbitrary.
func validToken(s string) bool {
	return s != "" && len(s) <= 4096 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// send sends a request with a token. One that is not taken is renewed, once: then nothing was done with the request.
func (m *Miner) send(ctx context.Context, c call) ([]byte, error) {
	if !m.token.good(m.o.Now()) {
		if err := m.login(ctx); err != nil {
			return nil, err
		}
	}
	r, err := m.exchange(ctx, c, m.token.text)
	if err == nil && r.Status == http.StatusUnauthorized {
		if err := m.login(ctx); err != nil {
			return nil, err
		}
		r, err = m.exchange(ctx, c, m.token.text)
	}
	if err != nil {
		return nil, err
	}
	if r.Status == http.StatusUnauthorized {
		m.token = token{}
		return nil, m.o.Fault(c.kind.String(), c.name(), drivers.Denied, errFresh)
	}
	m.token.used = m.o.Now()
	if f, err := refusalOf(r, c.kind, m.token.text); err != nil {
		return nil, m.o.Fault(c.kind.String(), c.name(), f, err)
	}
	return r.Body, nil
}

// get reads one report.
func (m *Miner) get(ctx context.Context, path string) (rpc.Object, error) {
	c := call{rpc.Read, http.MethodGet, path, nil, miner.ReadLimit}
	body, err := m.send(ctx, c)
	if err != nil {
		return nil, err
	}
	o, err := document(body)
	if err != nil {
		return nil, m.o.Fault("read", c.name(), drivers.Corrupt, err)
	}
	return o, nil
}

// put writes, and gives the reply as it came. body may be nil.
func (m *Miner) put(ctx context.Context, path string, body []byte) ([]byte, error) {
	return m.send(ctx, call{rpc.Write, http.MethodPut, path, body, writeLimit})
}
