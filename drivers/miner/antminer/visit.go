package antminer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

// visit is the log-in of one verb. A challenge is answered again for the next read, with the next nc, until the unit does not
// take that: some units take each nonce once, and give a new one with every refusal.
type visit struct {
	m        *Miner
	password string
	c        *challenge // given last; nil: none
	once     bool       // the unit takes each nonce once
	proved   bool       // the password was taken
}

// visit asks for the password.
func (m *Miner) visit(op string) (*visit, error) {
	v := &visit{m: m, password: factory}
	if m.o.Password == nil {
		return v, nil
	}
	p, err := m.o.Password()
	if err != nil {
		return nil, m.o.Fault(op, "digest", drivers.Denied, fmt.Errorf("no password: %w", err))
	}
	v.password = p
	return v, nil
}

// answers is how often a refusal is answered: a nonce that was fresh may have been refused although the password is right.
const answers = 2

var errPassword = errors.New("the user or the password is another one")

// authorise signs a request where there is a challenge to answer.
func (v *visit) authorise(r *request) {
	r.auth = ""
	if v.c == nil {
		return
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	r.auth = v.c.answer(v.m.o.User, v.password, r.method, r.path, hex.EncodeToString(random[:]))
}

// challenged takes the challenge of a refusal.
func (v *visit) challenged(r request, p web.Page) error {
	var err error
	if v.c, err = challengeOf(p.Header.Values("WWW-Authenticate")); err != nil {
		return v.m.o.Fault(r.kind.String(), r.name(), drivers.Denied, err)
	}
	return nil
}

// get gives a page.
func (v *visit) get(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, miner.ReadLimit)
	defer cancel()
	r := request{kind: rpc.Read, method: http.MethodGet, path: cgi + name, limit: miner.ReadLimit}
	if v.once {
		v.c = nil
	}
	v.authorise(&r)
	again := v.c != nil
	p, err := v.read(ctx, &r)
	v.once = v.once || again && (err != nil || r.auth == "" || p.Status == http.StatusUnauthorized)
	for i := 0; i < answers && p.Status == http.StatusUnauthorized; i++ {
		if err := v.challenged(r, p); err != nil {
			return nil, err
		}
		v.authorise(&r)
		p, err = v.read(ctx, &r)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case p.Status == http.StatusUnauthorized && r.auth == "": // what was answered was reset
		return nil, v.m.o.Fault("read", name, drivers.Corrupt, web.ErrCut)
	case p.Status == http.StatusUnauthorized:
		return nil, v.m.o.Fault("read", name, drivers.Denied, errPassword)
	}
	v.proved = v.proved || r.auth != ""
	if f := faultOf(p.Status); f != drivers.None {
		return nil, v.m.o.Fault("read", name, f, statusError(p.Status))
	}
	return p.Body, nil
}

// read sends a request that changes nothing. Where the connection ends without a reply it begins anew, once and without
// credentials: the web server of these units resets connections, and may have seen the nonce.
func (v *visit) read(ctx context.Context, r *request) (web.Page, error) {
	p, err := v.m.exchange(ctx, v.m.web, *r)
	if p.Status == 0 && errors.Is(err, web.ErrCut) && ctx.Err() == nil {
		v.c, r.auth = nil, ""
		return v.m.exchange(ctx, v.m.web, *r)
	}
	return p, err
}

// post sends a body, with a challenge of its own. It comes from a page that only reads: a body that a unit gets without
// credentials might be taken, and an empty one would wipe the configuration on builds of before 2023-07.
func (v *visit) post(ctx context.Context, name string, body []byte) (web.Page, error) {
	probe := request{kind: rpc.Read, method: http.MethodGet, path: cgi + pageConf, limit: miner.ReadLimit}
	p, err := v.read(ctx, &probe)
	if err != nil {
		return web.Page{}, err
	}
	if f := faultOf(p.Status); f != drivers.None && f != drivers.Denied {
		return web.Page{}, v.m.o.Fault("read", pageConf, f, statusError(p.Status))
	}
	r := request{kind: rpc.Write, method: http.MethodPost, path: cgi + name, body: body, limit: postLimit}
	for range answers {
		if p.Status == http.StatusUnauthorized {
			if err := v.challenged(r, p); err != nil {
				return web.Page{}, err
			}
			v.authorise(&r)
		}
		if p, err = v.m.exchange(ctx, v.m.web, r); p.Status != http.StatusUnauthorized {
			break
		}
	}
	v.c = nil
	switch {
	case err != nil:
		return web.Page{}, err
	case p.Status == http.StatusUnauthorized && !v.proved:
		return web.Page{}, v.m.o.Fault("write", name, drivers.Denied, errPassword)
	case p.Status == http.StatusUnauthorized: // the same password reads
		return web.Page{}, v.m.o.Fault("write", name, drivers.Locked, statusError(p.Status))
	}
	return p, nil
}

// faultOf is what the status of a page means.
func faultOf(status int) drivers.Fault {
	switch status {
	case http.StatusOK:
		return drivers.None
	case http.StatusUnauthorized:
		return drivers.Denied
	case http.StatusForbidden:
		return drivers.Locked
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return drivers.Unsupported
	}
	return drivers.Corrupt
}

// statusError is a reply that is no success.
type statusError int

// Error gives the number and its usual words.
func (s statusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", int(s), http.StatusText(int(s)))
}
