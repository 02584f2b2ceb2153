//go:build e2e && linux

package board

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitor speaks to QEMU by its machine protocol (QEMU, docs/interop/qmp-spec): one JSON object a line, answers in
// order, and events in between, which are not kept.
type monitor struct {
	mu   sync.Mutex
	conn net.Conn
	in   *json.Decoder
}

// qmpLimit is how long QEMU may take for an answer. Arbitrary: it takes milliseconds unless the host is very busy.
const qmpLimit = 20 * time.Second

// newMonitor connects and ends the negotiation of abilities.
func newMonitor(socket string) (*monitor, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	m := &monitor{conn: conn, in: json.NewDecoder(conn)}
	var greeting struct {
		QMP json.RawMessage
	}
	err = errors.Join(conn.SetDeadline(time.Now().Add(qmpLimit)), m.in.Decode(&greeting))
	if err == nil && greeting.QMP == nil {
		err = errors.New("no greeting")
	}
	if err == nil {
		err = m.do("qmp_capabilities", nil, nil)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("QMP: %w", err)
	}
	return m, nil
}

// do gives a command and decodes its answer into reply, if that is not nil.
func (m *monitor) do(command string, arguments map[string]any, reply any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := m.conn.SetDeadline(time.Now().Add(qmpLimit)); err != nil {
		return err
	}
	if _, err := m.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	for {
		var answer struct {
			Event  string
			Return json.RawMessage
			Error  *struct{ Class, Desc string }
		}
		if err := m.in.Decode(&answer); err != nil {
			return fmt.Errorf("QMP %s: %w", command, err)
		}
		switch {
		case answer.Event != "":
		case answer.Error != nil:
			return fmt.Errorf("QMP %s: %s: %s", b, answer.Error.Class, answer.Error.Desc)
		case reply == nil:
			return nil
		default:
			return json.Unmarshal(answer.Return, reply)
		}
	}
}

// set changes a property of a device that was given an id.
func (m *monitor) set(id, property string, value any) error {
	return m.do("qom-set", map[string]any{"path": "/machine/peripheral/" + id, "property": property, "value": value}, nil)
}

// cable plugs the guest's network in or out.
func (m *monitor) cable(in bool) error {
	return m.do("set_link", map[string]any{"name": "n0", "up": in}, nil)
}

// human gives a line to the monitor for people, for what only that one tells.
func (m *monitor) human(line string) (said string, err error) {
	err = m.do("human-monitor-command", map[string]any{"command-line": line}, &said)
	return said, err
}

func (m *monitor) close() { m.conn.Close() }
