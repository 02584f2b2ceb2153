package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"rackagent/agent"
	"rackagent/agent/local"
	"rackagent/agent/rack"
	"rackagent/agent/wire"
)

func ptr[T any](v T) *T { return &v }

// troubled is a rack with one of everything that can be wrong.
func troubled() agent.Status {
	outlet := func(n int) rack.OutletID { return rack.OutletID{PDU: "pdu-a", N: n} }
	return agent.Status{
		Site: "ams1", Agent: "r17", Boot: "01JD9X3M", Version: "v0.3.1", UpS: 11520, Alive: false, Observing: true,
		Clock: wire.Clock{Source: "timesyncd"}, Journal: "full", Link: "waiting", LinkError: "dial: connection refused",
		Buses: []agent.BusStatus{{Name: "main"}, {Name: "spare", HungS: ptr(75)}, {Name: "third", Error: "open /dev/i2c-7: no such file or directory"}, {Name: "fourth", BadS: ptr(12)}},
		Sensors: []agent.SensorStatus{
			{Point: "coolant.flow_lpm.1", Label: "supply", Value: ptr(29.97), Unit: "L/min"},
			{Point: "coolant.leak.3", Label: "floor", Unit: "1", Why: "bad, implausible"},
			{Point: "inlet.temp_c.1", Value: ptr(23.5), Unit: "Cel"},
		},
		Devices: []agent.DeviceStatus{
			{Name: "pdu-a/bank", State: "ok"}, {Name: "pdu-a/meter-1", State: "stale", Reason: "nack"}, {Name: "pdu-a/temp", State: "absent", Reason: "hung"},
		},
		Outlets: []agent.OutletStatus{
			{Outlet: outlet(1), Node: "asic-1", Class: rack.ClassASIC, Closed: ptr(true), PowerW: ptr(3251.66), Wiring: "declared"},
			{Outlet: outlet(2), Node: "asic-2", Class: rack.ClassASIC, Closed: ptr(false), PowerW: ptr(3187.0), Wiring: "declared", Withdrawn: "welded"},
			{Outlet: outlet(3), Wiring: "unproven", Why: "no node"},
			{Outlet: outlet(10), Node: "gpu-1", Class: rack.ClassGPU, Closed: ptr(true), PowerW: ptr(-0.4), Wiring: "unproven", Why: "serial SIM-0002 was found"},
		},
		Alarms: []rack.Alarm{
			{Key: "bus.spare", Since: time.Now(), Severity: rack.Error, Text: "bus spare hangs: a transfer does not return; its devices are fenced off"},
			{Key: "journal", Since: time.Now(), Severity: rack.Critical, Text: "the journal's disk: full"},
		},
	}
}

// silentDesk answers nothing but the status.
type silentDesk struct{}

func (silentDesk) Do(context.Context, local.Request) ([][]byte, error) {
	return nil, errors.New("the desk did not answer")
}

func (silentDesk) Follow(context.Context, local.Request, func([][]byte) error) error {
	return errors.New("the desk did not answer")
}

// serves lets a status be asked on a socket of its own.
func serves(t *testing.T, st agent.Status) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "socket")
	l, err := local.Listen(t.Context(), socket, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.New(local.Opts{Boot: st.Boot, Desk: silentDesk{}, Status: func(context.Context) ([]byte, error) { return json.Marshal(st) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestStatus(t *testing.T) {
	socket := serves(t, troubled())
	golden(t, "status-troubled", typed(t, "status", "--socket", socket))
	s := typed(t, "status", "--json", "--socket", socket)
	var st agent.Status
	if err := json.Unmarshal([]byte(s.out), &st); err != nil || st.Link != "waiting" || s.status != exitOK {
		t.Errorf("%v %+v", err, s)
	}
	golden(t, "get-no-answer", typed(t, "get", "cut-0001", "--socket", socket))
	golden(t, "get-bad-id", typed(t, "get", "no/id", "--socket", socket))
}

func TestNobodyListens(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"get", "x"}, {"list"}, {"journal-accept", "--reason", "x"}} {
		golden(t, "no-agent", typed(t, append(args, "--socket", "/nowhere/socket")...))
	}
}

func TestStatusLine(t *testing.T) {
	for want, st := range map[string]agent.Status{
		"rack r17: 1/4 buses, 1/3 devices, broker waiting; OBSERVING: the journal was lost, nothing is switched": troubled(),
		"rack r1: 1/1 buses, 1/1 devices, broker up":                                                             {Agent: "r1", Link: "up", Buses: []agent.BusStatus{{}}, Devices: []agent.DeviceStatus{{State: "ok"}}},
	} {
		if got := statusLine(st); got != want {
			t.Errorf("%s", got)
		}
	}
}
