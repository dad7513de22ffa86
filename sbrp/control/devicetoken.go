package control

import (
	"cmp"
	"crypto/ed25519"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"culvert/sbrp"
	"culvert/sbrp/api"
)

// deviceToken is a device token whose signature is good and whose time is right;
// it is not yet marked as used.
type deviceToken struct {
	key   sbrp.PublicKey // who signed
	id    string         // jti
	until time.Time      // when its age alone refuses it
}

const (
	maxDeviceToken = 4096 // bytes
	maxSeconds     = 1 << 40
)

// parseDeviceToken checks a device token: form, typ, alg, signature by the key in
// iss, sub, aud, lifetime, clock, jti. The errors hold nothing of the token.
func (s *Server) parseDeviceToken(r *http.Request, raw string) (deviceToken, error) {
	if len(raw) > maxDeviceToken {
		return deviceToken{}, unauthorized("the device token is too long")
	}
	var key sbrp.PublicKey
	claims := jwt.MapClaims{}
	// Claims are checked below: the library's own checks have other rules for time.
	p := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	t, err := p.ParseWithClaims(raw, claims, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != api.DeviceTokenType {
			return nil, errInvalid
		}
		iss, _ := claims["iss"].(string)
		if key.UnmarshalText([]byte(iss)) != nil || key.String() != iss { // one text per key
			return nil, errInvalid
		}
		return ed25519.PublicKey(key[:]), nil
	})
	if err != nil || !t.Valid {
		return deviceToken{}, unauthorized("the device token is malformed or its signature is bad")
	}
	if claims["sub"] != claims["iss"] {
		return deviceToken{}, unauthorized("the device token's sub must be its iss")
	}
	if aud, ok := claims["aud"].(string); !ok || !s.isUs(r, aud) {
		return deviceToken{}, unauthorized("the device token is for another control plane; this one is %s: use that URL", s.origin)
	}
	jti, _ := claims["jti"].(string)
	if jti == "" || len(jti) > api.MaxDeviceTokenID {
		return deviceToken{}, unauthorized("the device token needs a jti of 1 to %d bytes", api.MaxDeviceTokenID)
	}
	exp, err := s.checkClock(claims)
	if err != nil {
		return deviceToken{}, err
	}
	return deviceToken{key: key, id: jti, until: exp.Add(api.ClockSkew)}, nil
}

func (s *Server) checkClock(claims jwt.MapClaims) (exp time.Time, err error) {
	iat, ok1 := seconds(claims["iat"])
	exp, ok2 := seconds(claims["exp"])
	if !ok1 || !ok2 {
		return exp, unauthorized("the device token needs iat and exp, in seconds since 1970")
	}
	if life := exp.Sub(iat); life <= 0 || life > api.MaxDeviceTokenTTL {
		return exp, unauthorized("the device token may live for %s at most", api.MaxDeviceTokenTTL)
	}
	now := s.now()
	if iat.After(now.Add(api.ClockSkew)) || !now.Before(exp.Add(api.ClockSkew)) {
		return exp, refuse(http.StatusUnauthorized, api.CodeClockSkew,
			"the device's clock is off by about %s; the server's time is %s",
			iat.Sub(now).Abs().Round(time.Second), now.UTC().Format(time.RFC3339))
	}
	return exp, nil
}

func seconds(v any) (time.Time, bool) {
	n, ok := v.(float64)
	if !ok || n < 0 || n > maxSeconds || math.IsNaN(n) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(n * 1000)), true
}

// isUs says whether a token with that audience was made for this server: for the
// public URL, or for the address and port on which this connection was accepted
// (a name for it only if it is loopback). Not for whatever the Host header says:
// a hostile server that was given the token could send the header along.
func (s *Server) isUs(r *http.Request, aud string) bool {
	if aud == s.origin {
		return true
	}
	u, err := url.Parse(aud)
	if err != nil || u.Host == "" || (u.Scheme == "https") != (r.TLS != nil) {
		return false
	}
	if canon, err := api.Origin(aud); err != nil || canon != aud {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	if port != strconv.Itoa(local.Port) {
		return false
	}
	addr := local.AddrPort().Addr().Unmap().WithZone("")
	if host := u.Hostname(); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return addr.IsLoopback()
	}
	host, err := netip.ParseAddr(u.Hostname())
	return err == nil && host.Unmap() == addr
}
