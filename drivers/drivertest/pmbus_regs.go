package drivertest

// Command codes (PMBus 1.2 part II, table in appendix I).
const (
	pmPAGE           = 0x00
	pmOPERATION      = 0x01
	pmON_OFF_CONFIG  = 0x02
	pmCLEAR_FAULTS   = 0x03
	pmWRITE_PROTECT  = 0x10
	pmCAPABILITY     = 0x19
	pmQUERY          = 0x1A
	pmVOUT_MODE      = 0x20
	pmVOUT_COMMAND   = 0x21
	pmCOEFFICIENTS   = 0x30
	pmFAN_CONFIG_1_2 = 0x3A
	pmFAN_COMMAND_1  = 0x3B

	pmVOUT_OV_FAULT_LIMIT = 0x40
	pmVOUT_OV_WARN_LIMIT  = 0x42
	pmVOUT_UV_WARN_LIMIT  = 0x43
	pmVOUT_UV_FAULT_LIMIT = 0x44
	pmIOUT_OC_FAULT_LIMIT = 0x46
	pmIOUT_OC_WARN_LIMIT  = 0x4A
	pmOT_FAULT_LIMIT      = 0x4F
	pmOT_WARN_LIMIT       = 0x51
	pmVIN_OV_FAULT_LIMIT  = 0x55
	pmVIN_OV_WARN_LIMIT   = 0x57
	pmVIN_UV_WARN_LIMIT   = 0x58
	pmVIN_UV_FAULT_LIMIT  = 0x59
	pmPIN_OP_WARN_LIMIT   = 0x6B

	pmSTATUS_BYTE        = 0x78
	pmSTATUS_WORD        = 0x79
	pmSTATUS_VOUT        = 0x7A
	pmSTATUS_IOUT        = 0x7B
	pmSTATUS_INPUT       = 0x7C
	pmSTATUS_TEMPERATURE = 0x7D
	pmSTATUS_CML         = 0x7E
	pmSTATUS_OTHER       = 0x7F
	pmSTATUS_MFR         = 0x80
	pmSTATUS_FANS_1_2    = 0x81
	pmSTATUS_FANS_3_4    = 0x82

	pmREAD_EIN           = 0x86
	pmREAD_EOUT          = 0x87
	pmREAD_VIN           = 0x88
	pmREAD_IIN           = 0x89
	pmREAD_VOUT          = 0x8B
	pmREAD_IOUT          = 0x8C
	pmREAD_TEMPERATURE_1 = 0x8D
	pmREAD_FAN_SPEED_1   = 0x90
	pmREAD_FAN_SPEED_2   = 0x91
	pmREAD_POUT          = 0x96
	pmREAD_PIN           = 0x97

	pmPMBUS_REVISION = 0x98
	pmMFR_ID         = 0x99
	pmMFR_MODEL      = 0x9A
	pmMFR_REVISION   = 0x9B
	pmMFR_LOCATION   = 0x9C
	pmMFR_DATE       = 0x9D
	pmMFR_SERIAL     = 0x9E
)

// Bits of STATUS_WORD that several places name.
const (
	pmOff         = 0x0040
	pmNotGood     = 0x0800 // POWER_GOOD#: the output is not good
	pmNoneOfAbove = 0x0001
)

// Bits of STATUS_CML.
const (
	pmBadCommand = 0x80
	pmBadData    = 0x40
	pmBadPEC     = 0x20
	pmOtherComms = 0x02
)

// pmSummary says which bit of STATUS_WORD a status register sets with any of some bits (PMBus 1.2 part II, 17).
var pmSummary = [...]struct {
	code, bits byte
	word       uint16
}{
	{pmSTATUS_VOUT, 0xFF, 0x8000},
	{pmSTATUS_VOUT, 0x80, 0x0020},
	{pmSTATUS_IOUT, 0xFF, 0x4000},
	{pmSTATUS_IOUT, 0x80, 0x0010},
	{pmSTATUS_INPUT, 0xFF, 0x2000},
	{pmSTATUS_INPUT, 0x10, 0x0008},
	{pmSTATUS_TEMPERATURE, 0xFF, 0x0004},
	{pmSTATUS_CML, 0xFF, 0x0002},
	{pmSTATUS_OTHER, 0xFF, 0x0200},
	{pmSTATUS_MFR, 0xFF, 0x1000},
	{pmSTATUS_FANS_1_2, 0xFF, 0x0400},
	{pmSTATUS_FANS_3_4, 0xFF, 0x0400},
}

// pmLimit is a comparator: a reading beyond a limit register sets a bit of a status register. Both are DIRECT codes
// of the same row, so the codes are compared.
type pmLimit struct {
	limit, reading, status, bit byte
	below                       bool
}

// The comparators of the DIRECT parts.
var (
	pmVinOVWarn  = pmLimit{pmVIN_OV_WARN_LIMIT, pmREAD_VIN, pmSTATUS_INPUT, 0x40, false}
	pmVinUVWarn  = pmLimit{pmVIN_UV_WARN_LIMIT, pmREAD_VIN, pmSTATUS_INPUT, 0x20, true}
	pmVoutOVFail = pmLimit{pmVOUT_OV_FAULT_LIMIT, pmREAD_VOUT, pmSTATUS_VOUT, 0x80, false}
	pmVoutOVWarn = pmLimit{pmVOUT_OV_WARN_LIMIT, pmREAD_VOUT, pmSTATUS_VOUT, 0x40, false}
	pmVoutUVWarn = pmLimit{pmVOUT_UV_WARN_LIMIT, pmREAD_VOUT, pmSTATUS_VOUT, 0x20, true}
	pmVoutUVFail = pmLimit{pmVOUT_UV_FAULT_LIMIT, pmREAD_VOUT, pmSTATUS_VOUT, 0x10, true}
	pmIoutOCWarn = pmLimit{pmIOUT_OC_WARN_LIMIT, pmREAD_IOUT, pmSTATUS_IOUT, 0x20, false}
	pmIoutOCFail = pmLimit{pmIOUT_OC_FAULT_LIMIT, pmREAD_IOUT, pmSTATUS_IOUT, 0x80, false}
	pmOTWarn     = pmLimit{pmOT_WARN_LIMIT, pmREAD_TEMPERATURE_1, pmSTATUS_TEMPERATURE, 0x40, false}
	pmOTFail     = pmLimit{pmOT_FAULT_LIMIT, pmREAD_TEMPERATURE_1, pmSTATUS_TEMPERATURE, 0x80, false}
	pmPinOPWarn  = pmLimit{pmPIN_OP_WARN_LIMIT, pmREAD_PIN, pmSTATUS_INPUT, 0x01, false}
)

// pmByte, pmWord and pmBlock are read-only commands with a fixed value; rw makes one writable, paged gives it pages.
func pmByte(code, v byte) PMBusCommand {
	return PMBusCommand{Code: code, Kind: PMBusByte, Value: []byte{v}}
}

func pmWord(code byte, v uint16) PMBusCommand {
	return PMBusCommand{Code: code, Kind: PMBusWord, Value: pmLE(v)}
}

func pmBlock(code byte, v string) PMBusCommand {
	return PMBusCommand{Code: code, Kind: PMBusBlock, Value: []byte(v)}
}

func (k PMBusCommand) rw() PMBusCommand { k.Writable = true; return k }

func (k PMBusCommand) paged(pages []byte) PMBusCommand { k.Pages = pages; return k }

// pmLive is a word that is worked out when it is read.
func pmLive(code byte, get func(page byte) uint16) PMBusCommand {
	return PMBusCommand{Code: code, Kind: PMBusWord, Get: func(page byte) []byte { return pmLE(get(page)) }}
}

// pmRun lists the pages first..last.
func pmRun(first, last byte) []byte {
	var out []byte
	for p := int(first); p <= int(last); p++ {
		out = append(out, byte(p))
	}
	return out
}
