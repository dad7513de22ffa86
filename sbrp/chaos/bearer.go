package chaos

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"culvert/sbrp"
)

// bearer is who comes with a token.
type bearer struct {
	role   sbrp.Role
	daemon string         // id of the daemon: its own, or the one that a client is for
	id     sbrp.SessionID // a client's
}

// bearerOf reads a token and does not verify it: the real relay has. The zero bearer: it is no token.
func bearerOf(token string) bearer {
	var c struct {
		Role      string `json:"role"`
		DaemonID  string `json:"did"`
		SessionID string `json:"sid"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return bearer{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return bearer{}
	}
	switch c.Role {
	case sbrp.RoleDaemon.String():
		return bearer{role: sbrp.RoleDaemon, daemon: c.DaemonID}
	case sbrp.RoleClient.String():
		id, err := sbrp.ParseSessionID(c.SessionID)
		if err != nil {
			return bearer{}
		}
		return bearer{role: sbrp.RoleClient, daemon: c.DaemonID, id: id}
	default:
		return bearer{}
	}
}
