package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"culvert/config"
)

// The file's settings change the log, loggers that were made before included; the command
// line's are above them.
func TestLogSettings(t *testing.T) {
	var b bytes.Buffer
	a := &app{print: &printer{stdout: &b, stderr: &b, loc: time.UTC}, flags: globalFlags{logFormat: "text"}}
	logged := func(l *slog.Logger) string {
		b.Reset()
		l.Warn("warning")
		l.Info("news")
		return strings.ReplaceAll(b.String(), "\n", "|")
	}
	set := a.fileSettings(false, false)
	set(&config.File{})
	l := a.logger().WithGroup("g").With("k", "v")
	if got := logged(l); !strings.Contains(got, "warning g.k=v|") || strings.Contains(got, "news") || a.print.holdTime() != 10*time.Minute {
		t.Errorf("an empty file: %q", got)
	}
	set(&config.File{LogLevel: config.Value{Text: "info"}, LogFormat: config.Value{Text: "json"}, HoldTime: time.Hour})
	if got := logged(l); !strings.Contains(got, `"msg":"warning","g":{"k":"v"}}|`) || !strings.Contains(got, "news") || a.print.holdTime() != time.Hour {
		t.Errorf("info as JSON: %q, hold %v", got, a.print.holdTime())
	}
	set(&config.File{LogLevel: config.Value{Text: "error"}})
	if got := logged(l); got != "" {
		t.Errorf("errors only: %q", got)
	}
	set(&config.File{})
	if got := logged(l); !strings.Contains(got, "warning g.k=v|") || strings.Contains(got, "news") {
		t.Errorf("empty again: %q", got)
	}

	a.flags = globalFlags{verbose: 1, logFormat: "json"}
	set = a.fileSettings(true, true)
	set(&config.File{LogLevel: config.Value{Text: "error"}, LogFormat: config.Value{Text: "text"}})
	if got := logged(a.logger()); !strings.Contains(got, `"msg":"news"`) {
		t.Errorf("the command line's: %q", got)
	}
}
