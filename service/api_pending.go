package service

import (
	"context"
	"errors"

	"culvert/config"
	"culvert/sbrp"
)

var errPending = errors.New("pending")

func Login(ctx context.Context, o LoginOptions) (LoginResult, error) {
	return LoginResult{}, errPending
}
func Daemons(ctx context.Context, c Common) ([]DaemonRow, error)     { return nil, errPending }
func Expose(ctx context.Context, o ExposeOptions, sink Sink) error   { return errPending }
func Forward(ctx context.Context, o ForwardOptions, sink Sink) error { return errPending }
func Stdio(ctx context.Context, o StdioOptions) error                { return errPending }

// MakePairing; WaitPairing blocks until the code was used, expired or ctx ended and returns the new client.
func MakePairing(ctx context.Context, o PairOptions) (PairingCode, error) {
	return PairingCode{}, errPending
}
func WaitPairing(ctx context.Context, c Common, code PairingCode) (ClientRow, error) {
	return ClientRow{}, errPending
}
func RedeemPairing(ctx context.Context, o RedeemOptions) (Paired, error) { return Paired{}, errPending }
func Grant(ctx context.Context, o GrantOptions) (ClientRow, error)       { return ClientRow{}, errPending }
func Revoke(ctx context.Context, c Common, client string) (ClientRow, error) {
	return ClientRow{}, errPending
}
func Clients(ctx context.Context, c Common) ([]ClientRow, error) { return nil, errPending }
func TrustList(c Common) ([]config.KnownDaemon, error)           { return nil, errPending }
func TrustAccept(ctx context.Context, c Common, name string, fp sbrp.Fingerprint) (config.KnownDaemon, error) {
	return config.KnownDaemon{}, errPending
}
func TrustForget(c Common, name string) (config.KnownDaemon, error) {
	return config.KnownDaemon{}, errPending
}
func RunRelay(ctx context.Context, o RelayOptions, sink Sink) error { return errPending }
func CreateKey(ctx context.Context, o KeyStoreOptions, spec KeySpec) (KeyRow, string, error) {
	return KeyRow{}, "", errPending
}
func ListKeys(ctx context.Context, o KeyStoreOptions) ([]KeyRow, error) { return nil, errPending }
func RevokeKey(ctx context.Context, o KeyStoreOptions, id string) (KeyRow, error) {
	return KeyRow{}, errPending
}
func Demo(ctx context.Context, o DemoOptions, sink Sink) error { return errPending }
