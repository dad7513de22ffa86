package main

import (
	"fmt"
	"strings"
	"time"

	"culvert/service"
)

// eventLine says an event to people in one line; an event that has nothing to say to them
// gives "". hold is how long a link without a carrier is kept, 0 when that is not known.
func eventLine(e service.Event, loc *time.Location, hold time.Duration) string {
	at := e.Time.In(loc).Format(time.TimeOnly)
	switch e.Event {
	case service.EventListening:
		return fmt.Sprintf("%s -> %s   waiting", e.Addr, path(e))
	case service.EventReady:
		return fmt.Sprintf("%s -> %s   ready (%s)", e.Addr, path(e), roundTrip(e.RTT))
	case service.EventTargetUnavailable:
		return fmt.Sprintf("! %s %s: %s%s", at, path(e), reason(e), mend(e.Mend))
	case service.EventHeld:
		return fmt.Sprintf("! %s %s; %s held%s", at, or(e.Reason, "relay lost"), connections(e.Connections), upTo(hold))
	case service.EventResumed:
		return fmt.Sprintf("+ %s resumed after %.1f s; %d of %s kept", at, e.After.Seconds(), value(e.Kept), count(value(e.Kept)+value(e.Lost), "connection"))
	case service.EventLost:
		return fmt.Sprintf("! %s link lost%s; %s ended", at, because(e.Reason), connections(e.Connections))
	case service.EventOnline:
		return onlineLine(e, at)
	case service.EventOffline:
		return fmt.Sprintf("! %s offline%s; trying again", at, because(or(e.Reason, e.Message)))
	case service.EventClientConnected:
		return fmt.Sprintf("+ %s %s connected   %s", at, or(e.Client, "a client"), e.Fingerprint)
	case service.EventClientDisconnected:
		return fmt.Sprintf("- %s %s disconnected%s", at, or(e.Client, "a client"), because(e.Reason))
	case service.EventError:
		return fmt.Sprintf("! %s %s%s", at, reason(e), mend(e.Mend))
	default:
		return ""
	}
}

func onlineLine(e service.Event, at string) string {
	if e.Name == "" { // a relay, whose address its command prints
		return ""
	}
	return fmt.Sprintf("+ %s online as %s at %s   %s", at, e.Name, e.Relay, e.Fingerprint)
}

// path is DAEMON/TARGET.
func path(e service.Event) string {
	if e.Target == "" {
		return e.Daemon
	}
	return e.Daemon + "/" + e.Target
}

// reason is the message, or else the code, of a failure.
func reason(e service.Event) string { return or(e.Message, or(e.Code, e.Reason)) }

func because(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func mend(text string) string {
	if text == "" {
		return ""
	}
	return "\n  try: " + text
}

// upTo says how long a held link is kept.
func upTo(hold time.Duration) string {
	if hold == 0 {
		return ""
	}
	return " (up to " + short(hold) + ")"
}

func connections(n *int) string { return count(value(n), "connection") }

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// count is "1 connection", "3 connections".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// roundTrip has two digits at least: "12 ms", "0.35 ms".
func roundTrip(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2g ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func or(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}
