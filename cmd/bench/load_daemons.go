package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
)

// loadDaemon is one daemon. Its sessions echo.
type loadDaemon struct {
	e      *ends
	id     *e2ee.Identity
	api    *api.Client
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	first  chan struct{} // closed when it is online for the first time

	mu   sync.Mutex
	up   bool   // guarded by mu
	name string // guarded by mu; as the control plane names it
	once sync.Once
}

// listed is what a client has to know of a daemon.
type listed struct {
	ID  string         `json:"id"`
	Key sbrp.PublicKey `json:"key"`
}

// grow starts daemons until there are n, and waits for each.
func (e *ends) grow(ctx context.Context, n int) error {
	from := len(e.daemons)
	if n <= from {
		return nil
	}
	e.daemons = append(e.daemons, make([]*loadDaemon, n-from)...)
	return atOnce(n-from, func(i int) error {
		d, err := e.startDaemon()
		if err != nil {
			return err
		}
		e.daemons[from+i] = d
		select {
		case <-d.first:
			return nil
		case <-d.done:
		case <-ctx.Done():
		}
		return fmt.Errorf("a daemon does not come online: %w", e.lastError())
	})
}

func (e *ends) startDaemon() (*loadDaemon, error) {
	d := &loadDaemon{e: e, id: e2ee.GenerateIdentity(), done: make(chan struct{}), first: make(chan struct{})}
	var err error
	if d.api, err = api.NewClient(api.Config{BaseURL: e.url, Key: d.id, HTTP: e.http}); err != nil {
		return nil, err
	}
	real, err := endpoint.NewDaemon(endpoint.DaemonConfig{
		Identity: d.id, Connect: d.connect, Accept: echoSession, OnState: d.state, Dial: e.dial,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go func() { // keep waits for it
		defer close(d.done)
		if err := real.Run(ctx); err != nil {
			e.count(0, err)
		}
	}()
	return d, nil
}

// connect registers, as `culvert expose` does each time that it has no good token or could not connect.
func (d *loadDaemon) connect(ctx context.Context) (endpoint.Presence, error) {
	r, err := d.api.Register(ctx, api.RegisterRequest{APIKey: d.e.key, IdentityPublicKey: d.id.PublicKey()})
	if err != nil {
		return endpoint.Presence{}, err
	}
	d.mu.Lock()
	d.name = r.DaemonID
	d.mu.Unlock()
	return endpoint.Presence{URL: r.RelayURL, Token: r.PresenceToken, DaemonID: r.DaemonID, Expires: r.PresenceExpires}, nil
}

func (d *loadDaemon) state(s endpoint.DaemonState) {
	d.mu.Lock()
	was := d.up
	d.up = s.Online
	d.mu.Unlock()
	switch {
	case s.Online && !was:
		d.e.count(1, nil)
		d.once.Do(func() { close(d.first) })
	case was && !s.Online:
		d.e.count(-1, s.Err)
	default:
		d.e.count(0, s.Err)
	}
}

// echoSession sends back what a session brings, until it ends.
func echoSession(s *endpoint.Session) {
	head, tail, longest := s.Overhead()
	buf := make([]byte, head+tail+longest) // of which short messages touch a page
	for {
		msg, err := s.Receive(buf)
		if err != nil {
			return
		}
		back := make([]byte, head+len(msg), head+len(msg)+tail)
		copy(back[head:], msg)
		if s.Send(back) != nil {
			return
		}
	}
}

// keep ends all daemons but the first n.
func (e *ends) keep(n int) {
	gone := e.daemons[min(n, len(e.daemons)):]
	for _, d := range gone {
		if d != nil {
			d.cancel()
		}
	}
	for _, d := range gone {
		if d != nil {
			<-d.done
			d.state(endpoint.DaemonState{Err: endpoint.ErrDaemonClosed})
		}
	}
	e.daemons = e.daemons[:len(e.daemons)-len(gone)]
}

// count notes that daemons went online or offline, or why one is not.
func (e *ends) count(by int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.last = err
	}
	if by != 0 {
		e.online += by
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

func (e *ends) lastError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		return context.DeadlineExceeded
	}
	return e.last
}

// await waits until match accepts how many daemons are online.
func (e *ends) await(ctx context.Context, match func(online int) bool) error {
	began := time.Now()
	for {
		e.mu.Lock()
		online, changed := e.online, e.changed
		e.mu.Unlock()
		if match(online) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d daemons are online after %v: %w", online, len(e.daemons), time.Since(began).Round(time.Second), e.lastError())
		}
	}
}

// list writes the daemons to a file, for the process with the clients.
func (e *ends) list(file string) error {
	var all []listed
	for _, d := range e.daemons {
		d.mu.Lock()
		all = append(all, listed{d.name, d.id.PublicKey()})
		d.mu.Unlock()
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
