package main

// mutants are the faults that the tests must notice. Each is what a tired maintainer might do.
func mutants() []mutant {
	power, desk, whole := "agent/power", "agent/command", "agent"
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
			"	if r := guardCut(s, o, by); r != nil {\n		return &GuardError{Refusal: r}\n	}\n", "	_ = guardCut\n",
			[]string{power},
		},
		{
			"planning forgets the firm class", "agent/power/guard.go",
			"	if ok && node.Class.Firm() && !forced(by, node.Name, o) {\n", "	if ok && node.Class == \"\" && !forced(by, node.Name, o) {\n",
			[]string{power, whole},
		},
		{
			"force needs no second person", "agent/power/guard.go",
			"	return by.Dry || by.ApprovedByAnother()\n", "	return true\n",
			[]string{power},
		},
		{
			"force for one outlet opens every outlet", "agent/power/guard.go",
			"	if by.Target != rack.NodeTarget(node) && by.Target != rack.OutletTarget(o) {\n", "	if by.Target.Kind == \"\" {\n",
			[]string{power},
		},
		{
			"the issuer may approve", "agent/rack/plan.go",
			"a.By != c.Issuer && ", "",
			[]string{power},
		},
		{
			"an approval is good for any payload", "agent/rack/plan.go",
			" && a.Sha256 == c.Hash\n", "\n",
			[]string{power},
		},
		{
			"the desk lets the issuer approve", "agent/command/approve.go",
			"	case cmd.Issuer == s.cmd.Issuer:\n", "	case false:\n",
			[]string{desk},
		},
		{
			"the desk does not compare what is approved", "agent/command/approve.go",
			"	case cmd.Args.Sha256 != s.cmd.Hash.String():\n", "	case false:\n",
			[]string{desk},
		},
		{
			"a start lets commands wait on", "agent/command/approve.go",
			"cmd: e.Command, until: now, word", "cmd: e.Command, until: e.Until, word",
			[]string{desk},
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
			"		if is.A > is.LimitA {\n			return", "		if is.A > 1000*is.LimitA {\n			return",
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
			"	if in.Command.Op.OnlyLowers() || in.Command.Op == rack.OpLimit {\n", "	if false {\n",
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
			"!known || was < noLoadVA || v.Writing ||", "!known || was < noLoadVA || true || v.Writing ||",
			[]string{power},
		},
		{
			"what the same command cuts has fallen instead", "agent/power/switching.go",
			" || v.Writing || !v.Written.Before(w.began)", "",
			[]string{power},
		},
		{
			"a supply on which we moved something has fallen instead", "agent/power/shared.go",
			"		if s.Shared[id].from.After(w.began) {\n			continue\n		}\n", "",
			[]string{power},
		},
		{
			"a server among miners is energised", "agent/power/plan.go",
			"		if mixed && n.Class.Firm() {\n", "		if mixed && n.Class.Firm() && c.Op != rack.OpEnergise {\n",
			[]string{power, whole},
		},
		{
			"what a group adds does not count for its later nodes", "agent/power/plan.go",
			"		l.set(node, max(l.get(node), mostOf(l, c, node, t.outlets)))\n", "		_ = node\n",
			[]string{power},
		},
		{
			"a lock forbids no energise in the lane", "agent/power/guard.go",
			"	if r := guardLock(s, a.Outlet); r != nil {\n		return &GuardError{Refusal: r}\n	}\n", "",
			[]string{power},
		},
		{
			"a lock stops nothing that is under way", "agent/power/locks.go",
			"		m.halt(o)\n", "",
			[]string{power},
		},
		{
			"a lock's result does not wait for the write", "agent/power/locks.go",
			"		if !in.Released && m.writing(in.Order) {\n			return false\n		}\n", "",
			[]string{power},
		},
		{
			"a lock's result is told before it holds", "agent/command/record.go",
			"	case p.order != nil:\n		d.keep(p)\n", "",
			[]string{"agent/command"},
		},
		{
			"a cut ends a whole group", "agent/power/machine.go",
			"!slices.ContainsFunc(t.keys, func(k string) bool { return lowered[k] })", "len(lowered) == 0",
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
			"journal: another command is accepted under the id of one that waits", "agent/journal/draft.go",
			"		if s.waiting && !s.known() && d.waits", "		if false && s.waiting && !s.known() && d.waits",
			[]string{"agent/journal"},
		},
		{
			"journal: numbers of issuers are pruned with their commands", "agent/journal/draft.go",
			"	if len(ids) > 0 && len(kept) > 0 {\n", "	if false && len(kept) > 0 {\n",
			[]string{"agent/journal"},
		},
		{
			"journal: the old file is not kept", "agent/journal/migrate.go",
			"copyFile(j.o.Dir, fileJournal, kept); err", "error(nil); err",
			[]string{"agent/journal"},
		},
		{
			"journal: one of a later program is written to", "agent/journal/marker.go",
			"	case i.Schema > schema:\n", "	case i.Schema > schema+1:\n",
			[]string{"agent/journal"},
		},
		{
			"journal: what waited is forgotten by a start", "agent/command/approve.go",
			"		d.seconds[e.Command.ID] = s\n", "		_ = s\n",
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
		{
			"another step on the same supply does not count", "agent/power/shared.go",
			"	if h.disturbed {\n", "	if false {\n",
			[]string{power},
		},
		{
			"a supply that is not steady proves a step", "agent/power/shared.go",
			"return mean, high-low <= unsteadiness(mean)", "return mean, high >= low",
			[]string{power},
		},
		{
			"any step of a supply is the node's", "agent/power/shared.go",
			"step >= h.least && step <= h.most && close", "step >= h.least && close",
			[]string{power},
		},
		{
			"a relay that moved back is not looked at", "agent/power/switching.go",
			"	if w.overturned(s) {\n", "	if false && w.overturned(s) {\n",
			[]string{power, whole},
		},
		{
			"a bus that somebody holds is not left alone", "drivers/i2cbus/fence.go",
			"	if f.stage != fenced {\n", "	if f.stage != fenced || true {\n",
			[]string{"drivers/i2cbus"},
		},
		{
			"a channel is believed without looking", "drivers/chip/pca9548/pca9548.go",
			"	if got != want {\n", "	if false && got != want {\n",
			[]string{"drivers/chip/pca9548"},
		},
		{
			"another mux of the stretch is not asked", "drivers/chip/pca9548/pca9548.go",
			"	for _, other := range d.o.Segment.others(d) {\n", "	for _, other := range d.o.Segment.others(d)[:0] {\n",
			[]string{"drivers/chip/pca9548"},
		},
		{
			"the audit log is not flushed", "agent/audit/write.go",
			"	if err := l.file.Sync(); err != nil {\n		return err\n	}\n	l.size += ", "	l.size += ",
			[]string{"agent/audit"},
		},
		{
			"the audit log writes on in a file whose flush failed", "agent/audit/write.go",
			"	if l.adopted && l.beginning == nil {\n", "	if l.adopted && l.beginning == nil && len(l.files) == 0 {\n",
			[]string{"agent/audit"},
		},
		{
			"a line of the audit log does not bind the one before", "agent/audit/verify.go",
			"	case l.prev != w.prev:\n", "	case false:\n",
			[]string{"agent/audit"},
		},
		{
			"what a crash kept from the audit log stays out", "agent/audit/start.go",
			"	l.catchUp(known)\n", "	_ = known\n",
			[]string{"agent/audit", whole},
		},
		{
			"zeros and ones count at the first look", "drivers/chip/vouch.go",
			"		if !v.Doubtful() {\n", "		if true || !v.Doubtful() {\n",
			[]string{"drivers/chip", "agent/inventory"},
		},
		{
			"a page is not read back after its values", "drivers/pmbus/transfer.go",
			"return on.selected(ctx, \"read\", page)", "return nil",
			[]string{"drivers/pmbus"},
		},
		{
			"one zero means that a slot is off", "drivers/chip/adm1272/operation.go",
			"err == nil && v == operationOff && !d.port.Checks()", "err != nil && v == operationOff && !d.port.Checks()",
			[]string{"drivers/chip/adm1272", "drivers/pdu"},
		},
		{
			"a register number goes to relay expanders", "drivers/probe/rows.go",
			"{\"TMP42x\", []uint16{0x1c, 0x1f,", "{\"TMP42x\", []uint16{0x1c, 0x27,",
			[]string{"drivers/probe"},
		},
		{
			"what a kernel driver owns is addressed", "agent/buses.go",
			"	if driver, ok := l.owned[addr]; ok {\n", "	if driver, ok := l.owned[addr]; ok && false {\n",
			[]string{whole},
		},
		{
			"a signature is not checked", "agent/wire/jws.go",
			"	inner, err := s.parsed.Verify(key)\n", "	inner, err := s.parsed.UnsafePayloadWithoutVerification(), error(nil)\n",
			[]string{"agent/wire", desk, whole},
		},
		{
			"more may stand in a signed header", "agent/wire/jws.go",
			"	f.only(rack.CodeBadSignature, []string{\"alg\", \"kid\", \"typ\"},", "	f.only(rack.CodeBadSignature, []string{\"alg\", \"kid\", \"typ\", \"jwk\"},",
			[]string{"agent/wire", whole},
		},
		{
			"a signed member twice", "agent/wire/parse.go",
			"		if seen[fold(key)] {\n", "		if seen[fold(key)] && false {\n",
			[]string{"agent/wire", whole},
		},
		{
			"a signed command names another issuer", "agent/command/screen.go",
			"	if bad == nil && claimed != key.Issuer {\n", "	if bad == nil && claimed == \"\" {\n",
			[]string{desk, whole},
		},
		{
			"a signed number is not compared", "agent/command/screen.go",
			"	if cmd.Key != \"\" && !d.seqs.fresh(cmd) {\n", "	if cmd.Key == \"\" && !d.seqs.fresh(cmd) {\n",
			[]string{desk, whole},
		},
		{
			"a signed number comes again", "agent/command/seqs.go",
			"	may := s.held[cmd.Hash] || s.fresh(cmd) && (", "	may := s.held[cmd.Hash] || !s.fresh(cmd) && (",
			[]string{desk},
		},
		{
			"a signed number that was refused counts later", "agent/journal/marks.go",
			"	if c.Key == \"\" || c.Uncounted {\n", "	if c.Key == \"\" {\n",
			[]string{"agent/journal", whole},
		},
		{
			"a signed command's role is not asked", "agent/command/message.go",
			"	if bad := d.entitled(&cmd); bad != nil {\n", "	if bad := d.entitled(&cmd); bad != nil && cmd.Key == \"\" {\n",
			[]string{desk, whole},
		},
		{
			"a command without a right leaves a record", "agent/command/message.go",
			"		d.deny(now, cmd, ack, bad)\n", "		d.reject(now, cmd, ack, bad)\n",
			[]string{desk},
		},
		{
			"refusals fill the journal", "agent/journal/draft.go",
			"	return it.spare || d.room.all > 0 && (", "	return true || it.spare || d.room.all > 0 && (",
			[]string{"agent/journal"},
		},
		{
			"the count of refusals is lost at a start", "agent/journal/found.go",
			", refused: l.standing.onlyRefused()})", "})",
			[]string{"agent/journal"},
		},
		{
			"counts are kept for other lives", "agent/command/seqs.go",
			"s.fresh(cmd) && (cmd.AudBoot == \"\" || cmd.AudBoot == s.boot)", "s.fresh(cmd)",
			[]string{desk},
		},
		{
			"refusals push the deeds out of the audit log", "agent/audit.go",
			"		entry.Loose = entry.Loose || o.State", "		entry.Loose = entry.Loose && o.State",
			[]string{whole},
		},
		{
			"a role without firm nodes may sign for them", "agent/command/keys.go",
			"	case !role.Firm && touchesFirm(l, cmd.Op, t):\n", "	case false:\n",
			[]string{desk, whole},
		},
		{
			"what a revoked key signed is taken", "agent/command/keys.go",
			"	case k.Revoked:\n", "	case false:\n",
			[]string{desk, whole},
		},
		{
			"a signed command for another agent", "agent/command/screen.go",
			"	case cmd.Aud != \"\" && cmd.Aud != self:\n", "	case cmd.Aud != \"\" && cmd.Aud != self && cmd.Key == \"\":\n",
			[]string{desk, whole},
		},
		{
			"a signed command for another life", "agent/command/screen.go",
			"	case cmd.AudBoot != \"\" && cmd.AudBoot != d.o.Boot:\n", "	case cmd.AudBoot != \"\" && cmd.AudBoot != d.o.Boot && cmd.Key == \"\":\n",
			[]string{desk, whole},
		},
		{
			"a retained signed command is obeyed", "agent/command/screen.go",
			"	case !local && in.Retained:\n", "	case !local && in.Retained && !wire.IsSigned(in.Payload):\n",
			[]string{desk, whole},
		},
		{
			"signatures are checked without end", "agent/command/screen.go",
			"	if !d.verifies.take(now) {\n", "	if !d.verifies.take(now) && false {\n",
			[]string{desk, whole},
		},
		{
			"unsigned where all must be signed", "agent/command/screen.go",
			"	} else if !d.o.Unsigned {\n", "	} else if false {\n",
			[]string{desk, whole},
		},
		{
			"a firm node is started for nobody who signed", "agent/power/plan.go",
			"	if c.Op != rack.OpEnergise || c.Firm {\n", "	if c.Op != rack.OpEnergise || c.Op != \"\" {\n",
			[]string{power, whole},
		},
		{
			"a signature stands for the right to firm nodes", "agent/command/screen.go",
			"	cmd.Firm = bad == nil && cmd.Signed && d.ring", "	cmd.Firm = bad == nil && cmd.Signed || d.ring",
			[]string{desk},
		},
		{
			"a lock stops a server half way", "agent/command/locks.go",
			"	if cmd.Op != rack.OpLock || cmd.Firm {\n", "	if cmd.Op == rack.OpLock || cmd.Firm {\n",
			[]string{desk},
		},
		{
			"a lock being set passes by what is being recorded", "agent/command/locks.go",
			"			if p.plan != nil && !yield(id, &p.cmd) {\n", "			if p.plan == nil && !yield(id, &p.cmd) {\n",
			[]string{desk},
		},
		{
			"a thief's numbers count on", "agent/command/seqs.go",
			"		if of.Key != \"\" && !taken(of.Key) {\n", "		if false {\n",
			[]string{desk},
		},
		{
			"the numbers of an older journal are forgotten", "agent/command/seqs.go",
			"		if of.Key != \"\" && !taken(of.Key) {\n", "		if !taken(of.Key) {\n",
			[]string{desk},
		},
		{
			"an issuer has nothing of their own in a flood", "agent/command/gate.go",
			"	return known && cmd.Signed && own.take(now)\n", "	return false && known && own.take(now)\n",
			[]string{desk},
		},
		{
			"an unsigned flood uses up an issuer's own", "agent/command/gate.go",
			"	return known && cmd.Signed && own.take(now)\n", "	return known && own.take(now)\n",
			[]string{desk},
		},
		{
			"a flood is answered, signed or not", "agent/command/message.go",
			"	if cmd.Origin == rack.OriginMQTT && !d.answers.take(now) {\n", "	if cmd.Origin == rack.OriginMQTT && false {\n",
			[]string{desk, whole},
		},
		{
			"whoever connects to the local socket may command", "agent/local/server.go",
			"	if readOnly(w, r) {\n		return\n	}\n	body, err := ", "	body, err := ",
			[]string{"agent/local"},
		},
		{
			"a public key that verifies what anybody signs", "agent/wire/key.go",
			"	case !sound(k.Public):\n", "	case false && !sound(k.Public):\n",
			[]string{"agent/wire"},
		},
		{
			"the end of a segment that cannot be read is passed over", "agent/backlog/open.go",
			"	s.end++\n", "",
			[]string{"agent/backlog"},
		},
		{
			"a file of the backlog is used again while the state says that it is read", "agent/backlog/segments.go",
			"		if l.state.dirty { // a file", "		if false { // a file",
			[]string{"agent/backlog"},
		},
		{
			"what moves is told by the period only", "agent/telemetry/telemetry.go",
			"			t.look(time.Now())\n", "",
			[]string{"agent/telemetry"},
		},
		{
			"a sleep is said before what it interrupts is on disk", "agent/power/tellsteps.go",
			"	case !w.miner.kept:\n", "	case !w.miner.kept && false:\n",
			[]string{power},
		},
		{
			"a miner's word alone settles a sleep", "agent/power/telling.go",
			"	if !h.settled.IsZero() {\n		w.result.Settled = ms(h.settled)\n		return w.end(", "	if true {\n		w.result.Settled = ms(h.settled)\n		return w.end(",
			[]string{power},
		},
		{
			"any watts show that a miner sleeps", "agent/power/aims.go",
			"return sum <= a.below && base > a.below }", "return true }",
			[]string{power},
		},
		{
			"a limit is proven by the dip of a restart", "agent/power/aims.go",
			"{ return limitHold }", "{ return 0 }",
			[]string{power},
		},
		{
			"the guard of a miner's lane is gone", "agent/power/minerlane.go",
			"a.Node); r != nil {\n", "a.Node); r != nil && false {\n",
			[]string{power},
		},
		{
			"a shutdown does not wait for the fans", "agent/power/escalate.go",
			"	if t.forced != nil {\n		return time.Time{}\n", "	if true {\n		return time.Time{}\n",
			[]string{power},
		},
		{
			"a shutdown escalates although another outlet fell", "agent/power/escalate.go",
			" || !v.suspect.IsZero()", "",
			[]string{power},
		},
		{
			"a shutdown that may not be escalated is, under a deadline", "agent/power/escalate.go",
			" && t.next+1 < len(t.plan.Steps)", "",
			[]string{power},
		},
		{
			"a sleep proves the wiring whatever else moved", "agent/power/harvest.go",
			"	if !m.quiet(w, step) {\n", "	if false && !m.quiet(w, step) {\n",
			[]string{power},
		},
		{
			"what is kept counts as asleep, whatever it draws", "agent/power/feed.go",
			"ours && !v.Starting && !now.Before(v.SurgeUntil) && s.sleeping(n) && s.saidSince(n) {", "ours {",
			[]string{power},
		},
		{
			"a restart believes that a miner was limited", "agent/power/recover.go",
			"	default: // the watts of now do not show what they came from\n		return false\n", "	default:\n		return true\n",
			[]string{power},
		},
		{
			"a reading does not give way to a verb", "drivers/miner/turns.go",
			"	if t.stop != nil {\n		t.stop()\n	}\n", "",
			[]string{"drivers/miner"},
		},
		{
			"a feed acts at one sample", "agent/power/bands.go",
			"!st.acting && st.seen >= samplesToAct", "!st.acting && st.seen >= 1",
			[]string{power},
		},
		{
			"a feed above its limit is not cut but told to sleep", "agent/power/bands.go",
			"(measured > 1 || !ld.sleeps", "(measured > 9 || !ld.sleeps",
			[]string{power},
		},
		{
			"a feed near its limit cuts at once", "agent/power/bands.go",
			"(measured > 1 || !ld.sleeps || told)", "(measured > 0 || !ld.sleeps || told)",
			[]string{power},
		},
		{
			"the most valuable miner goes first", "agent/power/bands.go",
			"return cmp.Or(cmp.Compare(b.worth.jth, a.worth.jth),", "return cmp.Or(cmp.Compare(a.worth.jth, b.worth.jth),",
			[]string{power},
		},
		{
			"miners come back while the feed is near its limit", "agent/power/bands.go",
			"left[p.level][p.line]-p.amps+p.full >= actAt*l.limitA", "p.full >= 9*l.limitA",
			[]string{power},
		},
		{
			"miners come back at once", "agent/power/bands.go",
			"st.calm.IsZero() || now.Sub(st.calm) < st.wait || ", "l.limitA < 0 || ",
			[]string{power},
		},
		{
			"miners come back all together", "agent/power/bands.go",
			"now.Sub(b.raised) >= stepGap", "true",
			[]string{power},
		},
		{
			"miners come back although meters are silent", "agent/power/bands.go",
			"if !frozen && now", "if now",
			[]string{power},
		},
		{
			"a command of an operator does not end the controller's say", "agent/power/own.go",
			"			m.feeds.bands.forget(t.plan.Node)\n", "",
			[]string{power},
		},
		{
			"a command of the agent's own is not on disk before its write", "agent/power/own.go",
			"now.Sub(o.at) >= ownRecordBy", "true",
			[]string{power, "agent"},
		},
		{
			"the agent begins commands while a lost journal is observed", "agent/power/own.go",
			"if m.closing || m.observing {", "if m.closing {",
			[]string{power},
		},
		{
			"the feed controller acts before it is armed", "agent/power/own.go",
			"	return f.armed || f.volatile\n", "	return true\n",
			[]string{power},
		},
		{
			"a result is on disk before the command that it is of", "agent/power/publish.go",
			"	if o.behind != nil && !o.behind.kept {\n", "	if false {\n",
			[]string{power},
		},
		{
			"a silent meter counts as nothing", "agent/power/loads.go",
			"			whole = true\n", "",
			[]string{power},
		},
		{
			"a cut of the agent's own waits for a miner", "agent/power/own.go",
			"			m.stopTarget(t, v)\n", "",
			[]string{power},
		},
		{
			"what is coming back takes no room", "agent/power/bands.go",
			"left[p.level][p.line] += max(0, p.full-p.amps)", "left[p.level][p.line] += 0",
			[]string{power},
		},
		{
			"miners come back without a ramp", "agent/power/bands.go",
			"st.minute <= 0 || st.moment <= 0 || ", "",
			[]string{power},
		},
		{
			"what an operator stopped comes back", "agent/power/bands.go",
			"if s == nil || s.foreign || ", "if s == nil || ",
			[]string{power},
		},
		{
			"the agent takes a bank over by itself", "agent/power/plan.go",
			"c.Origin == rack.OriginAgent && known && !controlled", "c.Origin == rack.OriginAgent && known && !controlled && false",
			[]string{power},
		},
		{
			"a return outlives a newer command", "agent/power/own.go",
			"					o.late = j.cmd.ID\n", "",
			[]string{power},
		},
		{
			"an interlock trips at once", "agent/interlock/interlock.go",
			" && s.at.Sub(s.since) >= w.hold", "",
			[]string{"agent/interlock"},
		},
		{
			"a sensor that fails is dry", "agent/interlock/interlock.go",
			"s.at.IsZero() || fresh && w.returned(s.value)", "s.at.IsZero() || w.returned(s.value)",
			[]string{"agent/interlock", "agent"},
		},
		{
			"what hovers at the limit is back", "agent/interlock/interlock.go",
			"return v <= w.Limit-w.trait.back", "return v <= w.Limit",
			[]string{"agent/interlock"},
		},
		{
			"a wet miner is started", "agent/power/interlocks.go",
			"	if n.Class.Firm() {\n		return nil\n	}\n	if d :=", "	if true {\n		return nil\n	}\n	if d :=",
			[]string{power},
		},
		{
			"a start goes on although an interlock has tripped", "agent/power/interlocks.go",
			"	m.stopHeld(d)\n", "",
			[]string{power},
		},
		{
			"nothing is locked after a leak", "agent/power/interlocks.go",
			"	if d.Latch {\n", "	if d.Latch && false {\n",
			[]string{power},
		},
		{
			"any command passes a lock that says it is an emergency", "agent/power/guard.go",
			"by.Emergency && by.Origin == rack.OriginAgent && ", "by.Emergency && ",
			[]string{power},
		},
		{
			"a leak does not pass a lock", "agent/power/plan.go",
			" && !passesLocks(&c, node)", "",
			[]string{power},
		},
		{
			"a miner that does not sleep under an interlock is left", "agent/power/machine.go",
			"	m.sweepHeld(now)\n", "",
			[]string{power},
		},
		{
			"an interlock's cut stands in line", "agent/power/lane.go",
			"sw.Do == rack.DoCut && sw.By != nil && sw.By.Origin == rack.OriginAgent", "sw.Do == rack.DoCut && sw.By != nil && sw.By.Origin == rack.OriginLocal",
			[]string{power},
		},
		{
			"a gap counts as time that it lasted", "agent/interlock/interlock.go",
			"	if r.At.Sub(s.at) > w.Fresh {", "	if false {",
			[]string{"agent/interlock"},
		},
		{
			"a crash forgets the locks of a leak", "agent/power/recover.go",
			"e.Command.Emergency && e.Command.Origin", "false && e.Command.Origin",
			[]string{power},
		},
	}
}
