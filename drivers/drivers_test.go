package drivers

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

func TestErrorKeepsFaultAndErrno(t *testing.T) {
	err := fmt.Errorf("poll: %w", &Error{Op: "read", Device: `ade7953 "pdu-a meter 1"`, Reg: "VRMS", Fault: NoAnswer, Err: syscall.ENXIO})
	if !errors.Is(err, NoAnswer) || !errors.Is(err, syscall.ENXIO) || errors.Is(err, Timeout) {
		t.Fatalf("chain of %v does not answer for its fault and its errno", err)
	}
	const want = `poll: ade7953 "pdu-a meter 1": read VRMS: nack: no such device or address`
	if err.Error() != want {
		t.Errorf("text\n got %s\nwant %s", err, want)
	}
	if f := FaultOf(err); f != NoAnswer {
		t.Errorf("FaultOf = %v", f)
	}
}

func TestFaultOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Fault
	}{
		{nil, None},
		{Timeout, Timeout},
		{errors.New("anything"), BusFault},
		{errors.Join(errors.New("a"), &Error{Op: "write", Fault: Mismatch}), Mismatch},
	} {
		if got := FaultOf(c.err); got != c.want {
			t.Errorf("FaultOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestEveryFaultHasAName(t *testing.T) {
	for f := None; f <= Refused; f++ {
		if f.String() == "" || f.String() == "unknown_fault" {
			t.Errorf("fault %d has no name", f)
		}
	}
	if len(faultNames) != int(Refused)+1 {
		t.Errorf("%d names for %d faults", len(faultNames), Refused+1)
	}
}
