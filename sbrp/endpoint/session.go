package endpoint

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// Room that Send needs around a message: frame header and nonce in front, the
// tag behind.
const (
	headRoom = sbrp.HeaderSize + sbrp.NonceSize
	tailRoom = sbrp.TagSize
)

// errQuit is write's answer when the waiting was given up.
var errQuit = errors.New("gave up waiting to write")

// Session is one SBRP session at either end: at the client it is also the
// WebSocket, at the daemon one of many on it. It comes from [DialSession] or
// through DaemonConfig.Accept, and must be closed.
//
// Send may be called concurrently, Receive by one goroutine at a time, all
// other methods by anyone at any time.
type Session struct {
	// Immutable.
	id    sbrp.SessionID
	role  sbrp.Role
	log   *slog.Logger
	keys  *e2ee.Session
	table map[transition]State
	dm    *Daemon // daemon's sessions only
	born  time.Time
	done  chan struct{} // closed when the session is over

	// sending is the lock of Send, a channel of one slot because it is held
	// over I/O: sequence order is the order on the wire.
	sending chan struct{}

	// sealMu and openMu guard the two directions of keys against Wipe and Check;
	// they are held for computing only.
	sealMu sync.Mutex
	openMu sync.Mutex
	wiped  bool // guarded by both: read under one, written under both

	mu       sync.Mutex
	state    State         // guarded by mu
	link     *uplink       // guarded by mu; the WebSocket while the path is up at the daemon, for ever at the client
	up       bool          // guarded by mu; what Path says
	resumes  uint32        // guarded by mu
	changed  chan struct{} // guarded by mu; closed and replaced when the path changes
	err      error         // guarded by mu; set before done is closed
	since    time.Time     // guarded by mu; client: paused since. Zero: it is not
	deadline time.Time     // guarded by mu; daemon: drop it then, unless confirmed. Zero: none

	maxPaused time.Duration // client; immutable
	queue     *queue        // daemon: frames that wait for Receive; immutable
	scratch   []byte        // client: owned by Receive
	unsure    atomic.Bool   // daemon: no sign yet that the relay still has the session

	stats sessionStats
}

// newSession returns a session in the given state. keys is nil at a client that
// is still shaking hands.
func newSession(id sbrp.SessionID, role sbrp.Role, log *slog.Logger) *Session {
	s := &Session{
		id:      id,
		role:    role,
		log:     log,
		table:   clientTable,
		born:    time.Now(),
		done:    make(chan struct{}),
		sending: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	if role == sbrp.RoleDaemon {
		s.table = daemonTable
		s.queue = newQueue()
	}
	return s
}

// ID returns the session's id, which the relay knows it by.
func (s *Session) ID() sbrp.SessionID { return s.id }

// Role tells which end this is: sbrp.RoleClient or sbrp.RoleDaemon.
func (s *Session) Role() sbrp.Role { return s.role }

// DaemonKey returns the daemon's identity key: at the client the one that was
// verified, at the daemon its own.
func (s *Session) DaemonKey() sbrp.PublicKey { return s.keys.DaemonKey }

// Transcript returns the handshake's transcript hash, the same at both ends and
// in no other session.
func (s *Session) Transcript() [32]byte { return s.keys.Transcript }

// Overhead returns the bytes that Send needs in front of and behind a message
// in its buffer, and the longest message.
func (s *Session) Overhead() (head, tail, max int) {
	return headRoom, tailRoom, sbrp.MaxPlaintext
}

// State returns where the session stands now.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Path tells whether messages may pass now, how often this session has come
// back after a pause, and gives a channel that is closed at the next change of
// either. It rests on the relay's word: a hint, never proof. The end of the
// session is no change of it, though the channel is closed then too: Receive
// says why, and a path that is called down would hide it.
func (s *Session) Path() (up bool, resumes uint32, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up, s.resumes, s.changed
}

// Done returns a channel that is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session is over, nil while it is not. It is a
// net.ErrClosed if this side ended it, holds an *sbrp.ControlError if the relay
// said why, and an *sbrp.Error if this side found fault.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Probe asks the relay for a sign of life at once, because something makes the
// path doubtful (the network changed, the machine woke). If there is none
// within seconds the WebSocket is given up.
func (s *Session) Probe() {
	s.mu.Lock()
	u := s.link
	s.mu.Unlock()
	if u != nil {
		u.probe()
	}
}

// step makes one transition; ok is false when the table has none, which changes
// nothing. With an end comes err, which then is the session's. first reports
// that this call ended the session.
func (s *Session) step(on event, err error, then func()) (ok, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, ok := s.table[transition{s.state, on}]
	if !ok {
		return false, false
	}
	was := s.state
	s.state = next
	if then != nil {
		then()
	}
	if next == Closed || (s.role == sbrp.RoleClient && next == Reconnecting) {
		s.err = err
		close(s.done)
		first = true
	}
	if !first {
		s.up = next == Active
	}
	if (was == Active) != (next == Active) || first {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return true, first
}

// finish ends the session for the reason err. Only the first call counts; the
// others return false.
func (s *Session) finish(on event, err error) bool {
	_, first := s.step(on, err, nil)
	return first
}

// seal turns buf, whose message begins at headRoom, into a frame in place.
func (s *Session) seal(buf []byte) ([]byte, error) {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	if s.wiped {
		return nil, &ClosedError{}
	}
	frame, err := s.keys.Sealer.Seal(buf[:sbrp.HeaderSize], buf[headRoom:])
	if err != nil {
		return nil, err
	}
	sbrp.PutHeader(frame, sbrp.FrameData, s.id, len(frame)-sbrp.HeaderSize)
	return frame, nil
}

// open opens a sealed payload into dst. drop means that the frame is to be
// forgotten (a replay); any other error has ended the session.
func (s *Session) open(dst, sealed []byte) (plain []byte, drop bool, err error) {
	s.openMu.Lock()
	if s.wiped {
		s.openMu.Unlock()
		return nil, false, s.closedErr()
	}
	plain, err = s.keys.Opener.Open(dst, sealed)
	s.openMu.Unlock()
	switch {
	case err == nil:
		s.stats.received(len(plain))
		if s.unsure.Load() {
			s.confirm()
		}
		return plain, false, nil
	case errors.Is(err, &sbrp.Error{Code: sbrp.CodeSequenceError}):
		s.stats.replayed.Add(1)
		return nil, true, nil
	default:
		s.stats.forged.Add(1)
		s.endWith(evForged, err, sbrp.ReasonError)
		return nil, false, s.closedErr()
	}
}

// check is the state check of section 6, before Signal(ready).
func (s *Session) check() error {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if s.wiped {
		return errors.New("check session: its keys are gone")
	}
	return s.keys.Check()
}

// wipe drops the traffic keys, best effort (see package e2ee).
func (s *Session) wipe() {
	s.sealMu.Lock()
	defer s.sealMu.Unlock()
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if s.wiped || s.keys == nil {
		return
	}
	s.wiped = true
	s.keys.Wipe()
}

// closedErr is the error of a session that is over.
func (s *Session) closedErr() error {
	if err := s.Err(); err != nil {
		return err
	}
	return &ClosedError{} // wiped before it was over: does not happen, but must not be nil
}
