package control

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// places knows the relay of each daemon.
type places interface {
	// home is the URL of the relay to which a daemon is to connect; not one of those that
	// it says it cannot reach, if there are others.
	home(ctx context.Context, daemonID string, unreachable []string) (string, error)
	// find is the URL of the relay where clients find a daemon.
	find(ctx context.Context, daemonID string) (string, error)
	// online returns those of the daemons that are connected.
	online(ctx context.Context, ids []string) ([]string, error)
}

// onePlace is the only relay, in the same process.
type onePlace struct {
	url       func() string
	connected func(daemonID string) bool
}

func (p onePlace) home(context.Context, string, []string) (string, error) { return p.url(), nil }
func (p onePlace) find(context.Context, string) (string, error)           { return p.url(), nil }

func (p onePlace) online(_ context.Context, ids []string) (yes []string, err error) {
	for _, id := range ids {
		if p.connected(id) {
			yes = append(yes, id)
		}
	}
	return yes, nil
}

// home is the daemon's place by rendezvous hashing: when a node comes or goes, only the
// daemons that it gets or had change theirs.
func (n *Node) home(ctx context.Context, daemonID string, unreachable []string) (string, error) {
	live, err := n.store.liveNodes(ctx)
	if err != nil {
		return "", err
	}
	// With none that fits, one that fits less: the caller's view may be wrong.
	for _, fits := range []func(node) bool{
		func(m node) bool { return !m.draining && !slices.Contains(unreachable, m.url) },
		func(m node) bool { return !m.draining },
		func(node) bool { return true },
	} {
		if m, ok := rendezvous(live, daemonID, fits); ok {
			return m.url, nil
		}
	}
	return n.self.url, nil // our lease is over, as when the store has been away; and yet we answer
}

// find prefers where the daemon is to where it should be.
func (n *Node) find(ctx context.Context, daemonID string) (string, error) {
	url, err := n.store.nodeOf(ctx, daemonID)
	if errors.Is(err, ErrNotFound) {
		return n.home(ctx, daemonID, nil)
	}
	return url, err
}

func (n *Node) online(ctx context.Context, ids []string) ([]string, error) {
	return n.store.onlineOf(ctx, ids)
}

// rendezvous returns the node with the highest score for the daemon among those that fit.
// URLs are scored, so that a node that is started again gets its daemons back.
func rendezvous(nodes []node, daemonID string, fits func(node) bool) (best node, ok bool) {
	var highest uint64
	for _, n := range nodes {
		if !fits(n) {
			continue
		}
		sum := sha256.Sum256([]byte(n.url + "\x00" + daemonID))
		if score := binary.BigEndian.Uint64(sum[:]); !ok || score > highest {
			best, highest, ok = n, score, true
		}
	}
	return best, ok
}
