package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/service"
)

// livePrinter is a printer whose line is drawn on a screen of so many columns.
func livePrinter(columns int) (*printer, *bytes.Buffer) {
	var b bytes.Buffer
	p := &printer{stdout: &b, stderr: &b, loc: time.UTC}
	p.live = live{on: true, width: func() int { return columns }, foreground: func() bool { return true }}
	return p, &b
}

// after lets time pass and returns what was written meanwhile.
func after(p *printer, b *bytes.Buffer, d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer b.Reset()
	return b.String()
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := livePrinter(80)
		expect := func(what string, d time.Duration, want string) {
			t.Helper()
			if got := after(p, b, d); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		set := func(change func(*live)) {
			p.mu.Lock()
			defer p.mu.Unlock()
			change(&p.live)
		}
		width := func(n int) { set(func(l *live) { l.width = func() int { return n } }) }
		foreground := func(is bool) { set(func(l *live) { l.foreground = func() bool { return is } }) }
		p.wait("a", "waiting for a")
		expect("a short wait", liveDelay-1, "")
		expect("a longer one", 1, "\rwaiting for a\x1b[J\r")
		expect("a tick later", liveTick, "\rwaiting for a   1s\x1b[J\r")
		p.wait("a", "waiting for a (röde)")
		expect("another text goes on counting", 0, "\rwaiting for a (r?de)   1s\x1b[J\r")
		p.note("! a line")
		expect("a line above", 0, "\r\x1b[J! a line\n\rwaiting for a (r?de)   1s\x1b[J\r")
		p.wait("b", "waiting for b")
		expect("two", 0, "\rwaiting for a (r?de)   1s   (and 1 more)\x1b[J\r")
		p.ask("Well? ")
		expect("a question", 5*liveTick, "\r\x1b[JWell? ")
		p.pause(false)
		expect("its answer", 0, "\rwaiting for a (r?de)   6s   (and 1 more)\x1b[J\r")
		width(12)
		expect("narrow", liveTick, "\rwaiting for\x1b[J\r")
		width(0)
		expect("no room at all", liveTick, "\r\x1b[J\r")
		width(80)
		foreground(false)
		expect("in the background", 3*liveTick, "")
		foreground(true)
		p.done("a")
		expect("the other one", 0, "\rwaiting for b   10s\x1b[J\r")
		p.done("nothing")
		expect("what was not waited for", 0, "")
		p.done("b")
		expect("no wait is left", 10*liveTick, "\r\x1b[J")
		p.wait("c", "c")
		expect("a new wait", liveDelay, "\rc\x1b[J\r")
		p.endWaits(true)
		p.wait("d", "d")
		expect("after the end", 10*liveTick, "\r\x1b[J")
	})
}

// Piped, with --json and with --quiet there is no line.
func TestLiveSilence(t *testing.T) {
	for what, set := range map[string]func(*printer){
		"piped": func(p *printer) { p.live.on = false },
		"json":  func(p *printer) { p.json = true },
		"quiet": func(p *printer) { p.quiet = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			p, b := livePrinter(80)
			set(p)
			p.wait("a", "a")
			if got := after(p, b, time.Minute); got != "" {
				t.Errorf("%s: %q, want nothing", what, got)
			}
		})
	}
}

// TestQuiet: warnings and what was asked for stay.
func TestQuiet(t *testing.T) {
	p, b := livePrinter(80)
	p.quiet = true
	p.note("all is well")
	p.note("+ it came back")
	p.note("! it went away")
	p.event(service.Event{Event: service.EventPairingCode, PairingCode: "ABCDE"})
	p.picture("picture\n")
	if got, want := b.String(), "! it went away\nABCDE\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFollow(t *testing.T) {
	one, at := 1, "127.0.0.1:1"
	e := func(name string) service.Event {
		return service.Event{Event: name, Daemon: "laptop", Target: "web", Addr: at}
	}
	link := func(name string) service.Event {
		return service.Event{Event: name, Daemon: "laptop", Connections: &one, Reason: "relay lost"}
	}
	with := func(e service.Event, code string) service.Event { e.Code = code; return e }
	p, _ := livePrinter(80)
	defer p.endWaits(true)
	p.connecting("laptop")
	p.wait(relayKey, "connecting to the relay")
	for i, tt := range []struct {
		e    service.Event
		want string
	}{
		{service.Event{Event: service.EventOnline}, "connecting to laptop"},
		{e(service.EventListening), "connecting to laptop"},
		{with(link(service.EventError), "daemon_offline"), "waiting for laptop (daemon offline)"},
		{with(e(service.EventTargetUnavailable), "refused"), "waiting for laptop/web (refused)"},
		{link(service.EventHeld), "1 connection held, waiting for laptop (relay lost), waiting for laptop/web (refused)"},
		{link(service.EventResumed), "waiting for laptop/web (refused)"},
		{e(service.EventReady), ""},
		{link(service.EventLost), "connecting to laptop"},
		{e(service.EventReady), ""},
		{service.Event{Event: service.EventHeld, Client: "phone", Connections: &one}, ""},
		{with(service.Event{Event: service.EventOffline}, "unreachable"), "waiting for the relay (unreachable)"},
		{service.Event{Event: service.EventError, Code: "authorized_clients"}, "waiting for the relay (unreachable)"},
		{service.Event{Event: service.EventError, Final: true}, ""},
		{with(e(service.EventError), "bind_busy"), "waiting for a local address for laptop/web (bind busy)"},
		{e(service.EventListening), ""},
		{link(service.EventLost), "connecting to laptop"},
		{e(service.EventClosed), ""},
		{link(service.EventLost), "connecting to laptop"},
		{service.Event{Event: service.EventError, Daemon: "laptop", Final: true}, ""},
	} {
		p.follow(tt.e)
		var texts []string
		if len(p.live.waits) > 0 {
			texts = append(texts, p.live.foremost().text)
		}
		for _, w := range p.live.waits {
			if w.text != texts[0] {
				texts = append(texts, w.text)
			}
		}
		if got := strings.Join(texts, ", "); got != tt.want {
			t.Errorf("%d. after %s: %q, want %q", i+1, tt.e.Event, got, tt.want)
		}
	}
}
