package service

import (
	"context"
	"strings"

	"culvert/sbrp/control"
)

// newNode makes this process one of several nodes, which a store in PostgreSQL can have;
// nil with another store.
func newNode(o RelayOptions, store *control.Store, publicURL string) (*control.Node, error) {
	if !isPostgres(o.DB) {
		if o.NodeURL != "" {
			return nil, errorf(CodeUsage, "node_url", "give --db postgres://USER@HOST/DATABASE too", "--node-url is for several nodes, which share a store in PostgreSQL")
		}
		return nil, nil
	}
	own := publicURL
	if o.NodeURL != "" {
		var err error
		if own, err = checkBaseURL("node_url", "--node-url", o.NodeURL); err != nil {
			return nil, err
		}
	}
	node, err := control.NewNode(control.NodeConfig{Store: store, URL: relayURL(own), Logger: logger(o.Logger)})
	if err != nil {
		return nil, errorf(CodeConfig, "relay", "", "set up node: %w", err)
	}
	return node, nil
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres:") || strings.HasPrefix(dsn, "postgresql:")
}

// leaveNodes tells the other nodes that this one goes: no daemon is sent here any more.
func (h *hub) leaveNodes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainNotice)
	defer cancel()
	if err := h.node.Drain(ctx); err != nil {
		h.log.Warn("cannot tell the other nodes that this one goes", "err", err)
	}
}
