package service

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/wsconn"
)

func TestUnreachable(t *testing.T) {
	var u unreachable
	now := time.Now()
	down := fmt.Errorf("connect to relay: %w", &wsconn.DialError{Err: errors.New("refused")})
	draining := fmt.Errorf("connect to relay: %w", &wsconn.DialError{Status: http.StatusServiceUnavailable})
	answered := fmt.Errorf("connect to relay: %w", &wsconn.DialError{Status: http.StatusUnauthorized})
	want := func(urls ...string) {
		t.Helper()
		if got := u.urls(now); !slices.Equal(got, urls) {
			t.Errorf("got %v, want %v", got, urls)
		}
	}
	u.note("a", down, now)
	u.note("a", answered, now)              // it is reached, and says no
	u.note("b", answered, now)              //
	u.note("", down, now)                   // none was known
	u.note("c", errors.New("offline"), now) // a connection was lost, which tells nothing of the next
	want("a")
	now = now.Add(unreachableFor / 2)
	u.note("b", draining, now)
	u.note("b", down, now)
	want("a", "b")
	now = now.Add(unreachableFor/2 + 1)
	want("b")
	for i := range 2 * api.MaxUnreachable {
		u.note(fmt.Sprint(i), down, now)
	}
	if got := u.urls(now); len(got) != api.MaxUnreachable {
		t.Errorf("%d remembered", len(got))
	}
	u.note("b", nil, now)
	want()
}
