package wire

import "rackagent/agent/rack"

// quantity says how values of one rack.Quantity are written and what they are about.
type quantity struct {
	unit   string // UCUM-like: W, VA, A, Wh, V, Hz, Cel; "1" for yes and no
	of     string // what the position counts: outlet, bank, sensor
	digits int    // decimals that the meters can tell
}

// Unit is the unit in which a quantity is told.
func Unit(q rack.Quantity) string { return quantityOf(q).unit }

func quantityOf(q rack.Quantity) quantity {
	switch q {
	case rack.PowerW:
		return quantity{"W", "outlet", 1}
	case rack.ApparentV:
		return quantity{"VA", "outlet", 1}
	case rack.CurrentA:
		return quantity{"A", "outlet", 3}
	case rack.EnergyWh:
		return quantity{"Wh", "outlet", 1}
	case rack.VoltageV:
		return quantity{"V", "outlet", 1}
	case rack.FrequHz:
		return quantity{"Hz", "outlet", 2}
	case rack.Relay:
		return quantity{"1", "outlet", 0}
	case rack.Control:
		return quantity{"1", "bank", 0}
	case rack.SupplyW:
		return quantity{"W", "supply", 1}
	case rack.SupplyVA:
		return quantity{"VA", "supply", 1}
	case rack.SupplyA:
		return quantity{"A", "supply", 3}
	case rack.SupplyV:
		return quantity{"V", "supply", 1}
	case rack.SupplyHz:
		return quantity{"Hz", "supply", 2}
	case rack.SupplyWh:
		return quantity{"Wh", "supply", 1}
	case rack.HumidityPct, rack.LevelPct:
		return quantity{"%", "input", 1}
	case rack.DewC:
		return quantity{"Cel", "input", 1}
	case rack.AirHPa:
		return quantity{"hPa", "input", 1}
	case rack.DCVolts, rack.InVolts, rack.InputV:
		return quantity{"V", "input", 3}
	case rack.DCAmps, rack.InAmps, rack.ACAmps:
		return quantity{"A", "input", 3}
	case rack.DCWatts, rack.InWatts, rack.ACWatts:
		return quantity{"W", "input", 1}
	case rack.DCWh, rack.ACWh:
		return quantity{"Wh", "input", 1}
	case rack.ACVolts:
		return quantity{"V", "input", 1}
	case rack.ACVA:
		return quantity{"VA", "input", 1}
	case rack.ACHz:
		return quantity{"Hz", "input", 2}
	case rack.FanRPM:
		return quantity{"/min", "input", 0}
	case rack.FlowLPM:
		return quantity{"L/min", "input", 2}
	case rack.PressureBar:
		return quantity{"bar", "input", 3}
	case rack.RuntimeS:
		return quantity{"s", "input", 0}
	case rack.Leak, rack.Contact, rack.FaultFlag:
		return quantity{"1", "input", 0}
	case rack.HashTHs, rack.HashMeanTHs, rack.HashPlanTHs:
		return quantity{"TH/s", "miner", 2}
	case rack.ToldW, rack.LimitW:
		return quantity{"W", "miner", 0}
	case rack.Hashing, rack.AsleepFlag:
		return quantity{"1", "miner", 0}
	case rack.Identified:
		return quantity{"1", "board", 0}
	case rack.TempC:
		return quantity{"Cel", "sensor", 1}
	default:
		return quantity{"", "position", 3}
	}
}
