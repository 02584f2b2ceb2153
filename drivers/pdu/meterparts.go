package pdu

import (
	"fmt"
	"slices"

	"rackagent/drivers/chip/ade7953"
	"rackagent/drivers/chip/pca9548"
)

// Parts that a model file may name as a meter.
const (
	partADE = "ade7953"
)

func meterParts() []string { return []string{partADE} }

// addresses is where a metering part can sit.
func (e meterEntry) addresses() (first, last int) {
	return ade7953.Address, ade7953.Address
}

// switches tells whether the part can also be the switch of its outlet.
func (e meterEntry) switches() bool { return false }

// meter checks the keys of one meter, which differ from part to part.
func (c *checker) meter(f *modelFile, i int, m meterEntry) {
	key := fmt.Sprintf("meters[%d]", i)
	if !slices.Contains(meterParts(), m.part()) {
		c.bad(key+".part", "%q is none of %q", m.Part, meterParts())
		return
	}
	c.ade(f, key, m)
}

// operation is the relay bank of one outlet that a hot-swap part is.
func (s meterSpec) operation() bankSpec { return bankSpec{place: s.place} }

func muxParts() []string { return []string{"pca9548"} }

func muxChannels(string) int { return pca9548.Channels }
