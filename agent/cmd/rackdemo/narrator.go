package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"rackagent/agent"
	"rackagent/agent/poll"
	"rackagent/agent/rack"
)

// narrator prints one line per event, in words an electrician uses, in the order in which things were said.
type narrator struct {
	out   io.Writer
	found atomic.Int64 // devices that answered at the start
	queue chan string  // deep enough for a burst; the agent is never held up by a terminal
}

func newNarrator(out io.Writer) *narrator {
	return &narrator{out: out, queue: make(chan string, 1024)}
}

// hear takes a happening and returns at once.
func (n *narrator) hear(h agent.Happening) {
	switch {
	case h.Event != nil && h.Event.Kind == rack.EventMessageDropped:
		n.say(h.Event.At, "a message was refused: "+h.Event.Text)
	case h.Event != nil && h.Event.Kind == rack.EventAuditAnchor: // a hash that nobody here keeps
	case h.Event != nil && h.Event.Kind == rack.EventHealth && h.Event.From == string(poll.StateNew) && h.Event.To == string(poll.StateOK):
		n.found.Add(1) // introduce says how many
	case h.Event != nil:
		n.say(h.Event.At, h.Event.Text)
	case h.Outcome != nil && h.Outcome.State != rack.StateRunning:
		n.say(time.Now(), outcome(*h.Outcome))
	}
}

// say queues a line; the zero time is not printed.
func (n *narrator) say(at time.Time, text string) {
	when := ""
	if !at.IsZero() {
		when = at.Format("15:04:05.000") + "  "
	}
	n.put("demo  " + when + text)
}

func (n *narrator) put(line string) {
	select {
	case n.queue <- line:
	default: // a terminal that stands still misses lines
	}
}

// run prints until ctx ends.
func (n *narrator) run(ctx context.Context) {
	for {
		select {
		case line := <-n.queue:
			fmt.Fprintln(n.out, line)
		case <-ctx.Done():
			return
		}
	}
}

// rest prints what is left, after run.
func (n *narrator) rest() {
	for len(n.queue) > 0 {
		fmt.Fprintln(n.out, <-n.queue)
	}
}

// outcome tells how a command stands: what was done, on what, with the watts before and after.
func outcome(o rack.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "command %s: %s", o.Command, o.State)
	if o.Code != "" {
		fmt.Fprintf(&b, ", %s", o.Code)
	}
	if o.Text != "" {
		fmt.Fprintf(&b, ": %s", o.Text)
	}
	for _, t := range o.Targets {
		for _, s := range t.Steps {
			fmt.Fprintf(&b, "; %s", step(s))
		}
	}
	if o.Plan != nil {
		for _, t := range o.Plan.Targets {
			for _, s := range t.Steps {
				fmt.Fprintf(&b, "; would %s %s", s.Do, s.Subject())
				for _, f := range s.Feeds {
					fmt.Fprintf(&b, ", %s then %.1f A of %.1f A", f.Feed, f.A, f.LimitA)
				}
			}
		}
	}
	return b.String()
}

func step(s rack.StepResult) string {
	text := fmt.Sprintf("%s %s", s.Do, s.On)
	if s.Proof != nil && s.Proof.BeforeW != nil && s.Proof.AfterW != nil {
		text += fmt.Sprintf(", %.0f W before, %.0f W after", *s.Proof.BeforeW, math.Abs(*s.Proof.AfterW)) // noise around zero may be negative
	}
	switch {
	case s.Settled != nil && s.Taken != nil:
		text += fmt.Sprintf(", proven %.2f s after the write", float64(*s.Settled-*s.Taken)/1000)
	case s.Confirmed != nil:
		text += ", the relay reads back, not proven by watts"
	case s.Taken != nil:
		text += ", written, not read back"
	}
	return text
}

// introduce says what there is.
func (n *narrator) introduce(d *demo) {
	n.say(time.Time{}, "A simulated rack: PDU pdu-a with eight outlets, miners asic-1 to asic-6 on 1 to 6, GPU server gpu-1 on 7 and 8;")
	n.say(time.Time{}, "PDU pdu-b with 24 outlets, miners asic-7 to asic-24 on 1 to 18. They speak LuxOS, Braiins OS, stock Antminer and Whatsminer.")
	n.say(time.Time{}, fmt.Sprintf("%d devices answer. %s say that they sleep and draw all the same, once they are told to; %s hangs.", n.found.Load(), strings.Join(liars(), " and "), hangs))
	if d.world.Broker().Address() == "" {
		return
	}
	host, port, _ := net.SplitHostPort(d.world.Broker().Address())
	n.say(time.Time{}, "Broker on "+d.world.Broker().Address()+", local socket "+d.socket())
	n.say(time.Time{}, "Watch everything:  mosquitto_sub -h "+host+" -p "+port+" -v -t 'rackagent/v1/demo/r1/up/#'")
}

// lines prints command lines to copy.
func (n *narrator) lines(lines []string) {
	n.say(time.Time{}, "Lines to copy, good for five minutes:")
	for _, l := range lines {
		n.put("  " + l)
	}
}
