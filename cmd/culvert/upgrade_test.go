//go:build unix

package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestUpgrade has today's culvert meet older ones, which it builds from the history, and one
// from the future: in every mix of relay, daemon and client, and one part after the other
// exchanged while connections run.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("builds older versions: not with -short")
	}
	today := older{name: "today's", bin: buildCulvert(t)}
	for what, commit := range olderCommits(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // building takes most of the time
			upgradeTour(t, buildOlder(t, what, commit), today)
		})
	}
	t.Run("future link", func(t *testing.T) {
		t.Parallel()
		futureLink(t, today.bin, buildFuture(t))
	})
}

// upgradeTour begins with everything but the client and daemon of today: each mix comes once,
// the relay is upgraded in the middle of a transfer, and at the end goes back.
func upgradeTour(t *testing.T, old, today older) {
	w := &tour{lab: emptyLab(t, ""), old: old, today: today, relayIs: old, daemonIs: today, clientIs: today}
	w.begin()
	for _, next := range []func(){w.swapDaemon, w.swapClient, w.swapDaemon, w.upgradeRelay, w.swapDaemon, w.swapClient, w.swapDaemon, w.downgradeRelay} {
		w.stage()
		next()
	}
	// The daemon of today has written all along, when it ran.
	w.bin = today.bin
	w.call(nil, "audit", "verify", "--state-dir", w.path("daemon"))
}

// stage is what has to work in every mix of versions.
func (w *tour) stage() {
	w.t.Helper()
	begin := time.Now()
	w.t.Logf("relay %s, daemon %s, client %s", w.relayIs.name, w.daemonIs.name, w.clientIs.name)
	w.pairGuest()
	w.carry(w.relayIs)
	w.askStatus()
	w.bench()
	w.quiet()
	w.t.Logf("  took %v", time.Since(begin).Round(time.Millisecond))
}

// upgradeRelay puts today's relay in the place of the old one during a transfer.
func (w *tour) upgradeRelay() { w.carry(w.today) }

// downgradeRelay tries the old relay with the store that today's has migrated and used. It
// works, or is refused with a text that says what to do, and then nothing is lost.
func (w *tour) downgradeRelay() {
	w.t.Helper()
	keys := func() (string, string, error) {
		return w.try(nil, "relay", "key", "list", "--json", "--state-dir", w.path("relay"))
	}
	w.bin = w.today.bin
	before, _, _ := keys()
	w.bin = w.old.bin
	if _, said, err := keys(); err == nil {
		w.carry(w.old)
		return
	} else if codeOf(err) != 10 || !strings.Contains(said, "run the newer culvert, or restore a backup") {
		w.t.Fatalf("the old relay's word about a newer store: %v, %q", err, said)
	}
	w.killRelay()
	_, said, err := w.try(nil, "relay", "--state-dir", w.path("relay"), "--listen", "127.0.0.1:0", "--public-url", labURL,
		"--tls-cert", w.path("cert.pem"), "--tls-key", w.path("key.pem"))
	if codeOf(err) != 10 || !strings.Contains(said, "run the newer culvert, or restore a backup") {
		w.t.Fatalf("the old relay with a newer store: %v, %q", err, said)
	}
	w.bin = w.today.bin
	w.startRelay()
	if after, _, _ := keys(); after != before || after == "" {
		w.t.Errorf("keys after the old relay looked at the store:\n%s\nbefore:\n%s", after, before)
	}
	w.quiet() // the daemon is known still
}

// futureLink is a peer that speaks a later version of the link.
func futureLink(t *testing.T, bin, future string) {
	l := newLab(t, bin)
	echo := "echo=" + l.serveEcho()
	daemon := l.expose(echo)
	l.pair("client", l.clientRoute)
	refused := func(who, text string, words ...string) {
		t.Helper()
		out, said, err := l.try(l.via(l.clientRoute), append(words, "--state-dir", l.path("client"))...)
		if codeOf(err) != 23 || !strings.Contains(out+said, text) || !strings.Contains(out+said, "update culvert on the older of the two machines") {
			t.Errorf("%s: %s: %v, stdout %q, stderr %q; want 23 and %q", who, words[0], err, out, said, text)
		}
	}
	l.bin = future
	refused("a client from the future", "the daemon speaks link version 1, the client 2", "forward", "laptop", "0:echo")
	refused("a client from the future", "the daemon speaks link version 1, the client 2", "doctor", "laptop/echo")
	daemon.end()
	l.expose(echo)
	l.bin = bin
	refused("a daemon from the future", "the daemon speaks link version 2, the client 1", "forward", "laptop", "0:echo")
	refused("a daemon from the future", "the daemon speaks link version 2, the client 1", "doctor", "laptop/echo")
}

// try runs a command that ends by itself.
func (l *lab) try(env []string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(l.t.Context(), l.bin, args...)
	cmd.Env = append(l.environ(), env...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.String(), said.String(), err
}

// codeOf is a process's exit code.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}
