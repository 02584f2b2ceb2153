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
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit)) }

const boot = "01JD9X3M"

// desk knows some commands and takes the verbs of the socket, as strictly as wire does.
type desk struct {
	mu     sync.Mutex
	known  map[string]rack.Outcome
	taken  []rack.Command
	issuer string
	hang   bool
	states []rack.State // of what is followed; each waits for a place in next
	next   chan struct{}
	left   chan error // of those who followed, why they left
}

func newDesk() *desk {
	return &desk{known: map[string]rack.Outcome{
		"01JD9XB7": {Command: "01JD9XB7", State: rack.StateFailed, N: 5, Code: rack.CodeWelded, At: time.UnixMilli(1795411701100)},
	}}
}

// answer is the terminal state of a command that ends at once.
func (d *desk) answer(ctx context.Context, r Request) ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hang {
		<-ctx.Done()
		return nil, fmt.Errorf("the desk did not answer: %w", ctx.Err())
	}
	cmd, bad := wire.DecodeCommand(r.Payload, time.Now())
	if bad != nil {
		return nil, bad
	}
	if cmd.ID != r.ID || cmd.AudBoot != boot || !cmd.Exp.After(time.Now()) {
		return nil, fmt.Errorf("%+v does not fit %s", cmd, r.Payload)
	}
	d.taken, d.issuer = append(d.taken, cmd), r.Issuer
	return wire.EncodeStatus(d.outcome(cmd, r.About), wire.StatusHead{Boot: boot}), nil
}

// Follow tells the states that the test wants, one for each place in next, or without it the terminal one at once.
func (d *desk) Follow(ctx context.Context, r Request, tell func([][]byte) error) (err error) {
	if d.next == nil {
		last, err := d.answer(ctx, r)
		if err != nil {
			return err
		}
		return tell(last)
	}
	defer func() {
		if d.left != nil {
			d.left <- err
		}
	}()
	cmd, bad := wire.DecodeCommand(r.Payload, time.Now())
	if bad != nil && !bad.Answerable {
		return bad
	}
	d.mu.Lock()
	d.taken, d.issuer = append(d.taken, cmd), r.Issuer
	d.mu.Unlock()
	for i, s := range d.states {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.next:
		}
		o := rack.Outcome{Command: r.ID, State: s, N: i + 1, At: time.Now()}
		if err := tell(wire.EncodeStatus(o, wire.StatusHead{Boot: boot})); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) outcome(cmd rack.Command, about string) rack.Outcome {
	o := rack.Outcome{Command: cmd.ID, State: rack.StateSucceeded, N: 1, At: time.Now()}
	switch cmd.Op {
	case rack.OpGet:
		if known, ok := d.known[about]; ok {
			return known
		}
		o.State, o.Code = rack.StateRejected, rack.CodeUnknownTarget
	case rack.OpList:
		o.Listed = []rack.Summary{}
		for i := range cmd.Args.N {
			o.Listed = append(o.Listed, rack.Summary{
				Command: strconv.Itoa(i), Op: rack.OpCut, State: rack.StateSucceeded,
				Target: rack.NodeTarget("asic-" + strconv.Itoa(i)), Received: time.UnixMilli(1795411701100),
			})
		}
	}
	return o
}

func status(context.Context) ([]byte, error) { return []byte(`{"mode":"normal"}`), nil }

// serving listens in a directory of the test and serves until the test ends.
func serving(t *testing.T, d Desk) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, d, l)
	return path
}

func run(t *testing.T, d Desk, l net.Listener) (stop func()) {
	t.Helper()
	s, err := New(Opts{Boot: boot, Desk: d, Status: status})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.(*pipes); ok { // which the kernel knows nothing of
		s.who = func(net.Conn) Peer { return Peer{UID: 1000} }
	}
	return serve(t, s, l)
}

func serve(t *testing.T, s *Server, l net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func client(t *testing.T, path string) *Client {
	t.Helper()
	c := Dial(path)
	t.Cleanup(c.Close)
	return c
}

func TestReading(t *testing.T) {
	d := newDesk()
	c := client(t, serving(t, d))
	ctx := t.Context()
	if s, err := c.Status(ctx); err != nil || string(bytes.TrimSpace(s)) != `{"mode":"normal"}` {
		t.Errorf("%s, %v", s, err)
	}
	got, err := c.Get(ctx, "01JD9XB7")
	if err != nil || got.State != rack.StateFailed || got.Code != rack.CodeWelded || got.N != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Get(ctx, "nobody"); err != nil || got.Code != rack.CodeUnknownTarget {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.List(ctx, 0); err != nil || len(got.Listed) != 50 {
		t.Errorf("%d listed, %v", len(got.Listed), err)
	}
	for _, cmd := range d.taken {
		if !strings.HasPrefix(cmd.ID, "local-") || cmd.Target.Kind != rack.TargetRack {
			t.Errorf("%+v", cmd)
		}
	}
}

func TestALongAnswerComesInParts(t *testing.T) {
	d := newDesk()
	long := rack.Outcome{Command: "long", State: rack.StateFailed, N: 5, At: time.UnixMilli(1795411701100)}
	for i := range 1000 {
		long.Targets = append(long.Targets, rack.TargetResult{
			Target: rack.NodeTarget("asic-" + strconv.Itoa(i)), State: rack.StateFailed, Text: strings.Repeat("x", 100),
		})
	}
	d.known["long"] = long
	c := client(t, serving(t, d))
	got, err := c.Get(t.Context(), "long")
	if err != nil || len(got.Targets) != 1000 || len(wire.EncodeStatus(long, wire.StatusHead{})) < 2 {
		t.Errorf("%d targets, %v", len(got.Targets), err)
	}
	if got, err := c.List(t.Context(), 200); err != nil || len(got.Listed) != 200 {
		t.Errorf("%d listed, %v", len(got.Listed), err)
	}
}

func TestRequestsThatAreWrong(t *testing.T) {
	d := newDesk()
	s, err := New(Opts{Boot: boot, Desk: d, Status: status})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/v1/commands?n=0", "", 400},
		{"GET", "/v1/commands?n=201", "", 400},
		{"GET", "/v1/commands?n=ten", "", 400},
		{"GET", "/v1/commands/a.b", "", 400},
		{"GET", "/v1/commands/" + strings.Repeat("a", 37), "", 400},
		{"GET", "/v1/nothing", "", 404},
		{"DELETE", "/v1/status", "", 405},
		{"GET", "/v1/journal/accept", "", 405},
		{"PUT", "/v1/commands", "{}", 405},
		{"POST", "/v1/commands", "", 400},
		{"POST", "/v1/commands", "null", 400},
		{"POST", "/v1/commands", "[]", 400},
		{"POST", "/v1/commands", "{}{}", 400},
		{"POST", "/v1/commands", `{"id":"a/b","op":"outlet.cut"}`, 400},
		{"POST", "/v1/commands", `{"id":7}`, 400},
		{"POST", "/v1/commands", `{"op":"outlet.cut","op":"outlet.energise"}`, 400},
		{"POST", "/v1/commands", `{"why":"` + strings.Repeat("x", 8<<10) + `"}`, 400},
		{"POST", "/v1/journal/accept", "", 400},
		{"POST", "/v1/journal/accept", "{}", 400},
		{"POST", "/v1/journal/accept", `{"reason":"  "}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":7}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":"a\u0007b"}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":"` + long + `"}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":"disk changed","force":true}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":"disk changed"}{}`, 400},
		{"POST", "/v1/journal/accept", `{"reason":"` + strings.Repeat(" ", maxBody) + `disk changed"}`, 400},
	} {
		if got := asked(s, Peer{UID: 1000}, c.method, c.path, c.body); got.Code != c.code {
			t.Errorf("%s %s %.40s: %d, want %d", c.method, c.path, c.body, got.Code, c.code)
		}
	}
	if len(d.taken) != 0 {
		t.Errorf("%+v reached the desk", d.taken)
	}
}

// asked is the server's answer to a peer, without a socket.
func asked(s *Server, p Peer, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r.WithContext(withPeer(r.Context(), &conn{peer: p})))
	return w
}

func TestWhoMayAccept(t *testing.T) {
	for _, c := range []struct {
		uid  uint32
		code int
	}{{0, 200}, {1000, 200}, {65533, 200}, {65534, 403}} {
		d := newDesk()
		s, err := New(Opts{Boot: boot, Desk: d, Status: status})
		if err != nil {
			t.Fatal(err)
		}
		got := asked(s, Peer{UID: c.uid}, "POST", "/v1/journal/accept", `{"reason":"new eMMC"}`)
		if got.Code != c.code {
			t.Errorf("uid %d: %d", c.uid, got.Code)
		}
		if c.code == 200 {
			if len(d.taken) != 1 || d.taken[0].Op != rack.OpJournalAccept || d.taken[0].Args.Reason != "new eMMC" {
				t.Errorf("uid %d: %+v", c.uid, d.taken)
			}
			if want := fmt.Sprintf("uid:%d", c.uid); d.issuer != want {
				t.Errorf("issuer %s, want %s", d.issuer, want)
			}
		} else if len(d.taken) != 0 {
			t.Errorf("uid %d: %+v", c.uid, d.taken)
		}
		if got := asked(s, Peer{UID: c.uid}, "GET", "/v1/commands", ""); got.Code != 200 {
			t.Errorf("uid %d may read: %d", c.uid, got.Code)
		}
	}
}

func TestAConnectionOfUnknownOriginMayOnlyRead(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p := credentials(a); !p.ReadOnly() {
		t.Errorf("%+v", p)
	}
	if p := peerOf(withPeer(t.Context(), a)); !p.ReadOnly() {
		t.Errorf("%+v", p)
	}
	if p := peerOf(t.Context()); !p.ReadOnly() {
		t.Errorf("%+v", p)
	}
}

func TestRefusalsReachTheClient(t *testing.T) {
	s, err := New(Opts{Boot: boot, Desk: newDesk(), Status: func(context.Context) ([]byte, error) { return nil, errors.New("starting") }})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	defer func() { cancel(); <-ended }()
	_, err = client(t, path).Status(t.Context())
	var r *Refused
	if !errors.As(err, &r) || r.Code != 503 || r.Text != "starting" {
		t.Errorf("%v", err)
	}
	if _, err := client(t, path).List(t.Context(), -1); !errors.As(err, &r) || r.Code != 400 {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "half") {
			o := rack.Outcome{Command: "half", State: rack.StateSucceeded, Listed: make([]rack.Summary, 2000)}
			_, _ = w.Write(wire.EncodeStatus(o, wire.StatusHead{})[0])
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	defer func() { h.Close(); <-ended }()
	for _, id := range []string{"none", "half"} {
		if got, err := client(t, path).Get(t.Context(), id); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	if _, err := client(t, filepath.Join(t.TempDir(), "s")).Status(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestModeAndGroup(t *testing.T) {
	g, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, g.Name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays: %v", err)
	}
	var unknown user.UnknownGroupError
	if _, err := Listen(t.Context(), path, "no-such-group-here"); !errors.As(err, &unknown) {
		t.Error(err)
	}
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path, ""); !errors.Is(err, ErrInUse) {
		t.Errorf("a socket that answers: %v", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		t.Fatalf("%T", l)
	}
	u.SetUnlinkOnClose(false) // as after a crash
	u.Close()
	again, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatalf("a socket that nobody answers on: %v", err)
	}
	again.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path, ""); !errors.Is(err, ErrNotSocket) {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// ask sends one request over a connection that stays open, and gives the status of the answer.
func ask(t *testing.T, c net.Conn) int {
	t.Helper()
	if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	return res.StatusCode
}

func TestConnectionsAreCapped(t *testing.T) {
	s, err := New(Opts{Boot: boot, Desk: newDesk(), Status: status})
	if err != nil {
		t.Fatal(err)
	}
	var uid atomic.Uint32 // of whoever dials next
	s.who = func(net.Conn) Peer { return Peer{UID: uid.Load()} }
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, l)
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	tooMany := func(who string) {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(dial()), nil) //nolint:bodyclose // its connection is closed at the end
		if err != nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("one too many of %s: %v, %v", who, res, err)
		}
	}
	var open []net.Conn
	for n := range maxConns {
		uid.Store(1000 + uint32(n/maxOfOne))
		open = append(open, dial())
		if code := ask(t, open[n]); code != 200 {
			t.Fatalf("connection %d: %d", n, code)
		}
		if n == maxOfOne-1 {
			tooMany("one uid") // and the next is another's
		}
	}
	uid.Store(2000)
	tooMany("all")
	open[7].Close()
	for tries := 0; ask(t, dial()) != 200; tries++ { // the server has to notice first
		if tries > 10_000 {
			t.Fatal("the slot of a closed connection is not given back")
		}
	}
}

func TestTheListenerOfSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mine, err := Listen(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := mine.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	passed, err := net.FileListener(f) // as from LISTEN_FDS
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, newDesk(), passed)
	if _, err := client(t, path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is systemd's to remove: %v", err)
	}
	mine.Close()
}

// pipes is a listener without a socket, so that its connections live in the time of the test.
type pipes struct {
	next   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{next: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.next <- there
	return here
}

func TestASilentPeerLosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		stop := run(t, newDesk(), p)
		start := time.Now()
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/sta"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > headerLimit+time.Second {
			t.Errorf("held for %s", took)
		}
		stop()
	})
}

func TestADeskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := newPipes(), newDesk()
		d.hang = true
		stop := run(t, d, p)
		start := time.Now()
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/commands HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var why problem
		if json.NewDecoder(res.Body).Decode(&why) != nil || res.StatusCode != http.StatusServiceUnavailable || time.Since(start) != answerLimit {
			t.Errorf("%d %q after %s", res.StatusCode, why.Error, time.Since(start))
		}
		stop()
	})
}

func TestStopDoesNotWaitForADeskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := newPipes(), newDesk()
		d.hang = true
		stop := run(t, d, p)
		c := p.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/commands HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		stop()
		if took := time.Since(start); took > stopLimit+time.Second {
			t.Errorf("took %s", took)
		}
		synctest.Wait()
	})
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Opts{
		"boot": {Desk: newDesk(), Status: status}, "desk": {Boot: boot, Status: status}, "status": {Boot: boot, Desk: newDesk()},
	} {
		if _, err := New(o); !errors.Is(err, ErrOpts) {
			t.Errorf("no %s: %v", name, err)
		}
	}
}

func TestIDsDiffer(t *testing.T) {
	s := &Server{o: Opts{Boot: boot}}
	var ids []string
	for range 100 {
		r, err := s.request(Peer{}, rack.OpList, rack.Args{})
		if err != nil || !rack.ValidCommandID(r.ID) || slices.Contains(ids, r.ID) {
			t.Fatalf("%q, %v", r.ID, err)
		}
		ids = append(ids, r.ID)
	}
}
