package osservice

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"

	kardianos "github.com/kardianos/service"

	"culvert/config"
)

// Run runs a command as the Windows service that this process was started to be; handled
// is false where it was not. The command's lines go to the event log, and its context ends
// when the service is to stop.
//
// A command that fails with what may heal ends the process, which Windows starts again. One
// that cannot heal leaves the service standing idle until a person restarts it, as systemd
// does by RestartPreventExitStatus: Windows would otherwise start it again for ever.
func Run(f func(ctx context.Context, log io.Writer) int) (code int, handled bool) {
	name := config.ServiceName()
	if name == "" || kardianos.Interactive() {
		return 0, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{run: f, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	svc, err := kardianos.New(p, &kardianos.Config{Name: name})
	if err != nil {
		return 1, true
	}
	if p.log, err = svc.SystemLogger(nil); err != nil {
		return 1, true
	}
	if err := svc.Run(); err != nil {
		return 1, true
	}
	return 0, true
}

// program is the command as kardianos/service wants it.
type program struct {
	run    func(context.Context, io.Writer) int
	ctx    context.Context // of the service: ends when it is to stop
	cancel context.CancelFunc
	log    kardianos.Logger
	done   chan struct{}
}

// Start returns at once; Stop waits for what it started.
func (p *program) Start(kardianos.Service) error {
	go p.main() // Stop waits for it
	return nil
}

func (p *program) main() {
	defer close(p.done)
	w := &eventWriter{log: p.log}
	code := p.run(p.ctx, w)
	w.flush()
	switch {
	case p.ctx.Err() != nil, code == 2, code == 10, code == 11, code == 25:
	default:
		os.Exit(code) // the service manager's turn
	}
}

// Stop ends the command and waits for that.
func (p *program) Stop(kardianos.Service) error {
	p.cancel()
	<-p.done
	return nil
}

// eventWriter makes an event of each line.
type eventWriter struct {
	log kardianos.Logger
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write takes any part of lines.
func (w *eventWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.buf.Write(b)
	var lines []string
	for bytes.IndexByte(w.buf.Bytes(), '\n') >= 0 {
		line, _ := w.buf.ReadString('\n') // there is one
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	w.mu.Unlock()
	for _, line := range lines {
		w.event(line)
	}
	return len(b), nil
}

// flush writes a last line without an end.
func (w *eventWriter) flush() {
	w.mu.Lock()
	line := w.buf.String()
	w.buf.Reset()
	w.mu.Unlock()
	w.event(line)
}

// event ignores errors: there is no other place to tell them.
func (w *eventWriter) event(line string) {
	switch {
	case line == "":
	case strings.HasPrefix(line, "culvert: "), strings.Contains(line, "level=ERROR"):
		_ = w.log.Error(line)
	case strings.HasPrefix(line, "! "), strings.Contains(line, "level=WARN"):
		_ = w.log.Warning(line)
	default:
		_ = w.log.Info(line)
	}
}
