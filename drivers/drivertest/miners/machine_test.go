package miners

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func spec() Spec {
	return Spec{
		Model: "S19", MAC: "02:00:5e:00:00:01", NominalTHs: 100, NominalW: 3250, StandbyW: 25,
		Boot: time.Minute, Ramp: 100 * time.Second, Fall: 2 * time.Second, Profiles: []Profile{{"low", 1625, 60}, {"high", 3250, 100}},
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*math.Abs(want)+1e-9 {
		t.Errorf("%s: %g, want %g", what, got, want)
	}
}

// TestTheLifeOfAMachine: hashing, asleep, awake again, at another rate, rebooted, without mains.
func TestTheLifeOfAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(spec())
		look := func(phase Phase, w, ths float64) Truth {
			t.Helper()
			l := m.Look()
			if l.Phase != phase {
				t.Errorf("%s, want %s", l.Phase, phase)
			}
			near(t, "watts", l.W, w)
			near(t, "TH/s", l.THs, ths)
			return l
		}
		look(Hashing, 3250, 100)
		m.Sleep()
		time.Sleep(time.Second)
		look(Sleeping, (3250.0+25)/2, 0)
		time.Sleep(time.Hour)
		if l := look(Sleeping, 25, 0); l.Average < 90 || l.Average > 100 {
			t.Errorf("the average fell to %g", l.Average) // as it does in the field: 44.5 TH/s while fully off
		}
		m.Wake()
		time.Sleep(50 * time.Second)
		look(Ramping, (3250.0+25)/2, 50)
		time.Sleep(50 * time.Second)
		l := look(Hashing, 3250, 100)
		near(t, "the average since the wake", l.Average, 50)
		m.Keep(Profile{"low", 1625, 60})
		look(Ramping, 3250, 100)
		time.Sleep(50 * time.Second)
		look(Ramping, (3250.0+1625)/2, 80)
		time.Sleep(50 * time.Second)
		look(Hashing, 1625, 60)
		m.Reboot(false)
		time.Sleep(59 * time.Second)
		look(Booting, 25, 0)
		time.Sleep(101 * time.Second)
		look(Hashing, 1625, 60)
		m.Mains(false, false)
		time.Sleep(time.Second)
		look(Off, 0, 0)
		m.Mains(true, true)
		time.Sleep(61 * time.Second)
		look(Sleeping, 25, 0)
		m.Set(Ignores, true)
		m.Wake()
		look(Sleeping, 25, 0)
		m.Set(Ignores, false)
		m.Set(ObeysLate, true)
		m.Wake()
		time.Sleep(59 * time.Second)
		look(Sleeping, 25, 0)
		time.Sleep(102 * time.Second)
		look(Hashing, 1625, 60)
	})
}

// TestWires: what a client sees of each fault.
func TestWires(t *testing.T) {
	const answer = `{"STATUS":[{"STATUS":"S"}],"id":1}`
	for quirk, want := range map[Quirk]string{
		"": answer + "\x00 EOF", Dribbles: answer + "\x00 EOF", Dawdles: " timeout", Hangs: " timeout", HangsUp: " EOF",
		CutsOff: answer[:(len(answer)+1)/2] + " EOF", StaysOn: answer + " timeout", Refuses: "refused", Vanished: "timeout", Floods: "flood",
	} {
		t.Run(string(quirk), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := New(spec())
				m.Set(quirk, true)
				h := NewHost(m)
				defer h.Close()
				h.HandleRPC(4028, func(r Request) Reply {
					if r.Command != "version" {
						t.Errorf("%+v", r)
					}
					return Reply(answer)
				})
				if got := ask(t, h, `{"command":"version"}`); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}

// ask gives what came back and how it ended.
func ask(t *testing.T, h *Host, request string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", "miner:4028")
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case err != nil:
		t.Fatal(err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.LimitReader(c, 1<<20))
	var timeout net.Error
	switch {
	case len(b) == 1<<20:
		return "flood"
	case errors.As(err, &timeout) && timeout.Timeout():
		return string(b) + " timeout"
	case err == nil:
		return string(b) + " EOF"
	}
	return string(b) + " " + err.Error()
}
