package wire

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rackagent/agent/rack"
)

func TestInfoExplainsEveryArrayOfTelemetry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings := rapid.SliceOfN(rapid.Custom(drawReading), 0, 30).Draw(t, "readings")
		var points []rack.Point
		for i := range readings {
			readings[i].Point.Index = readings[i].Point.Index&15 + 1
			points = append(points, readings[i].Point)
		}
		i := info()
		i.Points = points
		b := i.Encode()
		conform(t, "closed", "info", b)
		var explained struct {
			Points map[string]map[string]struct{ N int }
		}
		if err := json.Unmarshal(b, &explained); err != nil {
			t.Fatal(err)
		}
		got := consume(t, Telemetry{Epoch: "k", At: noon, Readings: readings}.Encode())
		for device, quantities := range got.D {
			for q, values := range quantities {
				if n := explained.Points[device][q].N; n != len(values) {
					t.Fatalf("%s.%s has %d positions, info says %d", device, q, len(values), n)
				}
			}
		}
	})
}

func TestEveryQuantityHasAUnit(t *testing.T) {
	for _, q := range quantities[:9] {
		if is := quantityOf(q); is.unit == "" || is.of == "position" {
			t.Errorf("%s: %+v", q, is)
		}
	}
}

func TestInfoOf128OutletsFitsIntoAMessage(t *testing.T) {
	l := layout()
	l.PDUs, l.Nodes = nil, nil
	all := rack.Group{Name: "all"}
	for p := range 4 {
		pdu := rack.PDU{Name: fmt.Sprintf("pdu-row-7-rack-17-left-%d", p)[:23]}
		for n := range 32 {
			id := rack.OutletID{PDU: pdu.Name, N: n + 1}
			pdu.Outlets = append(pdu.Outlets, rack.Outlet{ID: id, Feed: "f1-l1", RatingA: 16, Metered: true})
			node := layout().Nodes[0]
			node.Name, node.Outlets = fmt.Sprintf("asic-row-7-rack-17-%d-%d", p, n), []rack.OutletID{id}
			l.Nodes = append(l.Nodes, node)
			all.Nodes = append(all.Nodes, node.Name)
		}
		l.PDUs = append(l.PDUs, pdu)
	}
	l.Groups = []rack.Group{all}
	i := info()
	i.Layout = l
	key, err := NewKey("ams1/r17", "ams1/r17", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.Key = key
	b := i.Encode()
	conform(t, "closed", "info", b)
	if want := `"key":{"kid":"ams1/r17","public":"` + key.X() + `"}`; !strings.Contains(string(b), want) {
		t.Errorf("want %s: %s", want, b)
	}
	if len(b) > 64<<10 {
		t.Errorf("%d bytes", len(b))
	}
	if !strings.Contains(string(b), `"groups":[{"name":"all","nodes":["asic-row-7-rack-17-0-0","asic-row-7-rack-17-0-1",`) {
		t.Errorf("the group is not told: %s", b)
	}
}

func TestInfoOfNothing(t *testing.T) {
	l := &rack.Layout{Site: "s", Agent: "a"}
	conform(t, "closed", "info", Info{Boot: "b", Layout: l, Software: Software{Name: "rackagent"}}.Encode())
	l.Feeds = []rack.Feed{{Name: "f", VoltsV: math.NaN(), RatingA: math.Inf(1), Continuous: 1}}
	l.Nodes = []rack.Node{{Name: "n", Class: rack.ClassGPU, MaxW: math.NaN()}}
	conform(t, "closed", "info", Info{Boot: "b", Layout: l, Software: Software{Name: "rackagent"}}.Encode())
}
