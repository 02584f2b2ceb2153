package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// print writes what was found for people.
func (f devicesFound) print(a *app) {
	a.printf("I2C buses%s\n", none(len(f.Buses)))
	for _, b := range f.Buses {
		b.print(a)
	}
	a.printf("GPIO lines, as inputs only: outlets are never driven by one%s\n", none(len(f.Lines)))
	for _, l := range f.Lines {
		a.printf("  %s%s%s\n", l.Line, quoted(l.Name), cmp.Or(prefixed(": ", l.Refused), ": free"))
	}
	switch {
	case f.Agent != nil:
		a.printf("An agent runs here and owns the buses; this is what it says:\n")
		printStatus(a, *f.Agent)
	case f.Note != "":
		a.printf("PDUs: not asked; %s\n", f.Note)
	default:
		a.printf("PDUs of %s%s\n", a.Config, none(len(f.PDUs)))
		for _, p := range f.PDUs {
			p.print(a)
		}
	}
	if f.Suggested != nil {
		f.Suggested.print(a)
		return
	}
	a.printf("rackagent devices --suggest also asks what answers on the buses, reading only, and proposes entries for the configuration; for that the agent must be stopped\n")
}

func none(n int) string {
	if n == 0 {
		return ": none"
	}
	return ""
}

func prefixed(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return " " + strconv.Quote(s)
}

func (b busFound) print(a *app) {
	a.printf("  %s%s: %s%s\n", b.Device, quoted(b.Adapter), b.Functions, prefixed("; ", b.Error))
	for _, address := range slices.Sorted(maps.Keys(b.Kernel)) {
		a.printf("    %s belongs to the kernel driver %s\n", address, b.Kernel[address])
	}
}

func (p pduFound) print(a *app) {
	a.printf("  %s, model %s, on bus %s\n", p.Name, p.Model, p.Bus)
	if p.Board == nil && p.BoardError == p.RelayError {
		a.printf("    not read: %s\n", p.BoardError)
		return
	}
	a.printf("    board:  %s\n", p.boardWords())
	for _, b := range p.Relays {
		a.printf("    relays: %s\n", b.words())
	}
	if p.RelayError != "" {
		a.printf("    relays: not read: %s\n", p.RelayError)
	}
}

func (p pduFound) boardWords() string {
	if p.Board == nil {
		return "not read: " + p.BoardError
	}
	words := fmt.Sprintf("%s %s, serial %s", p.Board.Manufacturer, p.Board.Product, p.Board.Serial)
	switch {
	case p.BoardError != "":
		return words + "; " + p.BoardError
	case p.Expected == "":
		return words + "; the configuration names none"
	case p.Expected != p.Board.Serial:
		return words + "; NOT the configured " + p.Expected + ": its outlets count as unproven"
	default:
		return words + ", as configured"
	}
}

func (b bankFound) words() string {
	stand := fmt.Sprintf("closed %s; open %s (latch %s, direction %s)", numbersOf(b.Closed), numbersOf(b.Open), b.Latch, b.Direction)
	if b.Controlled {
		return "under control; " + stand
	}
	return "NOT under control, " + b.Reason + "; " + stand
}

func numbersOf(outlets []int) string {
	if len(outlets) == 0 {
		return "none"
	}
	words := make([]string, len(outlets))
	for i, n := range outlets {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, " ")
}
