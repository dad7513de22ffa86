package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// logSettings are what may change while the log is written.
type logSettings struct {
	level slog.LevelVar
	json  atomic.Bool
}

// logHandler writes the log in the format that is set at the moment.
type logHandler struct {
	set        *logSettings
	text, json slog.Handler
}

// setLog takes the settings of the command line and, where that says nothing, of a file.
func (a *app) setLog() {
	a.log.level.Set(slog.LevelWarn - slog.Level(4*min(a.flags.verbose, 2)))
	a.log.json.Store(a.flags.logFormat == "json")
}

// logger writes diagnostics to stderr: warnings, with -v what happens, with -vv all of it.
func (a *app) logger() *slog.Logger {
	a.setLog()
	o := &slog.HandlerOptions{Level: &a.log.level}
	return slog.New(&logHandler{&a.log, slog.NewTextHandler(a.print.log(), o), slog.NewJSONHandler(a.print.log(), o)})
}

// Enabled is slog.Handler's.
func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.set.level.Level() }

// Handle is slog.Handler's.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.set.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.set, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup is slog.Handler's.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.set, h.text.WithGroup(name), h.json.WithGroup(name)}
}
