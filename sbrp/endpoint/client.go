package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/wsconn"
)

// ClientConfig says what DialSession dials.
type ClientConfig struct {
	URL      string // of the relay: ws, wss, http or https
	Token    string // session token; never logged
	DaemonID string // as the control plane names the daemon; part of the handshake

	// SessionID is the token's sid. Zero means: read it from the token.
	SessionID sbrp.SessionID
	// Expected is the daemon's identity key: the pin or, on first contact, the
	// key that the control plane gave. Zero is refused.
	Expected sbrp.PublicKey
	// Dial is how to reach the relay. Its Token is ignored.
	Dial wsconn.DialOptions
	// DialWire opens the WebSocket; nil means wsconn.Dial.
	DialWire DialFunc

	HandshakeTimeout time.Duration // from WebSocket open; zero means 30 s
	PingInterval     time.Duration // zero means 15 s
	DeadAfter        time.Duration // of silence; zero means 30 s
	// MaxPaused bounds how long the session may be paused before it is given up.
	// Zero means the default grace of a relay and 30 s.
	MaxPaused time.Duration

	Logger *slog.Logger // nil means no log
}

// withDefaults returns a copy of c with its zero fields filled, or an error
// that names a field that is wrong.
func (c ClientConfig) withDefaults() (ClientConfig, error) {
	if c.URL == "" {
		return c, errors.New("dial session: URL is empty")
	}
	if c.Token == "" {
		return c, errors.New("dial session: Token is empty")
	}
	if err := sbrp.CheckDaemonID(c.DaemonID); err != nil {
		return c, fmt.Errorf("dial session: DaemonID: %w", err)
	}
	if c.Expected.IsZero() {
		return c, errors.New("dial session: Expected is zero: the daemon's identity key must be known before")
	}
	if c.HandshakeTimeout < 0 || c.PingInterval < 0 || c.DeadAfter < 0 || c.MaxPaused < 0 {
		return c, errors.New("dial session: HandshakeTimeout, PingInterval, DeadAfter and MaxPaused must not be negative")
	}
	if c.SessionID == 0 {
		id, err := sessionIDOf(c.Token)
		if err != nil {
			return c, fmt.Errorf("dial session: %w", err)
		}
		c.SessionID = id
	}
	if c.DialWire == nil {
		c.DialWire = dialWebSocket
	}
	c.HandshakeTimeout = nonZero(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.PingInterval = nonZero(c.PingInterval, DefaultPingInterval)
	c.DeadAfter = nonZero(c.DeadAfter, DefaultDeadAfter)
	c.MaxPaused = nonZero(c.MaxPaused, DefaultGrace+pausedMargin)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// liveness returns the rules for this configuration.
func (c ClientConfig) liveness() liveness {
	return liveness{pingInterval: c.PingInterval, deadAfter: c.DeadAfter, stallAfter: stallAfter, stallGrace: stallGrace}
}

// DialSession opens a WebSocket to the relay, shakes hands with the daemon and
// returns the session once the daemon's identity is verified (sections 3, 6).
// It blocks until then, until ctx ends or until the handshake timeout.
//
// The errors are: *wsconn.DialError when there was no WebSocket (its Code holds
// what the relay said: unauthorized, forbidden, daemon_offline …);
// *sbrp.ControlError when the relay refused afterwards (daemon_offline …);
// *e2ee.IdentityChangedError and *sbrp.Error handshake_failed when the daemon is
// not the expected one, which trying again does not heal (see Final);
// *sbrp.Error handshake_timeout, which is an os.ErrDeadlineExceeded.
// Everything else but ctx's error is worth another try with a new token.
func DialSession(ctx context.Context, config ClientConfig) (*Session, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := newSession(c.SessionID, sbrp.RoleClient, c.Logger)
	s.maxPaused = c.MaxPaused
	s.step(evDial, nil, nil)

	o := c.Dial
	o.Token = c.Token
	w, err := c.DialWire(ctx, c.URL, o)
	if err != nil {
		s.finish(evLost, err)
		return nil, fmt.Errorf("connect to relay: %w", err)
	}
	s.step(evOpen, nil, nil)
	u := newUplink(w, c.liveness(), 1, c.Logger)
	keys, err := s.shake(ctx, c, u)
	if err != nil {
		u.fail(err)
		s.finish(outcome(err), err)
		return nil, err
	}
	s.keys, s.link = keys, u
	u.onLost, u.extra = s.lost, s.watchPause
	s.step(evAccepted, nil, nil)
	u.start()
	return s, nil
}

// outcome is the event that a failed handshake is.
func outcome(err error) event {
	code, _ := sbrp.CodeOf(err)
	switch code {
	case sbrp.CodeIdentityKeyChanged, sbrp.CodeHandshakeFailed:
		return evDistrusted
	case sbrp.CodeHandshakeTimeout:
		return evTimeout
	default:
		return evLost
	}
}

// Final reports whether err, from DialSession, says that the daemon is not who
// it should be. Section 6 closes the client then: it goes on only after a
// person has said so.
func Final(err error) bool { return outcome(err) == evDistrusted }

// shake is the client's handshake on an open WebSocket. Its caller closes the
// WebSocket after an error.
func (s *Session) shake(ctx context.Context, c ClientConfig, u *uplink) (*e2ee.Session, error) {
	hctx, cancel := context.WithTimeout(ctx, c.HandshakeTimeout)
	defer cancel()
	// Reading and writing have no context: the end of it closes the WebSocket.
	stop := context.AfterFunc(hctx, u.wire.CloseNow)
	keys, err := s.exchange(c, u)
	if !stop() {
		// The WebSocket is being closed: whatever came is of no use.
		if keys != nil {
			keys.Wipe()
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("shake hands with the daemon: %w", context.Cause(ctx))
		}
		timeout := &sbrp.Error{Code: sbrp.CodeHandshakeTimeout, SessionID: s.id, Detail: fmt.Sprintf("no answer of the daemon within %v", c.HandshakeTimeout)}
		return nil, fmt.Errorf("shake hands with the daemon: %w (%w)", timeout, os.ErrDeadlineExceeded)
	}
	if err != nil {
		return nil, fmt.Errorf("shake hands with the daemon: %w", err)
	}
	return keys, nil
}

// exchange sends HandshakeInit and reads until HandshakeAccept.
func (s *Session) exchange(c ClientConfig, u *uplink) (*e2ee.Session, error) {
	i := e2ee.NewInitiator(c.DaemonID, c.Expected)
	defer i.Wipe()
	// client -> daemon: HandshakeInit(clientEph)
	init := i.Init()
	// A relay that has closed already may have said why: read it before the error
	// of this write counts.
	unwritten := u.wire.Write(sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, s.id, init[:]))
	read := newBuffer(readBuffer)
	defer read.release()
	for {
		n, err := u.wire.Read(read.b)
		if err != nil {
			return nil, cmp.Or(unwritten, unframed(err))
		}
		f, err := sbrp.ParseEndpointFrame(read.b[:n])
		if err != nil {
			return nil, err
		}
		switch f.Type {
		case sbrp.FrameHandshakeAccept:
			if f.SessionID != s.id {
				s.stats.misdirected.Add(1)
				continue
			}
			// daemon -> client: HandshakeAccept([daemonIdentity] daemonEph signature);
			// verify against Expected, then derive keys
			return i.Finish(f.Payload)
		case sbrp.FrameControl:
			if err := s.earlyControl(f); err != nil {
				return nil, err
			}
		case sbrp.FramePing:
			// The specification keeps a relay from this; a relay that does it gets its
			// answer. The WebSocket is fresh: this does not block.
			if err := u.wire.Write(sbrp.AppendPong(nil, f.Payload)); err != nil {
				return nil, err
			}
		default:
			s.stats.misdirected.Add(1)
		}
	}
}

// earlyControl deals with a Control frame before HandshakeAccept: a code that
// ends the connection is the error; the others have no meaning yet.
func (s *Session) earlyControl(f sbrp.Frame) error {
	code, text, err := sbrp.ParseControl(f.Payload)
	switch {
	case err != nil || !code.Known():
		s.ignoreControl(code)
	case f.SessionID != 0 && f.SessionID != s.id:
		s.stats.misdirected.Add(1)
	case code.Terminal() || code == sbrp.CodeSessionEnded:
		return &sbrp.ControlError{Code: code, SessionID: f.SessionID, Text: text}
	default:
		s.stats.staleHints.Add(1)
	}
	return nil
}
