package pca9548

// Part is a part number in lower case. It fixes the number of channels.
type Part string

// The parts.
const (
	PCA9545 Part = "pca9545"
	PCA9546 Part = "pca9546"
	PCA9548 Part = "pca9548"
)

type variant struct {
	part     Part
	name     string
	channels int
	last     uint16 // address
}

func variants() []variant {
	return []variant{
		{PCA9545, "PCA9545", 4, FirstAddr + 3},
		{PCA9546, "PCA9546", 4, LastAddr},
		{PCA9548, "PCA9548", Channels, LastAddr},
	}
}

// Channels is how many the part has; 0: it is not known.
func (p Part) Channels() int {
	for _, v := range variants() {
		if v.part == p {
			return v.channels
		}
	}
	return 0
}
