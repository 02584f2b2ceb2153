package config

import (
	"slices"
	"strings"
)

// feeds judges the supply tree: each level for itself, then against the level above.
func (k *checker) feeds() {
	names, byName := map[string]string{}, map[string]int{}
	for i, f := range k.c.Feeds {
		at := index("feeds", i)
		k.name(at+".name", f.Name)
		k.unique(names, at+".name", f.Name, "name")
		if _, twice := byName[f.Name]; !twice {
			byName[f.Name] = i
		}
		k.lines(at+".lines", f.Lines)
		k.amps(at, f)
		if k.given(at+".volts_v", f.VoltsV == 0) {
			k.span(at+".volts_v", f.VoltsV, 12, 1000, " V") // 1000 V ends low voltage (IEC 60038); 12 V is arbitrary
		}
	}
	circular := k.cycles(byName)
	for i, f := range k.c.Feeds {
		if !circular[i] {
			k.parent(index("feeds", i), f, byName)
		}
	}
}

// phases lists the lines of a supply.
var phases = []string{"L1", "L2", "L3"}

// directCurrent stands for the one line of a feed of direct current.
const directCurrent = "DC"

// lineCount counts the different lines of a feed, leaving out what is none.
func lineCount(f Feed) int {
	return len(slices.DeleteFunc(slices.Clone(phases), func(l string) bool { return !slices.Contains(f.Lines, l) }))
}

func direct(f Feed) bool { return slices.Contains(f.Lines, directCurrent) }

func (k *checker) lines(at string, lines []string) {
	if !k.given(at, len(lines) == 0) {
		return
	}
	if len(lines) == 0 {
		k.errorf(at, "write for example [L1] or [L1, L2, L3]", "a feed has at least one line")
	}
	if slices.Equal(lines, []string{directCurrent}) {
		return
	}
	for i, l := range lines {
		switch {
		case l == directCurrent:
			k.errorf(index(at, i), "give direct current a feed of its own: [DC]", "DC stands beside other lines")
		case !slices.Contains(phases, l):
			k.errorf(index(at, i), "", "%s is not L1, L2 or L3", quote(l))
		case slices.Contains(lines[:i], l):
			k.errorf(index(at, i), "", "%s stands here twice", l)
		}
	}
}

func (k *checker) amps(at string, f Feed) {
	if k.given(at+".rating_a", f.RatingA == 0) {
		k.span(at+".rating_a", f.RatingA, 0.1, 10_000, " A") // arbitrary
	}
	if f.Continuous <= 0 || f.Continuous > 1 {
		k.errorf(at+".continuous", "0.8 for ordinary breakers, 1 for 100 %-rated ones", "%s is not above 0 and at most 1", number(f.Continuous))
	}
	if !k.src.has(at+".share_a") && f.ShareA == 0 {
		return
	}
	const rounding = 1e-9 // 63 x 0.8 is not exactly 50.4
	limit := f.RatingA * f.Continuous
	switch {
	case f.ShareA <= 0:
		k.errorf(at+".share_a", "leave the key out where the level is not shared", "a share is above 0 A")
	case f.ShareA > limit+rounding && !k.src.isBroken(at+".rating_a") && !k.src.isBroken(at+".continuous"):
		k.errorf(at+".share_a", "", "%s A is more than the level may carry: %s A x %s = %.4g A",
			number(f.ShareA), number(f.RatingA), number(f.Continuous), limit)
	}
}

// parent judges a feed against the one above it.
func (k *checker) parent(at string, f Feed, byName map[string]int) {
	if !k.written(at+".parent", f.Parent) {
		return
	}
	p, ok := byName[f.Parent]
	if !ok {
		k.errorf(at+".parent", k.known("feeds", k.feedNames()), "no feed is named %s", quote(f.Parent))
		return
	}
	above := k.c.Feeds[p]
	if direct(f) != direct(above) {
		k.errorf(at+".parent", "begin a tree of its own at the rectifiers' output", "what a rectifier takes on its lines is not known here: direct and alternating current are not counted together")
		return
	}
	if lineCount(above) == 0 {
		return
	}
	for i, l := range f.Lines {
		if slices.Contains(phases, l) && !slices.Contains(above.Lines, l) {
			k.errorf(index(at+".lines", i), "", "feed %s above has no line %s", f.Parent, l)
		}
	}
	k.volts(at, f, above)
}

// volts warns where the voltages of two levels do not fit together. It cannot know transformers.
func (k *checker) volts(at string, f, above Feed) {
	const slack = 0.05 // 400 V beside 231 V, 415 V beside 240 V
	if f.VoltsV <= 0 || above.VoltsV <= 0 || lineCount(f) == 0 {
		return
	}
	ratio := f.VoltsV / above.VoltsV
	switch oneBelowMore := lineCount(f) == 1 && lineCount(above) > 1; {
	case oneBelowMore && ratio > 1-slack:
		k.warnf(at+".volts_v", "one line counts against neutral, two and three lines against each other: 230 below 400, 120 below 208 or 240",
			"%s V to neutral is not less than the %s V between the lines of feed %s", number(f.VoltsV), number(above.VoltsV), above.Name)
	case !oneBelowMore && (ratio < 1-slack || ratio > 1+slack):
		k.warnf(at+".volts_v", "", "%s V differs from the %s V of feed %s above", number(f.VoltsV), number(above.VoltsV), above.Name)
	}
}

// cycles reports each circle of parents once, at the first feed of the file that lies on it, and returns the
// feeds that lie on one.
func (k *checker) cycles(byName map[string]int) map[int]bool {
	reported := map[int]bool{}
	for start := range k.c.Feeds {
		trail := []int{start}
		for {
			next, ok := byName[k.c.Feeds[trail[len(trail)-1]].Parent]
			if !ok || next != start && slices.Contains(trail, next) || reported[next] {
				break
			}
			trail = append(trail, next)
			if next == start {
				k.cycle(trail, reported)
				break
			}
		}
	}
	return reported
}

func (k *checker) cycle(trail []int, reported map[int]bool) {
	var names []string
	for _, i := range trail {
		reported[i] = true
		names = append(names, k.c.Feeds[i].Name)
	}
	k.errorf(index("feeds", trail[0])+".parent", "one feed at the top has no parent", "the parents run in a circle: %s", strings.Join(names, " -> "))
}

func (k *checker) feedNames() []string {
	var names []string
	for _, f := range k.c.Feeds {
		names = append(names, f.Name)
	}
	return names
}

// known lists the names that could have been meant.
func (k *checker) known(what string, names []string) string {
	if len(names) == 0 {
		return "the file names no " + what
	}
	return what + ": " + strings.Join(slices.Compact(names), ", ")
}
