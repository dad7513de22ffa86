package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"culvert/service"
)

// statusLines are the processes as tables for people.
func statusLines(all []service.ProcessStatus, now time.Time, stateDir string) []string {
	if len(all) == 0 {
		return []string{"no culvert runs on " + stateDir}
	}
	var lines []string
	for i, p := range all {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, processLine(p, now))
		if p.Relay != nil {
			lines = append(lines, relayLines(*p.Relay)...)
		}
		if p.Exposure != nil {
			lines = append(lines, exposureLine(*p.Exposure, now))
		}
		lines = append(lines, columns([]string{"TARGET", "ADDRESS", "CLIENTS", "CONNECTIONS"}, cells(p.Targets, targetCells))...)
		lines = append(lines, columns([]string{"FORWARD", "TARGET", "STATE", "CONNECTIONS", "UP", "DOWN"}, cells(p.Forwards, forwardCells))...)
		lines = append(lines, columns([]string{"LINK", "STATE", "FOR", "RTT", "CONNECTIONS", "BUFFERED", "SENT", "RECEIVED", "RESUMED", "LAST DROP"},
			cells(p.Links, func(l service.LinkStatus) []string { return linkCells(l, now) }))...)
		lines = append(lines, linkNotes(p.Links)...)
	}
	return lines
}

func cells[T any](all []T, row func(T) []string) [][]string {
	var rows [][]string
	for _, v := range all {
		rows = append(rows, row(v))
	}
	return rows
}

// columns are the lines of a table; none without rows.
func columns(heading []string, rows [][]string) []string {
	if len(rows) == 0 {
		return nil
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder does not fail
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

func processLine(p service.ProcessStatus, now time.Time) string {
	text := fmt.Sprintf("culvert %s   pid %d   for %s", p.Command, p.PID, ago(p.Started.Time, now))
	if p.Config != "" {
		text += "   " + p.Config
	}
	if !p.Reloaded.IsZero() {
		text += fmt.Sprintf(" (reloaded %s ago)", ago(p.Reloaded.Time, now))
	}
	return text
}

func relayLines(r service.RelayStatus) []string {
	sessions := count(int(r.Sessions), "session")
	if r.Paused > 0 {
		sessions += fmt.Sprintf(" and %d paused", r.Paused)
	}
	state := ""
	if r.State != "" && r.State != "ready" {
		state = "   " + r.State
	}
	return []string{
		fmt.Sprintf("  relay %s   listening on %s%s", r.URL, r.Addr, state),
		fmt.Sprintf("  %s online   %s   %s to daemons, %s to clients", count(int(r.Daemons), "daemon"), sessions, size(r.BytesToDaemons), size(r.BytesToClients)),
	}
}

func exposureLine(x service.ExposureStatus, now time.Time) string {
	text := fmt.Sprintf("  daemon %s   %s for %s", x.Name, x.State, ago(x.Since.Time, now))
	if x.State == "online" {
		return text + "   relay " + x.Relay
	}
	return text + because(or(x.Reason, x.Code))
}

func targetCells(t service.TargetStatus) []string {
	return []string{t.Target, t.Address, strconv.Itoa(t.Granted), strconv.Itoa(t.Connections)}
}

func forwardCells(f service.ForwardStatus) []string {
	state := f.State
	if f.Code != "" {
		state += ": " + f.Code
	}
	return []string{
		or(f.Addr, "-"), f.Daemon + "/" + f.Target, state,
		fmt.Sprintf("%d of %d", f.Connections, f.Opened), size(f.BytesUp), size(f.BytesDown),
	}
}

func linkCells(l service.LinkStatus, now time.Time) []string {
	peer, rtt, drop := "to "+l.Daemon, "-", "-"
	if l.Daemon == "" {
		peer = "from " + l.Client
	}
	if l.RTT > 0 {
		rtt = roundTrip(time.Duration(l.RTT * float64(time.Millisecond)))
	}
	if !l.LastDrop.IsZero() {
		drop = ago(l.LastDrop.Time, now) + " ago" + because(l.DropReason)
	}
	return []string{
		peer, l.State, ago(l.Since.Time, now), rtt, strconv.Itoa(l.Connections), size(l.Buffered),
		size(l.Sent), size(l.Received), strconv.Itoa(l.Resumes), drop,
	}
}

// linkNotes say why links have no carrier, and over which relay the others go.
func linkNotes(links []service.LinkStatus) []string {
	var lines []string
	for _, l := range links {
		switch {
		case l.Daemon == "": // the exposure's line says it
		case l.Code != "":
			lines = append(lines, fmt.Sprintf("  ! %s: %s", l.Daemon, or(l.Message, l.Code)))
		case l.Relay != "":
			lines = append(lines, fmt.Sprintf("  %s by relay %s", l.Daemon, l.Relay))
		}
	}
	return lines
}

// ago is the time since t in one or two units.
func ago(t, now time.Time) string {
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// size is a number of bytes with three digits at most.
func size[N int | int64 | uint64](n N) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		if f /= 1000; f < 999.5 {
			return fmt.Sprintf("%.3g %s", f, unit)
		}
	}
	return fmt.Sprintf("%.0f PB", f/1000)
}
