package service

import (
	"context"
	"log/slog"
	"os"
	"time"

	"culvert/config"
	"culvert/sbrp"
)

// Acts of administration in the audit log of a state directory: what was done there by a
// command, whether a daemon runs or not. Each says which user did it.
const (
	actLoggedIn    = "logged in"
	actGranted     = "client granted"
	actRevoked     = "client revoked"
	actRenamed     = "client renamed"
	actCodeMade    = "pairing code made"
	actTrusted     = "daemon trusted"
	actForgotten   = "daemon forgotten"
	actKeyChanged  = "device key protected"
	actKeyOpen     = "device key unprotected"
	actGrantInUse  = "grant in force" // said by the daemon, of every change of the file, whoever made it
	actGrantNotAny = "grant ended"
)

// ledger writes acts of administration into the audit log.
type ledger struct {
	log   *auditLog
	acts  *slog.Logger
	by    int // user
	asked bool
}

// openLedger opens the log before something is done: what cannot be written down is not done.
// The caller closes it.
func openLedger(ctx context.Context, dir *config.Dir, log *slog.Logger) (*ledger, error) {
	l, err := openChained(dir, daemonAuditFile)
	if err != nil {
		return nil, err
	}
	out := &ledger{log: l, acts: l.logger(logger(log)), by: os.Getuid()}
	if uid, ok := ctx.Value(askedBy{}).(uint32); ok {
		out.by, out.asked = int(uid), true
	}
	return out, nil
}

// askedBy is the user at the other end of the admin socket, in the context of what he asks for.
type askedBy struct{}

// write writes what was done.
func (l *ledger) write(act string, args ...any) {
	args = append([]any{"uid", l.by}, args...)
	if l.asked {
		args = append(args, "asked", "service")
	}
	l.acts.Info(act, args...)
}

func (l *ledger) close() { _ = l.log.Close() } // what could not be written was complained about

// granted writes what a client may reach now.
func (l *ledger) granted(g config.Grant, args ...any) {
	l.write(actGranted, append(grantArgs(g), args...)...)
}

func grantArgs(g config.Grant) []any {
	args := append(who(g.Key, g.Name), "targets", g.Targets)
	if !g.Expires.IsZero() {
		args = append(args, "expires", g.Expires)
	}
	return args
}

// trusted writes that a daemon's key is pinned from now on, and why.
func (l *ledger) trusted(k config.KnownDaemon) {
	l.write(actTrusted, "daemon", k.Name, "daemon_id", k.ID, "daemon_key", k.Key.String(), "trust", string(k.Trust))
}

// ledger is openLedger for a machine.
func (m *machine) ledger(ctx context.Context) (*ledger, error) { return openLedger(ctx, m.dir, m.log) }

// grantWatch writes down how the grants in force change, also by hands that use no command. Its
// methods do not run concurrently.
type grantWatch struct {
	clients *config.AuthorizedClients
	acts    *acts
	known   map[[32]byte]config.Grant
}

// look compares the grants in force with those at the last look; the first one only notes them.
func (w *grantWatch) look(now time.Time) {
	all, _, err := w.clients.List()
	if err != nil {
		all = nil // then nobody is granted anything
	}
	before, first := w.known, w.known == nil
	w.known = make(map[[32]byte]config.Grant, len(all))
	for _, g := range all {
		if g.ExpiredAt(now) {
			continue
		}
		w.known[g.Key] = g
		if old, had := before[g.Key]; !first && (!had || !old.Equal(g)) {
			w.acts.write(actGrantInUse, grantArgs(g)...)
		}
	}
	for key, old := range before {
		if _, has := w.known[key]; !has {
			reason := "taken away"
			if old.ExpiredAt(now) {
				reason = "expired"
			}
			w.acts.write(actGrantNotAny, append(who(sbrp.PublicKey(key), old.Name), "reason", reason)...)
		}
	}
}
