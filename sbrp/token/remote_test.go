package token_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp/token"
)

// issuerFake is an http.RoundTripper that plays the issuer, so that all of it runs
// on a bubble's clock.
type issuerFake struct {
	mu      sync.Mutex
	keys    []token.PublicKey
	fail    error
	status  int
	hang    bool
	fetches int
}

func (f *issuerFake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.fetches++
	keys, fail, status, hang := f.keys, f.fail, f.status, f.hang
	f.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if fail != nil {
		return nil, fail
	}
	k, err := token.NewKeys(keys...)
	if err != nil {
		return nil, err
	}
	doc, err := k.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(doc))), Request: r}, nil
}

func (f *issuerFake) change(c func(f *issuerFake)) { f.mu.Lock(); defer f.mu.Unlock(); c(f) }

func (f *issuerFake) wantFetches(t *testing.T, want int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fetches != want {
		t.Errorf("%d fetches, want %d", f.fetches, want)
	}
}

func remote(t *testing.T, f *issuerFake) *token.RemoteKeys {
	t.Helper()
	k, err := token.NewRemoteKeys(token.RemoteConfig{URL: token.JWKSURL(issuer), HTTP: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantKey(t *testing.T, k *token.RemoteKeys, kid string, want error) {
	t.Helper()
	got, err := k.Key(t.Context(), kid)
	if !errors.Is(err, want) || err == nil && !got.Equal(pubKey) {
		t.Errorf("key %s: %v, %v; want error %v", kid, got, err, want)
	}
}

func key(id string) token.PublicKey { return token.PublicKey{ID: id, Key: pubKey} }

func remoteCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &issuerFake{keys: []token.PublicKey{key("a")}}
		k := remote(t, f)
		f.wantFetches(t, 0) // nothing is done by the constructor
		for range 100 {
			wantKey(t, k, "a", nil)
		}
		f.wantFetches(t, 1)
		time.Sleep(token.CacheTime)
		wantKey(t, k, "a", nil)
		f.wantFetches(t, 1)
		time.Sleep(time.Second)
		wantKey(t, k, "a", nil)
		f.wantFetches(t, 2)
		// A key that the issuer took away goes with the next fetch.
		f.change(func(f *issuerFake) { f.keys = []token.PublicKey{key("b")} })
		time.Sleep(token.CacheTime + time.Second)
		wantKey(t, k, "a", token.ErrUnknownKey)
		wantKey(t, k, "b", nil)
		f.wantFetches(t, 3)
	})
}

func remoteUnknownKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &issuerFake{keys: []token.PublicKey{key("a")}}
		k := remote(t, f)
		wantKey(t, k, "a", nil)
		// Made-up kids do not reach the issuer within the pause.
		for range 100 {
			wantKey(t, k, "x", token.ErrUnknownKey)
		}
		f.wantFetches(t, 1)
		// The issuer has rotated: found after the pause, long before the cache is over.
		f.change(func(f *issuerFake) { f.keys = append(f.keys, key("b")) })
		wantKey(t, k, "b", token.ErrUnknownKey)
		time.Sleep(token.RefetchPause)
		wantKey(t, k, "b", nil)
		wantKey(t, k, "a", nil)
		f.wantFetches(t, 2)
		for range 60 { // ten minutes of guessing cost one fetch per pause
			time.Sleep(token.RefetchPause)
			wantKey(t, k, "x", token.ErrUnknownKey)
			wantKey(t, k, "y", token.ErrUnknownKey)
		}
		f.wantFetches(t, 62)
	})
}

func TestRemoteStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &issuerFake{keys: []token.PublicKey{key("a")}}
		k := remote(t, f)
		wantKey(t, k, "a", nil)
		down := errors.New("no route")
		f.change(func(f *issuerFake) { f.fail = down })
		time.Sleep(time.Hour)
		wantKey(t, k, "a", nil)
		wantKey(t, k, "x", token.ErrUnknownKey)
		f.wantFetches(t, 2) // one failed fetch, then the pause
		f.change(func(f *issuerFake) { f.fail, f.status = nil, 503 })
		time.Sleep(token.RefetchPause)
		wantKey(t, k, "a", nil)
		f.change(func(f *issuerFake) { f.status, f.keys = 0, nil }) // a document without keys is a failed fetch too
		time.Sleep(token.RefetchPause)
		wantKey(t, k, "a", nil)
		f.wantFetches(t, 4)
		f.change(func(f *issuerFake) { f.fail = down })
		time.Sleep(token.MaxStale)
		wantKey(t, k, "a", down) // too old to go on with
		f.change(func(f *issuerFake) { f.fail, f.keys = nil, []token.PublicKey{key("a")} })
		time.Sleep(token.RefetchPause)
		wantKey(t, k, "a", nil)
	})
}

func TestRemoteNeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("no route")
		f := &issuerFake{fail: down}
		k := remote(t, f)
		wantKey(t, k, "a", down)
		wantKey(t, k, "a", down) // within the pause: the same answer, no fetch
		f.wantFetches(t, 1)
		v, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer, Keys: k})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), client().Raw())
		if e, ok := errors.AsType[*token.Error](err); !ok || e.Rule != token.RuleSignature || !errors.Is(err, down) {
			t.Errorf("verify: %v", err)
		}
	})
}

// While the issuer hangs, callers whose key is at hand are served, the others wait
// for the one fetch, and a caller may give up without spoiling it.
func TestRemoteHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &issuerFake{keys: []token.PublicKey{key("a")}}
		k := remote(t, f)
		wantKey(t, k, "a", nil)
		time.Sleep(token.CacheTime + time.Second)
		f.change(func(f *issuerFake) { f.hang = true })
		start := time.Now()
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { // the fetcher, who gives up; its fetch goes on to the time limit
			if _, err := k.Key(ctx, "x"); err == nil {
				t.Error("x was found")
			}
			if d := time.Since(start); d != token.FetchTimeout {
				t.Errorf("fetch took %s, want %s", d, token.FetchTimeout)
			}
		})
		synctest.Wait()
		cancel()
		wg.Go(func() { // a waiter that gives up
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := k.Key(ctx, "y"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiter: %v", err)
			}
		})
		wantKey(t, k, "a", nil)
		if d := time.Since(start); d != 0 {
			t.Errorf("the stale key took %s", d)
		}
		wg.Wait()
		f.wantFetches(t, 2)
	})
}

func TestRemoteConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &issuerFake{keys: []token.PublicKey{key("a")}}
		k := remote(t, f)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { wantKey(t, k, "a", nil) })
		}
		wg.Wait()
		f.wantFetches(t, 1)
	})
}

// Over a real server: good document, redirects, sizes, statuses.
func TestRemoteHTTP(t *testing.T) {
	keys, err := token.NewKeys(key("a"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := httptest.NewServer(keys)
	defer elsewhere.Close()
	mux := http.NewServeMux()
	mux.Handle("/good", keys)
	mux.Handle("/moved", http.RedirectHandler("/good", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler(elsewhere.URL, http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[`+strings.Repeat(" ", 70<<10)+`]}`)
	})
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, good := range map[string]bool{"/good": true, "/moved": true, "/away": false, "/loop": false, "/large": false, "/html": false, "/none": false} {
		k, err := token.NewRemoteKeys(token.RemoteConfig{URL: srv.URL + path, HTTP: srv.Client()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Key(t.Context(), "a")
		if (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
		if errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("%s: a failed fetch looks like an unknown key", path)
		}
	}
}

func TestNewRemoteKeysRefuses(t *testing.T) {
	for _, u := range []string{"", "x", "ftp://a/b", "http:///x", "://"} {
		if _, err := token.NewRemoteKeys(token.RemoteConfig{URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}
