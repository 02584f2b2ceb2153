package inventory

import (
	"rackagent/config"
	"rackagent/drivers/chip/pca9548"
)

// Catalogue answers the configuration's check from the drivers there are.
func Catalogue() config.Catalogue {
	c := config.Catalogue{Model: Models{}.shape, Part: partConf, Muxes: map[string]int{}, Miners: minerAPIs()}
	for _, p := range allParts() {
		c.Parts = append(c.Parts, p.name)
	}
	for _, m := range []pca9548.Part{pca9548.PCA9545, pca9548.PCA9546, pca9548.PCA9548} {
		c.Muxes[string(m)] = m.Channels()
	}
	return c
}

func partConf(name string) (config.Part, bool) {
	p, ok := findPart(name)
	return p.conf, ok
}
