package service

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// RoundTrips are times in milliseconds; all are 0 where none was measured.
type RoundTrips struct {
	Count  int     `json:"count"`
	Min    float64 `json:"min_ms"`
	Median float64 `json:"median_ms"`
	P95    float64 `json:"p95_ms"`
	Max    float64 `json:"max_ms"`
}

// roundTrips sorts all.
func roundTrips(all []time.Duration) RoundTrips {
	n := len(all)
	if n == 0 {
		return RoundTrips{}
	}
	slices.Sort(all)
	return RoundTrips{
		Count: n, Min: milliseconds(all[0]), Median: milliseconds(all[rank(n, 50)]),
		P95: milliseconds(all[rank(n, 95)]), Max: milliseconds(all[n-1]),
	}
}

// rank is the index of the least of n sorted values that percent of them do not exceed.
func rank(n, percent int) int { return (n*percent+99)/100 - 1 }

// meter makes a rate of totals: the growth after the warm-up over the time after it. What
// ends within the warm-up, because it is small, is measured from the begin.
type meter struct {
	warmUp, length time.Duration
	begin          time.Time
	from, last     reading
	warm           bool
}

type reading struct {
	at    time.Time
	total uint64
}

func newMeter(warmUp, length time.Duration) *meter {
	now := time.Now()
	return &meter{warmUp: warmUp, length: length, begin: now, from: reading{at: now}, last: reading{at: now}}
}

// add notes a total and tells whether that was long enough.
func (m *meter) add(now time.Time, total uint64) (enough bool) {
	m.last = reading{now, total}
	if !m.warm && now.Sub(m.begin) >= m.warmUp {
		m.warm, m.from = true, m.last
	}
	return m.warm && now.Sub(m.from.at) >= m.length
}

// rate is in bytes per second.
func (m *meter) rate() float64 {
	if s := m.last.at.Sub(m.from.at).Seconds(); s > 0 {
		return float64(m.last.total-m.from.total) / s
	}
	return 0
}

func (m *meter) throughput(rtt RoundTrips) Throughput {
	if m.last == m.from { // it ended just when the warm-up did
		m.from = reading{at: m.begin}
	}
	return Throughput{Bytes: m.last.total, Rate: m.rate(), Seconds: m.last.at.Sub(m.from.at).Seconds(), RTT: rtt}
}

// relayPings is how many round trips to the relay are measured: each is a request that it
// answers, so no more than needed.
const relayPings = 10

// pingRelay measures HTTP round trips to the relay on one connection, by the same proxy as
// the tunnel. What is answered does not matter.
func (b *bench) pingRelay(ctx context.Context, relay string) (RoundTrips, error) {
	u, err := url.Parse(relay)
	if err != nil {
		return RoundTrips{}, fmt.Errorf("read the relay's URL: %w", err)
	}
	u.Scheme = map[string]string{"wss": "https", "ws": "http"}[u.Scheme]
	u.Path, u.RawQuery = "/healthz", ""
	ctx, cancel := context.WithTimeoutCause(ctx, benchGrace, errStuck)
	defer cancel()
	var all []time.Duration
	for i := range relayPings + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return RoundTrips{}, err
		}
		began := time.Now()
		resp, err := b.client.net.http.Transport.RoundTrip(req) // redirects are an answer here
		if err != nil {
			return RoundTrips{}, because(ctx, fmt.Errorf("ask relay: %w", err))
		}
		took := time.Since(began)
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is kept
		_ = resp.Body.Close()
		if err != nil {
			return RoundTrips{}, because(ctx, fmt.Errorf("ask relay: %w", err))
		}
		if i > 0 { // the first one has made the connection
			all = append(all, took)
		}
	}
	return roundTrips(all), nil
}
