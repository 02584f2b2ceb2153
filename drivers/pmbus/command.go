package pmbus

import (
	"fmt"
	"slices"
	"strconv"
)

// Command is a command code. Codes of D0h and above are the maker's own and mean something else on every part.
type Command byte

// Commands of PMBus 1.2, part II, table 26, spelled as there.
const (
	PAGE                 Command = 0x00 // selects the output that the other commands mean
	OPERATION            Command = 0x01
	ON_OFF_CONFIG        Command = 0x02
	CLEAR_FAULTS         Command = 0x03 // never sent
	PHASE                Command = 0x04
	PAGE_PLUS_WRITE      Command = 0x05
	PAGE_PLUS_READ       Command = 0x06
	WRITE_PROTECT        Command = 0x10
	STORE_DEFAULT_ALL    Command = 0x11 // 11h to 18h write or reload the part's memory: never sent
	RESTORE_DEFAULT_ALL  Command = 0x12
	STORE_DEFAULT_CODE   Command = 0x13
	RESTORE_DEFAULT_CODE Command = 0x14
	STORE_USER_ALL       Command = 0x15
	RESTORE_USER_ALL     Command = 0x16
	STORE_USER_CODE      Command = 0x17
	RESTORE_USER_CODE    Command = 0x18
	CAPABILITY           Command = 0x19
	QUERY                Command = 0x1a
	SMBALERT_MASK        Command = 0x1b
	VOUT_MODE            Command = 0x20
	VOUT_COMMAND         Command = 0x21
	COEFFICIENTS         Command = 0x30
	POUT_MAX             Command = 0x31
	VIN_ON               Command = 0x35
	VIN_OFF              Command = 0x36
	FAN_CONFIG_1_2       Command = 0x3a
	FAN_COMMAND_1        Command = 0x3b
	FAN_COMMAND_2        Command = 0x3c
	FAN_CONFIG_3_4       Command = 0x3d
	FAN_COMMAND_3        Command = 0x3e
	FAN_COMMAND_4        Command = 0x3f
	VOUT_OV_FAULT_LIMIT  Command = 0x40
	VOUT_OV_WARN_LIMIT   Command = 0x42
	VOUT_UV_WARN_LIMIT   Command = 0x43
	VOUT_UV_FAULT_LIMIT  Command = 0x44
	IOUT_OC_FAULT_LIMIT  Command = 0x46 // exchanged with 4Ah on the MAX3444x family
	IOUT_OC_WARN_LIMIT   Command = 0x4a
	OT_FAULT_LIMIT       Command = 0x4f
	OT_WARN_LIMIT        Command = 0x51
	UT_WARN_LIMIT        Command = 0x52
	UT_FAULT_LIMIT       Command = 0x53
	VIN_OV_FAULT_LIMIT   Command = 0x55
	VIN_OV_WARN_LIMIT    Command = 0x57
	VIN_UV_WARN_LIMIT    Command = 0x58
	VIN_UV_FAULT_LIMIT   Command = 0x59
	IIN_OC_FAULT_LIMIT   Command = 0x5b
	IIN_OC_WARN_LIMIT    Command = 0x5d
	POWER_GOOD_ON        Command = 0x5e
	POWER_GOOD_OFF       Command = 0x5f
	TON_DELAY            Command = 0x60
	TON_RISE             Command = 0x61
	TOFF_DELAY           Command = 0x64
	TOFF_FALL            Command = 0x65
	POUT_OP_FAULT_LIMIT  Command = 0x68
	POUT_OP_WARN_LIMIT   Command = 0x6a
	PIN_OP_WARN_LIMIT    Command = 0x6b
	STATUS_BYTE          Command = 0x78
	STATUS_WORD          Command = 0x79
	STATUS_VOUT          Command = 0x7a
	STATUS_IOUT          Command = 0x7b
	STATUS_INPUT         Command = 0x7c
	STATUS_TEMPERATURE   Command = 0x7d
	STATUS_CML           Command = 0x7e
	STATUS_OTHER         Command = 0x7f
	STATUS_MFR_SPECIFIC  Command = 0x80
	STATUS_FANS_1_2      Command = 0x81
	STATUS_FANS_3_4      Command = 0x82
	READ_EIN             Command = 0x86
	READ_EOUT            Command = 0x87
	READ_VIN             Command = 0x88
	READ_IIN             Command = 0x89
	READ_VCAP            Command = 0x8a
	READ_VOUT            Command = 0x8b
	READ_IOUT            Command = 0x8c
	READ_TEMPERATURE_1   Command = 0x8d
	READ_TEMPERATURE_2   Command = 0x8e
	READ_TEMPERATURE_3   Command = 0x8f
	READ_FAN_SPEED_1     Command = 0x90
	READ_FAN_SPEED_2     Command = 0x91
	READ_FAN_SPEED_3     Command = 0x92
	READ_FAN_SPEED_4     Command = 0x93
	READ_DUTY_CYCLE      Command = 0x94
	READ_FREQUENCY       Command = 0x95
	READ_POUT            Command = 0x96
	READ_PIN             Command = 0x97
	PMBUS_REVISION       Command = 0x98
	MFR_ID               Command = 0x99
	MFR_MODEL            Command = 0x9a
	MFR_REVISION         Command = 0x9b
	MFR_LOCATION         Command = 0x9c
	MFR_DATE             Command = 0x9d
	MFR_SERIAL           Command = 0x9e
	APP_PROFILE_SUPPORT  Command = 0x9f
	MFR_VIN_MIN          Command = 0xa0
	MFR_VIN_MAX          Command = 0xa1
	MFR_IIN_MAX          Command = 0xa2
	MFR_PIN_MAX          Command = 0xa3
	MFR_VOUT_MIN         Command = 0xa4
	MFR_VOUT_MAX         Command = 0xa5
	MFR_IOUT_MAX         Command = 0xa6
	MFR_POUT_MAX         Command = 0xa7
	MFR_TAMBIENT_MAX     Command = 0xa8
	MFR_TAMBIENT_MIN     Command = 0xa9
	IC_DEVICE_ID         Command = 0xad
	IC_DEVICE_REV        Command = 0xae
	MFR_MAX_TEMP_1       Command = 0xc0
	MFR_MAX_TEMP_2       Command = 0xc1
	MFR_MAX_TEMP_3       Command = 0xc2
)

// commandNames spells the commands above.
var commandNames = [256]string{
	PAGE: "PAGE", OPERATION: "OPERATION", ON_OFF_CONFIG: "ON_OFF_CONFIG", CLEAR_FAULTS: "CLEAR_FAULTS", PHASE: "PHASE",
	PAGE_PLUS_WRITE: "PAGE_PLUS_WRITE", PAGE_PLUS_READ: "PAGE_PLUS_READ", WRITE_PROTECT: "WRITE_PROTECT",
	STORE_DEFAULT_ALL: "STORE_DEFAULT_ALL", RESTORE_DEFAULT_ALL: "RESTORE_DEFAULT_ALL",
	STORE_DEFAULT_CODE: "STORE_DEFAULT_CODE", RESTORE_DEFAULT_CODE: "RESTORE_DEFAULT_CODE",
	STORE_USER_ALL: "STORE_USER_ALL", RESTORE_USER_ALL: "RESTORE_USER_ALL",
	STORE_USER_CODE: "STORE_USER_CODE", RESTORE_USER_CODE: "RESTORE_USER_CODE",
	CAPABILITY: "CAPABILITY", QUERY: "QUERY", SMBALERT_MASK: "SMBALERT_MASK", VOUT_MODE: "VOUT_MODE",
	VOUT_COMMAND: "VOUT_COMMAND", COEFFICIENTS: "COEFFICIENTS", POUT_MAX: "POUT_MAX", VIN_ON: "VIN_ON", VIN_OFF: "VIN_OFF",
	FAN_CONFIG_1_2: "FAN_CONFIG_1_2", FAN_COMMAND_1: "FAN_COMMAND_1", FAN_COMMAND_2: "FAN_COMMAND_2",
	FAN_CONFIG_3_4: "FAN_CONFIG_3_4", FAN_COMMAND_3: "FAN_COMMAND_3", FAN_COMMAND_4: "FAN_COMMAND_4",
	VOUT_OV_FAULT_LIMIT: "VOUT_OV_FAULT_LIMIT", VOUT_OV_WARN_LIMIT: "VOUT_OV_WARN_LIMIT",
	VOUT_UV_WARN_LIMIT: "VOUT_UV_WARN_LIMIT", VOUT_UV_FAULT_LIMIT: "VOUT_UV_FAULT_LIMIT",
	IOUT_OC_FAULT_LIMIT: "IOUT_OC_FAULT_LIMIT", IOUT_OC_WARN_LIMIT: "IOUT_OC_WARN_LIMIT",
	OT_FAULT_LIMIT: "OT_FAULT_LIMIT", OT_WARN_LIMIT: "OT_WARN_LIMIT", UT_WARN_LIMIT: "UT_WARN_LIMIT", UT_FAULT_LIMIT: "UT_FAULT_LIMIT",
	VIN_OV_FAULT_LIMIT: "VIN_OV_FAULT_LIMIT", VIN_OV_WARN_LIMIT: "VIN_OV_WARN_LIMIT",
	VIN_UV_WARN_LIMIT: "VIN_UV_WARN_LIMIT", VIN_UV_FAULT_LIMIT: "VIN_UV_FAULT_LIMIT",
	IIN_OC_FAULT_LIMIT: "IIN_OC_FAULT_LIMIT", IIN_OC_WARN_LIMIT: "IIN_OC_WARN_LIMIT",
	POWER_GOOD_ON: "POWER_GOOD_ON", POWER_GOOD_OFF: "POWER_GOOD_OFF",
	TON_DELAY: "TON_DELAY", TON_RISE: "TON_RISE", TOFF_DELAY: "TOFF_DELAY", TOFF_FALL: "TOFF_FALL",
	POUT_OP_FAULT_LIMIT: "POUT_OP_FAULT_LIMIT", POUT_OP_WARN_LIMIT: "POUT_OP_WARN_LIMIT", PIN_OP_WARN_LIMIT: "PIN_OP_WARN_LIMIT",
	STATUS_BYTE: "STATUS_BYTE", STATUS_WORD: "STATUS_WORD", STATUS_VOUT: "STATUS_VOUT", STATUS_IOUT: "STATUS_IOUT",
	STATUS_INPUT: "STATUS_INPUT", STATUS_TEMPERATURE: "STATUS_TEMPERATURE", STATUS_CML: "STATUS_CML", STATUS_OTHER: "STATUS_OTHER",
	STATUS_MFR_SPECIFIC: "STATUS_MFR_SPECIFIC", STATUS_FANS_1_2: "STATUS_FANS_1_2", STATUS_FANS_3_4: "STATUS_FANS_3_4",
	READ_EIN: "READ_EIN", READ_EOUT: "READ_EOUT", READ_VIN: "READ_VIN", READ_IIN: "READ_IIN", READ_VCAP: "READ_VCAP",
	READ_VOUT: "READ_VOUT", READ_IOUT: "READ_IOUT", READ_TEMPERATURE_1: "READ_TEMPERATURE_1",
	READ_TEMPERATURE_2: "READ_TEMPERATURE_2", READ_TEMPERATURE_3: "READ_TEMPERATURE_3",
	READ_FAN_SPEED_1: "READ_FAN_SPEED_1", READ_FAN_SPEED_2: "READ_FAN_SPEED_2",
	READ_FAN_SPEED_3: "READ_FAN_SPEED_3", READ_FAN_SPEED_4: "READ_FAN_SPEED_4",
	READ_DUTY_CYCLE: "READ_DUTY_CYCLE", READ_FREQUENCY: "READ_FREQUENCY", READ_POUT: "READ_POUT", READ_PIN: "READ_PIN",
	PMBUS_REVISION: "PMBUS_REVISION", MFR_ID: "MFR_ID", MFR_MODEL: "MFR_MODEL", MFR_REVISION: "MFR_REVISION",
	MFR_LOCATION: "MFR_LOCATION", MFR_DATE: "MFR_DATE", MFR_SERIAL: "MFR_SERIAL", APP_PROFILE_SUPPORT: "APP_PROFILE_SUPPORT",
	MFR_VIN_MIN: "MFR_VIN_MIN", MFR_VIN_MAX: "MFR_VIN_MAX", MFR_IIN_MAX: "MFR_IIN_MAX", MFR_PIN_MAX: "MFR_PIN_MAX",
	MFR_VOUT_MIN: "MFR_VOUT_MIN", MFR_VOUT_MAX: "MFR_VOUT_MAX", MFR_IOUT_MAX: "MFR_IOUT_MAX", MFR_POUT_MAX: "MFR_POUT_MAX",
	MFR_TAMBIENT_MAX: "MFR_TAMBIENT_MAX", MFR_TAMBIENT_MIN: "MFR_TAMBIENT_MIN",
	IC_DEVICE_ID: "IC_DEVICE_ID", IC_DEVICE_REV: "IC_DEVICE_REV",
	MFR_MAX_TEMP_1: "MFR_MAX_TEMP_1", MFR_MAX_TEMP_2: "MFR_MAX_TEMP_2", MFR_MAX_TEMP_3: "MFR_MAX_TEMP_3",
}

// String spells a standard command as the specification does, any other as its code: d4h.
func (c Command) String() string {
	if name := commandNames[c]; name != "" {
		return name
	}
	return fmt.Sprintf("%02xh", byte(c))
}

// ParseCommand reads what String writes.
func ParseCommand(s string) (Command, bool) {
	if s == "" {
		return 0, false
	}
	if i := slices.Index(commandNames[:], s); i >= 0 {
		return Command(i), true
	}
	if len(s) != 3 || s[2] != 'h' {
		return 0, false
	}
	v, err := strconv.ParseUint(s[:2], 16, 8)
	return Command(v), err == nil && commandNames[v] == ""
}

// Forbidden tells whether no part is ever sent this command as a write. CLEAR_FAULTS makes the outputs of a shipped
// supply glitch (Linux driver delta-ahe50dc-fan) and hides what happened from everybody else; 11h to 18h write or
// reload the part's memory; 05h carries any other command past the lists.
func (c Command) Forbidden() bool {
	return c == CLEAR_FAULTS || c == PAGE_PLUS_WRITE || c >= STORE_DEFAULT_ALL && c <= RESTORE_USER_CODE
}
