package mux

import (
	"context"
	"fmt"
	"time"
)

// handshake takes HELLO from a carrier, asks Admit, answers, and attaches the carrier to its link.
func (s *Server) handshake(ctx context.Context, carrier Carrier) (*link, *attachment, error) {
	if err := checkCarrier(carrier); err != nil {
		return nil, nil, err
	}
	guard := startGuard(ctx, s.life, carrier)
	defer guard.stop()

	hello, err := receiveHello(carrier, s.verify)
	var adm Admission
	if err == nil {
		adm, err = s.admit(ctx, hello)
	}
	if err != nil {
		if r, ok := asRefused(err); ok {
			s.refuse(carrier, r)
		}
		return nil, nil, guard.explain(err)
	}
	l, att, err := s.welcome(carrier, hello, adm, guard)
	if r, ok := asRefused(err); ok {
		s.refuse(carrier, r)
	}
	if err != nil {
		return nil, nil, guard.explain(err)
	}
	return l, att, nil
}

// receiveHello takes the first message, which has to be HELLO.
func receiveHello(carrier Carrier, verify verifier) (Hello, error) {
	msg, m, err := receiveMessage(carrier)
	if err != nil {
		return Hello{}, fmt.Errorf("wait for HELLO: %w", err)
	}
	defer m.put()
	r, _, err := parseRecord(msg)
	if err == nil && r.typ != recHello {
		err = protocolError("record 0x%02x in the place of HELLO", r.typ)
	}
	if err != nil {
		return Hello{}, fmt.Errorf("wait for HELLO: %w", err)
	}
	return parseHello(r.data, carrier.Transcript(), verify)
}

// admit asks Admit, in the handshake's time. A client that is finally refused loses the link that it named, too.
func (s *Server) admit(ctx context.Context, h Hello) (Admission, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	adm, err := s.cfg.Admit(ctx, h)
	if err == nil {
		return adm, nil
	}
	r, ok := asRefused(err)
	if !ok {
		s.limits.log.Warn("cannot decide on a client", "error", err)
		return Admission{}, &RefusedError{Code: RefuseBusy, Text: "the daemon cannot decide now"}
	}
	if r.Code.permanent() {
		if l := s.find(h); l != nil {
			l.end(&LinkError{Code: CodeRevoked, Text: r.Text}, true)
		}
	}
	return Admission{}, r
}

// find gives the link that a HELLO names, if it is of the same client: to all others it is unknown.
func (s *Server) find(h Hello) *serverLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.links[h.LinkID]; l != nil && l.peer.Key == h.Key {
		return l
	}
	return nil
}

// refuse tells a client that it is not admitted, and leaves it a moment to take that before the carrier closes.
func (s *Server) refuse(carrier Carrier, e *RefusedError) {
	err := sendRecord(carrier, func(b []byte) ([]byte, error) { return appendRefuse(b, e), nil })
	if err != nil {
		return // it will not hear why
	}
	timer := time.AfterFunc(closeBlocked, func() { _ = carrier.Close("refused") }) // ends the wait below
	defer timer.Stop()
	for range maxStray {
		_, m, err := receiveMessage(carrier)
		if err != nil {
			return
		}
		m.put()
	}
}

// welcome answers WELCOME and attaches the carrier: to the link named in HELLO if it is there, of the same client, and
// can go on where the client says; else to a new one. guard is stopped once WELCOME is out.
func (s *Server) welcome(carrier Carrier, h Hello, adm Admission, guard *guard) (*link, *attachment, error) {
	w := Welcome{Version: protocolVersion, Program: s.cfg.Program, Targets: adm.Targets, Pairing: adm.PairingProof}
	l, attempt, err := s.resume(h, &w)
	if err != nil {
		return nil, nil, err
	}
	var session *Session
	if l == nil {
		if l, session, err = s.create(h, adm, &w); err != nil {
			return nil, nil, err
		}
		attempt = 0
	} else {
		defer l.fallBack()
	}
	w.LinkID, w.HoldTime = l.id, l.hold
	_, _, size := carrier.Overhead()
	err = sendRecord(carrier, func(b []byte) ([]byte, error) {
		b, left, err := appendWelcome(b, w, size)
		if left > 0 {
			s.limits.log.Warn("too many targets to tell the client all", "left_out", left)
		}
		return b, err
	})
	if err != nil {
		err = fmt.Errorf("send WELCOME: %w", err)
		if session != nil {
			l.end(&LinkError{Code: CodeNormal, Text: "never begun"}, false)
		}
		return nil, nil, err
	}
	guard.stop() // from here on the carrier is the link's, whose end has to be told on it
	limit := h.Limit
	if !w.Resumed && !h.LinkID.IsZero() {
		limit = 0 // clients have told the lost link's here; the first ACK tells that of the new one
	}
	att, err := l.attach(attempt, carrier, h.Received*boolUint(w.Resumed), limit)
	if err != nil {
		return nil, nil, err
	}
	return l, att, nil
}

func boolUint(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// resume finds the link that HELLO names and makes way for its new carrier; nil when it cannot be resumed. It fills in
// what WELCOME says of it.
func (s *Server) resume(h Hello, w *Welcome) (*link, uint64, error) {
	if h.LinkID.IsZero() {
		return nil, 0, nil
	}
	l := s.find(h)
	if l == nil {
		return nil, 0, nil
	}
	s.mu.Lock()
	stale := h.Attempt <= l.hello
	l.hello = max(l.hello, h.Attempt)
	s.mu.Unlock()
	if stale {
		return nil, 0, &RefusedError{Code: RefuseStale, Text: "a later attempt has been served already"}
	}
	attempt, received, limit, err := l.begin()
	if err != nil {
		return nil, 0, nil //nolint:nilerr // it has ended meanwhile: unknown, as any other
	}
	if err := l.accepts(h.Received); err != nil {
		l.end(&LinkError{Code: CodeProtocol, Text: err.Error()}, false)
		return nil, 0, nil
	}
	w.Resumed, w.Received, w.Limit = true, received, limit
	return l.link, attempt, nil
}

// create makes a new link for a client and starts what it runs.
func (s *Server) create(h Hello, adm Admission, w *Welcome) (*link, *Session, error) {
	name := adm.Name
	if name == "" {
		name = h.Name
	}
	s.mu.Lock()
	limits := s.limits
	s.mu.Unlock()
	l := newLink(limits.link(newLinkID(), Peer{Key: h.Key, Name: name, Program: h.Program}, h.HoldTime, &s.events))
	l.doubtful = true // WELCOME may be lost
	w.Limit = l.limitSent
	ctx, cancel := context.WithCancelCause(s.life)
	l.onEnd = func() {
		s.mu.Lock()
		delete(s.links, l.id)
		s.mu.Unlock()
		cancel(l.err())
	}
	if err := s.enter(&serverLink{link: l, hello: h.Attempt}); err != nil {
		cancel(err)
		return nil, nil, err
	}
	session, err := s.start(l, false, s.limits.streamWindow)
	if err != nil {
		l.end(&LinkError{Code: CodeInternal, Text: err.Error()}, false)
		s.work.Done()
		return nil, nil, err
	}
	s.work.Go(l.pump)
	go s.handle(ctx, session) // waited for by work, which enter has added it to
	return l, session, nil
}

// handle runs Handle for one link and ends the link with it.
func (s *Server) handle(ctx context.Context, session *Session) {
	defer s.work.Done()
	s.cfg.Handle(ctx, session)
	session.l.finish(&LinkError{Code: CodeNormal, Text: "the daemon has no more use for it"})
	session.stop()
}

// enter puts a new link in the list, if there is room: one client may have some, all together more. A client's link that
// has been held for longest goes for a new one of the same client.
func (s *Server) enter(l *serverLink) error {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return errServerClosed
		}
		own, oldest := s.ofKey(l.peer.Key)
		if own < maxLinksPerKey && len(s.links) < s.cfg.MaxLinks {
			s.links[l.id] = l
			s.work.Add(1)
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		if oldest == nil {
			return &RefusedError{Code: RefuseBusy, Text: "too many links: close one, or try again later"}
		}
		oldest.end(&LinkError{Code: CodeBudget, Text: "held for longest of too many links"}, false)
	}
}

// ofKey counts a client's links and finds the one held for longest, if any is held. mu is held.
func (s *Server) ofKey(key [32]byte) (n int, oldest *serverLink) {
	var since time.Time
	for _, l := range s.links {
		if l.peer.Key != key {
			continue
		}
		n++
		if st := l.status(); st.State != StateLive && (oldest == nil || st.Since.Before(since)) {
			oldest, since = l, st.Since
		}
	}
	return n, oldest
}
