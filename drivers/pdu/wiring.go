package pdu

import (
	"fmt"

	"rackagent/drivers/chip/pca9548"
	"rackagent/drivers/i2cbus"
)

// wiring finds the way from a place to a handle. All channels of a mux share one pca9548.Dev, and all muxes know each
// other: what is in doubt about one of them is settled before a channel of another is connected, since equal chips
// sit behind each.
type wiring struct {
	poll, act i2cbus.Conn
	muxes     []*pca9548.Dev
}

func newWiring(poll, act i2cbus.Conn, o Opts) (*wiring, error) {
	w := &wiring{poll: poll, act: act}
	segment := o.Segment
	if segment == nil {
		segment = new(pca9548.Segment)
	}
	for i, x := range o.Model.muxes {
		name := o.Name + " mux"
		if len(o.Model.muxes) > 1 {
			name = fmt.Sprintf("%s mux %d", o.Name, i)
		}
		d, err := pca9548.New(poll, pca9548.Opts{Name: name, Addr: x.addr, Part: pca9548.Part(x.part), Segment: segment})
		if err != nil {
			return nil, err
		}
		w.muxes = append(w.muxes, d)
	}
	return w, nil
}

func (w *wiring) polling(at place) (i2cbus.Conn, error) { return w.on(w.poll, at) }
func (w *wiring) acting(at place) (i2cbus.Conn, error)  { return w.on(w.act, at) }

func (w *wiring) on(handle i2cbus.Conn, at place) (i2cbus.Conn, error) {
	if at.mux == upstream {
		return handle, nil
	}
	return w.muxes[at.mux].PortOn(handle, at.channel)
}
