package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"rackagent/agent/wire"
)

// maxAnswer bounds what a client reads: the longest state is 256 parts of 60 KiB.
const maxAnswer = 16 << 20

// Refused is an answer that is no state: the request was wrong, the peer may not, or the desk did not answer.
type Refused struct {
	Code int // HTTP status
	Text string
}

// Error reads: refused (403): who you are is not known: reading only.
func (r *Refused) Error() string { return fmt.Sprintf("refused (%d): %s", r.Code, r.Text) }

// ErrAnswer is in the chain when the other end speaks something else.
var ErrAnswer = errors.New("not an answer of the agent")

// Client asks an agent through its socket. It may be used from several goroutines.
type Client struct{ http http.Client }

// Dial makes a client for the socket at the path. It connects when it is first asked something. Contexts bound
// how long an answer may take.
func Dial(path string) *Client {
	var d net.Dialer
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
	}}}
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status is what the agent is doing, as it wrote it.
func (c *Client) Status(ctx context.Context) (json.RawMessage, error) {
	return c.ask(ctx, http.MethodGet, "/v1/status", nil)
}

// List gives the last n commands; 0 stands for 50.
func (c *Client) List(ctx context.Context, n int) (wire.Status, error) {
	path := "/v1/commands"
	if n != 0 {
		path += "?n=" + strconv.Itoa(n)
	}
	return c.state(ctx, http.MethodGet, path, nil)
}

// Get gives what is recorded of a command.
func (c *Client) Get(ctx context.Context, id string) (wire.Status, error) {
	return c.state(ctx, http.MethodGet, "/v1/commands/"+url.PathEscape(id), nil)
}

// Story is all that is recorded of a command, as the agent wrote it.
func (c *Client) Story(ctx context.Context, id string) (json.RawMessage, error) {
	return c.ask(ctx, http.MethodGet, "/v1/commands/"+url.PathEscape(id)+"/story", nil)
}

// Accept accepts that the journal was lost: the agent stops observing and takes commands again.
func (c *Client) Accept(ctx context.Context, reason string) (wire.Status, error) {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return wire.Status{}, err
	}
	return c.state(ctx, http.MethodPost, "/v1/journal/accept", body)
}

// state puts the parts of a state together.
func (c *Client) state(ctx context.Context, method, path string, body []byte) (wire.Status, error) {
	raw, err := c.ask(ctx, method, path, body)
	if err != nil {
		return wire.Status{}, err
	}
	var parts wire.Reassembly
	for line := range bytes.Lines(raw) {
		part, err := wire.DecodeStatus(bytes.TrimSpace(line))
		if err != nil {
			return wire.Status{}, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		if whole, ok := parts.Add(part); ok {
			return whole, nil
		}
	}
	return wire.Status{}, fmt.Errorf("%w: parts are missing", ErrAnswer)
}

// ErrUnfinished is in the chain when the agent's answer ended before the command did: the agent goes on with it, or it
// has ended itself.
var ErrUnfinished = errors.New("the answer ended before the command")

// Command sends a command and gives take each state as it comes, until take says that the command has ended with it.
func (c *Client) Command(ctx context.Context, command []byte, take func(state []byte) (ended bool)) error {
	res, err := c.open(ctx, http.MethodPost, "/v1/commands", command)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 2*wire.MaxPartBytes)
	for lines.Scan() {
		if take(lines.Bytes()) {
			return nil
		}
	}
	return errors.Join(ErrUnfinished, lines.Err())
}

// ask makes one request and reads the answer.
func (c *Client) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	res, err := c.open(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, maxAnswer))
}

// open makes one request. The answer is one that says 200, and its body is the caller's to close.
func (c *Client) open(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL's host means nothing
		}
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var p problem
	if json.Unmarshal(raw, &p) != nil || p.Error == "" {
		p.Error = http.StatusText(res.StatusCode)
	}
	return nil, &Refused{Code: res.StatusCode, Text: p.Error}
}
