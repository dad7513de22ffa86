package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"culvert/mux"
)

// Opener opens streams to one daemon: a *mux.Client, which waits while the
// link has no path, or a *mux.Session.
type Opener interface {
	Open(ctx context.Context) (*mux.Stream, error)
}

// Conn is a connection to a target whose answer may still be on its way. Write
// works at once. Read first waits for the daemon's answer; one that is not ok
// is a *StatusError, and no byte has been read then. One goroutine may read
// (Read, Answer) while another writes; the rest may be called at any time.
type Conn struct {
	*mux.Stream
	target string

	// owned by the reading goroutine
	answered bool
	err      error
	onOK     func() // called when the answer is ok
}

// Start asks for a connection to target and does not wait for the answer. It
// waits for a stream (while the link is held too) until ctx ends; after that
// ctx has no say.
func Start(ctx context.Context, o Opener, target string) (*Conn, error) {
	return start(ctx, o, request{kind: KindConnect, target: target})
}

func start(ctx context.Context, o Opener, r request) (*Conn, error) {
	if err := CheckRef(r.target); err != nil {
		return nil, fmt.Errorf("connect to target: %w", err)
	}
	s, err := o.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to target %q: %w", r.target, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // unblocks the write
	_, err = s.Write(appendRequest(make([]byte, 0, requestHeader+len(r.target)), r))
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = s.Reset() // already failed
		return nil, fmt.Errorf("connect to target %q: %w", r.target, causeOf(ctx, err))
	}
	return &Conn{Stream: s, target: r.target}, nil
}

// Answer waits for the daemon's answer: nil, or a *StatusError, or the
// stream's error. Later calls return the same.
func (c *Conn) Answer() error {
	if c.answered {
		return c.err
	}
	c.answered = true
	a, err := readAnswer(c.Stream)
	switch {
	case err != nil:
		c.err = fmt.Errorf("connect to target %q: %w", c.target, err)
	case a.status != StatusOK:
		c.err = &StatusError{Target: c.target, Status: a.status, Text: a.text}
	case c.onOK != nil:
		c.onOK()
	}
	return c.err
}

// Read waits for the answer, then reads the target's bytes.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Answer(); err != nil {
		return 0, err
	}
	return c.Stream.Read(p)
}

// WaitRead waits for the answer, then as the stream's does.
func (c *Conn) WaitRead(take func(p []byte) int) error {
	if err := c.Answer(); err != nil {
		return err
	}
	return c.Stream.WaitRead(take)
}

// Connect asks for a connection to target and waits until the daemon says that
// it is there: *StatusError when it is not. ctx bounds all of it.
func Connect(ctx context.Context, o Opener, target string) (*mux.Stream, error) {
	c, err := ask(ctx, o, request{kind: KindConnect, target: target})
	if err != nil {
		return nil, err
	}
	return c.Stream, nil
}

// Check asks the daemon whether the target may be reached and can be: the
// grant is asked, the target dialled and closed again. It returns the time
// from the opened stream to the answer. ctx bounds all of it, and a daemon that
// does not answer is os.ErrDeadlineExceeded after 30 s of a stream being open.
func Check(ctx context.Context, o Opener, target string) (rtt time.Duration, err error) {
	begin := time.Now()
	c, err := ask(ctx, openerFunc(func(ctx context.Context) (*mux.Stream, error) {
		s, err := o.Open(ctx)
		begin = time.Now() // waiting for a link is no part of the round trip
		return s, err
	}), request{kind: KindCheck, target: target})
	if err != nil {
		return 0, err
	}
	rtt = time.Since(begin)
	_ = c.Close() // the answer is here
	return rtt, nil
}

type openerFunc func(ctx context.Context) (*mux.Stream, error)

func (f openerFunc) Open(ctx context.Context) (*mux.Stream, error) { return f(ctx) }

// ask starts a request and waits for its answer. On error the stream is gone.
func ask(ctx context.Context, o Opener, r request) (*Conn, error) {
	c, err := start(ctx, o, r)
	if err != nil {
		return nil, err
	}
	if r.kind != KindConnect {
		_ = c.SetReadDeadline(time.Now().Add(answerTimeout)) // an ended stream says so on reading
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Reset() })
	err = c.Answer()
	if !stop() && err == nil {
		err = fmt.Errorf("connect to target %q: %w", r.target, context.Cause(ctx))
	}
	if err != nil {
		_ = c.Reset() // already failed; a refused stream is waiting for this
		return nil, causeOf(ctx, err)
	}
	return c, nil
}

// causeOf puts the reason of a context that has ended in front of the error
// that this led to. A daemon's answer stands for itself.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if _, ok := errors.AsType[*StatusError](err); ok {
		return err
	}
	return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
}

var _ net.Conn = (*Conn)(nil)
