package service

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/wsconn"
)

// unreachable remembers the relays that were tried in vain of late: a control plane with
// several then names another, before it knows itself that one is gone. It is not for
// concurrent use.
type unreachable struct{ tried []triedRelay }

type triedRelay struct {
	url string
	at  time.Time
}

// unreachableFor is how long a relay that did not answer is not asked for: longer than the
// control plane takes to notice.
const unreachableFor = time.Minute

// note takes the outcome of an attempt, nil for a success.
func (u *unreachable) note(url string, err error, now time.Time) {
	if err == nil {
		u.tried = nil // where one is reached, the others' failures are over or tell nothing
		return
	}
	de, ok := errors.AsType[*wsconn.DialError](err)
	if url == "" || !ok || de.Status != 0 && de.Status < http.StatusInternalServerError {
		return // it was not tried, or it has answered
	}
	u.forget(url, now)
	if len(u.tried) == api.MaxUnreachable {
		u.tried = u.tried[1:]
	}
	u.tried = append(u.tried, triedRelay{url, now})
}

// urls are the relays not to be asked for.
func (u *unreachable) urls(now time.Time) (urls []string) {
	u.forget("", now)
	for _, t := range u.tried {
		urls = append(urls, t.url)
	}
	return urls
}

// forget drops one, and those that were tried too long ago.
func (u *unreachable) forget(url string, now time.Time) {
	u.tried = slices.DeleteFunc(u.tried, func(t triedRelay) bool {
		return t.url == url || now.Sub(t.at) > unreachableFor
	})
}
