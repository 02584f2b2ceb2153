package braiins

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"rackagent/drivers/drivertest/miners"
)

// Why a write is refused.
var (
	errPayload = errors.New("invalid request payload")
	errPath    = errors.New("not found")
	errMethod  = errors.New("method not allowed")
	errLocked  = errors.New("forbidden")
	errStopped = errors.New("BOSminer is not running")
)

// act does one write and gives the value that it answers; nil: none, with status 204.
type act func(body []byte) (any, error)

// acts are the writes of a path, by method.
func (s *Sim) acts(path string) map[string]act {
	put, patch := http.MethodPut, http.MethodPatch
	switch path {
	case "actions/pause":
		return map[string]act{put: s.mining(s.pause)}
	case "actions/resume":
		return map[string]act{put: s.mining(s.unpause)}
	case "actions/stop":
		return map[string]act{put: s.plain(s.stop)}
	case "actions/start":
		return map[string]act{put: s.plain(s.start)}
	case "actions/restart":
		return map[string]act{put: s.plain(s.restart)}
	case "actions/reboot":
		return map[string]act{put: func([]byte) (any, error) { s.reboot(); return nil, nil }}
	case "actions/locate":
		return map[string]act{put: s.putLocate}
	case "miner/hw/hashboards":
		return map[string]act{patch: s.patchBoards}
	default:
		return s.tunes(path)
	}
}

// tunes are the writes about performance.
func (s *Sim) tunes(path string) map[string]act {
	put, patch := http.MethodPut, http.MethodPatch
	switch {
	case path == "performance/power-target":
		return map[string]act{put: s.putTarget}
	case path == "performance/power-target/default":
		return map[string]act{put: func([]byte) (any, error) { return s.targeted(s.o.DefaultW) }}
	case path == "performance/power-target/increment":
		return map[string]act{patch: s.stepTarget(1)}
	case path == "performance/power-target/decrement":
		return map[string]act{patch: s.stepTarget(-1)}
	case path == "performance/power-target/relative" && s.o.minor() >= minorRelative:
		return map[string]act{patch: s.relateTarget}
	case path == "performance/quick-ramping" && s.o.minor() >= minorRamping:
		return map[string]act{put: s.putRamping}
	case path == "performance/dps":
		return map[string]act{put: s.putDPS}
	default:
		return nil
	}
}

// does tells whether a path has writes.
func (s *Sim) does(path string) bool { return s.acts(path) != nil }

// mining is an action on the mining process. No source says what it does while that is stopped; here it is refused with 412, the
// status of another request for that reason (OpenAPI document, efficiency-profile).
func (s *Sim) mining(f func() bool) act {
	return func(body []byte) (any, error) {
		if s.stopped {
			return nil, errStopped
		}
		return s.plain(f)(body)
	}
}

// plain is an action that answers with a flag. A body is disregarded.
func (s *Sim) plain(f func() bool) act {
	return func([]byte) (any, error) { return s.flag(f()), nil }
}

// write does a write, keeps it for the judges, and answers unless the machine is silent.
func (s *Sim) write(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	s.mu.Lock()
	v, err := s.obey(r.Method, path, body)
	code := s.code(v, err)
	s.note(Write{Port: PortWeb, What: r.Method + " " + path, Body: string(body), Code: code, Accepted: err == nil})
	reply := s.h.Numbers(v)
	hangs := s.q.RebootHangs && path == "actions/reboot"
	s.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, err.Error(), code)
	case hangs:
		<-r.Context().Done()
		hangUp()
	case s.m.Has(miners.Silent):
		hangUp()
	case v == nil:
		w.Header().Set("Connection", "close")
		w.WriteHeader(code)
	default:
		send(w, reply)
	}
}

func (s *Sim) obey(method, path string, body []byte) (any, error) {
	s.look()
	acts := s.acts(path)
	_, reads := s.shown(path)
	do := acts[method]
	switch {
	case acts == nil && !reads:
		return nil, errPath
	case do == nil:
		return nil, errMethod
	case s.m.Has(miners.Locked):
		return nil, errLocked
	default:
		return do(body)
	}
}

// code is the status of an answer.
func (s *Sim) code(v any, err error) int {
	switch {
	case err == nil && v == nil:
		return http.StatusNoContent
	case err == nil:
		return http.StatusOK
	case errors.Is(err, errPath):
		return http.StatusNotFound
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errLocked):
		return cmp.Or(s.q.LockedStatus, http.StatusForbidden)
	case errors.Is(err, errStopped):
		return http.StatusPreconditionFailed
	case errors.Is(err, errRange):
		return cmp.Or(s.q.RangeStatus, http.StatusBadRequest)
	default:
		return http.StatusBadRequest
	}
}

// decode reads a body.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return errPayload
	}
	return nil
}
