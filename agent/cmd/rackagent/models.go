package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"rackagent/drivers/pdu"
	"rackagent/drivers/psu"
)

type modelsCmd struct {
	List  modelsListCmd  `cmd:"" help:"List the PDU models and PSU profiles that come with the program."`
	Show  modelsShowCmd  `cmd:"" help:"Print the file of one of them, to copy and change."`
	Check modelsCheckCmd `cmd:"" help:"Judge files of either kind: every mistake, with its line."`
}

// Help is shown by rackagent models --help.
func (modelsCmd) Help() string {
	return `A PDU model says which parts a board is made of, at which addresses, and which bit is which outlet. A PSU profile says what a kind of power supply may be asked. ` +
		`Both are data: a new one of known parts is a file in drivers/pdu/models or drivers/psu/models and no Go. It comes with the program once the program is built with it.`
}

// The kinds of files.
const (
	kindPDU    = "PDU model"
	kindPSU    = "PSU profile"
	kindConfig = "configuration"
)

type modelsListCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Run lists what comes with the program.
func (c modelsListCmd) Run(a *app) error {
	var out struct {
		PDUs []pduSummary `json:"pdus"`
		PSUs []psuSummary `json:"psus"`
	}
	for _, name := range pdu.Shipped() {
		s, err := shippedPDU(name)
		if err != nil {
			return err
		}
		out.PDUs = append(out.PDUs, s)
	}
	for _, name := range psu.Shipped() {
		m, err := psu.LoadModel(name)
		if err != nil {
			return err
		}
		out.PSUs = append(out.PSUs, summarisePSU(m))
	}
	if c.JSON {
		return a.json(out)
	}
	listPDUs(a, out.PDUs)
	listPSUs(a, out.PSUs)
	return nil
}

func shippedPDU(name string) (pduSummary, error) {
	data, err := pdu.Source(name)
	if err != nil {
		return pduSummary{}, err
	}
	m, err := pdu.LoadModel(name)
	if err != nil {
		return pduSummary{}, err
	}
	return summarisePDU(m, data)
}

type modelsShowCmd struct {
	Name string `arg:"" help:"The name of a PDU model or a PSU profile, as models list shows it."`
	JSON bool   `help:"Print one JSON object with the text of the file."`
}

// Run prints the file as it was built in.
func (c modelsShowCmd) Run(a *app) error {
	kind := kindPDU
	data, err := pdu.Source(c.Name)
	if errors.Is(err, pdu.ErrUnknownModel) {
		kind = kindPSU
		data, err = psu.Source(c.Name)
	}
	if errors.Is(err, psu.ErrUnknownModel) {
		return &failure{err: fmt.Errorf("no PDU model and no PSU profile is named %q", c.Name), hint: "rackagent models list shows what there is", status: exitUsage}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(struct {
			Name string `json:"name"`
			Kind string `json:"kind"`
			File string `json:"file"`
		}{c.Name, kind, string(data)})
	}
	_, err = a.out.Write(data)
	return err
}

type modelsCheckCmd struct {
	Files []string `arg:"" name:"file" help:"PDU models or PSU profiles; which of the two a file is, its keys tell."`
	JSON  bool     `help:"Print one JSON array with an object for each file."`
}

// Help is shown by rackagent models check --help.
func (modelsCheckCmd) Help() string {
	return `A good file is summed up: look whether that is the board you have before you build it in. An unknown key is told alone: what else is wrong shows once it is mended.

Exit status: 1 if any file has a mistake, else 0.`
}

// modelJudged is what there is to say about one file.
type modelJudged struct {
	File     string         `json:"file"`
	Kind     string         `json:"kind,omitempty"`
	Good     bool           `json:"good"`
	Mistakes []modelMistake `json:"mistakes"`
	Notes    []string       `json:"notes,omitempty"`
	PDU      *pduSummary    `json:"pdu,omitempty"`
	PSU      *psuSummary    `json:"psu,omitempty"`
}

// modelMistake is one thing wrong with a file.
type modelMistake struct {
	Line int    `json:"line,omitempty"` // 0: not known, or the key is missing
	Key  string `json:"key,omitempty"`
	Text string `json:"text"`
}

// Run judges the files.
func (c modelsCheckCmd) Run(a *app) error {
	all := make([]modelJudged, 0, len(c.Files))
	for _, f := range c.Files {
		all = append(all, judgeModel(f))
	}
	var err error
	if c.JSON {
		err = a.json(all)
	} else {
		for i, j := range all {
			if i > 0 {
				a.printf("\n")
			}
			j.print(a)
		}
	}
	if err == nil && slices.ContainsFunc(all, func(j modelJudged) bool { return !j.Good }) {
		return status(exitUsage)
	}
	return err
}

// mostModelBytes bounds a file; the largest that comes with the program has 7 KiB.
const mostModelBytes = 1 << 20

func judgeModel(file string) modelJudged {
	j := modelJudged{File: file, Mistakes: []modelMistake{}}
	data, err := readModel(file)
	if err != nil {
		j.wrong(err)
		return j
	}
	switch j.Kind = kindOf(data); j.Kind {
	case kindPDU:
		j.judgePDU(data)
	case kindPSU:
		j.judgePSU(data)
	case kindConfig:
		j.wrong(errors.New("this is a configuration of the agent: rackagent check --config FILE judges it"))
	default:
		j.wrong(errors.New("neither the keys of a PDU model (outlets, buses, meters) nor those of a PSU profile (reads, nameplate, pec)"))
	}
	j.Good = len(j.Mistakes) == 0
	slices.SortStableFunc(j.Mistakes, modelMistake.compare)
	return j
}

// compare puts mistakes in the order of the file. Those without a line, of keys that are missing, come last.
func (m modelMistake) compare(n modelMistake) int {
	at := func(line int) int { return cmp.Or(line, math.MaxInt) }
	return cmp.Or(cmp.Compare(at(m.Line), at(n.Line)), cmp.Compare(m.Key, n.Key), cmp.Compare(m.Text, n.Text))
}

func readModel(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.New(fileTrouble(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostModelBytes+1))
	if err != nil {
		return nil, errors.New(fileTrouble(err))
	}
	if len(data) > mostModelBytes {
		return nil, fmt.Errorf("larger than %d bytes", mostModelBytes)
	}
	return data, nil
}

// topKey finds the keys at the left edge.
var topKey = regexp.MustCompile(`(?m)^["']?([a-z_]+)["']?\s*:`)

// kindOf tells by the keys at the top what a file is meant to be; empty where both or neither fit.
func kindOf(data []byte) string {
	ofPDU := []string{"product", "current", "nominal_v", "settling_ms", "buses", "meters", "supplies", "outlets"}
	ofPSU := []string{"products", "texts", "reads", "writes", "may_clear_faults", "pec", "page", "page_delay_ms", "access_delay_ms", "vout", "temperatures", "energy", "nameplate"}
	ofConfig := []string{"site", "agent", "mqtt", "nodes"}
	balance := 0
	for _, k := range topKey.FindAllSubmatch(data, -1) {
		switch key := string(k[1]); {
		case slices.Contains(ofConfig, key):
			return kindConfig
		case slices.Contains(ofPDU, key):
			balance++
		case slices.Contains(ofPSU, key):
			balance--
		}
	}
	switch {
	case balance > 0:
		return kindPDU
	case balance < 0:
		return kindPSU
	default:
		return ""
	}
}

// wrong takes what a parser found: one mistake, or several joined.
func (j *modelJudged) wrong(err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			j.wrong(e)
		}
		return
	}
	var p *pdu.Mistake
	var s *psu.Mistake
	m := modelMistake{}
	switch {
	case errors.As(err, &p):
		m = modelMistake{Line: p.Line, Key: p.Key, Text: p.Text}
	case errors.As(err, &s):
		m = modelMistake{Line: s.Line, Key: s.Key, Text: s.Text}
	case err != nil:
		m.Text = err.Error()
	}
	j.Mistakes = append(j.Mistakes, m)
}

func (j *modelJudged) judgePDU(data []byte) {
	m, err := pdu.ParseModel(j.File, data)
	if err != nil {
		j.wrong(err)
		return
	}
	s, err := summarisePDU(m, data)
	if err != nil {
		j.wrong(err)
		return
	}
	j.PDU = &s
	shipped, _ := pdu.Source(m.Name)
	j.compare(m.Name, data, shipped)
	for _, other := range pdu.Shipped() {
		o, err := pdu.LoadModel(other)
		if err == nil && o.Name != m.Name && o.Manufacturer == m.Manufacturer && o.Product == m.Product {
			j.Notes = append(j.Notes, fmt.Sprintf("%s says of its boards that they are %s %s too: by their memory the two cannot be told apart", other, m.Manufacturer, m.Product))
		}
	}
}

func (j *modelJudged) judgePSU(data []byte) {
	m, err := psu.ParseModel(j.File, data)
	if err != nil {
		j.wrong(err)
		return
	}
	s := summarisePSU(m)
	j.PSU = &s
	shipped, _ := psu.Source(m.Name)
	j.compare(m.Name, data, shipped)
}

// compare notes what is no mistake of the file alone.
func (j *modelJudged) compare(name string, data, shipped []byte) {
	if base := filepath.Base(j.File); base != name+".yaml" {
		j.Notes = append(j.Notes, fmt.Sprintf("to come with the program the file must be called %s.yaml", name))
	}
	if shipped != nil && !bytes.Equal(data, shipped) {
		j.Notes = append(j.Notes, fmt.Sprintf("another %s named %s comes with the program already", j.Kind, name))
	}
}

func (m modelMistake) words(file string) string {
	at := file
	if m.Line > 0 {
		at += fmt.Sprintf(":%d", m.Line)
	}
	return at + ": " + strings.TrimPrefix(m.Key+": ", ": ") + m.Text
}

func (j modelJudged) print(a *app) {
	for _, m := range j.Mistakes {
		a.printf("%s\n", m.words(j.File))
	}
	if !j.Good {
		a.printf("%s: %s%s\n", j.File, prefixedBy(j.Kind, ", "), plural(len(j.Mistakes), "mistake"))
		return
	}
	a.printf("%s: %s, good\n", j.File, j.Kind)
	for _, n := range j.Notes {
		a.printf("%s: note: %s\n", j.File, n)
	}
	switch {
	case j.PDU != nil:
		j.PDU.print(a)
	case j.PSU != nil:
		j.PSU.print(a)
	}
}

// prefixedBy gives s with an end, or nothing.
func prefixedBy(s, end string) string {
	if s == "" {
		return ""
	}
	return s + end
}
