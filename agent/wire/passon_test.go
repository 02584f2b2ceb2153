package wire

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"rackagent/agent/rack"
)

// TestPassOn: what an agent passes on reads back as the person's command, about the other agent as a whole, with its papers.
func TestPassOn(t *testing.T) {
	now := time.UnixMilli(1795411676000).UTC()
	key, err := NewKey("ams1/r18", "ams1/r18", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	papers := rack.Parent{Command: "eyJhIjoxfQ.eyJ2IjoxfQ.c2ln", Approval: "eyJhIjoyfQ.eyJ2IjoxfQ.c2ln"}
	c := rack.Command{
		ID: "cut-1", Op: rack.OpEnergise, Target: rack.NodeTarget("gpu-9"), Args: rack.Args{DeadlineS: 90}, Dry: true, Why: "fan",
		Exp: now.Add(time.Hour), Issuer: "alice", Seq: 99, Aud: "ams1/r18", AudBoot: "boot-1",
	}
	p := Passing{Site: "ams1", Agent: "gpu-9", Command: c, Papers: papers, Now: now, Seq: 7}
	b, err := key.PassOn(p)
	if err != nil {
		t.Fatal(err)
	}
	s, bad := ReadSigned(b)
	if bad != nil {
		t.Fatal(bad)
	}
	got, bad := s.Open(key.Public, now)
	if bad != nil {
		t.Fatal(bad)
	}
	if got.ID != c.ID || got.Op != c.Op || got.Target.Kind != rack.TargetRack || got.Args != c.Args || !got.Dry || got.Why != c.Why ||
		got.Issuer != "ams1/r18" || got.Aud != "ams1/gpu-9" || got.AudBoot != "" || got.Seq != 7 || !got.Issued.Equal(now) || !got.Exp.Equal(now.Add(5*time.Minute)) ||
		*got.Parent != papers {
		t.Errorf("%+v %+v", got, got.Parent)
	}
	for name, change := range map[string]func(*Passing){
		"too big":       func(p *Passing) { p.Papers.Command = "eyJhIjoxfQ." + strings.Repeat("a", 6000) + ".c2ln" },
		"no paper":      func(p *Passing) { p.Papers.Command = "" },
		"not a command": func(p *Passing) { p.Command.Op = "toggle" },
		"to nobody":     func(p *Passing) { p.Agent = "\n" },
	} {
		bad := p
		change(&bad)
		if b, err := key.PassOn(bad); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
	if _, err := (Key{ID: key.ID, Issuer: key.Issuer, Public: key.Public}).PassOn(p); err == nil {
		t.Error("a public key signs")
	}
}
