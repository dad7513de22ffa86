package endpoint

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"culvert/sbrp"
)

// sessionIDOf reads the session id from a client's relay token, without
// verifying it: that is the relay's business, and a wrong id only makes the
// relay refuse the frames. The error holds nothing of the token.
func sessionIDOf(token string) (sbrp.SessionID, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, errors.New("read session id of token: not a JWT of three parts")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, errors.New("read session id of token: claims are not base64url")
	}
	var claims struct {
		SessionID string `json:"sid"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return 0, errors.New("read session id of token: claims are not JSON")
	}
	id, err := sbrp.ParseSessionID(claims.SessionID)
	if err != nil {
		return 0, errors.New("read session id of token: no valid sid, is it a daemon's token?")
	}
	return id, nil
}
