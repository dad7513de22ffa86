package control

import (
	"context"
	"net/http"
)

// The acts in the audit log: what somebody has made the control plane do. Each comes with who
// did it, to whom, and from which address; never with a token, a key or a code.
const (
	ActDeviceEnrolled   = "device enrolled"
	ActDaemonRegistered = "daemon registered"
	ActPresenceIssued   = "presence issued" // a token with which a daemon appears at the relay
	ActSessionIssued    = "session issued"  // a token for one session
	ActPairingCreated   = "pairing created"
	ActPairingCancelled = "pairing cancelled"
	ActPairingRedeemed  = "pairing redeemed"
	ActKeyCreated       = "api key created"
	ActKeyRevoked       = "api key revoked"
	ActKeyRotated       = "signing key rotated"
	ActRefused          = "authentication failed"
)

// audit writes one act that a request has made happen.
func (s *Server) audit(r *http.Request, act string, args ...any) {
	s.cfg.Audit.InfoContext(r.Context(), act, append([]any{"remote", s.cfg.RemoteAddr(r).String()}, args...)...)
}

// rotateOnTime rotates the signing key once a month; of several servers on the store one does it.
func (s *Server) rotateOnTime(ctx context.Context) error {
	now := s.now()
	before, err := s.store.signingKeys(ctx, now)
	if err != nil {
		return err
	}
	k, err := s.store.rotate(ctx, now, rotateAfter)
	if err == nil && k.ID != before[0].ID {
		s.cfg.Audit.InfoContext(ctx, ActKeyRotated, "key", k.ID)
	}
	return err
}
