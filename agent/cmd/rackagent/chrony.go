package main

import (
	"encoding/binary"
	"errors"
	"math"

	"rackagent/agent/wire"
)

// The part of chrony's command protocol, version 6, that asks for "tracking" (chrony source, candm.h: CMD_Request,
// CMD_Reply, RPY_Tracking; unchanged since chrony 2.2). All numbers are big endian.
const (
	chronyVersion  = 6
	chronyRequest  = 1
	chronyReply    = 2
	chronyTracking = 33 // REQ_TRACKING
	chronyTracked  = 5  // RPY_TRACKING
	chronySuccess  = 0  // STT_SUCCESS

	replyHead = 28 // bytes before the data of a reply
	// trackingSize is the length of a reply to this request. chronyd answers nothing that is longer than the question,
	// so that nobody can use it to flood others, and so the question is padded.
	trackingSize = replyHead + 76
	// In the data: ref_id 4, ip_addr 20, stratum 2, leap_status 2.
	refAt        = replyHead
	leapAt       = replyHead + 26
	correctionAt = replyHead + 40 // Float, s: what the clock is being corrected by
	delayAt      = replyHead + 64 // Float, s: root delay
	dispersionAt = replyHead + 68 // Float, s: root dispersion
	// refLocal is chronyd's own clock taken for a source (chrony.conf(5), local): nobody outside says what time it is.
	refLocal = 0x7F7F0101
	// leapUnsynced: LEAP_Unsynchronised (RFC 5905, figure 9: clock never synchronised, or not any more).
	leapUnsynced = 3
)

// errNotTracking says that the answer on chrony's port is none.
var errNotTracking = errors.New("not chrony's answer to a tracking request")

// trackingRequest is the datagram to send.
func trackingRequest() []byte {
	b := make([]byte, trackingSize)
	b[0], b[1] = chronyVersion, chronyRequest
	binary.BigEndian.PutUint16(b[4:], chronyTracking)
	return b
}

// readTracking reads the answer: whether chronyd holds the clock synchronised with something outside, and how far off it
// can be.
func readTracking(b []byte) (wire.Clock, error) {
	if len(b) < trackingSize || b[0] != chronyVersion || b[1] != chronyReply ||
		binary.BigEndian.Uint16(b[4:]) != chronyTracking ||
		binary.BigEndian.Uint16(b[6:]) != chronyTracked ||
		binary.BigEndian.Uint16(b[8:]) != chronySuccess {
		return wire.Clock{}, errNotTracking
	}
	c := wire.Clock{Source: "chrony"}
	c.OK = binary.BigEndian.Uint16(b[leapAt:]) < leapUnsynced && binary.BigEndian.Uint32(b[refAt:]) != refLocal
	if c.OK {
		c.ErrMS = errorBound(chronyFloat(b[correctionAt:]), chronyFloat(b[delayAt:]), chronyFloat(b[dispersionAt:]))
	}
	return c, nil
}

// errorBound is the largest error of the clock in ms, to the microsecond (chronyc(1), tracking, "Root dispersion"); 0
// where the numbers make none.
func errorBound(correction, delay, dispersion float64) float64 {
	const longest = 86_400_000 // ms, arbitrary: a clock a day off is not synchronised
	ms := 1000 * (math.Abs(correction) + dispersion + delay/2)
	if delay < 0 || dispersion < 0 || ms > longest {
		return 0
	}
	return math.Ceil(ms*1000) / 1000
}

// chronyFloat reads chrony's own floating point (chrony, util.c, UTI_FloatNetworkToHost): 7 bits of exponent and 25 of
// coefficient, both with two's complement sign, value = coefficient * 2^(exponent - 25).
func chronyFloat(b []byte) float64 {
	x := int32(binary.BigEndian.Uint32(b))
	return math.Ldexp(float64(x<<7>>7), int(x>>25)-25)
}
