// Package firmware lists the software that runs in the rack: the agent itself, and what the parts say of theirs.
// Names follow the properties of Redfish SoftwareInventory (DMTF DSP0268) in snake case.
//
// It only reads. It does NOT update anything yet: no manifest, no download, no slot, and so no counter, no wanted
// version, and no state but unknown. Devices are known by two methods; a third that takes an image would come with
// updates. It imports nothing of the agent.
package firmware

import (
	"context"
	"time"

	"rackagent/drivers"
)

// Item is one line of the inventory. Fields that are not known are empty, never guessed.
type Item struct {
	ID           string    `json:"id"`        // "agent", "mcu/a1", "psu/a1-1": unique in the rack
	Component    string    `json:"component"` // "agent", "mcu", "pdu"
	Hardware     string    `json:"hardware,omitempty"`
	SoftwareID   string    `json:"software_id,omitempty"` // component and hardware: what the same image fits
	Manufacturer string    `json:"manufacturer,omitempty"`
	Model        string    `json:"model,omitempty"`
	Serial       string    `json:"serial,omitempty"`
	Version      string    `json:"version,omitempty"` // as the device says it, unchanged
	Digest       string    `json:"digest,omitempty"`  // "sha256:..." of the running image, where it can be computed
	State        State     `json:"state"`
	Updateable   bool      `json:"updateable"`
	Source       string    `json:"source"` // where the version was read
	ReadAt       time.Time `json:"read_at"`
	Quality      Quality   `json:"quality"`
	Reason       string    `json:"reason,omitempty"` // a drivers.Fault, where quality is not ok
}

// State is how an item stands against what is wanted.
type State string

// StateUnknown is all that can be said while nobody says what is wanted.
const StateUnknown State = "unknown"

// Quality says whether an item was read (S7). The words are those of readings.
type Quality string

// The qualities.
const (
	QualityOK     Quality = "ok"
	QualityAbsent Quality = "absent" // the part did not say; the reason says why
)

// Part is where something with firmware sits, as the configuration knows it.
type Part struct {
	ID        string // "pdu/pdu-a"
	Component string // "pdu"
	Hardware  string // family and revision; empty: the part number that the device gives
	Source    string // "i2c main 0x50"
}

// Device is a part that can be asked.
type Device interface {
	Part() Part
	Identify(ctx context.Context) (drivers.Ident, error)
}

// Found is what a part said of itself, or why it did not.
type Found struct {
	Part  Part
	Ident drivers.Ident
	At    time.Time // when it was asked
	Err   error
}

// Ask identifies the devices one after the other. One that does not answer is in the list all the same.
func Ask(ctx context.Context, devices []Device) []Found {
	out := make([]Found, 0, len(devices))
	for _, d := range devices {
		f := Found{Part: d.Part(), At: time.Now()}
		f.Ident, f.Err = d.Identify(ctx)
		out = append(out, f)
	}
	return out
}

// Items makes the lines of the inventory, in the order given.
func Items(found []Found) []Item {
	out := make([]Item, 0, len(found))
	for _, f := range found {
		out = append(out, f.item())
	}
	return out
}

func (f Found) item() Item {
	it := Item{
		ID: f.Part.ID, Component: f.Part.Component, Hardware: f.Part.Hardware, Source: f.Part.Source,
		State: StateUnknown, ReadAt: f.At.UTC(), Quality: QualityOK,
	}
	if f.Err != nil {
		it.Quality, it.Reason = QualityAbsent, drivers.FaultOf(f.Err).String()
	} else {
		it.Manufacturer, it.Model, it.Serial, it.Version = f.Ident.Manufacturer, f.Ident.Product, f.Ident.Serial, f.Ident.Version
		if it.Hardware == "" {
			it.Hardware = f.Ident.Part
		}
	}
	it.SoftwareID = softwareID(it.Component, it.Hardware)
	return it
}

// softwareID plays the part of Redfish' SoftwareId.
func softwareID(component, hardware string) string {
	if hardware == "" {
		return ""
	}
	return component + ":" + hardware
}
