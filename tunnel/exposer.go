package tunnel

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"culvert/mux"
)

// Grants decides who may reach what. It is asked at every stream, and must be
// quick. An error denies; one with a method Denied() string has a reason that
// may be told to the client (not_authorized, expired, target), of any other the
// client learns nothing.
type Grants interface {
	Allowed(client [32]byte, target string) error
}

// ExposerConfig says what a daemon exposes, and to whom.
type ExposerConfig struct {
	Targets *Targets // nil: none yet, see SetTargets
	Grants  Grants   // required

	// Dial opens connections to targets; nil is a net.Dialer's DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// LookupNetIP resolves host names that clients name inside network
	// targets; nil is net.DefaultResolver's.
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)

	MaxStreams  int           // per link; 0: DefaultMaxStreams
	MaxDials    int           // at once, over all links; 0: DefaultMaxDials
	DialTimeout time.Duration // 0: 10 s

	// For an audit log. Each runs in the stream's goroutine, so calls for
	// different streams run concurrently; each must return soon. nil: nobody
	// listens.
	OnOpen   func(StreamInfo)                // the target is connected
	OnClose  func(StreamInfo, End)           // after OnOpen: the connection has ended
	OnRefuse func(StreamInfo, Status, error) // a connect or check that was not ok; err is nil where the status says all
	OnCheck  func(StreamInfo, time.Duration) // a check that was ok; the time is the dial's

	Logger *slog.Logger // nil: no log
}

// Exposer is the daemon's end of streams: it brings them to targets. One
// Exposer serves all links of a daemon. All methods may be called concurrently.
type Exposer struct {
	cfg     ExposerConfig
	dialer  dialer
	log     *slog.Logger
	dials   chan struct{} // one element per dial under way
	targets atomic.Pointer[Targets]
	live    registry
}

// NewExposer checks the configuration.
func NewExposer(cfg ExposerConfig) (*Exposer, error) {
	if cfg.Grants == nil {
		return nil, errors.New("new exposer: Grants is missing")
	}
	if cfg.MaxStreams < 0 || cfg.MaxDials < 0 || cfg.DialTimeout < 0 {
		return nil, errors.New("new exposer: MaxStreams, MaxDials or DialTimeout is negative")
	}
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, DefaultMaxStreams)
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, dialTimeout)
	e := &Exposer{
		cfg:    cfg,
		dialer: dialer{dial: cfg.Dial, lookup: cfg.LookupNetIP},
		log:    cfg.Logger,
		dials:  make(chan struct{}, cmp.Or(cfg.MaxDials, DefaultMaxDials)),
	}
	if e.dialer.dial == nil {
		e.dialer.dial = new(net.Dialer).DialContext
	}
	if e.dialer.lookup == nil {
		e.dialer.lookup = net.DefaultResolver.LookupNetIP
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.targets.Store(cfg.Targets)
	return e, nil
}

// Targets returns the present set.
func (e *Exposer) Targets() *Targets { return e.targets.Load() }

// SetTargets replaces the set. Streams of targets that are gone or lead
// elsewhere now are ended; the others go on. It returns how many were ended.
func (e *Exposer) SetTargets(ts *Targets) int {
	old := e.targets.Swap(ts)
	return e.endWhere(func(info StreamInfo) bool {
		was, _ := old.Lookup(info.Target)
		is, ok := ts.Lookup(info.Target)
		return !ok || was != is
	})
}

// Allowed returns the targets that the client may reach now, in their order:
// what a WELCOME tells it.
func (e *Exposer) Allowed(client [32]byte) []Target {
	return slices.DeleteFunc(e.Targets().List(), func(t Target) bool {
		return e.cfg.Grants.Allowed(client, t.Name) != nil
	})
}

// Streams returns the connections that are there now, oldest first.
func (e *Exposer) Streams() []StreamInfo {
	ls := e.live.list()
	infos := make([]StreamInfo, 0, len(ls))
	for _, l := range ls {
		infos = append(infos, l.snapshot())
	}
	slices.SortFunc(infos, func(a, b StreamInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// Recheck asks Grants again for every live stream and ends those that are no
// longer granted. Call it when the grants have changed. It returns how many
// were ended.
func (e *Exposer) Recheck() int {
	type asked struct {
		client [32]byte
		target string
	}
	denied := make(map[asked]bool) // one question for all streams of a client to a target
	return e.endWhere(func(info StreamInfo) bool {
		k := asked{info.Client, info.Target}
		d, ok := denied[k]
		if !ok {
			d = e.cfg.Grants.Allowed(info.Client, info.Target) != nil
			denied[k] = d
		}
		return d
	})
}

// DropClient ends all streams of a client, whatever it is granted. It returns
// how many there were.
func (e *Exposer) DropClient(client [32]byte) int {
	return e.endWhere(func(info StreamInfo) bool { return info.Client == client })
}

func (e *Exposer) endWhere(which func(StreamInfo) bool) int {
	n := 0
	for _, l := range e.live.list() {
		if which(l.info) {
			l.end(EndRevoked)
			n++
		}
	}
	return n
}

// Serve accepts the streams of one client's session and serves each until it
// ends. It blocks until the session or ctx has ended and all that it started is
// gone; what is live then is reset. The result is never nil: the session's
// error, or ctx's cause.
func (e *Exposer) Serve(ctx context.Context, session *mux.Session) error {
	s := &serving{e: e, peer: session.Peer()}
	defer s.streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		stream, err := session.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		n := s.active.Add(1)
		if n > int64(e.cfg.MaxStreams+streamsAbove) {
			s.active.Add(-1)
			_ = stream.Reset() // beyond even a word
			continue
		}
		s.streams.Go(func() { s.serveStream(ctx, stream, n > int64(e.cfg.MaxStreams)) })
	}
}

// serving is one running Serve.
type serving struct {
	e       *Exposer
	peer    mux.Peer
	active  atomic.Int64
	streams sync.WaitGroup
}

// serveStream owns a stream: preface, grant, dial, answer, copy, in this order.
func (s *serving) serveStream(ctx context.Context, stream *mux.Stream, over bool) {
	defer s.active.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &live{cancel: cancel, info: StreamInfo{Client: s.peer.Key, ClientName: s.peer.Name, Since: time.Now()}}
	l.attach(stream)
	stop := context.AfterFunc(ctx, func() { l.end(EndShutdown) })
	defer stop()
	// The end of ctx at return is no shutdown: by then the stream is done.

	_ = stream.SetReadDeadline(time.Now().Add(prefaceTimeout)) // an ended stream says so on reading
	req, err := readRequest(stream)
	if err != nil {
		if ue, ok := errors.AsType[*unsupportedError](err); ok {
			s.refuse(l, stream, answer{StatusUnsupported, ue.text}, nil)
			return
		}
		s.e.log.Debug("stream ended before its preface", "client", s.peer.Name, "err", err)
		_ = stream.Reset() // nothing can be answered
		return
	}
	_ = stream.SetReadDeadline(time.Time{})
	var named bool
	l.info.Target, l.info.Address, named = splitRef(req.target)
	if over {
		s.refuse(l, stream, answer{StatusBusy, "too many connections of this client"}, nil)
		return
	}
	// Into the registry before the grant is asked: a revocation from now on
	// finds the stream.
	s.e.live.add(l)
	defer s.e.live.remove(l)
	conn, err := s.e.connect(ctx, l, named)
	if err != nil {
		de, ok := errors.AsType[*dialError](err)
		if !ok {
			de = &dialError{answer: answer{status: StatusUnreachable}, err: err}
		}
		s.refuse(l, stream, de.answer, de.err)
		return
	}
	if req.kind == KindCheck {
		s.checked(l, stream, conn)
		return
	}
	s.carry(l, stream, asDuplex(conn))
}

// connect asks the grant and dials. Errors are *dialError.
func (e *Exposer) connect(ctx context.Context, l *live, named bool) (net.Conn, error) {
	// The grant comes first: who may not reach a target does not learn whether
	// it exists.
	if err := e.cfg.Grants.Allowed(l.info.Client, l.info.Target); err != nil {
		a := answer{status: StatusDenied}
		if r, ok := errors.AsType[interface {
			error
			Denied() string
		}](err); ok {
			a.text = r.Denied()
		}
		return nil, &dialError{answer: a, err: err}
	}
	target, ok := e.Targets().Lookup(l.info.Target)
	if !ok {
		return nil, refuse(StatusUnknownTarget, "")
	}
	select {
	case e.dials <- struct{}{}:
		defer func() { <-e.dials }()
	default:
		return nil, refuse(StatusBusy, "too many dials under way at the daemon")
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.DialTimeout)
	defer cancel()
	return e.dialer.connect(ctx, target, l.info.Address, named)
}

// carry answers ok and copies until both directions have ended.
func (s *serving) carry(l *live, stream *mux.Stream, conn duplex) {
	if !l.attach(conn) {
		return // ended while it was dialled
	}
	if s.e.cfg.OnOpen != nil {
		s.e.cfg.OnOpen(l.snapshot())
	}
	_, err := stream.Write(appendAnswer(nil, answer{status: StatusOK}))
	if err != nil {
		_ = conn.Reset()
		_ = stream.Reset()
		err = &SideError{First: true, Err: err}
	} else {
		err = pipe(stream, conn, &l.in, &l.out)
	}
	end := EndDone
	if se, ok := errors.AsType[*SideError](err); ok {
		end = EndTargetReset
		if se.First {
			end = EndClientReset
		}
	}
	end = cmp.Or(l.why(), end)
	s.e.log.Debug("connection ended", "client", s.peer.Name, "target", l.info.Target, "end", string(end), "err", err)
	if s.e.cfg.OnClose != nil {
		s.e.cfg.OnClose(l.snapshot(), end)
	}
}

// checked closes the connection that a check has made and answers.
func (s *serving) checked(l *live, stream *mux.Stream, conn net.Conn) {
	rtt := time.Since(l.info.Since)
	_ = conn.Close() // it was opened to see that it opens
	if s.e.cfg.OnCheck != nil {
		s.e.cfg.OnCheck(l.snapshot(), rtt)
	}
	s.finish(stream, answer{status: StatusOK})
}

// refuse answers a request that is not ok.
func (s *serving) refuse(l *live, stream *mux.Stream, a answer, err error) {
	s.e.log.Debug("stream refused", "client", s.peer.Name, "target", l.info.Target, "status", a.status.String(), "err", err)
	if s.e.cfg.OnRefuse != nil {
		s.e.cfg.OnRefuse(l.snapshot(), a.status, err)
	}
	s.finish(stream, a)
}

// finish sends an answer after which nothing comes, and waits until the client
// has taken note: a reset could overtake the answer. What the client had sent
// is thrown away.
func (s *serving) finish(stream *mux.Stream, a answer) {
	deadline := time.Now().Add(refusalLinger)
	_ = stream.SetDeadline(deadline) // an ended stream says so on writing
	_, err := stream.Write(appendAnswer(nil, a))
	if err == nil {
		err = stream.CloseWrite()
	}
	for buf := make([]byte, 4<<10); err == nil; {
		_, err = stream.Read(buf)
	}
	_ = stream.Reset() // ended already, unless the client did not close in time
}
