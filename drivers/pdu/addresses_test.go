package pdu

import (
	"slices"
	"testing"
)

func TestAddresses(t *testing.T) {
	m, err := LoadModel("ac8")
	if err != nil {
		t.Fatal(err)
	}
	// Relays, temperature, memory and mux; the meters at 0x38 sit behind the mux.
	if got, want := m.Addresses(), []uint16{0x20, 0x48, 0x50, 0x70}; !slices.Equal(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
}
