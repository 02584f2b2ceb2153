package pmbus

import "strings"

// StatusWord is the register STATUS_WORD (PMBus 1.2 part II, 17.2). All bits but Off and PowerNotGood stay set until
// somebody clears them: a bit says that something happened, not that it lasts.
type StatusWord uint16

// Bits of STATUS_WORD.
const (
	StatusNoneOfTheAbove StatusWord = 1 << iota
	StatusCML                       // STATUS_CML says more
	StatusTemperature               // STATUS_TEMPERATURE says more
	StatusVinUV
	StatusIoutOC
	StatusVoutOV
	StatusOff // the output is off, for whatever reason; live
	StatusBusy
	StatusUnknown
	StatusOther        // STATUS_OTHER says more
	StatusFans         // STATUS_FANS_1_2 and 3_4 say more
	StatusPowerNotGood // live; the LM5066 family is said to have it the other way round
	StatusMfr          // STATUS_MFR_SPECIFIC says more
	StatusInput        // STATUS_INPUT says more
	StatusIout         // STATUS_IOUT says more
	StatusVout         // STATUS_VOUT says more
)

var statusWordNames = [16]string{
	"none_of_the_above", "cml", "temperature", "vin_uv_fault", "iout_oc_fault", "vout_ov_fault", "off", "busy",
	"unknown", "other", "fans", "power_not_good", "mfr", "input", "iout_pout", "vout",
}

// Names lists the bits that are set, highest first.
func (s StatusWord) Names() []string { return names(uint(s), statusWordNames[:]) }

// String is Names with spaces between.
func (s StatusWord) String() string { return strings.Join(s.Names(), " ") }

// Details lists the registers that say more about the bits that are set, in the order of their codes.
func (s StatusWord) Details() []Command {
	var out []Command
	for _, d := range [...]struct {
		bit StatusWord
		at  Command
	}{
		{StatusVout, STATUS_VOUT},
		{StatusIout, STATUS_IOUT},
		{StatusInput, STATUS_INPUT},
		{StatusTemperature, STATUS_TEMPERATURE},
		{StatusCML, STATUS_CML},
		{StatusMfr, STATUS_MFR_SPECIFIC},
		{StatusFans, STATUS_FANS_1_2},
	} {
		if s&d.bit != 0 {
			out = append(out, d.at)
		}
	}
	return out
}

// statusNames are the bits of the registers of one byte (PMBus 1.2 part II, 17.3 to 17.10), bit 0 first.
var statusNames = map[Command][8]string{
	STATUS_VOUT: {
		"vout_tracking_error", "vout_toff_max", "vout_ton_max", "vout_limit",
		"vout_uv_fault", "vout_uv_warning", "vout_ov_warning", "vout_ov_fault",
	},
	STATUS_IOUT: {
		"pout_op_warning", "pout_op_fault", "power_limiting", "current_share_fault",
		"iout_uc_fault", "iout_oc_warning", "iout_oc_lv_fault", "iout_oc_fault",
	},
	STATUS_INPUT: {
		"pin_op_warning", "iin_oc_warning", "iin_oc_fault", "off_input_low",
		"vin_uv_fault", "vin_uv_warning", "vin_ov_warning", "vin_ov_fault",
	},
	STATUS_TEMPERATURE: {4: "ut_fault", 5: "ut_warning", 6: "ot_warning", 7: "ot_fault"},
	STATUS_CML: {
		"cml_other", "cml_other_comms", "", "cml_processor",
		"cml_memory", "cml_pec", "cml_bad_data", "cml_bad_command",
	},
	STATUS_FANS_1_2: {
		"airflow_warning", "airflow_fault", "fan_2_overridden", "fan_1_overridden",
		"fan_2_warning", "fan_1_warning", "fan_2_fault", "fan_1_fault",
	},
	STATUS_FANS_3_4: {
		2: "fan_4_overridden", 3: "fan_3_overridden",
		4: "fan_4_warning", 5: "fan_3_warning", 6: "fan_4_fault", 7: "fan_3_fault",
	},
}

// StatusNames lists the bits that are set in a status register of one byte, highest first. Bits without a meaning of
// the standard, such as all of STATUS_MFR_SPECIFIC, are left out.
func StatusNames(c Command, v byte) []string {
	bits := statusNames[c]
	return names(uint(v), bits[:])
}

func names(v uint, bits []string) []string {
	var out []string
	for i := len(bits) - 1; i >= 0; i-- {
		if v>>i&1 != 0 && bits[i] != "" {
			out = append(out, bits[i])
		}
	}
	return out
}
