package main

import (
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"culvert/service"
)

// notify tells the service manager that started this process, if it asked for it by
// NOTIFY_SOCKET, as sd_notify(3) says. What it does not get changes nothing for others.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// watchdog returns what to call how often so that the service manager does not think that
// this process hangs; nil where it does not watch.
func watchdog() (beat func(), every time.Duration) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within <= 0 {
		return nil, 0 // it watches another process, or none
	}
	return func() { notify(daemon.SdNotifyWatchdog) }, within / 3 // two may be late
}

// notified is a sink that also gives the service manager its line about this process.
func notified(sink service.Sink) service.Sink {
	return func(e service.Event) {
		sink(e)
		if line := serviceStatus(e); line != "" {
			notify("STATUS=" + strings.Join(strings.Fields(printable(line)), " ")) // one line
		}
	}
}

// serviceStatus is what an event says about the process as a whole; empty: nothing.
func serviceStatus(e service.Event) string {
	switch e.Event {
	case service.EventOnline:
		return "online" + prefixed(" as ", e.Name) + prefixed(" at ", e.URL)
	case service.EventOffline:
		return "offline" + prefixed(": ", e.Reason)
	case service.EventReady:
		return path(e) + " is ready"
	case service.EventHeld:
		return e.Daemon + " lost, connections held"
	case service.EventResumed:
		return e.Daemon + " resumed"
	case service.EventError:
		return redact(e.Message)
	default:
		return ""
	}
}

// prefixed is text behind a prefix, or nothing.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
