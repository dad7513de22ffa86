//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// tour is a lab whose parts change their version. Everything is called one after the other,
// but for what runs.
type tour struct {
	*lab
	old, today                  older
	relayIs, daemonIs, clientIs older

	daemon, client *part
	at             map[string]string // the client's local addresses, by target
	echo           string
	held           *net.TCPConn // a connection that lives as long as client and daemon do
	quiet          func()       // uses it
	guests         int
}

// other is the version that a part does not have.
func (w *tour) other(than older) older {
	if than == w.old {
		return w.today
	}
	return w.old
}

// begin starts everything; login and the first pairing are between these versions too.
func (w *tour) begin() {
	w.t.Helper()
	w.echo = w.serveEcho()
	w.bin = w.relayIs.bin
	w.startRelay()
	key := w.call(nil, "relay", "key", "create", "--scope", "daemon,client", "--state-dir", w.path("relay"))
	w.write("api.key", key)
	w.bin = w.daemonIs.bin
	w.call(w.via(w.daemonRoute), "login", labURL, "--state-dir", w.path("daemon"), "--key-file", w.path("api.key"), "--ca-file", w.path("ca.pem"))
	w.configure(w.echo, w.echo)
	w.startDaemon()
	w.letIn("client")
	w.startClient()
}

// configure writes what the daemon exposes.
func (w *tour) configure(sink, source string) {
	w.t.Helper()
	w.write("daemon/config.yaml", fmt.Sprintf("name: laptop\ntargets:\n  echo: %s\n  sink: %s\n  source: %s\n", w.echo, sink, source))
}

func (w *tour) startDaemon() {
	w.t.Helper()
	w.bin = w.daemonIs.bin
	w.daemon = w.start("daemon", w.via(w.daemonRoute), "up", "--state-dir", w.path("daemon"))
}

func (w *tour) startClient() {
	w.t.Helper()
	w.bin = w.clientIs.bin
	w.client, w.at = w.forward("client", w.clientRoute, nil, "echo", "sink", "source")
	w.hold()
}

// hold opens the quiet connection.
func (w *tour) hold() {
	w.t.Helper()
	w.held = w.dial(w.at["echo"])
	ping := w.ping(w.held)
	w.quiet = func() { ping() }
	w.quiet()
}

// swapClient exchanges the client's version, as its owner does who starts it anew.
func (w *tour) swapClient() {
	w.t.Helper()
	w.client.end()
	w.clientIs = w.other(w.clientIs)
	w.startClient()
}

// swapDaemon exchanges the daemon below a running client: its connections end, and it finds
// the new daemon by itself. Not so two old ones: before the limit in HELLO was mended, a client
// that had found a restarted daemon ended its link at the first large transfer.
func (w *tour) swapDaemon() {
	w.t.Helper()
	next := w.other(w.daemonIs)
	if next == w.old && w.clientIs == w.old {
		w.client.end()
		w.restartDaemon(next)
		w.startClient()
		return
	}
	seen := w.client.events()
	w.restartDaemon(next)
	if err := w.held.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, w.held); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Errorf("a connection to the daemon of before: %d bytes, %v; want its end", n, err)
	}
	w.client.nextThat(seen, patience, "ready for echo again", func(e told) bool { return e.Event == "ready" && e.Target == "echo" })
	w.hold()
}

func (w *tour) restartDaemon(next older) {
	w.t.Helper()
	w.daemon.end()
	w.daemonIs = next
	w.startDaemon()
}

// letIn pairs a machine, each side with its version.
func (w *tour) letIn(machine string) {
	w.t.Helper()
	w.bin = w.daemonIs.bin
	code := strings.TrimSpace(w.call(w.via(w.daemonRoute), "pair", "--state-dir", w.path("daemon")))
	w.bin = w.clientIs.bin
	w.call(w.via(w.clientRoute), "pair", code, "--state-dir", w.path(machine), "--relay", labURL, "--ca-file", w.path("ca.pem"))
}

// pairGuest lets another machine in and has it look at the whole way. The other version on
// the daemon's machine knows the guest, and takes the grant away.
func (w *tour) pairGuest() {
	w.t.Helper()
	w.guests++
	guest := fmt.Sprintf("guest%d", w.guests)
	w.letIn(guest)
	out, said, err := w.try(w.via(w.clientRoute), "doctor", "laptop/echo", "--state-dir", w.path(guest))
	if err != nil {
		w.t.Errorf("doctor of a new client: %v\n%s%s", err, out, said)
	}
	w.bin = w.other(w.daemonIs).bin
	var names []string
	for _, c := range w.lines("clients", "--json", "--state-dir", w.path("daemon")) {
		names = append(names, c["name"].(string))
	}
	if len(names) != 2 {
		w.t.Fatalf("clients are %q, want the client and %s", names, guest)
	}
	w.call(nil, "revoke", names[1], "--state-dir", w.path("daemon"))
	w.bin = w.clientIs.bin
	if _, said, err := w.try(w.via(w.clientRoute), "forward", "--once", "laptop", "0:echo", "--state-dir", w.path(guest)); codeOf(err) != 23 {
		w.t.Errorf("a client whose grant was taken away: %v, %s; want 23", err, said)
	}
}

// carry moves bytes both ways, exactly, while the relay is killed and another one comes. The
// other version on the daemon's machine tells it the transfer's targets.
func (w *tour) carry(next older) {
	w.t.Helper()
	const size = 8 << 20
	tr, sink, source := newTraffic(w.lab, size)
	w.configure(sink, source)
	w.bin = w.other(w.daemonIs).bin
	w.call(nil, "reload", "--state-dir", w.path("daemon"))
	tr.start(w.at["sink"], w.at["source"])
	tr.allow(size / 2)
	tr.reach(size/4, patience)
	w.killRelay()
	tr.allow(size)
	w.bin, w.relayIs = next.bin, next
	w.startRelay()
	tr.finish(2 * patience)
	w.quiet()
}

// askStatus has each version ask the other's processes.
func (w *tour) askStatus() {
	w.t.Helper()
	for state, is := range map[string]older{"client": w.clientIs, "daemon": w.daemonIs} {
		w.bin = w.other(is).bin
		kinds := map[string]int{}
		for _, line := range w.lines("status", "--json", "--state-dir", w.path(state)) {
			kind, _ := line["kind"].(string)
			if kind == "link" && line["state"] != "live" {
				kind = "link not live"
			}
			kinds[kind]++
		}
		if kinds["process"] != 1 || kinds["link"] == 0 || kinds["connection"] == 0 {
			w.t.Errorf("status of the %s: %v, want a process, a live link and a connection", state, kinds)
		}
		if out := w.call(nil, "status", "--state-dir", w.path(state)); !strings.Contains(out, "live") {
			w.t.Errorf("status of the %s for people: %s", state, out)
		}
	}
}

// lines are the JSON lines that a command prints.
func (w *tour) lines(args ...string) (all []map[string]any) {
	w.t.Helper()
	for line := range strings.Lines(w.call(nil, args...)) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			w.t.Fatalf("%s prints %q: %v", args[0], line, err)
		}
		all = append(all, object)
	}
	return all
}

// bench measures the tunnel. An old client may not know how, an old daemon is too old in so
// many words.
func (w *tour) bench() {
	w.t.Helper()
	w.bin = w.clientIs.bin
	out, said, err := w.try(w.via(w.clientRoute), "bench", "laptop", "--time", "100ms", "--limit", "1MB", "--json", "--state-dir", w.path("client"))
	switch code := codeOf(err); {
	case code == 0 && strings.Contains(out, `"down":{"bytes":1000000`):
	case code == 1 && w.daemonIs == w.old && strings.Contains(said, "the daemon's culvert is too old to be measured") &&
		strings.Contains(said, "update culvert on the daemon's machine"):
	case code == 2 && w.clientIs == w.old && strings.Contains(said, "unknown "): // command or flag
	default:
		w.t.Errorf("bench: %v\n%s%s", err, out, said)
	}
}

// buildFuture builds a culvert that speaks the next version of the link.
func buildFuture(t *testing.T) (bin string) {
	t.Helper()
	return buildCulvert(t, "-overlay", overlay(t, "../../mux/protocol.go", "const protocolVersion = 1\n", "const protocolVersion = 2\n"))
}
