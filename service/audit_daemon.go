package service

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/tunnel"
)

// daemonAuditFile is the daemon's audit log in the state directory; a relay that shares the directory has its own.
const daemonAuditFile = "daemon-audit.log"

// The acts in the daemon's audit log. Each says whose key and by which name; of bytes only how many.
const (
	actStarted       = "daemon started"
	actStopped       = "daemon stopped"
	actPaired        = "client paired"
	actConnected     = "client connected"
	actDisconnected  = "client disconnected"
	actRefusedClient = "client refused"
	actOpened        = "connection opened"
	actClosed        = "connection closed"
	actRefusedConn   = "connection refused"
)

// Refusals are written down this often at most, since they cost a stranger nothing and would push older lines
// out; how many were left out is said.
const (
	refusalsEvery = time.Second
	refusalsBurst = 60
)

// acts writes the daemon's audit log. Its methods may run concurrently; nil writes nothing.
type acts struct {
	log      *slog.Logger
	refusals *rate.Limiter

	mu   sync.Mutex // guards what follows
	left int        // refusals that were left out since the last line about one
}

func newActs(log *slog.Logger) *acts {
	return &acts{log: log, refusals: rate.NewLimiter(rate.Every(refusalsEvery), refusalsBurst)}
}

// who is a client.
func who(key sbrp.PublicKey, name string) []any { return []any{"key", key.String(), "client", name} }

func (a *acts) write(act string, args ...any) {
	if a != nil {
		a.log.Info(act, args...)
	}
}

// refused writes a refusal down, if there are not too many.
func (a *acts) refused(act string, args ...any) {
	if a == nil {
		return
	}
	a.mu.Lock()
	if !a.refusals.Allow() {
		a.left++
		a.mu.Unlock()
		return
	}
	left := a.left
	a.left = 0
	a.mu.Unlock()
	if left > 0 {
		args = append(args, "left_out", left)
	}
	a.log.Info(act, args...)
}

// link writes the lives of links.
func (a *acts) link(e mux.Event) {
	args := append(who(keyOf(e.Peer), e.Peer.Name), "link", e.Link.String())
	switch e.Kind {
	case mux.EventConnected:
		a.write(actConnected, append(args, "program", e.Peer.Program)...)
	case mux.EventLost, mux.EventClosed:
		a.write(actDisconnected, append(args, "reason", reasonText(e.Reason))...)
	}
}

// notAdmitted writes that a client that has proved its key is refused.
func (a *acts) notAdmitted(h mux.Hello, err error) {
	reason := "cannot decide"
	if r, ok := errors.AsType[*mux.RefusedError](err); ok {
		reason = string(r.Code)
	}
	a.refused(actRefusedClient, append(who(h.Key, h.Name), "reason", reason)...)
}

func (a *acts) paired(g config.Grant) {
	a.write(actPaired, grantArgs(g)...)
}

// stream is a connection, its target and what it carried so far.
func stream(s tunnel.StreamInfo) []any {
	args := append(who(s.Client, s.ClientName), "id", s.ID, "target", s.Target)
	if s.Address != "" {
		args = append(args, "address", s.Address)
	}
	return args
}

func (a *acts) opened(s tunnel.StreamInfo) { a.write(actOpened, stream(s)...) }

func (a *acts) closed(s tunnel.StreamInfo, end tunnel.End) {
	a.write(actClosed, append(stream(s), "bytes_in", s.BytesIn, "bytes_out", s.BytesOut, "seconds", time.Since(s.Since).Seconds(), "end", string(end))...)
}

func (a *acts) notOpened(s tunnel.StreamInfo, status tunnel.Status, _ error) {
	a.refused(actRefusedConn, append(stream(s), "status", status.String())...)
}
