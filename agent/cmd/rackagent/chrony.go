package main

import (
	"encoding/binary"
	"errors"
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
	refAt  = replyHead
	leapAt = replyHead + 26
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

// readTracking reads the answer: whether chronyd holds the clock synchronised with something outside.
func readTracking(b []byte) (bool, error) {
	if len(b) < trackingSize || b[0] != chronyVersion || b[1] != chronyReply ||
		binary.BigEndian.Uint16(b[4:]) != chronyTracking ||
		binary.BigEndian.Uint16(b[6:]) != chronyTracked ||
		binary.BigEndian.Uint16(b[8:]) != chronySuccess {
		return false, errNotTracking
	}
	return binary.BigEndian.Uint16(b[leapAt:]) < leapUnsynced && binary.BigEndian.Uint32(b[refAt:]) != refLocal, nil
}
