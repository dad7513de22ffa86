package control_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

func TestFailuresAreLimited(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	good := p.enrolled(api.ScopeClient)
	p.comeFrom("2001:db8:0:1::1")
	for i := range 10 {
		p.comeFrom(fmt.Sprintf("2001:db8:0:1::%x", i+1)) // all of one /64
		_, err := newDevice(t, p).Enroll(ctx, api.EnrollRequest{APIKey: "cvk_guess_guess"})
		wantCode(t, err, 401, "unauthorized")
	}
	_, err := newDevice(t, p).Enroll(ctx, api.EnrollRequest{APIKey: p.key(api.ScopeClient)})
	wantCode(t, err, 429, "rate_limited")
	_, err = good.Keys(ctx, p.admin)
	wantCode(t, err, 429, "rate_limited")
	a := p.send("GET", "/api/daemons", p.sign(good), "")
	if a.status != 429 || a.header.Get("Retry-After") != "6" {
		t.Errorf("%d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	p.comeFrom("2001:db8:0:2::1") // the neighbour
	_, err = good.Daemons(ctx)
	must(t, err)
	p.comeFrom("2001:db8:0:1::1")
	p.forward(6 * time.Second)
	_, err = good.Daemons(ctx)
	must(t, err)
	// What succeeds, what is forbidden and a wrong clock cost nothing.
	p.comeFrom("192.0.2.50")
	for range 30 {
		_, err = good.Daemons(ctx)
		must(t, err)
		_, err = good.Register(ctx, api.RegisterRequest{IdentityPublicKey: good.key})
		wantCode(t, err, 403, "forbidden")
	}
	raw := p.sign(good)
	p.forward(time.Hour)
	for range 30 {
		if a := p.send("GET", "/api/daemons", raw, ""); a.code(t) != "clock_skew" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
}

func TestLimiterBounds(t *testing.T) {
	now := newClock().now()
	l := control.NewLimiter(10)
	for i := range control.MaxBuckets {
		if _, ok := l.Take(fmt.Sprint("a", i), now); !ok {
			t.Fatal("a new bucket is empty")
		}
	}
	// Newcomers share ten tries; the others keep their own.
	passed := 0
	for i := range 100 {
		if _, ok := l.Take(fmt.Sprint("b", i), now); ok {
			passed++
		}
	}
	if passed != 10 || l.Len() != control.MaxBuckets {
		t.Errorf("%d newcomers passed, %d buckets", passed, l.Len())
	}
	if l.Spent("b1000", now) == 0 || l.Spent("a0", now) != 0 {
		t.Error("newcomers and others are mixed up")
	}
	if _, ok := l.Take("a0", now); !ok {
		t.Error("an old bucket suffers from newcomers")
	}
	// Full buckets are forgotten, others are not.
	l.Prune(now.Add(6 * time.Second))
	if l.Len() != 1 {
		t.Errorf("%d buckets left, want 1", l.Len())
	}
	l.Prune(now.Add(time.Minute))
	if l.Len() != 0 {
		t.Errorf("%d buckets left, want 0", l.Len())
	}
	for i := range control.MaxBuckets {
		l.Take(fmt.Sprint("c", i), now)
	}
	if _, ok := l.Take("d", now.Add(time.Minute)); !ok || l.Len() != 1 {
		t.Errorf("a full limiter does not forget by itself: %d buckets", l.Len())
	}
}

func TestBucketOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":  "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := control.BucketOf(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if control.BucketOf(netip.Addr{}) == "" {
		t.Error("no bucket for an unknown address")
	}
}
