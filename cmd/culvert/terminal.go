package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mdp/qrterminal/v3"
	"golang.org/x/term"
)

// tty says which of the standard streams are a terminal.
type tty struct {
	in, out, err bool
	colour       bool // stderr shows colours
}

func newTTY(in, out, err *os.File) tty {
	t := tty{in: isTerminal(in), out: isTerminal(out), err: isTerminal(err)}
	t.colour = t.err && enableColour(err)
	return t
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// canAsk tells whether there is somebody to answer a question.
func (a *app) canAsk() bool { return a.tty.in && a.tty.err }

// maxInput bounds what is read as a key, a code or an answer, in bytes. The longest is an
// API key, which has less than 100.
const maxInput = 4096

// readLine reads one line of at most maxInput bytes from stdin, without what surrounds it.
func (a *app) readLine(ctx context.Context) (string, error) {
	return abandon(ctx, func() (string, error) {
		line, err := bufio.NewReader(io.LimitReader(a.stdin, maxInput)).ReadString('\n')
		if err == io.EOF && line != "" {
			err = nil
		}
		return strings.TrimSpace(line), err
	})
}

// readHidden asks for a line on the terminal and does not show it, from before the
// question on. Ctrl-C comes as a letter then.
func (a *app) readHidden(ctx context.Context, prompt string) (string, error) {
	return a.readHiddenFrom(ctx, a.stdin, prompt)
}

func (a *app) readHiddenFrom(ctx context.Context, in *os.File, prompt string) (string, error) {
	fd := int(in.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("read from terminal: %w", err)
	}
	restore := sync.OnceFunc(func() { _ = term.Restore(fd, state) }) // nothing could be done about it
	defer restore()
	defer context.AfterFunc(ctx, restore)() // the process may end without coming back here
	text, err := abandon(ctx, func() (string, error) {
		return term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{in, a.print.log()}, "").ReadPassword(prompt)
	})
	if errors.Is(err, io.EOF) {
		return "", errInterrupted
	}
	return strings.TrimSpace(text), err
}

// abandon runs a read that cannot be cancelled and gives up waiting when ctx ends. The
// goroutine then lasts until the process ends, which is next: only commands that end on a
// signal read so.
func abandon(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1) // so that an abandoned read can end
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// qr is text as a QR code of half blocks, to be shown white on black.
func qr(text string) string {
	var b strings.Builder
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level: qrterminal.M, Writer: &b, HalfBlocks: true, QuietZone: 2,
		BlackChar: qrterminal.BLACK_BLACK, BlackWhiteChar: qrterminal.BLACK_WHITE,
		WhiteChar: qrterminal.WHITE_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	return b.String()
}
