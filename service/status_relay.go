package service

import (
	"context"
	"time"
)

// pingTimeout bounds how long a status waits for the relay's store.
const pingTimeout = 2 * time.Second

// RelayStatus is a running relay's. Nothing in it is about a single peer.
type RelayStatus struct {
	URL            string `json:"url"`
	Addr           string `json:"addr"`     // where it listens
	State          string `json:"state"`    // ready, or no_store: its store does not answer
	Daemons        int64  `json:"daemons"`  // online
	Clients        int64  `json:"clients"`  // connections of clients
	Sessions       int64  `json:"sessions"` // of clients with daemons, that are up
	Paused         int64  `json:"paused"`   // sessions whose daemon has been lost
	Pending        int64  `json:"pending"`  // sessions that are being set up
	BytesToDaemons uint64 `json:"bytes_to_daemons"`
	BytesToClients uint64 `json:"bytes_to_clients"`
	Queued         int64  `json:"queued"` // bytes that wait for clients
}

// status is what `culvert status` shows of the relay.
func (h *hub) status(i RelayInfo) *RelayStatus {
	s := h.relay.Stats()
	return &RelayStatus{
		URL: i.URL, Addr: i.Addr, State: h.state(), Daemons: s.Daemons, Clients: s.Clients,
		Sessions: s.Paired, Paused: s.Paused, Pending: s.Pending,
		BytesToDaemons: s.BytesToDaemon, BytesToClients: s.BytesToClient, Queued: s.QueuedBytes,
	}
}

// state is what /readyz answers, as a word. A relay that goes down answers nothing here.
func (h *hub) state() string {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout) // a status has no context
	defer cancel()
	if h.ping(ctx) != nil {
		return "no_store"
	}
	return relayReady
}

const relayReady = "ready"
