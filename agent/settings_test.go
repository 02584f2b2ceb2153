package agent_test

import (
	"rackagent/agent/sim"
	"rackagent/drivers/drivertest"
)

// setting is a rack that stories are played on: its configuration, its hardware, and what random walks do to it.
type setting struct {
	name   string // of the model
	file   string
	world  func(seed uint64) sim.Config
	writes func(drivertest.Transfer) bool // what may move an outlet

	targets, faults []string
	locks           []string // not the rack where there is a server: an unsigned command does not unlock it
}

// eight is the rack of most tests: six miners and a server on one PDU of eight outlets.
func eight() setting {
	return setting{
		name: "ac8", file: "testdata/rack.yaml", world: sim.MinersAndServer,
		writes: func(tr drivertest.Transfer) bool { return tr.Addr == 0x20 && len(tr.W) > 1 && tr.W[0] >= 2 },
		targets: []string{
			"outlet/pdu-a.1", "outlet/pdu-a.2", "outlet/pdu-a.3", "node/asic-1", "node/asic-4", "node/asic-5", "outlet/pdu-a.7", "node/gpu-1", "outlet/pdu-a.9",
			"group/miners", "group/front", "group/servers", "feed/feed-a", "rack",
		},
		locks: []string{"node/asic-1", "node/asic-5", "outlet/pdu-a.2", "outlet/pdu-a.3", "node/gpu-1"},
		faults: []string{
			"welded=pdu-a.2", "welded=pdu-a.4", "stuckopen=pdu-a.5", "frozen=pdu-a.meter.1", "nack=pdu-a.meter.2", "nack=pdu-a.bank",
			"brownout=pdu-a", "hang=sim-i2c-0", "stuck=sim-i2c-0", "crossed=pdu-a.1:pdu-a.3", "restart=pdu-a.meter.3", "forget=pdu-a", "zero=pdu-a.meter.3",
		},
	}
}

// settings are all racks there are tests for: one for each PDU model.
func settings() []setting {
	return []setting{
		eight(),
		{
			name: "ac24", file: "testdata/rack-ac24.yaml", world: sim.RackAC24,
			writes: func(tr drivertest.Transfer) bool {
				return (tr.Addr == 0x20 || tr.Addr == 0x21) && len(tr.W) > 1 && tr.W[0] >= 2
			},
			targets: []string{
				"outlet/pdu-a.1", "outlet/pdu-a.2", "outlet/pdu-a.17", "outlet/pdu-a.18", "node/asic-6", "node/asic-10", "outlet/pdu-a.5", "node/gpu-4", "outlet/pdu-a.25",
				"group/across", "group/servers", "feed/bank-b", "feed/row", "rack",
			},
			locks: []string{"node/asic-6", "node/asic-9", "outlet/pdu-a.2", "outlet/pdu-a.18", "node/gpu-4"},
			faults: []string{
				"welded=pdu-a.2", "stuckopen=pdu-a.17", "frozen=pdu-a.meter.1", "nack=pdu-a.meter.9", "nack=pdu-a.bank.2", "brownout=pdu-a.bank.1", "brownout=pdu-a.bank.2",
				"brownout=pdu-a", "hang=sim-i2c-0", "stuck=sim-i2c-0", "crossed=pdu-a.1:pdu-a.17", "restart=pdu-a.meter.9", "forget=pdu-a.mux.1", "forget=pdu-a.mux.2", "nack=pdu-a.mux.2",
			},
		},
		{
			name: "ac8-bank", file: "testdata/rack-ac8-bank.yaml", world: sim.RackAC8Bank,
			writes: func(tr drivertest.Transfer) bool { return tr.Addr == 0x38 && len(tr.W) > 1 && tr.W[0] >= 1 },
			targets: []string{
				"outlet/pdu-a.1", "outlet/pdu-a.2", "outlet/pdu-a.5", "node/asic-3", "node/asic-7", "node/asic-8", "outlet/pdu-a.9",
				"group/across", "feed/bank-a", "rack",
			},
			locks: []string{"rack", "node/asic-3", "outlet/pdu-a.1", "outlet/pdu-a.5"},
			faults: []string{
				"welded=pdu-a.2", "stuckopen=pdu-a.5", "frozen=pdu-a.meter.1", "nack=pdu-a.meter.2", "nack=pdu-a.bank", "brownout=pdu-a",
				"hang=sim-i2c-0", "stuck=sim-i2c-0", "restart=pdu-a.meter.1", "zero=pdu-a.meter.2", // not crossed: PROCEDURES.md says what a shared meter cannot see
			},
		},
		{
			name: "dc6", file: "testdata/rack-dc6.yaml", world: sim.RackDC6,
			writes: func(tr drivertest.Transfer) bool {
				return tr.Addr == 0x10 && len(tr.W) > 1 && tr.W[0] <= 0x02 // OPERATION and ON_OFF_CONFIG
			},
			targets: []string{
				"outlet/pdu-a.1", "outlet/pdu-a.2", "node/asic-3", "node/asic-4", "outlet/pdu-a.5", "node/gpu-1", "outlet/pdu-a.7",
				"group/miners", "group/mixed", "feed/shelf", "rack",
			},
			locks: []string{"node/asic-3", "outlet/pdu-a.2", "node/gpu-1"},
			faults: []string{
				"welded=pdu-a.2", "frozen=pdu-a.meter.1", "nack=pdu-a.meter.2", "restart=pdu-a.meter.3", "restart=pdu-a.meter.1",
				"hang=sim-i2c-0", "stuck=sim-i2c-0", "forget=pdu-a", "zero=pdu-a.meter.3", "nack=pdu-a.mux",
			},
		},
	}
}
