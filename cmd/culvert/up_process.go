package main

import (
	"cmp"
	"time"

	"culvert/config"
	"culvert/service"
)

// applyFile takes the settings of the file that concern this command's own output, and
// returns how to take those of a changed one. A file that cannot be read is up's to report.
func (a *app) applyFile(path string, formatGiven bool) (changed func(*config.File)) {
	changed = a.fileSettings(a.flags.verbose > 0, formatGiven)
	file, err := config.LoadFile(path)
	if err != nil {
		file = &config.File{}
	}
	changed(file)
	if len(file.Targets) > 0 {
		a.print.wait(relayKey, "connecting to the relay")
	}
	for _, f := range file.Forwards {
		a.print.connecting(f.Daemon.Text)
	}
	return changed
}

// fileSettings takes settings from files, but for what the command line says.
func (a *app) fileSettings(levelGiven, formatGiven bool) func(*config.File) {
	format := a.flags.logFormat
	return func(file *config.File) {
		a.print.setHold(cmp.Or(file.HoldTime, 10*time.Minute))
		if !levelGiven {
			a.flags.verbose = map[string]int{"debug": 2, "info": 1, "error": -1}[file.LogLevel.Text]
		}
		if !formatGiven {
			a.flags.logFormat = cmp.Or(file.LogFormat.Text, format)
		}
		a.setLog()
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
