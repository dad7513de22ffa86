package service

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"culvert/sbrp/relay"
)

// metric is one family of the relay's. No label ever names a peer, an account or an address:
// its values are words of this program.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s relay.Snapshot, add func(v float64, label string))
}

const namespace = "culvert_relay_"

func gauge(name, help string, read func(relay.Snapshot) float64) metric {
	return single(prometheus.GaugeValue, name, help, read)
}

func counter(name, help string, read func(relay.Snapshot) uint64) metric {
	return single(prometheus.CounterValue, name, help, func(s relay.Snapshot) float64 { return float64(read(s)) })
}

func single(kind prometheus.ValueType, name, help string, read func(relay.Snapshot) float64) metric {
	return metric{prometheus.NewDesc(namespace+name, help, nil, nil), kind, func(s relay.Snapshot, add func(float64, string)) {
		add(read(s), "")
	}}
}

// labelled is a family with one label; the read function gives each of its values.
func labelled(kind prometheus.ValueType, name, help, label string, read func(s relay.Snapshot, add func(v float64, label string))) metric {
	return metric{prometheus.NewDesc(namespace+name, help, []string{label}, nil), kind, read}
}

// relayMetrics are the families of the data plane.
func relayMetrics() []metric {
	type add = func(v float64, label string)
	const g, c = prometheus.GaugeValue, prometheus.CounterValue
	return []metric{
		labelled(g, "connections", "WebSockets that are open.", "role", func(s relay.Snapshot, add add) {
			add(float64(s.Clients), "client")
			add(float64(s.Daemons), "daemon")
		}),
		labelled(g, "sessions", "Sessions by state.", "state", func(s relay.Snapshot, add add) {
			add(float64(s.Paired), "paired")
			add(float64(s.Paused), "paused")
			add(float64(s.Pending), "pending")
		}),
		labelled(c, "frames_total", "Frames forwarded.", "direction", func(s relay.Snapshot, add add) {
			add(float64(s.FramesToDaemon), "to_daemon")
			add(float64(s.FramesToClient), "to_client")
		}),
		labelled(c, "bytes_total", "Bytes of forwarded frames, their headers included.", "direction", func(s relay.Snapshot, add add) {
			add(float64(s.BytesToDaemon), "to_daemon")
			add(float64(s.BytesToClient), "to_client")
		}),
		labelled(c, "discarded_frames_total", "Frames that were not forwarded, though they broke no rule.", "reason", func(s relay.Snapshot, add add) {
			add(float64(s.DiscardedUnknown), "unknown_session")
			add(float64(s.DiscardedNotPaired), "not_paired")
			add(float64(s.DiscardedHandshake), "handshake")
		}),
		gauge("queue_bytes", "Bytes that wait for clients.", func(s relay.Snapshot) float64 { return float64(s.QueuedBytes) }),
		labelled(c, "closes_total", "Connections that the relay ended, by control code; none: going down, or replaced.", "code", func(s relay.Snapshot, add add) {
			for code, n := range s.Closes {
				if code == 0 {
					add(float64(n), "none")
				} else {
					add(float64(n), code.String())
				}
			}
		}),
		labelled(c, "cut_total", "Connections that were cut.", "reason", func(s relay.Snapshot, add add) {
			add(float64(s.Dead), "silent")
			add(float64(s.Stuck), "message_timeout")
		}),
		counter("pauses_total", "Sessions whose daemon was lost.", func(s relay.Snapshot) uint64 { return s.Pauses }),
		counter("resumes_total", "Sessions whose daemon came back.", func(s relay.Snapshot) uint64 { return s.Resumes }),
		counter("expiries_total", "Sessions that were over before their client was.", func(s relay.Snapshot) uint64 { return s.Expiries }),
		counter("slowed_total", "Times that a peer that was too fast was waited with.", func(s relay.Snapshot) uint64 { return s.Slowed }),
		labelled(c, "handshakes_total", "Handshakes by their result.", "result", func(s relay.Snapshot, add add) {
			add(float64(s.Handshakes), "done")
			add(float64(s.HandshakeTimeouts), "timeout")
		}),
		labelled(c, "token_failures_total", "Tokens refused, by the rule that they broke.", "rule", func(s relay.Snapshot, add add) {
			for rule, n := range s.TokenFailures {
				if rule == "" {
					rule = "other"
				}
				add(float64(n), string(rule))
			}
		}),
		labelled(c, "refused_total", "Connections refused before the WebSocket.", "reason", func(s relay.Snapshot, add add) {
			for reason, n := range map[string]uint64{
				"token": s.RefusedTokens, "forbidden": s.RefusedForbidden, "session_conflict": s.RefusedConflicts, "sessions": s.RefusedLimits,
				"address": s.RefusedAddresses, "account": s.RefusedAccounts, "request": s.RefusedRequests, "draining": s.RefusedDraining,
				"internal": s.RefusedInternal,
			} {
				add(float64(n), reason)
			}
		}),
		counter("panics_total", "Failures of the relay's own, each of which ended one connection.", func(s relay.Snapshot) uint64 { return s.Panics }),
	}
}

// relayCollector reads the relay's counters when it is scraped.
type relayCollector struct {
	relay   *relay.Server
	metrics []metric
}

var _ prometheus.Collector = relayCollector{}

// Describe implements prometheus.Collector.
func (c relayCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c relayCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.relay.Stats()
	for _, m := range c.metrics {
		m.read(s, func(v float64, label string) {
			var labels []string
			if label != "" {
				labels = []string{label}
			}
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
		})
	}
}

// newRegistry returns what /metrics shows of this relay: a registry of its own, so that two in
// one process do not meet.
func (h *hub) newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		relayCollector{h.relay, relayMetrics()},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: namespace + "waiting_connections", Help: "HTTP connections that are not upgraded.",
		}, func() float64 { return float64(h.door.counts().waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: namespace + "turned_away_total", Help: "Connections closed at once because their address had too many that waited.",
		}, func() float64 { return float64(h.door.counts().turnedAway) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: namespace + "unheard_total", Help: "Connections that ended before a request: half-open ones, TLS handshakes that failed.",
		}, func() float64 { return float64(h.door.counts().unheard) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: namespace + "draining", Help: "1 while the relay is going down.",
		}, func() float64 {
			if h.draining.Load() {
				return 1
			}
			return 0
		}),
		h.requests,
		collectors.NewBuildInfoCollector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// newRequests counts the control plane's requests. Paths hold identifiers and are no label.
func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "culvert_control_requests_total", Help: "Requests to the control plane by method and status.",
	}, []string{"method", "code"})
}

// metricsHandler serves /metrics, and /healthz and /readyz for those who may not reach the
// public address.
func (h *hub) metricsHandler() http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /metrics", promhttp.HandlerFor(h.newRegistry(), promhttp.HandlerOpts{ErrorLog: promLog{h.log}}))
	m.HandleFunc("GET /readyz", h.readyz)
	m.Handle("GET /healthz", h.control.Handler())
	return m
}
