package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
)

// loadSession is one session at the client's end.
type loadSession struct {
	s    *endpoint.Session
	back chan struct{} // one for each message that comes back; one slot
	done chan struct{} // closed when its reader has ended
}

// opened is how the sessions came to be.
type opened struct {
	Seconds float64 `json:"seconds"` // for all of them
	P50     float64 `json:"p50_ms"`  // from the request for a token to the verified handshake
	P99     float64 `json:"p99_ms"`
}

// open opens n sessions, to the daemons in file in turn, each with a token of its own.
func (e *ends) open(ctx context.Context, n int, file string) (opened, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return opened{}, err
	}
	var daemons []listed
	if err := json.Unmarshal(b, &daemons); err != nil {
		return opened{}, err
	}
	if n == 0 || len(daemons) == 0 {
		return opened{}, errors.New("no sessions, or no daemons to have them with")
	}
	device := e2ee.GenerateIdentity()
	control, err := api.NewClient(api.Config{BaseURL: e.url, Key: device, HTTP: e.http})
	if err != nil {
		return opened{}, err
	}
	if _, err := control.Enroll(ctx, api.EnrollRequest{APIKey: e.key, Name: "load"}); err != nil {
		return opened{}, err
	}
	var mu sync.Mutex // guards took and e.sessions
	var took []time.Duration
	began := time.Now()
	err = atOnce(n, func(i int) error {
		start := time.Now()
		s, err := e.openOne(ctx, control, daemons[i%len(daemons)])
		if err != nil {
			return fmt.Errorf("session %d: %w", i+1, err)
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(start))
		e.sessions = append(e.sessions, s)
		return nil
	})
	if err != nil {
		return opened{}, err
	}
	all := time.Since(began)
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return opened{Seconds: all.Seconds(), P50: ms(quantile(took, 0.5)), P99: ms(quantile(took, 0.99))}, nil
}

func (e *ends) openOne(ctx context.Context, control *api.Client, d listed) (*loadSession, error) {
	r, err := control.CreateSession(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	s, err := endpoint.DialSession(ctx, endpoint.ClientConfig{URL: r.RelayURL, Token: r.Token, DaemonID: r.DaemonID, Expected: d.Key, Dial: e.dial})
	if err != nil {
		return nil, err
	}
	l := &loadSession{s: s, back: make(chan struct{}, 1), done: make(chan struct{})}
	go l.read() // end waits for it
	return l, nil
}

// read receives until the session ends: a client's pings are seen only while somebody does.
func (l *loadSession) read() {
	defer close(l.done)
	head, tail, longest := l.s.Overhead()
	buf := make([]byte, head+tail+longest) // of which short messages touch a page
	for {
		if _, err := l.s.Receive(buf); err != nil {
			return
		}
		select {
		case l.back <- struct{}{}:
		default:
		}
	}
}

// check sends a message through each session and waits until it is back.
func (e *ends) check(ctx context.Context) error {
	return atOnce(len(e.sessions), func(i int) error {
		l := e.sessions[i]
		head, tail, _ := l.s.Overhead()
		msg := make([]byte, head+1, head+1+tail)
		if err := l.s.Send(msg); err != nil {
			return fmt.Errorf("an idle session does not work any more: %w", err)
		}
		select {
		case <-l.back:
			return nil
		case <-l.done:
			return fmt.Errorf("an idle session has ended: %w", l.s.Err())
		case <-ctx.Done():
			return fmt.Errorf("an idle session brings nothing back: %w", context.Cause(ctx))
		}
	})
}

// end ends the sessions.
func (e *ends) end() {
	_ = atOnce(len(e.sessions), func(i int) error {
		_ = e.sessions[i].s.Close("shutdown") // its error is always nil
		<-e.sessions[i].done
		return nil
	})
	e.sessions = nil
}
