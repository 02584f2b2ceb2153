package drivertest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The worked example of the data sheet (Bosch BMP280, section 3.12); humidities are those of the integer formula of
// the BME280's data sheet at that temperature.
func TestBME280Formulas(t *testing.T) {
	k := bmeExample()
	fine := k.fine(519888)
	near(t, "temperature", fine/5120, 25.08, 0.005)
	near(t, "pressure", k.pressure(415148, fine), 100653.27, 0.005)
	for code, want := range map[float64]float64{0x6000: 25.2412, 0x7000: 48.6484, 0x8000: 71.8955} {
		near(t, "humidity", k.moisture(code, fine), want, 0.005)
	}
}

// Backwards, each value gives the code that comes closest to it.
func TestBME280Codes(t *testing.T) {
	k := bmeExample()
	for _, v := range []struct{ celsius, pascal, percent float64 }{
		{25, 101325, 40}, {-40, 30000, 0.5}, {85, 110000, 99.5}, {0, 80000, 10}, {60, 101325, 95},
	} {
		name := fmt.Sprint(v)
		fine := k.fine(float64(k.temperatureCode(v.celsius)))
		near(t, name, fine/5120, v.celsius, 0.0002)
		near(t, name, k.pressure(float64(k.pressureCode(v.pascal, fine)), fine), v.pascal, 0.15)
		near(t, name, k.moisture(float64(k.humidityCode(v.percent, fine)), fine), v.percent, 0.004)
	}
	if lo, hi := k.temperatureCode(-1e6), k.temperatureCode(1e6); lo != 0 || hi != 0xFFFFF {
		t.Errorf("ends: %x and %x", lo, hi)
	}
}

func TestBME280Registers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		get(t, c, "d0", "60")
		get(t, c, "88", "706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c67017004b")
		get(t, c, "e1", "7201001329031e")
		get(t, c, "f2", "00000000")
		get(t, c, "f7", "8000008000008000")
		put(t, c, "f203f5a0f4b4") // pairs of register and value
		get(t, c, "f2", "0300b4a0")
		get(t, c, "f4", "b4a0")
		put(t, c, "d077")
		put(t, c, "e011") // not the word
		get(t, c, "f2", "0300b4a0")
		put(t, c, "e0b6")
		get(t, c, "f2", "00010000") // the calibration is being copied
		time.Sleep(2 * time.Millisecond)
		get(t, c, "f2", "00000000")
		put(t, c, "d0") // a pointer alone
		get(t, c, "", "60")
	})
}

// One forced measurement with everything once: 1 + 2 + 2.5 + 2.5 ms typical, 1.25 + 2.3 + 2.875 + 2.875 ms at most.
func TestBME280Forced(t *testing.T) {
	for slow, takes := range map[bool]time.Duration{false: 8 * time.Millisecond, true: 9300 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			c := NewBME280(BME280Opts{Slow: slow})
			c.SetRaw(519888, 415148, 0x7000)
			put(t, c, "f201f425")
			get(t, c, "f3", "0825")
			time.Sleep(takes - time.Microsecond)
			get(t, c, "f3", "0825")
			get(t, c, "f7", "8000008000008000")
			time.Sleep(time.Microsecond)
			get(t, c, "f3", "0024") // asleep again
			get(t, c, "f7", "655ac07eed007000")
			c.SetRaw(1, 2, 3)
			time.Sleep(time.Second)
			get(t, c, "f7", "655ac07eed007000")
			c.Reset()
			get(t, c, "f7", "8000008000008000")
		})
	}
}

// ctrl_hum counts from the next write of ctrl_meas on, and what is not measured reads 8000h.
func TestBME280Skips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		c.SetRaw(519888, 415148, 0x7000)
		put(t, c, "f421f201") // temperature only
		time.Sleep(2999 * time.Microsecond)
		get(t, c, "f3", "08")
		time.Sleep(time.Microsecond)
		get(t, c, "f3", "00")
		get(t, c, "f7", "8000007eed008000")
		put(t, c, "f421")
		time.Sleep(6 * time.Millisecond)
		get(t, c, "f7", "8000007eed007000")
	})
}

// Codes of the air have 16 bits with oversampling 1 and 20 with 16.
func TestBME280Resolution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		c.SetAir(25.0825, 100653.27, 48.65)
		put(t, c, "f201f425")
		time.Sleep(time.Second)
		if v := value(t, c, "fa", 3); v != 0x7EED00 {
			t.Errorf("temperature %06x", v)
		}
		if v := value(t, c, "f7", 3); v>>8 != 0x655A || v&0xFF != 0 {
			t.Errorf("pressure %06x", v)
		}
		if v := value(t, c, "fd", 2); v < 0x6FFE || v > 0x7002 {
			t.Errorf("humidity %04x", v)
		}
		c.SetAir(25.0829, 100653, 48.65)
		put(t, c, "f4b5")
		time.Sleep(time.Second)
		if v := value(t, c, "fa", 3); v&0xFF == 0 || v>>8 != 0x7EED {
			t.Errorf("temperature %06x", v)
		}
	})
}

// Normal mode measures for 8 ms and rests for 62.5 ms.
func TestBME280Normal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		c.SetRaw(0x11110, 0x22220, 0x3333)
		put(t, c, "f201f520f427")
		put(t, c, "f5a0") // ignored in this mode
		get(t, c, "f5", "20")
		time.Sleep(8 * time.Millisecond)
		get(t, c, "f7", "2222001111003333")
		c.SetRaw(0x44440, 0x55550, 0x6666)
		get(t, c, "f3", "00")
		time.Sleep(62500 * time.Microsecond)
		get(t, c, "f3", "08")
		time.Sleep(8*time.Millisecond - time.Nanosecond)
		get(t, c, "f7", "2222001111003333")
		time.Sleep(time.Nanosecond)
		get(t, c, "f7", "5555004444006666")
		time.Sleep(10 * time.Hour)
		get(t, c, "f4", "27")
		put(t, c, "f424")
		get(t, c, "f4", "24")
	})
}

// A change of mode waits for the end of the measurement in progress; until then further ones are ignored.
func TestBME280ModeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		c.SetRaw(0x11110, 0x22220, 0x3333)
		put(t, c, "f201f427")
		put(t, c, "f424f425f205")
		get(t, c, "f2", "010827")
		time.Sleep(8 * time.Millisecond)
		get(t, c, "f2", "010024")
		get(t, c, "f7", "2222001111003333")
		put(t, c, "f425")
		put(t, c, "f425") // one after the other
		time.Sleep(8 * time.Millisecond)
		get(t, c, "f3", "0825")
		time.Sleep(8 * time.Millisecond)
		get(t, c, "f3", "0024")
	})
}

// With the filter of coefficient 4, each measurement goes a quarter of the way.
func TestBME280Filter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280(BME280Opts{})
		code := func() float64 { return float64(value(t, c, "fa", 3) >> 4) }
		measure := func() float64 {
			put(t, c, "f421")
			time.Sleep(time.Second)
			return code()
		}
		put(t, c, "f508")
		c.SetAir(20, 101325, 40)
		cold := measure()
		if again := measure(); again != cold {
			t.Errorf("%v, then %v", cold, again)
		}
		c.SetAir(30, 101325, 40)
		first, second := measure(), measure()
		hot := float64(bmeExample().temperatureCode(30))
		near(t, "first", first, cold+(hot-cold)/4, 1)
		near(t, "second", second, first+(hot-first)/4, 1)
		put(t, c, "f423") // in normal mode for long
		time.Sleep(time.Hour)
		near(t, "at last", code(), hot, 1)
		put(t, c, "f420")
		time.Sleep(time.Second)
		put(t, c, "f500")
		near(t, "without", measure(), float64(int(hot)&^15), 0)
	})
}
