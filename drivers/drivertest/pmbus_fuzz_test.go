package drivertest

import (
	"errors"
	"testing"
	"time"
)

// Whatever a master sends, a PMBus part answers or refuses, and does not panic.
func FuzzPMBusChips(f *testing.F) {
	for _, s := range []string{
		"\x00\x03\x02\xd4\x3f\x3f\x00\x01\x09\xdc", "\x00\x01\x00\xd9\x01\x02\x00\x01\x00", "\x03\x01\x0d\xda",
		"\x05\x02\x00\x00\xff\x05\x03\x00\x46\x00\x00", "\x06\x03\x00\x3b\x88\x13\x06\x01\x04\x90",
		"\x07\x04\x07\x30\x02\x86\x01\x07\x04\x02\x1a\x01\x88\x00", "\x08\x01\x01\x99\x08\x01\x21\x88",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		step := 7 * time.Millisecond
		bus := PMBusOpts{Addr: 0x58, Now: func() time.Time { now = now.Add(step); return now }}
		queue := bus
		queue.QueuesUnread, queue.Unsupported = true, UnsupportedOnes
		slow := bus
		slow.PageDelay, slow.StaleAfterPage = 20*time.Millisecond, true
		l := ConstantLoad(48, 10)
		chips := []Chip{
			NewADM1272(ADM1272Opts{PMBusOpts: bus, Load: l, Welded: true}),
			NewADM1275(ADM1272Opts{PMBusOpts: bus, Load: l, OperationGated: true}),
			NewLTC4286(LTC4286Opts{PMBusOpts: bus, Load: l}), NewLM5066I(LM5066Opts{PMBusOpts: bus, Load: l}),
			NewLM5066(LM5066Opts{PMBusOpts: bus, Load: l}), NewMAX34451(MAX34451Opts{PMBusOpts: slow}),
			NewMAX31785(MAX31785Opts{PMBusOpts: bus, Revision: MAX31785BRevision, MFRFanConfig: 0x1000, MaxRPM: [6]float64{1e4}}),
			NewCRPS(CRPSOpts{PMBusOpts: bus, Load: l}), NewADM1278(ADM1272Opts{PMBusOpts: queue, Load: l}),
			NewCRPS(CRPSOpts{PMBusOpts: bus, Load: ConstantLoad(230, 1e300), EnergyLinear: true, EnergyExponent: -3, LikeAHE50DC: true}),
		}
		// Each step: which chip, how many bytes to write, how many to read, the bytes. A chip above 200 is a long wait.
		for len(script) >= 3 {
			if script[0] > 200 {
				step = time.Duration(script[1]) * time.Hour
			}
			c, w, r := chips[int(script[0])%len(chips)], int(script[1]%8), make([]byte, script[2]%40)
			script = script[3:]
			w = min(w, len(script))
			if err := c.Tx(script[:w], r); err != nil && !errors.Is(err, NackAddress) && !errors.Is(err, NackData) {
				t.Fatalf("%T answered %v", c, err)
			}
			step = 7 * time.Millisecond
			script = script[w:]
		}
	})
}
