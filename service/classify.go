package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/wsconn"
	"culvert/tunnel"
)

// classify turns a failure of any layer into an [*Error]: what is broken, as an exit code
// and a word, and what to do about it. It decides on types, never on text. Errors that
// are classified already pass through.
func classify(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, by := range []func(error) *Error{byIdentity, byRefusal, byLink, byTarget, byControlPlane, byRelayWord, byDial, byTLS, byNetwork, byConfig} {
		if e := by(err); e != nil {
			return e
		}
	}
	if _, ok := errors.AsType[*url.Error](err); ok || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Code: CodeRelay, Name: "relay_lost", Err: err, Mend: mendRelay}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Code: CodeRelay, Name: "timeout", Err: err, Mend: mendRelay}
	}
	return &Error{Code: CodeFailure, Name: "failure", Err: err}
}

func byIdentity(err error) *Error {
	changed, ok := errors.AsType[*e2ee.IdentityChangedError](err)
	if !ok {
		return nil
	}
	return identityChanged(changed.Expected, changed.Got)
}

// identityChanged names both fingerprints: a person has to compare them.
func identityChanged(pinned, got sbrp.PublicKey) *Error {
	return errorf(CodeIdentity, sbrp.CodeIdentityKeyChanged.String(),
		"compare the new fingerprint with the one that the daemon's machine shows; only if they are equal: culvert trust forget NAME, then pair again",
		"the daemon's identity changed: pinned %s, now %s", pinned.Fingerprint(), got.Fingerprint())
}

func byRefusal(err error) *Error {
	refused, ok := errors.AsType[*mux.RefusedError](err)
	if !ok {
		return nil
	}
	e := &Error{Code: CodeRefused, Name: string(refused.Code), Err: refused}
	switch refused.Code {
	case mux.RefuseNotAuthorized:
		e.Mend = "ask the daemon's owner to run `culvert pair` or `culvert grant` there"
	case mux.RefuseExpired:
		e.Mend = "ask the daemon's owner to extend the grant"
	case mux.RefusePairing:
		e.Mend = "ask for a new code: `culvert pair` at the daemon"
	case mux.RefuseVersion:
		e.Mend = "update culvert on the older of the two machines"
	case mux.RefuseInvalid:
	default: // busy, stale, and what later versions say: may heal by itself
		e.Code = CodeDaemon
	}
	return e
}

func byLink(err error) *Error {
	le, ok := errors.AsType[*mux.LinkError](err)
	if !ok {
		return nil
	}
	e := &Error{Code: CodeDaemon, Name: le.Code.String(), Err: err}
	switch le.Code {
	case mux.CodeRevoked:
		e.Code, e.Name = CodeRefused, string(mux.RefuseNotAuthorized)
		e.Mend = "ask the daemon's owner to run `culvert pair` or `culvert grant` there"
	case mux.CodeHoldTime:
		e.Code, e.Name = CodeHold, "hold_time"
	}
	return e
}

func byTarget(err error) *Error {
	if be, ok := errors.AsType[*tunnel.BindError](err); ok {
		return &Error{Code: CodeBind, Name: "bind_" + string(be.Kind), Err: be, Mend: be.Hint}
	}
	if st, ok := errors.AsType[*tunnel.StatusError](err); ok {
		e := &Error{Code: CodeTarget, Name: st.Status.String(), Err: st}
		switch st.Status {
		case tunnel.StatusDenied:
			e.Code, e.Mend = CodeRefused, "ask the daemon's owner to grant this target"
			if st.Target != "" {
				e.Err = fmt.Errorf("the daemon does not let this machine reach the target %q: %w", st.Target, st)
			}
		case tunnel.StatusUnknownTarget:
			e.Mend = "`culvert doctor DAEMON` names the targets that this machine may reach"
		case tunnel.StatusUnsupported:
			e.Mend = "update culvert on the older of the two machines"
		case tunnel.StatusRefused:
			e.Mend = "start the program behind the target on the daemon's machine"
		}
		return e
	}
	return nil
}

func byControlPlane(err error) *Error {
	ae, ok := errors.AsType[*api.Error](err)
	if !ok {
		return nil
	}
	e := &Error{Code: CodeRelay, Name: ae.Code, Err: err}
	switch {
	case ae.Code == api.CodeDaemonNotFound:
		e.Code, e.Mend = CodeDaemon, "`culvert daemons` lists the daemons of this account"
	case ae.Code == api.CodePairingNotFound:
		e.Code, e.Mend = CodeRefused, "the code is wrong, used or expired: ask for a new one (`culvert pair` at the daemon)"
	case ae.Code == api.CodeNameTaken:
		e.Code, e.Mend = CodeConfig, "choose another name with --name, or --replace if this machine takes the place of the one that had it"
	case ae.Code == api.CodeClockSkew:
		e.Mend = "set this machine's clock"
		e.Code = CodeLogin
	case ae.Status == http.StatusUnauthorized, ae.Status == http.StatusForbidden:
		e.Code, e.Mend = CodeLogin, "culvert login with a valid key"
	case ae.Status == http.StatusBadRequest:
		e.Code = CodeFailure
	}
	return e
}

func byRelayWord(err error) *Error {
	var code sbrp.Code
	if ce, ok := errors.AsType[*sbrp.ControlError](err); ok {
		code = ce.Code
	} else if se, ok := errors.AsType[*sbrp.Error](err); ok {
		code = se.Code
	} else {
		return nil
	}
	e := &Error{Code: CodeRelay, Name: code.String(), Err: err}
	switch code {
	case sbrp.CodeDaemonOffline:
		e.Code, e.Mend = CodeDaemon, "start `culvert expose` on the daemon's machine"
	case sbrp.CodeDaemonNotFound:
		e.Code, e.Mend = CodeDaemon, "`culvert daemons` lists the daemons of this account"
	case sbrp.CodeHandshakeFailed:
		// The signature does not fit the pinned key: somebody poses as the daemon.
		e.Code = CodeIdentity
	case sbrp.CodeHandshakeTimeout:
		e.Code, e.Mend = CodeDaemon, "the daemon did not answer: look at `culvert expose` there"
	}
	return e
}

func byDial(err error) *Error {
	de, ok := errors.AsType[*wsconn.DialError](err)
	if !ok {
		return nil
	}
	e := &Error{Code: CodeRelay, Name: "relay_unreachable", Err: err, Mend: mendRelay}
	switch de.Hop {
	case wsconn.HopProxy:
		e.Code, e.Name, e.Mend = CodeTLS, "proxy", "check HTTPS_PROXY, its user and password, and NO_PROXY"
	case wsconn.HopTLS:
		e.Code, e.Name, e.Mend = CodeTLS, "tls", "for a private CA: culvert login --ca-file"
	case wsconn.HopHTTP:
		e.Name, e.Mend = "relay_refused", "check the URL; `culvert doctor` says what answers there"
		if de.Code != "" {
			e.Name = de.Code
		}
	}
	return e
}

func byTLS(err error) *Error {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	if !unknown && !name && !invalid && !record && !verify && !alert {
		return nil
	}
	e := &Error{Code: CodeTLS, Name: "tls", Err: err, Mend: "`culvert doctor` says what is wrong on the way"}
	switch {
	case unknown:
		e.Mend = "for a private CA: culvert login --ca-file"
	case name:
		e.Mend = "use the name that the certificate is for, or ask the relay's operator for one that has this name"
	case invalid:
		e.Mend = "check this machine's clock, or ask the relay's operator to renew the certificate"
	}
	return e
}

// mendRelay is what to do when nothing answers.
const mendRelay = "check that the relay runs and that this machine's network is up; `culvert doctor` finds the hop"

func byNetwork(err error) *Error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		if _, dns := errors.AsType[*net.DNSError](err); dns {
			return &Error{Code: CodeRelay, Name: "dns", Err: err, Mend: "check the URL and this machine's DNS"}
		}
		return nil
	}
	if op.Op == "proxyconnect" {
		return &Error{Code: CodeTLS, Name: "proxy", Err: err, Mend: "check HTTPS_PROXY, its user and password, and NO_PROXY"}
	}
	if op.Op == "listen" {
		return bindError("", err)
	}
	return &Error{Code: CodeRelay, Name: "unreachable", Err: err, Mend: mendRelay}
}

func byConfig(err error) *Error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return &Error{Code: CodeConfig, Name: "state_dir", Err: pe}
	}
	if ce, ok := errors.AsType[*config.KeyChangedError](err); ok {
		return identityChanged(ce.Pinned, ce.Got)
	}
	return nil
}

// bindError classifies a listener that could not be opened.
func bindError(doing string, err error) *Error {
	e := &Error{Code: CodeBind, Name: "bind", Err: err}
	if doing != "" {
		e.Err = fmt.Errorf("%s: %w", doing, err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Name, e.Mend = "address_in_use", "take another port, or 0 for any free one"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Name, e.Mend = "address_not_allowed", "take a port above 1023"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Name, e.Mend = "address_not_available", "bind an address of this machine"
	}
	return e
}
