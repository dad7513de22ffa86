package sbrptest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"culvert/sbrp"
)

// claims is what the relay of this package reads of a token. Nothing is signed.
type claims struct {
	Role      string `json:"role"`
	DaemonID  string `json:"did"`
	SessionID string `json:"sid,omitempty"`
	N         int    `json:"n,omitempty"` // tells presence tokens apart
}

// ClientToken returns a token in the form of a JWT, unsigned, for one session.
func ClientToken(daemonID string, id sbrp.SessionID) string {
	return encode(claims{Role: "client", DaemonID: daemonID, SessionID: id.String()})
}

// DaemonToken returns a presence token of the same kind; n tells one from the
// next.
func DaemonToken(daemonID string, n int) string {
	return encode(claims{Role: "daemon", DaemonID: daemonID, N: n})
}

func encode(c claims) string {
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"none"}`)) + "." + b64(raw) + "." + b64([]byte("unsigned"))
}

// decode is the reverse of encode.
func decode(token string) (role sbrp.Role, daemonID string, id sbrp.SessionID, n int, err error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, "", 0, 0, errors.New("token has not three parts")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return 0, "", 0, 0, err
	}
	switch c.Role {
	case "daemon":
		return sbrp.RoleDaemon, c.DaemonID, 0, c.N, nil
	case "client":
		id, err := sbrp.ParseSessionID(c.SessionID)
		return sbrp.RoleClient, c.DaemonID, id, 0, err
	default:
		return 0, "", 0, 0, errors.New("token has no role")
	}
}
