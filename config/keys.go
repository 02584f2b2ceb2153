package config

import (
	"reflect"
	"strings"
)

// fieldsOf maps the keys of a type to its fields.
func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name != "" {
			fields[name] = i
		}
	}
	return fields
}

// keyOf gives the key of a field; empty for fields that are no part of the file.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// suggest finds what an unknown key may have been meant to be, or lists what there is.
func suggest(unknown string, t reflect.Type) string {
	var all []string
	best, bestDistance := "", 3 // two slips of the finger at most; arbitrary
	for i := range t.NumField() {
		name := keyOf(t.Field(i))
		if name == "" {
			continue
		}
		all = append(all, name)
		if len(unknown) > 2 && strings.HasPrefix(name, unknown) && bestDistance > 1 {
			best, bestDistance = name, 1
		}
		if n := distance(unknown, name); n < bestDistance {
			best, bestDistance = name, n
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "keys here: " + strings.Join(all, ", ")
}

// distance counts the characters to insert, delete or replace to turn a into b (Levenshtein), up to 64 of them.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
