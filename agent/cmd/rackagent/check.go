package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"rackagent/agent/link"
	"rackagent/config"
	"rackagent/drivers/board"
)

type checkCmd struct {
	JSON  bool `help:"Print the findings as one JSON array."`
	Dump  bool `help:"Print the effective configuration, defaults filled in and secrets starred, if there is no error."`
	Start bool `help:"As the service does before it starts: a certificate that cannot be used is a warning. The agent watches the rack without a broker too."`
	Here  bool `help:"This machine is the one that will run the agent: a bus that it does not have is an error, and so is a file that cannot be used."`
}

// Help is shown by rackagent check --help.
func (checkCmd) Help() string {
	return `Every mistake is named with its line and column. Files of secrets and certificates are tried, buses are looked for; nothing is sent on them.

Exit status: 1 if anything is an error, else 0.`
}

// note is a finding that keeps nobody from anything.
const note config.Severity = "note"

// Run judges the configuration.
func (c checkCmd) Run(a *app) error {
	conf, findings, err := a.load()
	switch {
	case err != nil && c.JSON:
		findings = []config.Finding{{File: a.Config, Severity: config.Error, Text: fileTrouble(err)}}
	case err != nil:
		return loadFailure(err)
	case conf != nil && !config.HasErrors(findings):
		findings = append(findings, nodes(a.Config, conf)...)
		findings = append(findings, c.surroundings(a, conf)...)
	}
	wrong := config.HasErrors(findings)
	switch {
	case c.JSON:
		err = printJSON(a, findings)
	case c.Dump && !wrong:
		_, err = a.out.Write(conf.Dump())
	default:
		report(a, conf, findings)
	}
	if err == nil && wrong {
		return status(exitUsage)
	}
	return err
}

// report is for people.
func report(a *app, conf *config.Config, findings []config.Finding) {
	for _, f := range findings {
		a.printf("%s\n", line(f))
	}
	if config.HasErrors(findings) {
		a.printf("%s: %s; the agent does not run with this file\n", a.Config, count(findings))
		return
	}
	a.printf("%s: good%s\n", a.Config, prefixed(", ", count(findings)))
	a.printf("rack:    %s/%s, %s\n", conf.Site, conf.Agent, inventoryWords(conf))
	a.printf("broker:  %s; %s\n", strings.Join(conf.MQTT.URLs(), ", "), waitWords(conf.MQTT))
	a.printf("backlog: %s\n", backlogWords(conf))
	a.printf("outlets: all are switched by relays on an I2C bus, which stay as they are when the agent ends; none is driven by a GPIO line, which would not\n")
	a.printf("by itself: %s\n", ownWords(conf))
}

// ownWords tells what the agent does without being asked.
func ownWords(c *config.Config) string {
	var words []string
	for _, l := range c.Interlocks {
		deed := map[config.InterlockDeeds]string{config.InterlockCut: "cuts miners of", config.InterlockSleep: "puts to sleep miners of", config.InterlockAlarm: "only tells about"}[l.ASIC]
		words = append(words, fmt.Sprintf("interlock %s (%s) %s %s", l.Name, l.Kind, deed, l.Target))
	}
	if c.Power.FeedControl == config.FeedShed {
		words = append(words, "miners are shed where a level of the feed is measured at 95 % of its limit")
	}
	if len(words) == 0 {
		return "nothing; a level of the feed near its limit is told"
	}
	return strings.Join(words, "; ")
}

// waitWords tells how long the broker may be back without the agent.
func waitWords(m config.MQTT) string {
	const fine = time.Second / 10
	spread, words := m.Spread(), ""
	if n := len(m.URLs()); n > 1 {
		words = fmt.Sprintf("one attempt asks all %d in this order and takes 10s at most; ", n)
	}
	return words + fmt.Sprintf("after a loss the longest wait between two attempts is %s; %s once it has refused the credentials for 5 min, %s while the client id is in use elsewhere",
		link.LongestWait(spread).Round(fine), link.LongestRefused(spread).Round(fine), link.LongestInUse(spread).Round(fine))
}

// line is a finding as config writes it, but for notes, which config does not know.
func line(f config.Finding) string {
	if f.Severity == note {
		return fmt.Sprintf("%s: note: %s: %s (%s)", f.File, f.Path, f.Text, f.Hint)
	}
	return f.String()
}

func inventoryWords(c *config.Config) string {
	firm := 0
	for _, n := range c.Nodes {
		if n.Class.Firm() {
			firm++
		}
	}
	words := []string{plural(len(c.Buses), "bus"), plural(len(c.PDUs), "PDU"), plural(len(c.Nodes)-firm, "ASIC node"), plural(firm, "GPU node")}
	if n := len(c.Sensors); n > 0 {
		words = append(words, plural(n, "sensor"))
	}
	return strings.Join(words, ", ")
}

// fileTrouble is what is wrong with the file itself, without its name, which stands beside.
func fileTrouble(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// findingJSON is a finding for scripts.
type findingJSON struct {
	File     string          `json:"file"`
	Line     int             `json:"line,omitempty"`
	Column   int             `json:"column,omitempty"`
	Path     string          `json:"path,omitempty"`
	Severity config.Severity `json:"severity"` // "error", "warning", "note"
	Text     string          `json:"text"`
	Hint     string          `json:"hint,omitempty"`
}

func printJSON(a *app, findings []config.Finding) error {
	out := make([]findingJSON, 0, len(findings))
	for _, f := range findings {
		out = append(out, findingJSON(f))
	}
	return a.json(out)
}

// json writes one indented value.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// surroundings judges what the configuration names outside of itself.
func (c checkCmd) surroundings(a *app, conf *config.Config) []config.Finding {
	found := c.files(a, conf)
	for i, b := range conf.Buses {
		if err := a.hasBus(placeOf(b)); err != nil {
			found = append(found, config.Finding{
				File: a.Config, Path: fmt.Sprintf("buses[%d]", i), Severity: c.unless(note),
				Text: fmt.Sprintf("bus %s is not to be had here: %v", b.Name, err), Hint: "rackagent devices lists the buses of this machine",
			})
		}
	}
	found = append(found, overheard(a, conf)...)
	found = append(found, roomForBacklog(a.Config, conf)...)
	if err := a.group(conf.Local.Group); conf.Local.Group != "" && err != nil {
		found = append(found, config.Finding{
			File: a.Config, Path: "local.group", Severity: note, Text: err.Error(),
			Hint: "make it with: groupadd --system " + conf.Local.Group,
		})
	}
	return found
}

// overheard tells which addresses the agent will not use because two buses reach them. It runs all the same.
func overheard(a *app, conf *config.Config) []config.Finding {
	hw, err := a.hardware(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil // hasBus has told it
	}
	known := make(map[string]board.Adapter)
	for _, b := range conf.Buses {
		if adapter, err := hw.Find(placeOf(b)); err == nil {
			known[b.Name] = adapter
		}
	}
	pairs, _ := models(conf).Overheard(conf, func(bus, other string) bool {
		above, ok := known[other]
		return ok && slices.Contains(known[bus].Above, above.Path)
	})
	var found []config.Finding
	for _, o := range pairs {
		found = append(found, config.Finding{
			File: a.Config, Path: "buses", Severity: config.Warning, Text: o.String(), Hint: "give one of the parts another address",
		})
	}
	return found
}

// hasBus tells why there is no such bus on this machine.
func (a *app) hasBus(name string) error {
	hw, err := a.hardware(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	_, err = hw.Find(name)
	return err
}

// unless gives the severity of what is wrong with the machine rather than with the file.
func (c checkCmd) unless(s config.Severity) config.Severity {
	if c.Here {
		return config.Error
	}
	return s
}
