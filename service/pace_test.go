package service

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/wsconn"
)

// The waits of an outage: found again soon however it went, and what answers is not
// stormed.
func TestPace(t *testing.T) {
	down := &Error{Code: CodeRelay, Name: "unreachable", Err: errors.New("down")}
	offline := &Error{Code: CodeDaemon, Name: api.CodeDaemonNotFound, Err: errors.New("offline")}
	p := newPace()
	soon := func(what string, d time.Duration) {
		t.Helper()
		if d < retryMin/2 || d > retryMin {
			t.Errorf("%s: waits %v, want %v at most", what, d, retryMin)
		}
	}
	wait, news := p.failed(down)
	if soon("the first failure", wait); !news {
		t.Error("the first failure is no news")
	}
	var outage time.Duration
	for outage < 5*time.Second {
		if wait, news = p.failed(down); news {
			t.Error("the same failure again is news")
		}
		if outage += wait; wait > retryMin+outage/3 {
			t.Errorf("%v after the loss: waits %v", outage, wait)
		}
	}
	wait, news = p.failed(offline)
	if soon("another failure", wait); !news {
		t.Error("another failure is no news")
	}
	asked := 0
	for total := time.Duration(0); total < time.Minute; asked++ {
		wait, _ = p.failed(offline)
		total += wait
	}
	if asked > 40 {
		t.Errorf("a relay without the daemon was asked %d times in a minute", asked)
	}
	soon("the loss of a carrier that has lived", p.lost(stableAfter))
	_, news = p.failed(down)
	if !news {
		t.Error("the first failure after a carrier is no news")
	}
	var most time.Duration
	for range 20 {
		most = max(most, p.lost(time.Second))
	}
	if most < time.Second {
		t.Errorf("after 20 carriers that did not last it waits %v at most, want a growing pause", most)
	}
	p.lost(stableAfter)
	soon("a flap after one that has lasted", p.lost(time.Second))
	for range 50 {
		p.failed(down)
	}
	p.kicked()
	wait, news = p.failed(down)
	if soon("after a change of the network", wait); news {
		t.Error("the same failure after a change of the network is news")
	}
}

func TestAskedWait(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want time.Duration
	}{
		{errors.New("network"), 0},
		{fmt.Errorf("dial: %w", &wsconn.DialError{RetryAfter: 5 * time.Second}), 5 * time.Second},
		{fmt.Errorf("ask: %w", &api.Error{Status: 429, RetryAfter: 3 * time.Second}), 3 * time.Second},
		{&api.Error{Status: 503, RetryAfter: time.Hour}, maxAskedWait},
	} {
		if got := askedWait(tc.err); got != tc.want {
			t.Errorf("askedWait(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
}
