package api

import (
	"fmt"
	"time"

	"culvert/sbrp"
)

// Codes of the control plane's errors. A client may meet others from newer servers.
const (
	CodeUnauthorized       = "unauthorized"        // 401: who are you
	CodeForbidden          = "forbidden"           // 403: you may not
	CodeClockSkew          = "clock_skew"          // 401: the device's clock and the server's are too far apart
	CodeInvalidRequest     = "invalid_request"     // 400
	CodeTooLarge           = "too_large"           // 413: body over MaxBody
	CodeNotFound           = "not_found"           // 404: no such endpoint, or no such API key
	CodeMethodNotAllowed   = "method_not_allowed"  // 405
	CodeDaemonNotFound     = "daemon_not_found"    // 404: unknown, or none of yours
	CodePairingNotFound    = "pairing_not_found"   // 404: wrong, used and expired alike
	CodePairingExists      = "pairing_exists"      // 409: that lookup is taken
	CodeNameTaken          = "name_taken"          // 409: another daemon of the account has that name
	CodeRateLimited        = "rate_limited"        // 429: Retry-After says when
	CodeInternal           = "internal_error"      // 500
	CodeUnavailable        = "unavailable"         // 503: the store is out of reach
	CodeUnexpectedResponse = "unexpected_response" // local: what answered is no control plane of ours
	CodeRedirected         = "redirected"          // local: it answered with a redirect that is not followed
)

// Error is the control plane's refusal. Trouble on the way there (DNS, TCP, TLS,
// a context that ended) is not an Error: it is wrapped, so that errors.As finds it.
type Error struct {
	Status     int           // HTTP status
	Code       string        // decides; one of the Code constants or a newer one
	Message    string        // the server's words for people: a hint, never decided on
	RetryAfter time.Duration // how long to wait before the next try; 0: not said
}

// Error implements error. The server's words are quoted and cut.
func (e *Error) Error() string {
	s := fmt.Sprintf("control plane: %s (%d)", e.Code, e.Status)
	if e.Message != "" {
		s += ": " + sbrp.Quote(e.Message)
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf("; try again in %s", e.RetryAfter)
	}
	return s
}

// Is makes errors.Is(err, &Error{Code: c}) match by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrorBody is an error as it stands in an answer.
type ErrorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
