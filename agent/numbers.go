package agent

import (
	"fmt"
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"rackagent/agent/link"
	"rackagent/agent/rack"
)

// numbers is /metrics: counters of what happened, and gauges taken when somebody asks.
type numbers struct {
	a   *Agent
	set *metrics.Set
}

func newNumbers(a *Agent) *numbers { return &numbers{a: a, set: metrics.NewSet()} }

func (n *numbers) event(k rack.EventKind) {
	n.set.GetOrCreateCounter(fmt.Sprintf(`rackagent_events_total{kind=%q}`, k)).Inc()
}

func (n *numbers) dropped(c link.Class, count int) {
	n.set.GetOrCreateCounter(fmt.Sprintf(`rackagent_mqtt_dropped_total{class=%q}`, c)).Add(count)
}

// commit times the journal's commits; inner goes around the commit as well.
func (n *numbers) commit(inner func(func() error) error) func(func() error) error {
	// Not a summary: the library's keeps a goroutine for ever.
	took := n.set.NewPrometheusHistogramExt("rackagent_journal_commit_seconds", []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2})
	return func(update func() error) error {
		began := time.Now()
		defer func() { took.UpdateDuration(began) }()
		if inner != nil {
			return inner(update)
		}
		return update()
	}
}

// write prints everything in the Prometheus text format.
func (n *numbers) write(w io.Writer) {
	n.set.WritePrometheus(w)
	now := metrics.NewSet()
	gauge := func(v float64, format string, args ...any) {
		now.GetOrCreateGauge(fmt.Sprintf(format, args...), nil).Set(v)
	}
	gauge(1, `rackagent_build_info{version=%q,revision=%q}`, n.a.build.Version, n.a.build.Revision)
	gauge(time.Since(n.a.born).Seconds(), "rackagent_up_seconds")
	gauge(boolean(n.a.Alive()), "rackagent_alive")
	gauge(boolean(n.a.journal.Observing()), "rackagent_observing")
	n.readings(gauge)
	n.devices(gauge)
	n.buses(gauge)
	n.broker(gauge)
	n.backlog(gauge)
	n.audit(gauge)
	n.nodes(gauge)
	n.feeds(gauge)
	now.WritePrometheus(w)
}

type gauge func(v float64, format string, args ...any)

// readings shows what is fresh; an old value is left out rather than shown as if it were new.
func (n *numbers) readings(g gauge) {
	for _, r := range n.a.poller.All(time.Now()) {
		if r.Quality == rack.QualityOK {
			g(r.Value, `rackagent_reading{device=%q,quantity=%q,index="%d"}`, r.Point.Device, r.Point.Quantity, r.Point.Index)
		}
	}
}

// nodes shows what every node is observed to do.
func (n *numbers) nodes(g gauge) {
	s := n.a.loop.Snapshot()
	for _, node := range n.a.inv.Layout.Nodes {
		g(1, `rackagent_node_state{node=%q,state=%q}`, node.Name, s.PowerState(node))
	}
}

// feeds shows what every level of the feed is reserved for and measured to carry, on its fullest line. What is not measured is
// assumed, and shows as such.
func (n *numbers) feeds(g gauge) {
	for _, f := range n.a.loop.Snapshot().Feeds(time.Now()) {
		g(f.LimitA, `rackagent_feed_limit_amperes{feed=%q}`, f.Feed)
		g(f.ReservedA, `rackagent_feed_reserved_amperes{feed=%q}`, f.Feed)
		g(f.MeasuredA, `rackagent_feed_measured_amperes{feed=%q}`, f.Feed)
		g(f.MeasuredW, `rackagent_feed_measured_watts{feed=%q}`, f.Feed)
		g(f.AssumedW, `rackagent_feed_assumed_watts{feed=%q}`, f.Feed)
	}
}

func (n *numbers) devices(g gauge) {
	for _, d := range n.a.poller.Stats() {
		g(1, `rackagent_device_state{device=%q,state=%q}`, d.Name, d.State)
		g(float64(d.Reads), `rackagent_device_reads_total{device=%q}`, d.Name)
		g(float64(d.Retries), `rackagent_device_retries_total{device=%q}`, d.Name)
		for fault, count := range d.Errors {
			g(float64(count), `rackagent_device_errors_total{device=%q,fault=%q}`, d.Name, fault)
		}
	}
}

func (n *numbers) buses(g gauge) {
	for name, b := range n.a.buses {
		s := b.Stats()
		g(float64(s.Transfers), `rackagent_bus_transfers_total{bus=%q}`, name)
		g(s.Busy.Seconds(), `rackagent_bus_busy_seconds_total{bus=%q}`, name)
		g(boolean(!s.HungSince.IsZero()), `rackagent_bus_hung{bus=%q}`, name)
		g(boolean(!s.BadSince.IsZero()), `rackagent_bus_bad{bus=%q}`, name)
		g(float64(s.Bad), `rackagent_bus_bad_total{bus=%q}`, name)
		g(s.Fenced.Seconds(), `rackagent_bus_fenced_seconds_total{bus=%q}`, name)
		g(float64(s.Recoveries), `rackagent_bus_recoveries_total{bus=%q}`, name)
		g(float64(s.Recovered), `rackagent_bus_recovered_total{bus=%q}`, name)
		g(boolean(n.a.whyClosed(name) == ""), `rackagent_bus_open{bus=%q}`, name)
		for fault, count := range s.Errors {
			g(float64(count), `rackagent_bus_errors_total{bus=%q,fault=%q}`, name, fault)
		}
	}
}

func (n *numbers) broker(g gauge) {
	if n.a.link == nil {
		return
	}
	s := n.a.link.Stats()
	g(boolean(s.State == link.StateUp), "rackagent_mqtt_up")
	if s.Broker != "" {
		g(boolean(s.State == link.StateUp), `rackagent_mqtt_broker{broker=%q}`, s.Broker)
	}
	g(boolean(s.Subscribed), "rackagent_mqtt_subscribed")
	g(float64(s.Attempts), "rackagent_mqtt_attempts_total")
	if s.SelfTest != link.VerdictNone {
		g(1, `rackagent_mqtt_selftest{verdict=%q}`, s.SelfTest)
	}
	g(float64(s.Connects), "rackagent_mqtt_connects_total")
	g(float64(s.Outstanding), "rackagent_mqtt_outstanding")
	g(s.OldestAge.Seconds(), "rackagent_mqtt_oldest_unacknowledged_seconds")
	g(float64(s.Inbound), "rackagent_mqtt_inbound_total")
	g(float64(s.Duplicates), "rackagent_mqtt_duplicates_total")
	g(float64(s.Retained), "rackagent_mqtt_retained_total")
	g(float64(s.Unrouted), "rackagent_mqtt_unrouted_total")
	g(float64(s.Unacked), "rackagent_mqtt_unacknowledged_inbound")
	for _, c := range []link.Class{link.ClassResult, link.ClassEvent, link.ClassInfo, link.ClassTelemetry, link.ClassBackfill} {
		of := s.Classes.Of(c)
		for what, count := range map[string]uint64{
			"sent": of.Sent, "resent": of.Resent, "delivered": of.Delivered, "dropped": of.Dropped, "expired": of.Expired, "refused": of.Refused,
			"superseded": of.Superseded,
		} {
			g(float64(count), `rackagent_mqtt_messages_total{class=%q,outcome=%q}`, c, what)
		}
	}
	g(float64(s.Quarantined), "rackagent_mqtt_quarantined_total")
	g(float64(s.Overrun), "rackagent_mqtt_overrun_total")
	g(float64(s.Wiped), "rackagent_mqtt_sessions_wiped_total")
	g(float64(s.Renewals), "rackagent_mqtt_renewals_total")
	for reason, count := range s.Losses {
		g(float64(count), `rackagent_mqtt_losses_total{reason=%q}`, reason)
	}
	t := n.a.tele.Stats()
	g(float64(t.Made), "rackagent_telemetry_batches_total")
	g(float64(t.Lost), "rackagent_telemetry_lost_total")
}

func (n *numbers) audit(g gauge) {
	t := n.a.trail.Load()
	if t == nil {
		return
	}
	s := t.Stats()
	g(float64(s.Entries), "rackagent_audit_entries_total")
	g(float64(s.Lost), "rackagent_audit_lost_total")
	g(boolean(s.Failing), "rackagent_audit_failing")
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
