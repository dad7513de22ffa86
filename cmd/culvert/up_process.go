package main

import (
	"cmp"
	"time"

	"culvert/config"
	"culvert/service"
)

// applyFile takes the settings of the file that concern this command's own output. A file
// that cannot be read is up's to report.
func (a *app) applyFile(path string, formatGiven bool) {
	a.print.hold = 10 * time.Minute
	file, err := config.LoadFile(path)
	if err != nil {
		return
	}
	a.print.hold = cmp.Or(file.HoldTime, a.print.hold)
	if a.flags.verbose == 0 {
		a.flags.verbose = map[string]int{"debug": 2, "info": 1, "error": -1}[file.LogLevel.Text]
	}
	if !formatGiven {
		a.flags.logFormat = cmp.Or(file.LogFormat.Text, a.flags.logFormat)
	}
	if len(file.Targets) > 0 {
		a.print.wait(relayKey, "connecting to the relay")
	}
	for _, f := range file.Forwards {
		a.print.connecting(f.Daemon.Text)
	}
}

// upEvent has the lines for people that only up tells.
func (a *app) upEvent(e service.Event) {
	at := e.Time.In(a.print.loc).Format(time.TimeOnly)
	switch {
	case a.print.json:
	case e.Event == service.EventReloaded:
		a.print.note("+ %s reloaded: %s", at, e.Message)
		return
	case e.Event == service.EventClosed:
		a.print.note("- %s %s -> %s   closed", at, or(e.Addr, "not bound"), path(e))
		return
	}
	a.print.event(e)
}
