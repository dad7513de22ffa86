package tunnel

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
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
	// measures has one element per measuring stream.
	measures chan struct{}
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

		measures: make(chan struct{}, maxMeasures),
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
		if info.Measure != "" {
			return false
		}
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
		switch {
		case ok:
		case info.Measure != "":
			d = len(e.Allowed(info.Client)) == 0
			denied[k] = d // no target is called ""
		default:
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
