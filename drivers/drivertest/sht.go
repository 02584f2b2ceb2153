package drivertest

import (
	"sync"
	"time"
)

// sht is what Sensirion's humidity sensors have in common: a command starts something, the answer is fetched by a
// read without a pointer, and a read that finds no answer is not acknowledged.
type sht struct {
	mu       sync.Mutex
	now      func() time.Time
	serial   uint32
	scale    [2]float64 // humidity of code 0, and of all codes, in %
	celsius  Quantity
	humidity Quantity  // %
	ready    time.Time // powered up or reset: deaf before
	end      time.Time // of the measurement in progress; zero: none
	answer   []byte    // not yet fetched; nil: none
	corrupt  int       // which checksum of an answer is wrong, from 1; 0: none
}

func newSHT(serial uint32, zero, span float64, now func() time.Time) sht {
	return sht{now: clock(now), serial: serial, scale: [2]float64{zero, span}, celsius: Constant(25), humidity: Constant(40)}
}

// SetAir sets the true temperature in °C and relative humidity in %. A measurement takes what there is when it ends.
func (s *sht) SetAir(celsius, humidity float64) { s.Follow(Constant(celsius), Constant(humidity)) }

// Follow gives the true temperature in °C and relative humidity in % as functions of time.
func (s *sht) Follow(celsius, humidity Quantity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete(s.now())
	s.celsius, s.humidity = celsius, humidity
}

// CorruptCRC makes one checksum of each later answer wrong: 1 is that of the first word, 2 that of the second, 0 none.
func (s *sht) CorruptCRC(word int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt = word
}

// restart drops everything and is deaf for a while.
func (s *sht) restart(deaf time.Duration) {
	s.ready = s.now().Add(deaf)
	s.end, s.answer = time.Time{}, nil
}

// measure starts a measurement.
func (s *sht) measure(d time.Duration) { s.end, s.answer = s.now().Add(d), nil }

// complete ends a measurement whose time is over. Code 0 is -45 °C and code FFFF 130 °C in all parts.
func (s *sht) complete(at time.Time) {
	if s.end.IsZero() || at.Before(s.end) {
		return
	}
	s.answer = shtWords(shtRaw(s.celsius(s.end), -45, 175), shtRaw(s.humidity(s.end), s.scale[0], s.scale[1]))
	s.end = time.Time{}
}

// tx is one transfer. While it measures, the part takes no command either: what the data sheets leave open is decided
// the hard way here.
func (s *sht) tx(w, r []byte, command func(w []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	if at.Before(s.ready) {
		return NackAddress
	}
	s.complete(at)
	if len(w) > 0 {
		if !s.end.IsZero() {
			return NackAddress
		}
		s.answer = nil
		if err := command(w); err != nil {
			return err
		}
	}
	if len(r) == 0 {
		return nil
	}
	return s.fetch(r)
}

// fetch gives the answer; what is not fetched at once is gone, and after its end nobody drives the line.
func (s *sht) fetch(r []byte) error {
	if s.answer == nil {
		return NackAddress
	}
	fill(r, 0xFF)
	if i := 3*s.corrupt - 1; i >= 0 && i < len(s.answer) {
		s.answer[i] ^= 1
	}
	copy(r, s.answer)
	s.answer = nil
	return nil
}

// identify puts the serial number where it can be fetched.
func (s *sht) identify() { s.answer = shtWords(uint16(s.serial>>16), uint16(s.serial)) }

// shtWords are words as the parts send them, each with its checksum.
func shtWords(words ...uint16) []byte {
	var out []byte
	for _, w := range words {
		b := []byte{byte(w >> 8), byte(w)}
		out = append(out, b[0], b[1], shtCRC(b))
	}
	return out
}

// shtCRC is the CRC-8 with polynomial 31 and start value FF (Sensirion SHT3x-DIS, version 5, table 20).
func shtCRC(data []byte) byte {
	crc := byte(0xFF)
	for _, b := range data {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// shtRaw is the nearest code for a quantity of which code 0 stands for zero and code FFFF for zero + span.
func shtRaw(v, zero, span float64) uint16 {
	return uint16(quantise((v-zero)*0xFFFF/span+0.5, 1, 0, 0xFFFF))
}
