package link

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"rackagent/agent/rack"
)

const (
	repeatDefault = 5 * time.Second
	// followQueue is how many messages may wait for a slow follower. Arbitrary.
	followQueue = 1024
)

// ErrSlow ends a Follow whose function did not keep up.
var ErrSlow = errors.New("messages came faster than they were taken")

// ErrRefused is returned when the broker does not grant a subscription.
var ErrRefused = errors.New("the broker refuses the subscription")

// ClientOpts are the options of a Client. Site and Dial are required.
type ClientOpts struct {
	Site     string
	ID       string // client id. Default: random
	Dial     func(ctx context.Context) (net.Conn, error)
	User     string
	Password func() (string, error)
}

// Client is the operator's side: it sends commands to agents of one site and follows what they publish. It makes
// one connection and keeps nothing; when the connection is lost every call ends with the reason.
type Client struct {
	site   string
	w      *conn
	client mqtt.Client
	gone   chan struct{} // closed when the connection is lost or closed

	mu        sync.Mutex
	err       error
	followers map[*follower]struct{}
}

type follower struct {
	filter  string
	ch      chan Received
	overrun bool
}

// Received is what an agent published.
type Received struct {
	Agent    string
	Topic    string // below up/
	Payload  []byte
	Retained bool
	At       time.Time
}

// Connect dials and logs in.
func Connect(ctx context.Context, o ClientOpts) (*Client, error) {
	if !rack.ValidName(o.Site) {
		return nil, fmt.Errorf("site %q: %w", o.Site, ErrTopic)
	}
	if o.Dial == nil {
		return nil, errors.New("link: Dial is required")
	}
	if o.ID == "" {
		var b [6]byte
		rand.Read(b[:])
		o.ID = "rackctl-" + hex.EncodeToString(b[:])
	}
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	nc, err := o.Dial(dctx)
	if err != nil {
		return nil, &failure{why: ReasonDial, err: err}
	}
	c := &Client{site: o.Site, w: newConn(nc), gone: make(chan struct{}), followers: map[*follower]struct{}{}}
	if err := c.login(ctx, o); err != nil {
		c.w.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) login(ctx context.Context, o ClientOpts) error {
	po, err := clientOptions(c.w, o.ID, o.User, o.Password)
	if err != nil {
		return err
	}
	po.SetCleanSession(true)
	po.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(m) })
	po.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost(err) })
	c.client = mqtt.NewClient(po)
	_, err = connect(ctx, c.client, c.w)
	return err
}

func (c *Client) lost(err error) {
	if cause := c.w.ended(); cause != nil {
		err = cause
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = fmt.Errorf("connection to the broker lost: %w", err)
	close(c.gone)
}

// Close ends the connection in order.
func (c *Client) Close() {
	c.lost(errClosed)
	c.client.Disconnect(quiesce)
	c.w.Close()
}

func (c *Client) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// receive hands a message to every follower that wants it. It runs on the reader and does not wait.
func (c *Client) receive(m mqtt.Message) {
	got, ok := c.parse(m)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.followers {
		if !matches(f.filter, m.Topic()) {
			continue
		}
		select {
		case f.ch <- got:
		default:
			f.overrun = true
		}
	}
}

func (c *Client) parse(m mqtt.Message) (Received, bool) {
	rest, ok := strings.CutPrefix(m.Topic(), prefix+"/"+c.site+"/")
	agent, topic, ok2 := strings.Cut(rest, "/up/")
	return Received{Agent: agent, Topic: topic, Payload: m.Payload(), Retained: m.Retained(), At: time.Now()}, ok && ok2
}

// matches compares a topic with a filter that may have + levels and end in #.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(t) || level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

// Follow calls f, in this goroutine, for every message on up/sub of an agent, until f returns false, ctx ends or the
// connection is lost. agent may be "+" for all; sub is a topic below up/, or "#" for all.
func (c *Client) Follow(ctx context.Context, agent, sub string, f func(Received) (more bool)) error {
	w, err := c.follow(agent, sub)
	if err != nil {
		return err
	}
	defer c.unfollow(w)
	for {
		select {
		case m := <-w.ch:
			if !f(m) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.gone:
			return c.ended()
		}
		if c.overran(w) {
			return ErrSlow
		}
	}
}

func (c *Client) overran(w *follower) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return w.overrun
}

func (c *Client) follow(agent, sub string) (*follower, error) {
	if agent != "+" && !rack.ValidName(agent) {
		return nil, fmt.Errorf("agent %q: %w", agent, ErrTopic)
	}
	base := upTopic(c.site, agent)
	if sub != "#" {
		if err := checkSub(base, sub); err != nil {
			return nil, err
		}
	}
	w := &follower{filter: base + sub, ch: make(chan Received, followQueue)}
	c.mu.Lock()
	c.followers[w] = struct{}{}
	c.mu.Unlock()
	code, err := subscribe(c.client, w.filter, c.gone)
	if err == nil && code > 1 {
		err = fmt.Errorf("%s: %w", w.filter, ErrRefused)
	}
	if err != nil {
		c.forget(w)
		return nil, err
	}
	return w, nil
}

func (c *Client) forget(w *follower) (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followers, w)
	for other := range c.followers {
		if other.filter == w.filter {
			return false
		}
	}
	return true
}

func (c *Client) unfollow(w *follower) {
	if c.forget(w) && c.ended() == nil {
		c.client.Unsubscribe(w.filter)
	}
}

// Echo answers the self tests of an agent, or of all with "+": it sends back what comes on up/selftest, until ctx ends or
// the connection is lost. answered is called, in this goroutine, for each.
func (c *Client) Echo(ctx context.Context, agent string, answered func(agent string)) error {
	return c.Follow(ctx, agent, testTopic, func(m Received) bool {
		if !m.Retained && len(m.Payload) <= maxEcho && rack.ValidName(m.Agent) {
			c.client.Publish(downTopic(c.site, m.Agent)+testTopic, 1, false, m.Payload)
			answered(m.Agent)
		}
		return true
	})
}

// Command is one command on its way to an agent.
type Command struct {
	ID      string // chosen by the sender and the same in all repeats: the agent acts once
	Payload []byte // the envelope as it is to be sent
	// Repeat is how long no status may come before the same payload is sent again; after the first status, three times
	// that. Default 5 s. The broker's acknowledgement counts for nothing: only the agent's word does.
	Repeat time.Duration
	// Status is called for every status, in the goroutine of Do, and says whether it was the last one.
	Status func(payload []byte) (terminal bool)
}

// Do sends a command and follows its states until a terminal one (nil), the end of ctx, or the loss of the
// connection. After an error the same command may be given to another Client.
func (c *Client) Do(ctx context.Context, agent string, cmd Command) error {
	switch {
	case !rack.ValidName(agent):
		return fmt.Errorf("agent %q: %w", agent, ErrTopic)
	case !rack.ValidCommandID(cmd.ID):
		return fmt.Errorf("command id %q: %w", cmd.ID, ErrTopic)
	case len(cmd.Payload) > maxPayload:
		return ErrTooBig
	}
	if cmd.Repeat <= 0 {
		cmd.Repeat = repeatDefault
	}
	w, err := c.follow(agent, "cmd/"+cmd.ID)
	if err != nil {
		return err
	}
	defer c.unfollow(w)
	return c.drive(ctx, w, downTopic(c.site, agent)+"cmd", cmd)
}

// drive sends and repeats.
func (c *Client) drive(ctx context.Context, w *follower, topic string, cmd Command) error {
	silence := cmd.Repeat
	repeat := time.NewTimer(0)
	defer repeat.Stop()
	for {
		select {
		case m := <-w.ch:
			if cmd.Status(m.Payload) {
				return nil
			}
			silence = 3 * cmd.Repeat
			repeat.Reset(silence)
		case <-repeat.C:
			c.client.Publish(topic, 1, false, cmd.Payload)
			repeat.Reset(silence)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.gone:
			return c.ended()
		}
	}
}
