package token

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Limits of fetching keys.
const (
	CacheTime    = 5 * time.Minute  // a key set is taken as current for so long (spec section 7)
	MaxStale     = 24 * time.Hour   // and is used for so long when no newer one can be had: longer than any token lives
	RefetchPause = 10 * time.Second // the least time between two fetches, so that made-up kids cannot flood the issuer
	FetchTimeout = 5 * time.Second  // of one fetch
	maxJWKS      = 64 << 10         // bytes of a document: some 300 keys
)

// RemoteConfig configures [RemoteKeys].
type RemoteConfig struct {
	URL    string           // required: see JWKSURL
	HTTP   *http.Client     // nil: http.DefaultClient's transport, no redirects to other hosts
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// RemoteKeys is a [KeySource] that reads a JWKS document over HTTP.
//
// The keys are fetched on first use, again after [CacheTime], and when a token
// names a key that is not among them, yet never more often than once per
// [RefetchPause]. When a fetch fails the keys at hand stay in use (up to [MaxStale]).
// There is no goroutine behind it: the caller that needs the keys fetches them,
// and the others wait for it only if they cannot be served from what is there.
type RemoteKeys struct {
	url  string
	http *http.Client
	now  func() time.Time
	log  *slog.Logger

	set  atomic.Pointer[keySet] // nil until the first good fetch
	gate chan struct{}          // 1 slot: held over a fetch; a lock that a context can leave

	// Owned by the holder of gate.
	tried    time.Time // when the last fetch was begun
	lastFail error     // how it ended
}

type keySet struct {
	keys    map[string]ed25519.PublicKey
	fetched time.Time
}

// NewRemoteKeys makes a key source; nothing is fetched yet.
func NewRemoteKeys(cfg RemoteConfig) (*RemoteKeys, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("make remote key source: URL %q must be http(s)://host/…", cfg.URL)
	}
	k := &RemoteKeys{
		url:  cfg.URL,
		now:  cfg.Now,
		log:  cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		gate: make(chan struct{}, 1),
	}
	if k.now == nil {
		k.now = time.Now
	}
	client := http.Client{}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.CheckRedirect = sameHost
	k.http = &client
	return k, nil
}

// sameHost refuses redirects to another host or scheme: whoever serves the keys
// decides who is let in, so that may not be handed on.
func sameHost(req *http.Request, via []*http.Request) error {
	if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme || len(via) > 3 {
		return errors.New("redirect to another place is refused")
	}
	return nil
}

// Key implements [KeySource]. It blocks while keys are fetched, at most for
// [FetchTimeout] and a wait of as long for another caller's fetch.
func (k *RemoteKeys) Key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	key, state := k.look(kid)
	if state == lookFresh {
		return key, nil
	}
	if state == lookStale {
		// Good enough to go on with; whoever finds the gate open renews them.
		select {
		case k.gate <- struct{}{}:
			defer k.release()
			k.refresh(ctx, kid)
			if key, state := k.look(kid); state != lookMissing {
				return key, nil
			}
			return nil, ErrUnknownKey
		default:
			return key, nil
		}
	}
	select {
	case k.gate <- struct{}{}:
		defer k.release()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for signing keys: %w", context.Cause(ctx))
	}
	err := k.refresh(ctx, kid)
	if key, state := k.look(kid); state != lookMissing {
		return key, nil
	}
	if err != nil && !k.usable() {
		return nil, err
	}
	return nil, ErrUnknownKey
}

type lookState uint8

const (
	lookMissing lookState = iota // not among the keys, or no keys
	lookStale                    // there, yet older than CacheTime
	lookFresh
)

func (k *RemoteKeys) look(kid string) (ed25519.PublicKey, lookState) {
	s := k.set.Load()
	if s == nil {
		return nil, lookMissing
	}
	age := k.now().Sub(s.fetched)
	key, ok := s.keys[kid]
	switch {
	case !ok || age > MaxStale:
		return nil, lookMissing
	case age > CacheTime:
		return key, lookStale
	}
	return key, lookFresh
}

// usable says whether there are keys that may still be used at all.
func (k *RemoteKeys) usable() bool {
	s := k.set.Load()
	return s != nil && k.now().Sub(s.fetched) <= MaxStale
}

func (k *RemoteKeys) release() { <-k.gate }

// refresh fetches the keys, unless another caller has just done so or tried.
// The caller holds gate.
func (k *RemoteKeys) refresh(ctx context.Context, kid string) error {
	if _, state := k.look(kid); state == lookFresh {
		return nil
	}
	now := k.now()
	if pause := now.Sub(k.tried); !k.tried.IsZero() && pause >= 0 && pause < RefetchPause {
		return k.lastFail
	}
	k.tried = now
	// The keys are for all callers: one that gives up must not spoil the fetch, or it
	// could keep them away from the others for RefetchPause.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FetchTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if k.lastFail = err; err != nil {
		k.log.Warn("cannot fetch token signing keys, going on with those at hand", "url", k.url, "err", err)
		return err
	}
	k.set.Store(&keySet{keys: keys, fetched: now})
	return nil
}

func (k *RemoteKeys) fetch(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch signing keys: %s answers %d", k.url, resp.StatusCode)
	}
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	if len(doc) > maxJWKS {
		return nil, fmt.Errorf("fetch signing keys: more than %d bytes", maxJWKS)
	}
	list, err := ParseJWKS(doc)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	// An empty set would lock everybody out for CacheTime on a slip of the issuer.
	if len(list) == 0 {
		return nil, errors.New("fetch signing keys: no Ed25519 key with alg EdDSA in the document")
	}
	keys := make(map[string]ed25519.PublicKey, len(list))
	for _, key := range list {
		keys[key.ID] = key.Key
	}
	return keys, nil
}
