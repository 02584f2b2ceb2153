package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

const (
	headerLimit  = 5 * time.Second  // until a request's header is there; a silent peer holds a slot no longer
	readLimit    = 10 * time.Second // until the whole request is there
	answerLimit  = 15 * time.Second // for the desk and the status; the journal may wait for a disk
	idleLimit    = 30 * time.Second // between two requests of one connection
	writeLimit   = 10 * time.Second // for one state of a command to a peer that reads slowly
	stopLimit    = 2 * time.Second  // for requests in flight when the agent stops
	maxHeader    = 8 << 10          // bytes
	maxBody      = 4 << 10          // bytes; a reason is a sentence
	maxReason    = 256              // bytes, the contract's bound of a text that people write
	defaultLines = 50
)

// Desk is where commands are decided about.
type Desk interface {
	// Follow puts a command through every check of the desk and tells each state in its parts, in the form of up/cmd/ID,
	// as it comes, the terminal one last. If the request is about another command and succeeded, the last is the state of
	// that one. An error means that there is no further state, in words that may be shown to the peer. A context that ends,
	// or an error of tell, ends the following and not the command.
	Follow(ctx context.Context, r Request, tell func(state [][]byte) error) error
}

// Opts is what a Server needs.
type Opts struct {
	Boot   string // of this life of the agent
	Desk   Desk
	Status func(ctx context.Context) ([]byte, error) // one JSON value
	// Story gives all that is recorded of a command, as one JSON value, or ErrUnknown; nil: it is not offered.
	Story func(ctx context.Context, id string) ([]byte, error)
	Log   *slog.Logger // nil: nothing is logged
}

// ErrOpts is returned by New.
var ErrOpts = errors.New("local: Boot, Desk and Status are required")

// ErrUnknown is for Story, of an id that nothing is recorded of.
var ErrUnknown = errors.New("no such command is recorded here")

// Server answers on the socket.
type Server struct {
	o   Opts
	who func(net.Conn) Peer // the kernel's word
}

// New checks the options.
func New(o Opts) (*Server, error) {
	if o.Boot == "" || o.Desk == nil || o.Status == nil {
		return nil, ErrOpts
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, who: credentials}, nil
}

// Run serves until ctx ends and closes the listener. Requests in flight have 2 s to end then.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerLimit, ReadTimeout: readLimit, WriteTimeout: readLimit + answerLimit, IdleTimeout: idleLimit,
		MaxHeaderBytes: maxHeader,
		ConnContext:    withPeer,
		BaseContext:    func(net.Listener) context.Context { return requests },
		ErrorLog:       slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug), // peers that hang up in the middle
	}
	ended := make(chan error, 1) // one place: Serve ends once
	go func() { ended <- h.Serve(newCapped(l, s.who)) }()
	select {
	case err := <-ended:
		return errors.Join(err, h.Close())
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(requests, stopLimit)
	defer done()
	err := h.Shutdown(grace)
	if err != nil {
		cancel()
		err = h.Close()
	}
	<-ended //nolint:errcheck // it ended because it was asked to
	return err
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", brief(s.status))
	mux.HandleFunc("GET /v1/commands", brief(s.list))
	mux.HandleFunc("POST /v1/commands", s.command)
	mux.HandleFunc("GET /v1/commands/{id}", brief(s.get))
	mux.HandleFunc("POST /v1/journal/accept", brief(s.accept))
	if s.o.Story != nil {
		mux.HandleFunc("GET /v1/commands/{id}/story", brief(s.story))
	}
	return mux
}

// brief bounds a request that is answered at once.
func brief(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h(w, r.WithContext(ctx))
	}
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	body, err := s.o.Status(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, [][]byte{body})
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	n := defaultLines
	if q := r.URL.Query().Get("n"); q != "" {
		var err error
		if n, err = strconv.Atoi(q); err != nil || n < 1 || n > wire.MaxListed {
			refuse(w, http.StatusBadRequest, "n: want 1 to "+strconv.Itoa(wire.MaxListed))
			return
		}
	}
	s.do(w, r, rack.OpList, rack.Args{N: n})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if id, ok := commandID(w, r); ok {
		s.do(w, r, rack.OpGet, rack.Args{ID: id})
	}
}

// commandID is the one in the path, or a refusal is written.
func commandID(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	id = r.PathValue("id")
	if ok = rack.ValidCommandID(id); !ok {
		refuse(w, http.StatusBadRequest, "id: want 1 to 36 letters, digits, _ and -")
	}
	return id, ok
}

func (s *Server) story(w http.ResponseWriter, r *http.Request) {
	id, ok := commandID(w, r)
	if !ok {
		return
	}
	body, err := s.o.Story(r.Context(), id)
	switch {
	case errors.Is(err, ErrUnknown):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err.Error())
	default:
		answer(w, [][]byte{body})
	}
}

func (s *Server) accept(w http.ResponseWriter, r *http.Request) {
	if readOnly(w, r) {
		return
	}
	reason, err := readReason(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.do(w, r, rack.OpJournalAccept, rack.Args{Reason: reason})
}

// readOnly refuses a peer that nobody vouches for.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if !peerOf(r.Context()).ReadOnly() {
		return false
	}
	refuse(w, http.StatusForbidden, "who you are is not known: reading only")
	return true
}

// command gives a command to the desk and its states to the peer as they come, for as long as the command takes. A peer
// that goes away, or does not read, changes nothing about the command.
func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	if readOnly(w, r) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxCommandBytes))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	req, err := s.take(peerOf(r.Context()), body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	out := newStream(w)
	err = s.o.Desk.Follow(r.Context(), req, out.state)
	s.o.Log.Info("command on the local socket", "id", req.ID, "issuer", req.Issuer, "error", err)
	if err != nil && !out.begun {
		refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}

// stream writes states as they come.
type stream struct {
	w     http.ResponseWriter
	at    *http.ResponseController
	begun bool
}

// newStream takes the limits of brief requests off the connection. Where there are none, as in tests without a connection,
// there is nothing to take off.
func newStream(w http.ResponseWriter) *stream {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // the server watches for the peer's end by reading
	return &stream{w: w, at: c}
}

// state writes the parts of one state, each on a line of its own.
func (s *stream) state(parts [][]byte) error {
	_ = s.at.SetWriteDeadline(time.Now().Add(writeLimit))
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	for _, p := range parts {
		if _, err := s.w.Write(append(p, '\n')); err != nil {
			return err
		}
	}
	return s.at.Flush()
}

// Errors of readReason, shown to the peer.
var (
	errBody   = errors.New(`want {"reason":"..."}`)
	errReason = errors.New("reason: want 1 to 256 bytes on one line, without characters that do not show")
)

func readReason(body io.Reader) (string, error) {
	var in struct {
		Reason string `json:"reason"`
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if d.Decode(&in) != nil {
		return "", errBody
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", errBody
	}
	reason := strings.TrimSpace(in.Reason)
	if reason == "" || len(reason) > maxReason || !rack.OneLine(reason) {
		return "", errReason
	}
	return reason, nil
}

// do gives a command to the desk and its last state to the peer. 200 says that the desk has answered; what it
// answered, a rejection among others, is in the state.
func (s *Server) do(w http.ResponseWriter, r *http.Request, op rack.Op, args rack.Args) {
	req, err := s.request(peerOf(r.Context()), op, args)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	var last [][]byte
	err = s.o.Desk.Follow(r.Context(), req, func(state [][]byte) error { last = state; return nil })
	s.o.Log.Info("command on the local socket", "op", op, "id", req.ID, "issuer", req.Issuer, "error", err)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, last)
}

// answer writes each value on a line of its own. One is the rule; a state too long for one message has more.
func answer(w http.ResponseWriter, values [][]byte) {
	kind := "application/json"
	if len(values) > 1 {
		kind = "application/x-ndjson"
	}
	w.Header().Set("Content-Type", kind)
	for _, v := range values {
		_, err := w.Write(v)
		if err == nil {
			_, err = w.Write([]byte{'\n'})
		}
		if err != nil {
			return // the peer has gone
		}
	}
}

// refuse writes why there is no answer.
func refuse(w http.ResponseWriter, code int, why string) {
	body, err := json.Marshal(problem{Error: why})
	if err != nil {
		body = nil // a string always encodes
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

type problem struct {
	Error string `json:"error"`
}
