package control

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tell tells the store of the daemons that have come and gone.
func (n *Node) tell(ctx context.Context) error {
	if !n.joined || n.retired {
		return nil
	}
	n.mu.Lock()
	changed := n.changed
	n.changed = map[string]struct{}{}
	n.mu.Unlock()
	var here, gone []string
	for id := range changed {
		switch {
		case n.relay.Online(id):
			here = append(here, id)
			delete(n.left, id)
		default:
			gone = append(gone, id)
			if n.relay.Holds(id) {
				n.left[id] = struct{}{}
			}
		}
	}
	err := errors.Join(n.store.arrived(ctx, n.self.id, here, false), n.store.departed(ctx, n.self.id, gone))
	if err != nil {
		n.mu.Lock()
		for id := range changed { // it is looked at anew then
			n.changed[id] = struct{}{}
		}
		n.mu.Unlock()
		return fmt.Errorf("tell the store who is here: %w", err)
	}
	return nil
}

// follow ends the sessions of daemons that have gone to another node, so that their
// clients follow them; here they would wait for nothing.
func (n *Node) follow(ctx context.Context) error {
	var ids []string
	for id := range n.left {
		if n.relay.Online(id) || !n.relay.Holds(id) {
			delete(n.left, id)
			continue
		}
		ids = append(ids, id)
	}
	elsewhere, err := n.store.elsewhere(ctx, n.self.id, ids)
	if err != nil {
		return err
	}
	for _, id := range elsewhere {
		n.relay.Move(id)
		delete(n.left, id)
	}
	return nil
}

// reconcile mends what the store does not know, as after it has forgotten this node, and
// ends connections that are not the daemon's newest: that is at another node.
func (n *Node) reconcile(ctx context.Context) error {
	if err := n.store.bury(ctx, buried*n.lease); err != nil {
		return err
	}
	here := n.relay.Daemons()
	known, err := n.store.at(ctx, n.self.id, here)
	if err != nil {
		return err
	}
	have := make(map[string]struct{}, len(known))
	for _, id := range known {
		have[id] = struct{}{}
	}
	var missing []string
	for _, id := range here {
		if _, ok := have[id]; !ok {
			missing = append(missing, id)
		}
	}
	if err := n.store.arrived(ctx, n.self.id, missing, true); err != nil {
		return err
	}
	elsewhere, err := n.store.elsewhere(ctx, n.self.id, missing)
	if err != nil {
		return err
	}
	for _, id := range elsewhere {
		n.relay.Move(id)
	}
	return nil
}

// moveHome sends some of the daemons home whose place is at another node, once no node has
// come or gone for a while.
func (n *Node) moveHome(ctx context.Context) error {
	live, err := n.store.liveNodes(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	if names := fmt.Sprint(live); names != n.live {
		n.live, n.since = names, now
		n.log.Info("nodes", "live", len(live))
	}
	if now.Sub(n.since) < settled*n.lease || n.drain.Load() {
		return nil
	}
	for id, at := range n.moved {
		if now.Sub(at) > moveAgain {
			delete(n.moved, id)
		}
	}
	here := n.relay.Daemons()
	left := max(len(here)/moveShare, moveLeast)
	for _, id := range here {
		home, ok := rendezvous(live, id, func(m node) bool { return !m.draining })
		if _, told := n.moved[id]; told || !ok || home.id == n.self.id {
			continue
		}
		if n.moved[id] = now; n.relay.Move(id) {
			n.log.Debug("daemon sent to its node", "daemon", id, "node", home.url)
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}
