package relay

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"culvert/sbrp"
	"culvert/sbrp/token"
	"culvert/sbrp/wsconn"
)

// ServeHTTP upgrades a request to a relay connection. What is refused before the upgrade gets a JSON body {code, message}
// (spec section 5): 401 and 403 for the token, 409 for a session that is connected, 429 for an address, an account or a daemon
// that has as many connections or sessions as it may. It returns when the connection has been upgraded and does not wait for its end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && r.URL.Path != "/relay" {
		s.refuse(w, refusedRequest, http.StatusNotFound, "not_found", "the relay is at / and /relay", 0)
		return
	}
	if !isUpgrade(r) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		s.refuse(w, refusedRequest, http.StatusUpgradeRequired, "upgrade_required", "this is a WebSocket endpoint", 0)
		return
	}
	if s.isDraining() {
		s.refuseDraining(w)
		return
	}
	seat, ok := s.seat(r)
	if !ok {
		s.refuse(w, refusedAddress, http.StatusTooManyRequests, sbrp.CodeRateLimited.String(), "too many connections from this address", retrySeconds)
		return
	}
	if !s.admit(w, r, seat) {
		seat.leave()
	}
}

// admit checks the token and upgrades the request. The connection that it starts owns seat; false: there is none.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, seat *place) bool {
	claims, err := s.cfg.Verifier.Verify(r.Context(), wsconn.RequestToken(r))
	if err != nil {
		s.unauthorized(w, err)
		return false
	}
	if s.cfg.Region != "" && claims.Region != "" && claims.Region != s.cfg.Region {
		s.unauthorized(w, &token.Error{Rule: token.RuleRegion, Detail: "for another region"})
		return false
	}
	if !seat.charge(claims) {
		s.refuse(w, refusedAccount, http.StatusTooManyRequests, sbrp.CodeRateLimited.String(), "this account has as many connections as it may", retrySeconds)
		return false
	}
	switch claims.Role {
	case sbrp.RoleClient:
		return s.admitClient(w, r, claims, seat)
	case sbrp.RoleDaemon:
		return s.admitDaemon(w, r, claims, seat)
	default:
		s.log.Error("verifier passed a token of no known role", "role", claims.Role)
		s.refuse(w, refusedInternal, http.StatusInternalServerError, sbrp.CodeInternalError.String(), codeTexts[sbrp.CodeInternalError], 0)
		return false
	}
}

func (s *Server) admitClient(w http.ResponseWriter, r *http.Request, claims token.Claims, seat *place) bool {
	if !claims.HasScope(token.ScopeSessionCreate) {
		s.refuse(w, refusedForbidden, http.StatusForbidden, sbrp.CodeForbidden.String(), "the token may not open a session", 0)
		return false
	}
	sl := s.acquire(claims.DaemonID)
	session, a := sl.reserve(claims.SessionID)
	switch a {
	case taken:
		s.release(sl)
		s.refuse(w, refusedConflict, http.StatusConflict, "session_conflict", "this session is connected; get a new token for another one", 0)
		return false
	case crowded:
		s.release(sl)
		s.refuse(w, refusedLimit, http.StatusTooManyRequests, sbrp.CodeRateLimited.String(), "the daemon has as many sessions as it may", retrySeconds)
		return false
	}
	leave := func() {
		sl.remove(session)
		s.release(sl)
	}
	conn, rd, err := s.upgrade(w, r)
	if err != nil {
		leave()
		return false
	}
	c := newClient(s, conn, rd, session)
	if !s.start(func() { defer seat.leave(); defer s.release(sl); c.run() }) {
		conn.CloseNow()
		leave()
		return false
	}
	return true
}

func (s *Server) admitDaemon(w http.ResponseWriter, r *http.Request, claims token.Claims, seat *place) bool {
	sl := s.acquire(claims.DaemonID)
	arrived := sl.arrive() // first: once the daemon has the answer, its clients find it
	conn, rd, err := s.upgrade(w, r)
	if err != nil {
		arrived()
		s.release(sl)
		return false
	}
	d := newDaemon(s, conn, rd, sl, claims)
	if !s.start(func() { defer seat.leave(); defer s.release(sl); d.run(arrived) }) {
		conn.CloseNow()
		arrived()
		s.release(sl)
		return false
	}
	return true
}

// upgrade makes the request a WebSocket; if it cannot, it has answered.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (*wsconn.Conn, *reader, error) {
	rd := &reader{}
	conn, err := wsconn.Accept(w, r, wsconn.AcceptOptions{WriteTimeout: s.cfg.WriteTimeout, OnControl: rd.control})
	return conn, rd, err
}

// isUpgrade reports whether the request wants a WebSocket; Accept checks the rest.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(strings.TrimSpace(r.Header.Get("Upgrade")), "websocket")
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining || s.leaving
}

// retrySeconds is when a client that was refused for load may come again.
const retrySeconds = 5

func (s *Server) refuseDraining(w http.ResponseWriter) {
	// Without Retry-After if it is over in a moment: that the relay is back is known sooner than any time that could be named.
	retry := 0
	s.mu.Lock()
	if s.slowly {
		retry = 1
	}
	s.mu.Unlock()
	s.refuse(w, refusedDraining, http.StatusServiceUnavailable, "unavailable", "the relay is going down", retry)
}

// unauthorized answers 401. Which rule a token breaks is the relay's own closed vocabulary and holds nothing of the token.
func (s *Server) unauthorized(w http.ResponseWriter, err error) {
	message := "the token was refused"
	if te, ok := errors.AsType[*token.Error](err); ok {
		message += ": " + string(te.Rule) + ": " + te.Detail
	}
	s.stats.badToken(err)
	s.log.Debug("token refused", "err", err)
	w.Header().Set("WWW-Authenticate", "Bearer")
	s.refuse(w, refusedToken, http.StatusUnauthorized, sbrp.CodeUnauthorized.String(), message, 0)
}

func (s *Server) refuse(w http.ResponseWriter, why refusal, status int, code, message string, retryAfter int) {
	s.stats.refused[why].Add(1)
	body, err := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
	if err != nil {
		panic("relay: " + err.Error()) // two strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who has left does not care
}
