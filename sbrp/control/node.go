package control

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a node.
const (
	// DefaultLease is how long a node is believed to live after its last beat: four beats
	// may be late or lost. What waits for it is little: daemons that cannot reach a node
	// say so.
	DefaultLease = 10 * time.Second
	beats        = 5   // in a lease
	settled      = 3   // leases in which no node came or went: then daemons are moved home
	reconciling  = 15  // beats between two comparisons of what the store says with what is
	buried       = 6   // leases after which a dead node is forgotten
	moveShare    = 100 // at most such a part of the daemons (1 %), or
	moveLeast    = 10  // so many, are moved home at a beat: each has to shake hands again
	// moveAgain keeps a daemon that comes back from being moved over and over: it may know
	// why, as one that cannot reach its home, or not know how to ask.
	moveAgain = time.Hour
	// storeTimeout bounds one round of talking to the store; the next beat tries again.
	storeTimeout = 5 * time.Second
	// pausedPoll is how often the store is asked whether a daemon that has gone with
	// sessions left is at another node; they wait for that.
	pausedPoll = 500 * time.Millisecond
)

// Relay is what a node asks of its relay, and tells it. Its methods do not block and may
// be called concurrently.
type Relay interface {
	Online(daemonID string) bool // it is connected
	Holds(daemonID string) bool  // there are sessions with it
	Daemons() []string           // those that are connected
	Move(daemonID string) bool   // its place is elsewhere: end what there is of it
}

// NodeConfig configures a [Node].
type NodeConfig struct {
	Store  *Store        // required; the caller closes it, after Run has returned
	URL    string        // required: WebSocket URL of this node's relay, under which it alone is reached
	Lease  time.Duration // zero: DefaultLease
	Logger *slog.Logger  // nil: silent
}

// Node is one of several relays that share a store: it renews its lease, tells the store
// which daemons are connected here, and sends those elsewhere whose place is there. While
// the store is away it remembers what to tell. Changed and Drain may be called at any
// time by anyone, Run once.
type Node struct {
	store *Store
	log   *slog.Logger
	lease time.Duration
	self  node // but for draining, which beats read from below
	drain atomic.Bool

	mu      sync.Mutex
	changed map[string]struct{} // guarded by mu: daemons of which the store has to be told
	wake    chan struct{}       // one slot

	// Owned by Run.
	relay   Relay
	joined  bool
	away    bool                 // the store was, at the last try
	live    string               // the nodes that live, as they were last
	since   time.Time            // when that changed
	left    map[string]struct{}  // gone with sessions left: they may be elsewhere
	moved   map[string]time.Time // when daemons were told to go home
	rounds  int
	retired bool // another process has our URL
}

// NewNode makes a node. Nothing is read or started yet.
func NewNode(cfg NodeConfig) (*Node, error) {
	if cfg.Store == nil || cfg.URL == "" {
		return nil, errors.New("make node: Store and URL are needed")
	}
	if cfg.Lease < 0 {
		return nil, errors.New("make node: Lease is negative")
	}
	return &Node{
		store: cfg.Store, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		lease: cmp.Or(cfg.Lease, DefaultLease), self: node{id: "nod_" + randomText(20), url: cfg.URL},
		changed: map[string]struct{}{}, wake: make(chan struct{}, 1),
		left: map[string]struct{}{}, moved: map[string]time.Time{},
	}, nil
}

// Join makes the node known, so that daemons are sent to it: before its relay is reached
// they would come in vain. Run does it too, should the store forget the node.
func (n *Node) Join(ctx context.Context) error { return n.store.join(ctx, n.own(), n.lease) }

// Changed notes that a daemon has come or gone. It does not block.
func (n *Node) Changed(daemonID string) {
	n.mu.Lock()
	n.changed[daemonID] = struct{}{}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Drain makes the store send daemons elsewhere from now on. It blocks until the store has
// heard of it, or ctx ends.
func (n *Node) Drain(ctx context.Context) error {
	n.drain.Store(true)
	_, _, err := n.store.beat(ctx, n.own(), n.lease)
	return err
}

func (n *Node) own() node {
	self := n.self
	self.draining = n.drain.Load()
	return self
}

// Run keeps the node and the store in step until ctx ends; then it makes the store forget
// the node and returns nil. Trouble with the store is logged and tried again.
func (n *Node) Run(ctx context.Context, relay Relay) error {
	n.relay = relay
	tick := time.NewTicker(n.lease / beats)
	defer tick.Stop()
	poll := time.NewTicker(pausedPoll)
	defer poll.Stop()
	n.round(ctx, n.beat)
	for {
		select {
		case <-tick.C:
			n.round(ctx, n.beat)
		case <-n.wake:
			if !n.away { // else the next beat tries
				n.round(ctx, n.tell)
			}
		case <-poll.C:
			if len(n.left) > 0 && !n.away {
				n.round(ctx, n.follow)
			}
		case <-ctx.Done():
			// Detached: the context that would bound it has just ended.
			lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			defer cancel()
			if err := n.store.leave(lctx, n.self.id); err != nil {
				n.log.Warn("cannot take leave of the other nodes; they will notice", "err", err)
			}
			return nil
		}
	}
}

// round does something with the store in bounded time, and logs when that begins or ends
// to fail.
func (n *Node) round(ctx context.Context, what func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := what(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return // Run ends
	case err != nil && !n.away:
		n.log.Warn("the store is away; connections go on", "err", err)
	case err == nil && n.away:
		n.log.Info("the store is back")
	}
	n.away = err != nil
}

// beat renews the lease, joining if need be, and does what is done from time to time.
func (n *Node) beat(ctx context.Context) error {
	if n.retired {
		return nil
	}
	known, replaced, err := n.store.beat(ctx, n.own(), n.lease)
	switch {
	case err != nil:
		return err
	case replaced && n.joined:
		n.retired = true
		n.log.Error("another process has taken this node's URL: daemons are sent there; give each node a --node-url of its own", "url", n.self.url)
		return nil
	case !known:
		if err := n.Join(ctx); err != nil {
			return err
		}
	}
	n.joined = true
	if err := n.tell(ctx); err != nil {
		return err
	}
	n.rounds++
	if n.rounds%reconciling == 1 {
		if err := n.reconcile(ctx); err != nil {
			return err
		}
	}
	return n.moveHome(ctx)
}
