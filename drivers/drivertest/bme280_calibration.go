package drivertest

import "sort"

// bmeBlock1 and bmeBlock2 are how many calibration bytes there are at 88 and at E1.
const (
	bmeBlock1 = 26
	bmeBlock2 = 7
)

// bmeCalibration are the trimming values of one BME280 as the data sheet names them.
type bmeCalibration struct {
	t1     uint16
	t2, t3 int16
	p1     uint16
	p      [8]int16 // P2 to P9
	h1     uint8
	h2     int16
	h3     uint8
	h4, h5 int16 // 12 bits each
	h6     int8
}

// bmeExample has the temperature and pressure values of the worked example in Bosch's BMP280 data sheet (section
// 3.12). There is none for humidity: those are arbitrary, of the size that parts have.
func bmeExample() bmeCalibration {
	return bmeCalibration{
		t1: 27504, t2: 26435, t3: -1000,
		p1: 36477, p: [8]int16{-10685, 3024, 2855, 140, -7, 15500, -14600, 6000},
		h1: 75, h2: 370, h3: 0, h4: 313, h5: 50, h6: 30,
	}
}

// block1 are the registers 88 to A1, low bytes first.
func (k bmeCalibration) block1() [bmeBlock1]byte {
	words := []uint16{k.t1, uint16(k.t2), uint16(k.t3), k.p1}
	for _, v := range k.p {
		words = append(words, uint16(v))
	}
	var b [bmeBlock1]byte
	for i, v := range words {
		b[2*i], b[2*i+1] = byte(v), byte(v>>8)
	}
	b[bmeBlock1-1] = k.h1
	return b
}

// block2 are the registers E1 to E7. H4 and H5 share a byte.
func (k bmeCalibration) block2() [bmeBlock2]byte {
	return [bmeBlock2]byte{
		byte(k.h2), byte(k.h2 >> 8), k.h3, byte(k.h4 >> 4), byte(k.h4&0xF) | byte(k.h5<<4), byte(k.h5 >> 4), byte(k.h6),
	}
}

// fine is the temperature of a code in 1/5120 °C, on which pressure and humidity lean. This and the next two are the
// data sheet's formulas in floating point (BST-BME280-DS002, 8.1).
func (k bmeCalibration) fine(code float64) float64 {
	a := code/16384 - float64(k.t1)/1024
	b := code/131072 - float64(k.t1)/8192
	return a*float64(k.t2) + b*b*float64(k.t3)
}

// pressure is that of a code, in Pa.
func (k bmeCalibration) pressure(code, fine float64) float64 {
	p := func(n int) float64 { return float64(k.p[n-2]) }
	a := fine/2 - 64000
	b := a*a*p(6)/32768 + a*p(5)*2
	b = b/4 + p(4)*65536
	a = (p(3)*a*a/524288 + p(2)*a) / 524288
	a = (1 + a/32768) * float64(k.p1)
	v := (1048576 - code - b/4096) * 6250 / a
	return v + (p(9)*v*v/2147483648+v*p(8)/32768+p(7))/16
}

// moisture is the relative humidity of a code, in %, before it is cut off at 0 and 100.
func (k bmeCalibration) moisture(code, fine float64) float64 {
	d := fine - 76800
	h := code - (float64(k.h4)*64 + float64(k.h5)/16384*d)
	h *= float64(k.h2) / 65536 * (1 + float64(k.h6)/67108864*d*(1+float64(k.h3)/67108864*d))
	return h * (1 - float64(k.h1)*h/524288)
}

func (k bmeCalibration) temperatureCode(celsius float64) uint32 {
	return bmeNearest(1<<20, celsius, func(code float64) float64 { return k.fine(code) / 5120 })
}

func (k bmeCalibration) pressureCode(pascal, fine float64) uint32 {
	return bmeNearest(1<<20, -pascal, func(code float64) float64 { return -k.pressure(code, fine) })
}

func (k bmeCalibration) humidityCode(percent, fine float64) uint32 {
	return bmeNearest(1<<16, percent, func(code float64) float64 { return k.moisture(code, fine) })
}

// bmeNearest is the code below a limit whose value, which grows with the code, comes closest to the one wanted.
func bmeNearest(limit int, want float64, value func(code float64) float64) uint32 {
	n := sort.Search(limit, func(i int) bool { return value(float64(i)) >= want })
	if n == limit || n > 0 && want-value(float64(n-1)) < value(float64(n))-want {
		n--
	}
	return uint32(n)
}
