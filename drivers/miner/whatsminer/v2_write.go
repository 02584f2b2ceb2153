package whatsminer

import (
	"context"
	"errors"
	"fmt"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

const (
	notePadding = "the unit took the second padding, PKCS#7, and not zeros"
	noteRenewed = "the unit did not take the token, and took a new one"
)

var errKey = errors.New("the unit cannot read the command in either padding, so its password is another one")

// send signs, seals and sends one write. A token that is not taken is renewed, once.
func (m *V2) send(ctx context.Context, a *miner.Answer, command string, fields ...[2]string) error {
	t, err := m.token(ctx)
	if err != nil {
		return err
	}
	if err = m.pad(ctx, a, t, command, fields); rpc.CodeOf(err) != codeToken {
		return err
	}
	m.kept = nil
	if t, err = m.token(ctx); err != nil {
		return err
	}
	err = m.pad(ctx, a, t, command, fields)
	switch {
	case err == nil:
		a.Notes = append(a.Notes, noteRenewed)
	case rpc.CodeOf(err) == codeToken:
		m.kept = nil
	}
	return err
}

// pad sends with zeros behind the text, as two clients do, and where the unit cannot read that with PKCS#7, as the vendor's
// does. A command that could not be read was not obeyed.
func (m *V2) pad(ctx context.Context, a *miner.Answer, t *token, command string, fields [][2]string) error {
	err := m.post(ctx, a, t, command, fields)
	if rpc.CodeOf(err) == codeJSON && !t.pkcs7 {
		t.pkcs7 = true
		if err = m.post(ctx, a, t, command, fields); err == nil {
			a.Notes = append(a.Notes, notePadding)
		}
	}
	if rpc.CodeOf(err) == codeJSON {
		m.kept = nil
		return m.o.Fault("write", command, drivers.Denied, errKey)
	}
	return err
}

// post sends once.
func (m *V2) post(ctx context.Context, a *miner.Answer, t *token, command string, fields [][2]string) error {
	raw, err := m.c.Exchange(ctx, rpc.Write, command, sealedV2(t, command, fields), writeLimit)
	if err != nil {
		return err
	}
	s, f, err := answerV2(t, raw)
	if err != nil {
		return m.o.Fault("write", command, f, err)
	}
	a.Text = s.Text
	return nil
}

// plainV2 is a command in clear, its members in the order of the documents. All its texts are of letters, digits, dots and
// slashes, which Go quotes as JSON does.
func plainV2(command string, fields [][2]string, sign string) []byte {
	b := fmt.Appendf(nil, "{\"cmd\":%q", command)
	for _, f := range append(fields[:len(fields):len(fields)], [2]string{"token", sign}) {
		b = fmt.Appendf(b, ",%q:%q", f[0], f[1])
	}
	return append(b, '}')
}

// sealedV2 is the request that holds a command.
func sealedV2(t *token, command string, fields [][2]string) []byte {
	return fmt.Appendf(nil, "{\"enc\":1,\"data\":%q}\n", seal(t.aes, plainV2(command, fields, t.sign), t.pkcs7))
}

// answerV2 reads the reply to a write, sealed or clear. One that cannot be read leaves open whether the unit obeys.
func answerV2(t *token, raw []byte) (rpc.Status, drivers.Fault, error) {
	if locked(string(raw)) {
		return rpc.Status{}, drivers.Locked, errors.New(unlock)
	}
	o, err := rpc.Decode(raw)
	switch {
	case errors.Is(err, rpc.ErrDown):
		return rpc.Status{}, drivers.Unreachable, err
	case err != nil:
		return rpc.Status{}, drivers.Unsure, err
	}
	if sealed := o.Text("enc"); sealed != "" {
		text, err := open(t.aes, sealed)
		if err != nil {
			return rpc.Status{}, drivers.Unsure, err
		}
		if o, err = rpc.Decode(text); err != nil {
			return rpc.Status{}, drivers.Unsure, rpc.ErrNoJSON // the cause would quote what was sealed
		}
	}
	return statusOf(t, o)
}

// statusOf reads the envelope, with no secret in its text.
func statusOf(t *token, o rpc.Object) (rpc.Status, drivers.Fault, error) {
	in := o.Object("STATUS")
	if in == nil {
		in = o
	}
	s := rpc.StatusOf(o)
	s.Text = said(in.Text("Msg"), t.secrets...)
	if s.Letter == "" {
		return s, drivers.Unsure, &rpc.StatusError{Status: s}
	}
	f, err := refusal(s)
	return s, f, err
}
