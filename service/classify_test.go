package service

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/wsconn"
	"culvert/tunnel"
)

func TestClassify(t *testing.T) {
	refused := func(r mux.Refusal) error { return &mux.RefusedError{Code: r} }
	for _, tc := range []struct {
		name string
		err  error
		code Code
		word string
	}{
		{"identity", &e2ee.IdentityChangedError{Expected: sbrp.PublicKey{1}, Got: sbrp.PublicKey{2}}, CodeIdentity, "identity_key_changed"},
		{"forged signature", &sbrp.Error{Code: sbrp.CodeHandshakeFailed}, CodeIdentity, "handshake_failed"},
		{"not authorised", refused(mux.RefuseNotAuthorized), CodeRefused, "not_authorized"},
		{"expired", refused(mux.RefuseExpired), CodeRefused, "expired"},
		{"pairing", refused(mux.RefusePairing), CodeRefused, "pairing_failed"},
		{"busy heals", refused(mux.RefuseBusy), CodeDaemon, "busy"},
		{"revoked while live", &mux.LinkError{Code: mux.CodeRevoked, Remote: true}, CodeRefused, "not_authorized"},
		{"hold time", &mux.LinkError{Code: mux.CodeHoldTime}, CodeHold, "hold_time"},
		{"target refused", &tunnel.StatusError{Status: tunnel.StatusRefused}, CodeTarget, "refused"},
		{"target unknown", &tunnel.StatusError{Status: tunnel.StatusUnknownTarget}, CodeTarget, "unknown_target"},
		{"target denied", &tunnel.StatusError{Status: tunnel.StatusDenied}, CodeRefused, "denied"},
		{"target unsupported", &tunnel.StatusError{Status: tunnel.StatusUnsupported}, CodeTarget, "unsupported"},
		{"status of a later version", &tunnel.StatusError{Status: 0x42}, CodeTarget, "0x42"},
		{"other link version", refused(mux.RefuseVersion), CodeRefused, "version"},
		{"refusal of a later version", refused("quota"), CodeDaemon, "quota"},
		{"port busy", &tunnel.BindError{Kind: tunnel.BindBusy, Err: syscall.EADDRINUSE}, CodeBind, "bind_busy"},
		{"key refused", &api.Error{Status: 401, Code: "unauthorized"}, CodeLogin, "unauthorized"},
		{"key's scope", &api.Error{Status: 403, Code: "forbidden"}, CodeLogin, "forbidden"},
		{"unknown daemon", &api.Error{Status: 404, Code: api.CodeDaemonNotFound}, CodeDaemon, "daemon_not_found"},
		{"used code", &api.Error{Status: 404, Code: api.CodePairingNotFound}, CodeRefused, "pairing_not_found"},
		{"store down", &api.Error{Status: 503, Code: api.CodeUnavailable}, CodeRelay, "unavailable"},
		{"daemon offline", &sbrp.ControlError{Code: sbrp.CodeDaemonOffline}, CodeDaemon, "daemon_offline"},
		{"relay's fault", &sbrp.ControlError{Code: sbrp.CodeInternalError}, CodeRelay, "internal_error"},
		{"relay refused", &wsconn.DialError{Hop: wsconn.HopTCP}, CodeRelay, "relay_unreachable"},
		{"relay's certificate", &wsconn.DialError{Hop: wsconn.HopTLS, Err: x509.UnknownAuthorityError{}}, CodeTLS, "tls"},
		{"proxy", &wsconn.DialError{Hop: wsconn.HopProxy, Status: 407}, CodeTLS, "proxy"},
		{"control plane's certificate", x509.HostnameError{Certificate: &x509.Certificate{}}, CodeTLS, "tls"},
		{"control plane down", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, CodeRelay, "unreachable"},
		{"dns", &net.DNSError{Err: "no such host"}, CodeRelay, "dns"},
		{"proxy of the control plane", &net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED}, CodeTLS, "proxy"},
		{"no HTTP", &url.Error{Op: "Get", Err: errors.New("malformed HTTP response")}, CodeRelay, "relay_lost"},
		{"lost", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, CodeRelay, "unreachable"},
		{"closed", net.ErrClosed, CodeRelay, "relay_lost"},
		{"deadline", context.DeadlineExceeded, CodeRelay, "timeout"},
		{"anything else", errors.New("x"), CodeFailure, "failure"},
		{"classified already", errorf(CodeHold, "hold_time", "", "x"), CodeHold, "hold_time"},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("do something: %w", tc.err)} {
			got := classify(err)
			if got.Code != tc.code || got.Name != tc.word {
				t.Errorf("%s: classify(%v) = %d %q, want %d %q", tc.name, err, got.Code, got.Name, tc.code, tc.word)
			}
			if CodeOf(got) != tc.code {
				t.Errorf("%s: CodeOf = %d, want %d", tc.name, CodeOf(got), tc.code)
			}
		}
	}
	if classify(nil) != nil || CodeOf(nil) != CodeOK {
		t.Error("no error is not code 0")
	}
}

// A changed identity shows both fingerprints: the user has to compare them.
func identityChangedShowsBoth(t *testing.T) {
	a, b := sbrp.PublicKey{1}, sbrp.PublicKey{2}
	text := identityChanged(a, b).Error()
	for _, want := range []string{a.Fingerprint().String(), b.Fingerprint().String()} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %s", text, want)
		}
	}
}

func TestPermanentCodes(t *testing.T) {
	permanent := map[Code]bool{CodeUsage: true, CodeConfig: true, CodeLogin: true, CodeRefused: true, CodeIdentity: true, CodeBind: true}
	for _, c := range []Code{CodeOK, CodeFailure, CodeUsage, CodeConfig, CodeLogin, CodeRelay, CodeTLS, CodeDaemon, CodeRefused, CodeTarget, CodeIdentity, CodeBind, CodeHold} {
		if c.Permanent() != permanent[c] {
			t.Errorf("Code(%d).Permanent() = %v, want %v", c, c.Permanent(), permanent[c])
		}
	}
}
