package pdu

import (
	"slices"
	"testing"
)

func TestPlaces(t *testing.T) {
	m, err := LoadModel("ac8")
	if err != nil {
		t.Fatal(err)
	}
	want := []Place{
		{0x20, ""}, {0x48, ""}, {0x50, ""}, {0x70, ""}, // relays, temperature, memory and mux
		{0x38, "0.0"}, {0x38, "0.1"}, {0x38, "0.2"}, {0x38, "0.3"}, // the meters
	}
	if got := m.Places(); !slices.Equal(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
}
