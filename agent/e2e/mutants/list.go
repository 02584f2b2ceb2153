package main

// mutants are the faults that the tests must notice. Each is what a tired maintainer might do.
func mutants() []mutant {
	power, whole := "agent/power", "agent"
	return []mutant{
		{
			"read-back of the latch removed", "drivers/chip/pins.go",
			"	if got == word {\n", "	if got == word || true {\n",
			[]string{"drivers/chip/tca9555", "drivers/pdu"},
		},
		{
			"the latch is not what was just read", "drivers/pdu/switching.go",
			"o.set(w.Latch, closed)", "o.set(0xffff, closed)",
			[]string{"drivers/pdu", whole},
		},
		{
			"a bank out of control is written to", "drivers/pdu/switching.go",
			"		if fault, reason := p.model.judge(o.RelayBank, w); fault != drivers.None {\n", "		if fault, reason := p.model.judge(o.RelayBank, w); fault == drivers.Foreign {\n",
			[]string{"drivers/pdu", whole},
		},
		{
			"settled by one sample", "agent/power/switching.go",
			"return w.below >= 2", "return w.below >= 1",
			[]string{power, whole},
		},
		{
			"settled: comparison swapped", "agent/power/switching.go",
			"	if va < max(noLoadVA, noLoadShare*w.before[w.step.On]) {\n		w.below++", "	if va > max(noLoadVA, noLoadShare*w.before[w.step.On]) {\n		w.below++",
			[]string{power},
		},
		{
			"a sample before the write counts", "agent/power/switching.go",
			"!at.Before(w.from) && ", "",
			[]string{power, whole},
		},
		{
			"a frozen meter proves a weld", "agent/power/switching.go",
			"	case !w.moved:\n", "	case false:\n",
			[]string{power},
		},
		{
			"an old reading counts as fresh", "agent/rack/reading.go",
			" && now.Sub(r.At) <= limit", "",
			[]string{power},
		},
		{
			"the firm guard lets everything pass", "agent/power/guard.go",
			"	if r := guardCut(s, o); r != nil {\n		return &GuardError{Refusal: r}\n	}\n", "	_ = guardCut\n",
			[]string{power},
		},
		{
			"planning forgets the firm class", "agent/power/guard.go",
			"	if ok && node.Class.Firm() {\n", "	if ok && node.Class == \"\" {\n",
			[]string{power, whole},
		},
		{
			"another board's serial is accepted", "agent/power/snapshot.go",
			"	case board.Serial != p.Serial:\n", "	case false:\n",
			[]string{power, whole},
		},
		{
			"minimum off time ignored", "agent/power/plan.go",
			"	if earliest := since.Add(node.MinOff); now.Before(earliest) {\n", "	if earliest := since; now.Before(earliest) {\n",
			[]string{power},
		},
		{
			"an off time nobody measured counts as long", "agent/power/plan.go",
			"	if since.IsZero() {\n", "	if false {\n",
			[]string{power, whole},
		},
		{
			"stagger ignored", "agent/power/steps.go",
			"now.Before(last.Add(m.world.Layout.Stagger))", "now.Before(last)",
			[]string{power},
		},
		{
			"continuous limit ignored", "agent/power/feed.go",
			"		if l.A > l.LimitA {\n			return", "		if l.A > 1000*l.LimitA {\n			return",
			[]string{power},
		},
		{
			"the start surge is not counted", "agent/power/feed.go",
			"return max(n.MaxW, s.Nodes[n.Name].PeakW) + n.SurgeW }", "return max(n.MaxW, s.Nodes[n.Name].PeakW) }",
			[]string{power},
		},
		{
			"no second judgement before the write", "agent/power/steps.go",
			"	if m.closing || m.mustWait(now, t, t.current.step) {\n		return\n	}\n", "",
			[]string{power},
		},
		{
			"the open half of a cycle is not recorded", "agent/power/steps.go",
			"st.Do == rack.DoEnergise && !w.openKept {", "st.Do == rack.DoEnergise && false {",
			[]string{power},
		},
		{
			"a write does not wait for its record", "agent/power/steps.go",
			"	m.waiting[w.token] = t\n	m.do(Keep{Token: w.token,", "	w.state, w.openKept = stageReady, true\n	m.do(Keep{Token: w.token,",
			[]string{power, whole},
		},
		{
			"a cut waits for the cycle before it", "agent/power/machine.go",
			"		if in.Command.Op.OnlyLowers() {\n", "		if false {\n",
			[]string{power},
		},
		{
			"an old poll undoes what the write read back", "agent/power/observe.go",
			"	if r.At.Before(old.At) {\n		return v\n	}\n", "",
			[]string{power, whole},
		},
		{
			"a restart believes the journal", "agent/power/recover.go",
			"	case proven:\n		t.steps = steps\n", "	case proven || true:\n		t.steps = steps\n",
			[]string{power},
		},
		{
			"a cut without watts before is called proven", "agent/power/switching.go",
			"	case w.step.Do == rack.DoCut && !known:\n", "	case w.step.Do == rack.DoCut && !known && before > 0:\n",
			[]string{power, whole},
		},
		{
			"nobody looks whether another outlet fell", "agent/power/switching.go",
			"		if o.ID == w.step.On || !known || was < noLoadVA {\n", "		if o.ID == w.step.On || !known || was < noLoadVA || true {\n",
			[]string{power},
		},
		{
			"a board that was away keeps its identity", "agent/power/observe.go",
			"		b.Identified, b.Unidentified = false, \"the board was away\"\n", "",
			[]string{power},
		},
		{
			"a result is told before it is on disk", "agent/power/publish.go",
			"	if in.Err == nil {\n		delete(m.owed, in.Token)\n", "	if in.Err == nil || o.outcome != nil {\n		delete(m.owed, in.Token)\n",
			[]string{power},
		},
		{
			"a welded outlet stays in use", "agent/power/plan.go",
			"	if why := s.Outlets[o].Withdrawn; why != \"\" {\n", "	if why := s.Outlets[o].Withdrawn; why == \"never\" {\n",
			[]string{power},
		},
		{
			"a retained command is obeyed", "agent/command/screen.go",
			"	case !local && in.Retained:\n", "	case false:\n",
			[]string{"agent/command", whole},
		},
		{
			"acknowledged before the journal has it", "agent/command/record.go",
			"	d.o.Book.Submit(recs, func(err error) {\n", "	p.release()\n	d.o.Book.Submit(recs, func(err error) {\n",
			[]string{"agent/command"},
		},
		{
			"started before the journal has it", "agent/command/record.go",
			"	d.o.Book.Submit(recs, func(err error) {\n", "	if p.plan != nil {\n		d.o.Runner.Start(p.cmd, *p.plan)\n	}\n	d.o.Book.Submit(recs, func(err error) {\n",
			[]string{"agent/command"},
		},
		{
			"commits are not flushed to disk", "agent/journal/file.go",
			"		FreelistType:   bbolt.FreelistMapType,\n", "		FreelistType:   bbolt.FreelistMapType,\n		NoSync:         true,\n",
			[]string{"e2e:agent/journal"},
		},
		{
			"a value that does not age", "agent/poll/value.go",
			"	aged := !r.At.IsZero() && now.Sub(r.At) > stalePeriods*h.period\n", "	aged := false\n",
			[]string{"agent/poll"},
		},
	}
}
