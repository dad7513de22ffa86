package tunnel

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux"
	"culvert/mux/muxtest"
)

func TestProber(t *testing.T) {
	muxtest.Bubble(t, func(t *testing.T) {
		var up, dials atomic.Int64
		r := newRig(t, ExposerConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			if up.Load() == 0 {
				return nil, &net.DNSError{Err: "down"}
			}
			a, b := net.Pipe()
			_ = b.Close() // a check says nothing
			return a, nil
		}}, "web=1")
		var seen []string
		p := NewProber(r.client, "web", func(res ProbeResult) {
			seen = append(seen, res.Code())
			if res.Ready != (res.Err == nil) {
				t.Errorf("result %+v", res)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		check := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := strings.Join(seen, " "); got != want {
				t.Errorf("%s: seen %q, want %q", what, got, want)
			}
		}
		time.Sleep(time.Minute) // fake time
		check("down", "unreachable")
		// 250 ms, 500, 1 s, 2 s, 4 s, then every 5 s; each up to a fifth less.
		if n := dials.Load(); n < 14 || n > 22 {
			t.Errorf("%d checks in a minute", n)
		}
		up.Store(1)
		time.Sleep(probeRetryMax)
		check("up", "unreachable ready")
		n := dials.Load()
		time.Sleep(time.Hour)
		if dials.Load() != n {
			t.Errorf("a target that is ready was asked %d more times", dials.Load()-n)
		}
		p.Again()
		p.Again()
		check("asked again", "unreachable ready")
		if dials.Load() == n {
			t.Error("Again asked nothing")
		}
		p.Forget()
		p.Again()
		check("asked again after Forget", "unreachable ready ready")
		up.Store(0)
		p.Again()
		check("down again", "unreachable ready ready unreachable")
		r.grants.deny("web", deniedError{"expired"})
		time.Sleep(probeRetryMax)
		check("denied", "unreachable ready ready unreachable denied")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}

// brokenOpener fails some times without an answer.
type brokenOpener struct {
	Opener
	left int
}

func (b *brokenOpener) Open(ctx context.Context) (*mux.Stream, error) {
	if b.left--; b.left >= 0 {
		return nil, net.ErrClosed
	}
	return b.Opener.Open(ctx)
}

func TestProberWithoutAnswer(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo))
	seen := make(chan ProbeResult, 9)
	p := NewProber(&brokenOpener{r.client, 1}, "web", func(res ProbeResult) { seen <- res })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if res := wait(t, seen, "the first result"); res.Code() != "unanswered" || !errors.Is(res.Err, net.ErrClosed) {
		t.Errorf("first result %+v", res)
	}
	if res := wait(t, seen, "the second result"); !res.Ready || res.RTT <= 0 || res.Code() != "ready" {
		t.Errorf("second result %+v", res)
	}
	cancel()
	wait(t, done, "Run's end")
}
