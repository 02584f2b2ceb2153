package antminer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/drivers"
	"rackagent/drivers/drivertest/miners"
	sim "rackagent/drivers/drivertest/miners/antminer"
	"rackagent/drivers/miner"
)

// bench is a simulated unit, and a client of it.
type bench struct {
	*Miner
	m *miners.Machine
	h *miners.Host
	s *sim.Server
}

// unit is what a test asks for.
type unit struct {
	sim  sim.Opts
	x    Options
	opts func(*miner.Opts)
}

func on(t *testing.T, u unit, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miners.New(miners.Spec{
			Model: "S19 Pro", MAC: "02:00:5e:00:00:09", Serial: "SN9", NominalTHs: 110, NominalW: 3250, StandbyW: 25,
			Boot: time.Minute, Ramp: 100 * time.Second, Fall: 2 * time.Second,
			Profiles: []miners.Profile{{Name: "low", W: 2000, THs: 75}, {Name: "normal", W: 3250, THs: 110}},
		})
		h := miners.NewHost(m)
		defer h.Close()
		s := sim.New(m, h, u.sim)
		o := miner.Opts{Host: "10.0.3.17", Dial: h.Dial}
		if u.opts != nil {
			u.opts(&o)
		}
		c, err := New(o, u.x)
		if err != nil {
			t.Fatal(err)
		}
		f(t, &bench{c, m, h, s})
		time.Sleep(2 * time.Hour) // a unit that is not waited for answers all the same
		if h.Open() != 0 || h.Most() > 1 {
			t.Errorf("%d connections are open, %d were at once", h.Open(), h.Most())
		}
		if s.Counts().BodyTooEarly {
			t.Error("a body went out without credentials")
		}
	})
}

func (b *bench) sleep(ctx context.Context) (miner.Answer, error) {
	return b.Sleep(ctx, miner.Urgency{})
}

func (b *bench) limit(ctx context.Context, mode string) (miner.Answer, error) {
	return b.Limit(ctx, miner.Limit{Mode: mode}, miner.Urgency{})
}

func fault(t *testing.T, err error, want drivers.Fault) {
	t.Helper()
	var e *drivers.Error
	if drivers.FaultOf(err) != want || err != nil && (!errors.As(err, &e) || e.Device != "miner 10.0.3.17") {
		t.Errorf("%v, want %s", err, want)
	}
}

// conf is the configuration, in a mode.
func (b *bench) conf(t *testing.T, mode string) {
	t.Helper()
	if got := string(b.s.Config()); !strings.Contains(got, `"bitmain-work-mode":"`+mode+`"`) {
		t.Errorf("not in mode %s: %s", mode, got)
	}
}

func before(mode string) miner.Setting { return miner.Setting{Dialect: Dialect, Mode: mode} }

// TestWhatGoesOut: the whole configuration, with the mode as a number under both names; and what is answered.
func TestWhatGoesOut(t *testing.T) {
	on(t, unit{sim: sim.Opts{Config: []byte(config)}}, func(t *testing.T, b *bench) {
		began := time.Now()
		a, err := b.sleep(t.Context())
		if err != nil || a.Text != "M000 OK!" || a.At != began.Add(21*time.Second) || a.Notes != nil {
			t.Errorf("%+v, %v", a, err)
		}
		want := strings.Replace(strings.TrimSuffix(config, "}"), `"bitmain-work-mode":"0"`, `"bitmain-work-mode":1`, 1) + `,"miner-mode":1,"freq-level":"100"}`
		want = strings.NewReplacer(` "derate" : `, `"derate":`).Replace(want) // the simulator shows it so
		if w := b.s.Writes(); len(w) != 1 || string(w[0].Body) != want {
			t.Errorf("\n got %s\nwant %s", w[0].Body, want)
		}
	})
}

// TestKeysAndTypes: builds that obey one name alone, and one type alone. A number goes first, and a text where it was for nothing.
func TestKeysAndTypes(t *testing.T) {
	for _, key := range []sim.ModeKey{sim.KeyBoth, sim.KeyMinerMode, sim.KeyWorkMode} {
		for kind, writes := range map[sim.ModeType]int{sim.TypeEither: 1, sim.TypeInteger: 1, sim.TypeString: 2} {
			t.Run(string(key)+" "+string(kind), func(t *testing.T) {
				on(t, unit{sim: sim.Opts{Key: key, Type: kind}}, func(t *testing.T, b *bench) {
					was, err := b.Setting(t.Context())
					if err != nil || was.Mode != ModeNormal {
						t.Fatalf("%+v, %v", was, err)
					}
					first := string(b.s.Config())
					a, err := b.sleep(t.Context())
					if err != nil || slices.Contains(a.Notes, noteText) != (writes == 2) || len(b.s.Writes()) != writes {
						t.Errorf("%+v, %v, %d writes", a, err, len(b.s.Writes()))
					}
					b.conf(t, "1")
					if _, err := b.Wake(t.Context(), was); err != nil || string(b.s.Config()) != first {
						t.Errorf("%v: %s, was %s", err, b.s.Config(), first)
					}
				})
			})
		}
	}
}

// TestTheModeBefore is what a wake brings back, known or not; and a sleep that is remembered is woken from.
func TestTheModeBefore(t *testing.T) {
	on(t, unit{}, func(t *testing.T, b *bench) {
		b.s.SetMode(5)
		was, err := b.Setting(t.Context())
		if err != nil || was.Mode != "5" {
			t.Fatalf("%+v, %v", was, err)
		}
		for _, c := range []struct{ before, after, note string }{{"5", "5", ""}, {"3", "3", ""}, {"1", "0", noteNormal}} {
			if _, err := b.sleep(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.conf(t, "1")
			a, err := b.Wake(t.Context(), before(c.before))
			if err != nil || (c.note == "") != (a.Notes == nil) || c.note != "" && !slices.Contains(a.Notes, c.note) {
				t.Errorf("%+v, %v", a, err)
			}
			b.conf(t, c.after)
		}
	})
}

// TestNothingToWrite: a unit that is told so already is not told again, and says if it does not do so.
func TestNothingToWrite(t *testing.T) {
	on(t, unit{sim: sim.Opts{AnswerAfter: -1}}, func(t *testing.T, b *bench) {
		a, err := b.Wake(t.Context(), before("0"))
		if err != nil || !slices.Equal(a.Notes, []string{noteAlready}) || a.At != time.Now() || a.Text != "" {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err = b.Release(t.Context(), before("0")); err != nil || !slices.Equal(a.Notes, []string{noteAlready}) {
			t.Errorf("%+v, %v", a, err)
		}
		if n := len(b.s.Writes()); n != 0 {
			t.Errorf("%d writes", n)
		}
		b.s.Change(func(q *sim.Quirks) { q.UntilReboot = true })
		for i := range 2 {
			a, err = b.sleep(t.Context())
			if err != nil || len(b.s.Writes()) != 1 || i == 1 && !slices.Contains(a.Notes, "the unit runs in mode 0 and not in 1") {
				t.Errorf("%+v, %v, %d writes", a, err, len(b.s.Writes()))
			}
		}
		if s, err := b.Status(t.Context()); err != nil || s.State != miner.Mining || s.Mode != "0" {
			t.Errorf("%s in mode %s, %v", s.State, s.Mode, err)
		}
	})
}

// TestLimit: modes that the options name, on a unit that does not sleep.
func TestLimit(t *testing.T) {
	on(t, unit{sim: sim.Opts{AnswerAfter: -1}}, func(t *testing.T, b *bench) {
		tries := b.h.Tries()
		for _, l := range []miner.Limit{{}, {W: 2000}, {W: 2000, Mode: "3"}, {W: -1, Mode: "3"}, {Mode: "1"}, {Mode: "2"}, {Mode: "low"}, {Mode: "03"}} {
			_, err := b.Limit(t.Context(), l, miner.Urgency{})
			fault(t, err, drivers.Unsupported)
		}
		for _, s := range []miner.Setting{{}, before(""), before("x"), before("-1"), {Dialect: "luxos", Mode: "0"}, before("1")} {
			_, err := b.Release(t.Context(), s)
			fault(t, err, drivers.Unsupported)
			if s.Mode != "1" {
				_, err := b.Wake(t.Context(), s)
				fault(t, err, drivers.Unsupported)
			}
		}
		if b.h.Tries() != tries {
			t.Error("what is not supported was sent")
		}
		if _, err := b.limit(t.Context(), "3"); err != nil {
			t.Error(err)
		}
		b.conf(t, "3")
		if _, err := b.Release(t.Context(), before("0")); err != nil {
			t.Error(err)
		}
		b.conf(t, "0")
		if _, err := b.sleep(t.Context()); err != nil {
			t.Error(err)
		}
		_, err := b.limit(t.Context(), "3")
		fault(t, err, drivers.Unsupported)
		_, err = b.Release(t.Context(), before("0"))
		fault(t, err, drivers.Unsupported)
		b.conf(t, "1")
	})
	on(t, unit{sim: sim.Opts{Modes: map[int]string{2: "low"}, AnswerAfter: -1}, x: Options{Modes: []string{"2", "0"}}}, func(t *testing.T, b *bench) {
		c, err := b.Capabilities(t.Context())
		if err != nil || !c.Sleep || !slices.Equal(c.Modes, []string{"2", "0"}) || c.Watts != nil || c.Measures || c.Locked != "" || c.Times != Times() {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := b.limit(t.Context(), "2"); err != nil {
			t.Error(err)
		}
		b.conf(t, "2")
	})
	on(t, unit{sim: sim.Opts{Modes: map[int]string{2: "low"}, AnswerAfter: -1}}, func(t *testing.T, b *bench) { // it has no 3
		_, err := b.limit(t.Context(), "3")
		fault(t, err, drivers.Mismatch)
		b.conf(t, "0")
	})
}

// TestRefusals: what a unit says when it does not take a configuration.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		locked bool
		quirk  func(*sim.Quirks)
		want   drivers.Fault
	}{
		"rejected":              {false, func(q *sim.Quirks) { q.Rejects = true }, drivers.Refused},
		"forbidden":             {true, func(*sim.Quirks) {}, drivers.Locked},
		"for other credentials": {true, func(q *sim.Quirks) { q.LockedStatus = 401 }, drivers.Locked},
		"rejected in a page":    {true, func(q *sim.Quirks) { q.LockedStatus = 200 }, drivers.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, unit{}, func(t *testing.T, b *bench) {
				b.m.Set(miners.Locked, c.locked)
				b.s.Change(c.quirk)
				a, err := b.sleep(t.Context())
				fault(t, err, c.want)
				if !a.At.IsZero() {
					t.Errorf("taken: %+v", a)
				}
				b.conf(t, "0")
			})
		})
	}
}

// TestPassword: a wrong one is denied, and stands in no error; none at all sends nothing.
func TestPassword(t *testing.T) {
	with := func(password string, err error) func(*miner.Opts) {
		return func(o *miner.Opts) {
			o.User, o.Password = "boss", func() (string, error) { return password, err }
		}
	}
	verbs := func(b *bench, ctx context.Context) []error {
		_, a := b.Status(ctx)
		_, c := b.Setting(ctx)
		_, d := b.Capabilities(ctx)
		_, e := b.sleep(ctx)
		return []error{a, c, d, e}
	}
	firmware := sim.Opts{User: "boss", Password: "ZMErIzaf", Opaque: "0p", NamesMD5: true, Realm: "an odd realm, 100 % = so"}
	on(t, unit{sim: firmware, opts: with("ZMErIzaf", nil)}, func(t *testing.T, b *bench) {
		for _, err := range verbs(b, t.Context()) {
			if err != nil {
				t.Error(err)
			}
		}
	})
	on(t, unit{sim: firmware, opts: with("ZMErIzaff", nil)}, func(t *testing.T, b *bench) {
		for _, err := range verbs(b, t.Context()) {
			fault(t, err, drivers.Denied)
			if strings.Contains(err.Error(), "ZMEr") {
				t.Errorf("%v", err)
			}
		}
		if len(b.s.Writes()) != 0 {
			t.Error("it wrote")
		}
	})
	on(t, unit{opts: with("", errors.New("no file"))}, func(t *testing.T, b *bench) {
		for _, err := range verbs(b, t.Context()) {
			fault(t, err, drivers.Denied)
		}
		if b.h.Tries() != 0 {
			t.Error("it connected without a password")
		}
	})
}

// TestAnAnswerThatIsLost: Unsure, also where the caller's time ends first; and a controller that is deaf afterwards is none.
func TestAnAnswerThatIsLost(t *testing.T) {
	on(t, unit{}, func(t *testing.T, b *bench) {
		b.m.Set(miners.Silent, true)
		a, err := b.sleep(t.Context())
		fault(t, err, drivers.Unsure)
		if !a.At.IsZero() || len(b.s.Writes()) != 1 {
			t.Errorf("%+v, %d writes", a, len(b.s.Writes()))
		}
	})
	on(t, unit{}, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := b.sleep(ctx)
		fault(t, err, drivers.Unsure)
		if time.Since(began) != 10*time.Second {
			t.Errorf("after %s", time.Since(began))
		}
	})
	on(t, unit{sim: sim.Opts{AnswerAfter: time.Hour}}, func(t *testing.T, b *bench) {
		began := time.Now()
		_, err := b.sleep(t.Context())
		fault(t, err, drivers.Unsure)
		if time.Since(began) != postLimit {
			t.Errorf("after %s", time.Since(began))
		}
	})
	on(t, unit{sim: sim.Opts{DeafFor: 30 * time.Second}}, func(t *testing.T, b *bench) {
		a, err := b.sleep(t.Context())
		if err != nil || !slices.Equal(a.Notes, []string{noteUnread}) || a.Text != "M000 OK!" {
			t.Errorf("%+v, %v", a, err)
		}
		_, err = b.Status(t.Context())
		fault(t, err, drivers.Corrupt)
		time.Sleep(time.Minute)
		if s, err := b.Status(t.Context()); err != nil || s.State != miner.Asleep {
			t.Errorf("%s, %v", s.State, err)
		}
	})
}

// TestTheUnitThatIsMeant is written to, and no other; one that does not say who it is neither.
func TestTheUnitThatIsMeant(t *testing.T) {
	mac := func(mac string) unit {
		return unit{sim: sim.Opts{AnswerAfter: -1}, opts: func(o *miner.Opts) { o.MAC = mac }}
	}
	on(t, mac("02:00:5e:00:00:09"), func(t *testing.T, b *bench) {
		if _, err := b.sleep(t.Context()); err != nil {
			t.Error(err)
		}
	})
	on(t, mac("02:00:5e:00:00:08"), func(t *testing.T, b *bench) {
		_, err := b.sleep(t.Context())
		fault(t, err, drivers.WrongDevice)
		_, err = b.limit(t.Context(), "3")
		fault(t, err, drivers.WrongDevice)
		if len(b.s.Writes()) != 0 {
			t.Error("it wrote")
		}
	})
}

// TestWeb: what is reported of the web server: resets, and nonces that are refused.
func TestWeb(t *testing.T) {
	on(t, unit{sim: sim.Opts{AnswerAfter: -1, Quirks: sim.Quirks{Reset401: 100}}}, func(t *testing.T, b *bench) {
		if _, err := b.sleep(t.Context()); err != nil {
			t.Error(err)
		}
		b.conf(t, "1")
	})
	on(t, unit{sim: sim.Opts{AnswerAfter: -1}}, func(t *testing.T, b *bench) {
		for range 3 { // each nonce once: two connections for every page
			tries := b.h.Tries()
			if s, err := b.Status(t.Context()); err != nil || s.State != miner.Mining || b.h.Tries()-tries != 10 {
				t.Errorf("%+v, %v, %d connections", s, err, b.h.Tries()-tries)
			}
		}
		b.s.Change(func(q *sim.Quirks) { q.RefuseNonces = 1 })
		if _, err := b.Setting(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := b.Setting(t.Context()); err != nil || b.s.Counts().Refused != 1 {
			t.Errorf("%v, %+v", err, b.s.Counts())
		}
		b.s.Change(func(q *sim.Quirks) { q.RefuseNonces = 2 })
		_, err := b.Setting(t.Context())
		fault(t, err, drivers.Denied)
	})
}

// TestPort6060: watts and warnings, of a unit that is known to have the port.
func TestPort6060(t *testing.T) {
	serves := sim.Opts{Serves6060: true, Quirks: sim.Quirks{Warning: "P:2"}}
	on(t, unit{sim: serves, x: Options{Port6060: true}}, func(t *testing.T, b *bench) {
		s, err := b.Status(t.Context())
		if err != nil || s.Power == nil || s.Power.W != 3250 || s.Power.Source != miner.Estimated || len(s.Errors) != 1 || s.Errors[0].Code != "P:2" || s.State != miner.Mining {
			t.Errorf("%+v, %v", s, err)
		}
		b.s.Change(func(q *sim.Quirks) { q.NoPower, q.Warning = true, "" })
		if s, err = b.Status(t.Context()); err != nil || s.Power != nil || s.Errors != nil {
			t.Errorf("%+v, %v", s, err)
		}
	})
	on(t, unit{sim: serves}, func(t *testing.T, b *bench) {
		if s, err := b.Status(t.Context()); err != nil || s.Power != nil || s.Errors != nil {
			t.Errorf("not asked: %+v, %v", s, err)
		}
	})
	on(t, unit{x: Options{Port6060: true}}, func(t *testing.T, b *bench) {
		if s, err := b.Status(t.Context()); err != nil || s.Power != nil || s.State != miner.Mining {
			t.Errorf("not there: %+v, %v", s, err)
		}
	})
}

// TestNew: what no unit can be reached with, and modes that are none to limit to.
func TestNew(t *testing.T) {
	dial := miners.NewHost(miners.New(miners.Spec{})).Dial
	good := miner.Opts{Host: "h", Dial: dial}
	for name, change := range map[string]func(*miner.Opts, *Options){
		"no host": func(o *miner.Opts, _ *Options) { o.Host = "" }, "no way": func(o *miner.Opts, _ *Options) { o.Dial = nil },
		"a line in the host": func(o *miner.Opts, _ *Options) { o.Host = "a\r\nb" }, "a space in the host": func(o *miner.Opts, _ *Options) { o.Host = "a b" },
		"a line in the user": func(o *miner.Opts, _ *Options) { o.User = "a\nb" }, "a colon in the user": func(o *miner.Opts, _ *Options) { o.User = "a:b" },
		"MAC": func(o *miner.Opts, _ *Options) { o.MAC = "02-00-5E-00-00-09" }, "sleep": func(_ *miner.Opts, x *Options) { x.Modes = []string{"1"} },
		"twice": func(_ *miner.Opts, x *Options) { x.Modes = []string{"3", "0", "3"} }, "a name": func(_ *miner.Opts, x *Options) { x.Modes = []string{"low"} },
		"a number in another way": func(_ *miner.Opts, x *Options) { x.Modes = []string{"03"} },
	} {
		o, x := good, Options{}
		change(&o, &x)
		if m, err := New(o, x); !errors.Is(err, ErrOpts) || m != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good, Options{}); err != nil {
		t.Error(err)
	}
}
