package api

import (
	"fmt"
	"io"
	"log/slog"
)

// Types that hold a key or a token print without it, under every verb and in
// slog: that is what the methods here are for. JSON shows everything.

const redacted = "[redacted]"

// show is empty for an empty secret, so that "was one given" can still be seen.
func show(secret string) string {
	if secret == "" {
		return ""
	}
	return redacted
}

func (r EnrollRequest) String() string {
	return fmt.Sprintf("{APIKey:%s Name:%q}", show(r.APIKey), r.Name)
}

func (r RegisterRequest) String() string {
	return fmt.Sprintf("{APIKey:%s IdentityPublicKey:%s Name:%q Replace:%t}", show(r.APIKey), r.IdentityPublicKey, r.Name, r.Replace)
}

func (r RegisterResponse) String() string {
	return fmt.Sprintf("{DaemonID:%s Name:%q PresenceToken:%s RelayURL:%s PresenceExpires:%s}",
		r.DaemonID, r.Name, show(r.PresenceToken), r.RelayURL, r.PresenceExpires)
}

func (r PresenceResponse) String() string {
	return fmt.Sprintf("{PresenceToken:%s RelayURL:%s PresenceExpires:%s}", show(r.PresenceToken), r.RelayURL, r.PresenceExpires)
}

func (r SessionResponse) String() string {
	return fmt.Sprintf("{DaemonID:%s Name:%q Token:%s RelayURL:%s IdentityPublicKey:%s}",
		r.DaemonID, r.Name, show(r.Token), r.RelayURL, r.IdentityPublicKey)
}

func (r CreateKeyResponse) String() string {
	return fmt.Sprintf("{Key:%+v Secret:%s}", r.Key, show(r.Secret))
}

func (l Lookup) String() string { return redacted }

func (r EnrollRequest) Format(s fmt.State, _ rune)     { print(s, r) }
func (r RegisterRequest) Format(s fmt.State, _ rune)   { print(s, r) }
func (r RegisterResponse) Format(s fmt.State, _ rune)  { print(s, r) }
func (r PresenceResponse) Format(s fmt.State, _ rune)  { print(s, r) }
func (r SessionResponse) Format(s fmt.State, _ rune)   { print(s, r) }
func (r CreateKeyResponse) Format(s fmt.State, _ rune) { print(s, r) }
func (l Lookup) Format(s fmt.State, _ rune)            { print(s, l) }

func (r EnrollRequest) LogValue() slog.Value     { return slog.StringValue(r.String()) }
func (r RegisterRequest) LogValue() slog.Value   { return slog.StringValue(r.String()) }
func (r RegisterResponse) LogValue() slog.Value  { return slog.StringValue(r.String()) }
func (r PresenceResponse) LogValue() slog.Value  { return slog.StringValue(r.String()) }
func (r SessionResponse) LogValue() slog.Value   { return slog.StringValue(r.String()) }
func (r CreateKeyResponse) LogValue() slog.Value { return slog.StringValue(r.String()) }
func (l Lookup) LogValue() slog.Value            { return slog.StringValue(redacted) }

func print(s fmt.State, v fmt.Stringer) { _, _ = io.WriteString(s, v.String()) }
