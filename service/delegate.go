package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxWords bounds a command line that is sent to a process, in bytes.
const maxWords = 64 << 10

// commandLine is what POST /v1/command takes.
type commandLine struct {
	Words []string `json:"words"`
}

// commandPiece is one line of its answer: bytes for stdout or stderr, or the end.
type commandPiece struct {
	Out  []byte `json:"out,omitempty"`
	Err  []byte `json:"err,omitempty"`
	Exit *int   `json:"exit,omitempty"`
}

// Delegate has a running process carry out a command line, where the state directory is
// another user's: that of a system service. delegated is false where the directory is this
// user's own, or where this is the superuser and no process runs, who then goes on himself.
// It blocks until the command is done or ctx ends.
func Delegate(ctx context.Context, stateDir string, words []string, stdout, stderr io.Writer) (code int, delegated bool, err error) {
	foreign, owner := foreignDir(stateDir)
	if !foreign {
		return 0, false, nil
	}
	socket, err := commandSocket(ctx, stateDir)
	if err == nil && socket == "" && mayOpen() {
		return 0, false, nil
	}
	if err != nil || socket == "" {
		return 0, true, errForeign(stateDir, owner, err)
	}
	code, err = askCommand(ctx, socket, words, stdout, stderr)
	return code, true, err
}

// commandSocket is the socket of the oldest process that may take commands; empty: none.
func commandSocket(ctx context.Context, stateDir string) (string, error) {
	all, err := askAll(ctx, stateDir, http.MethodGet, "/v1/status", adminTimeout)
	if err != nil {
		return "", err
	}
	var first *ProcessStatus
	socket := ""
	for _, a := range all {
		if a.err != nil {
			err = a.err
		}
		if p, err := a.process(); err == nil && (first == nil || byStart(p, *first) < 0) {
			first, socket = &p, a.path
		}
	}
	if socket == "" {
		return "", err
	}
	return socket, nil
}

func errForeign(stateDir, owner string, cause error) *Error {
	if cause == nil {
		cause = errNotRunning
	}
	return errorf(CodeConfig, "state_dir", fmt.Sprintf("start the service, and be in its group (sudo usermod -aG culvert $USER, then log in anew); or: sudo -u %s culvert …", owner),
		"the state directory %s is user %s's, and no service of it answers: %w", stateDir, owner, cause)
}

// askCommand sends the words and copies what comes back.
func askCommand(ctx context.Context, socket string, words []string, stdout, stderr io.Writer) (int, error) {
	body, err := json.Marshal(commandLine{words})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://culvert/v1/command", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := adminClient(socket, 0).Do(req)
	if err != nil {
		return 0, delegateError(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return 0, errorf(CodeFailure, "old_process", "restart the service", "the running service is of an older version, which takes no commands")
	default:
		return 0, errorf(CodeFailure, "delegate", "", "the running service refuses the command: %s", resp.Status)
	}
	code, err := copyPieces(resp.Body, stdout, stderr)
	if _, write := errors.AsType[*writeError](err); err != nil && !write {
		return 0, delegateError(ctx, err)
	}
	return code, err
}

// writeError is an error of this side's stdout or stderr.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// copyPieces writes what a command says until it tells its exit code, which is returned. An
// answer that ends before is an error.
func copyPieces(r io.Reader, stdout, stderr io.Writer) (int, error) {
	for dec := json.NewDecoder(r); ; {
		var p commandPiece
		if err := dec.Decode(&p); err != nil {
			return 0, err
		}
		if p.Exit != nil {
			return *p.Exit, nil
		}
		_, err1 := stdout.Write(p.Out)
		_, err2 := stderr.Write(p.Err)
		if err := errors.Join(err1, err2); err != nil {
			return 0, &writeError{err}
		}
	}
}

func delegateError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errorf(CodeFailure, "delegate", "culvert service logs", "the running service did not carry out the command: %w", err)
}

// serveCommand carries out a command line. Whoever is let in here may do what the owner of
// the state directory may; which commands there are is the command function's to say.
func (p *process) serveCommand(w http.ResponseWriter, r *http.Request) {
	var line commandLine
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxWords)).Decode(&line); err != nil {
		http.Error(w, "a command line is expected", http.StatusBadRequest)
		return
	}
	// As long as it takes, or the caller is there. The errors say that he is not.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &pieces{w: w, cancel: cancel}
	code := p.m.command(p.m.withKey(ctx), line.Words,
		pieceWriter(func(b []byte) { out.send(commandPiece{Out: b}) }),
		pieceWriter(func(b []byte) { out.send(commandPiece{Err: b}) }))
	out.send(commandPiece{Exit: &code})
}

// pieces sends an answer piece by piece, so that it is seen as it comes.
type pieces struct {
	mu     sync.Mutex // guards w: one line after the other
	w      http.ResponseWriter
	cancel context.CancelFunc
}

func (s *pieces) send(p commandPiece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := json.NewEncoder(s.w).Encode(p)
	if err == nil {
		err = http.NewResponseController(s.w).Flush()
	}
	if err != nil {
		s.cancel() // nobody listens
	}
}

type pieceWriter func([]byte)

// Write never fails: who does not listen any more ends the command.
func (f pieceWriter) Write(b []byte) (int, error) {
	if len(b) > 0 {
		f(b)
	}
	return len(b), nil
}
