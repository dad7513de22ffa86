package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
	"unicode"

	"culvert/service"
)

// printer is the only writer of this process: whatever is on stdout or stderr has passed
// here, but for the bytes of a connection (stdio). stdout carries what was asked for;
// with --json that is one object a line, and the lines for people are left out. All
// methods may be called concurrently.
type printer struct {
	json   bool // set before the first call, as are quiet, colour, loc and live.on
	quiet  bool // of lines for people only the warnings
	colour bool // of lines on stderr
	loc    *time.Location
	hold   atomic.Int64 // how long the command's links are held, in ns, for the line that says so

	waits waits // owned by the caller of event

	mu             sync.Mutex // guards the streams, so that lines never mix, and live
	stdout, stderr io.Writer
	live           live
}

func (p *printer) setHold(d time.Duration) { p.hold.Store(int64(d)) }
func (p *printer) holdTime() time.Duration { return time.Duration(p.hold.Load()) }

// data writes a line of what was asked for; nothing with --json, where object does it.
func (p *printer) data(format string, args ...any) {
	if !p.json {
		p.write(p.stdout, printable(fmt.Sprintf(format, args...))+"\n")
	}
}

// script writes text as it is, also with --json: it is for another program.
func (p *printer) script(text string) { p.write(p.stdout, text) }

// object writes v as a JSON line; nothing without --json.
func (p *printer) object(v any) {
	if !p.json {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("culvert: " + err.Error()) // v is a type of ours
	}
	p.write(p.stdout, string(b)+"\n")
}

// note writes a line for people to stderr; nothing with --json, and with --quiet only what
// begins with a '!'.
func (p *printer) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !p.json && (!p.quiet || strings.HasPrefix(text, "! ")) {
		p.write(p.stderr, p.paint(printable(text))+"\n")
	}
}

// warn writes to stderr what is wrong but does not end the command, also with --json.
func (p *printer) warn(problems []error) {
	for _, err := range problems {
		p.write(p.stderr, p.paint("! "+printable(redact(err.Error())))+"\n")
	}
}

// picture shows lines of blocks, which are white on black whatever the terminal's colours
// are; nothing where there is no colour.
func (p *printer) picture(lines string) {
	if p.json || p.quiet || !p.colour {
		return
	}
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("\x1b[97;40m" + strings.TrimRight(line, "\n") + "\x1b[0m\n")
	}
	p.write(p.stderr, b.String())
}

// table writes rows under a heading as columns; nothing with --json.
func (p *printer) table(heading []string, rows [][]string) {
	if p.json {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder does not fail
	for line := range strings.Lines(b.String()) {
		p.write(p.stdout, printable(strings.TrimRight(line, " \n"))+"\n")
	}
}

// ask writes a question to stderr, without a line end, also with --json. The caller ends
// the pause when it is answered.
func (p *printer) ask(format string, args ...any) {
	p.pause(true)
	p.write(p.stderr, printable(fmt.Sprintf(format, args...)))
}

// event is a [service.Sink]: an event is a JSON line, or a line for people.
func (p *printer) event(e service.Event) {
	if p.json {
		p.object(e)
		return
	}
	p.follow(e)
	if e.Event == service.EventPairingCode {
		p.pairingCode(e)
		return
	}
	if line := eventLine(e, p.loc, p.holdTime()); line != "" {
		p.note("%s", line)
	}
}

// pairingCode writes a code to stdout, and to stderr how to use it.
func (p *printer) pairingCode(e service.Event) {
	p.note("pairing code, for one use until %s; on the other machine: culvert pair CODE%s", e.ExpiresAt.In(p.loc).Format(time.TimeOnly), prefixed(" --relay ", e.URL))
	p.data("%s", e.PairingCode)
}

// fail tells why the command ends: two lines on stderr, and with --json an event too.
func (p *printer) fail(err error) {
	e := service.Event{Time: time.Now(), Event: service.EventError, Code: "failure", Message: redact(err.Error())}
	if se, ok := errors.AsType[*service.Error](err); ok {
		e.Code, e.Mend = se.Name, redact(se.Mend)
	}
	p.object(e)
	text := "culvert: " + printable(e.Message) + "\n"
	if e.Mend != "" {
		text += "  try: " + printable(e.Mend) + "\n"
	}
	p.write(p.stderr, p.paint(text))
}

// log returns the writer for the log.
func (p *printer) log() io.Writer { return logWriter{p} }

type logWriter struct{ p *printer }

func (w logWriter) Write(b []byte) (int, error) {
	w.p.write(w.p.stderr, redact(string(b)))
	return len(b), nil
}

// write ignores errors: there is no other place to tell them, and a command whose reader
// has gone ends by SIGPIPE or goes on with its work.
func (p *printer) write(w io.Writer, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live.drawn {
		p.erase()
		defer p.redraw()
	}
	_, _ = io.WriteString(w, text)
}

// paint colours the mark at the begin of a line: what is wrong, what came back, what is
// ready. The colour repeats what the words say.
func (p *printer) paint(text string) string {
	if !p.colour {
		return text
	}
	const red, green, yellow, plain = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
	for mark, colour := range map[string]string{"! ": yellow, "+ ": green, "culvert: ": red} {
		if rest, ok := strings.CutPrefix(text, mark); ok {
			return colour + strings.TrimSpace(mark) + plain + " " + rest
		}
	}
	if before, after, ok := strings.Cut(text, "   ready ("); ok {
		return before + "   " + green + "ready" + plain + " (" + after
	}
	return text
}

// secrets are API keys and tokens. None should ever be in an error or the log; this is
// the last place where one can be held back.
var secrets = regexp.MustCompile(`cvk_[0-9A-Za-z]+_[0-9A-Za-z]+|eyJ[\w-]+\.[\w-]+\.[\w-]*`)

func redact(text string) string { return secrets.ReplaceAllString(text, "[redacted]") }

// printable keeps what a terminal would not show but obey, such as control characters in a
// peer's name, off the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
