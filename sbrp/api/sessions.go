package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"culvert/sbrp"
)

// SessionRequest asks for a session with a daemon.
type SessionRequest struct {
	DaemonID string `json:"daemonId"`
}

// SessionResponse is what a client needs to reach a daemon through the relay. It
// prints without the token. The identity key is the control plane's word: good for
// first contact with further proof, never instead of a pin.
type SessionResponse struct {
	RelayURL          string         `json:"relayUrl"`
	Token             string         `json:"token"`
	DaemonID          string         `json:"daemonId"`
	Name              string         `json:"name"`
	IdentityPublicKey sbrp.PublicKey `json:"identityPublicKey"`
}

// CreateSession gives a token for one session with a daemon.
func (c *Client) CreateSession(ctx context.Context, daemonID string) (SessionResponse, error) {
	var out SessionResponse
	err := c.call(ctx, http.MethodPost, PathSessions, asDevice, SessionRequest{DaemonID: daemonID}, &out)
	return out, err
}

// SessionIDOf reads the session id out of a client's relay token, without
// verifying the token: its bearer is not the one who must. The error holds nothing
// of the token.
func SessionIDOf(relayToken string) (sbrp.SessionID, error) {
	const maxToken = 4096 // spec section 7
	parts := strings.SplitN(relayToken, ".", 4)
	if len(relayToken) > maxToken || len(parts) != 3 {
		return 0, errors.New("read session id: not a relay token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, errors.New("read session id: the token's claims are not base64url")
	}
	var claims map[string]json.RawMessage
	var sid string
	if json.Unmarshal(payload, &claims) != nil || json.Unmarshal(claims["sid"], &sid) != nil {
		return 0, errors.New("read session id: the token has no sid")
	}
	id, err := sbrp.ParseSessionID(sid)
	if err != nil {
		return 0, fmt.Errorf("read session id: %w", err)
	}
	return id, nil
}
