package mux

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// accepting is a handler that hands each accepted stream to the test.
func accepting() (func(ctx context.Context, s *Session), <-chan *Stream) {
	streams := make(chan *Stream, 4096)
	return func(ctx context.Context, s *Session) {
		for {
			st, err := s.Accept(ctx)
			if err != nil {
				return
			}
			streams <- st
		}
	}, streams
}

// joined is a world with one carrier and one stream at both ends.
func joined(t *testing.T) (w *world, pair *muxtest.Pair, here, there *Stream) {
	t.Helper()
	handle, streams := accepting()
	w = newWorld(t, worldOptions{handle: handle})
	pair, _ = w.connect(nil)
	here = w.open()
	return w, pair, here, <-streams
}

func mustWrite(t *testing.T, s io.Writer, p string) {
	t.Helper()
	if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
		t.Fatalf("write %q: %d, %v", p, n, err)
	}
}

func mustRead(t *testing.T, s io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
		t.Fatalf("read: %q, %v, want %q", got, err, want)
	}
}

func wantReadError(t *testing.T, s *Stream, want error) {
	t.Helper()
	if n, err := s.Read(make([]byte, 10)); n != 0 || !errors.Is(err, want) {
		t.Errorf("read: %d, %v, want %v", n, err, want)
	}
}

func wantWriteError(t *testing.T, s *Stream, want error) {
	t.Helper()
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, want) {
		t.Errorf("write: %d, %v, want %v", n, err, want)
	}
}

func TestHalfClose(t *testing.T) {
	_, _, here, there := joined(t)
	mustWrite(t, here, "question")
	if err := here.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(there); string(got) != "question" || err != nil {
		t.Fatalf("read all: %q, %v", got, err)
	}
	wantWriteError(t, here, net.ErrClosed)
	mustWrite(t, there, "answer")
	mustRead(t, here, "answer")
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	wantReadError(t, here, io.EOF)
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	wantReadError(t, here, net.ErrClosed)
	wantWriteError(t, here, net.ErrClosed)
	if err := here.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v, want net.ErrClosed", err)
	}
	if err := here.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("close after close: %v, want net.ErrClosed", err)
	}
}

func TestReset(t *testing.T) {
	_, _, here, there := joined(t)
	mustWrite(t, here, "x")
	mustRead(t, there, "x")
	reading := make(chan error, 2)
	for _, s := range []*Stream{here, there} {
		go func() {
			_, err := s.Read(make([]byte, 1))
			reading <- err
		}()
	}
	if err := here.Reset(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-reading; !errors.Is(err, ErrReset) {
			t.Errorf("read under way: %v, want ErrReset", err)
		}
	}
	for _, s := range []*Stream{here, there} {
		wantReadError(t, s, ErrReset)
		wantWriteError(t, s, ErrReset)
		if err := s.CloseWrite(); !errors.Is(err, ErrReset) {
			t.Errorf("close for writing: %v, want ErrReset", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close after reset: %v", err)
		}
	}
}

// TestResetOfABlockedWrite resets a stream whose reader has stalled.
func TestResetOfABlockedWrite(t *testing.T) {
	w, _, here, there := joined(t)
	writing := make(chan error, 1)
	go func() {
		_, err := io.Copy(here, endless{})
		writing <- err
	}()
	mustRead(t, there, "0000")
	_ = there.Reset()
	if err := <-writing; !errors.Is(err, ErrReset) {
		t.Errorf("write under way: %v, want ErrReset", err)
	}
	other := w.open() // the link lives on
	mustWrite(t, other, "x")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestResetWhileHeld(t *testing.T) {
	w, pair, here, there := joined(t)
	mustWrite(t, here, "x")
	mustRead(t, there, "x")
	pair.Cut(muxtest.ErrCut)
	_ = here.Reset()
	wantReadError(t, here, ErrReset)
	wantWriteError(t, here, ErrReset)
	w.connect(nil)
	wantReadError(t, there, ErrReset)
	mustWrite(t, w.open(), "x")
}

func TestDeadlines(t *testing.T) {
	w, pair, here, there := joined(t)
	past := time.Now().Add(-time.Second)
	_ = here.SetDeadline(past)
	wantReadError(t, here, os.ErrDeadlineExceeded)
	wantWriteError(t, here, os.ErrDeadlineExceeded)
	_ = here.SetDeadline(time.Time{})
	mustWrite(t, here, "x")
	mustRead(t, there, "x")

	_ = here.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	wantReadError(t, here, os.ErrDeadlineExceeded)

	_ = here.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // the peer does not read: its window fills
	if _, err := io.Copy(here, endless{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write to a stalled stream: %v, want os.ErrDeadlineExceeded", err)
	}
	second := w.open()
	pair.Cut(muxtest.ErrCut)
	_ = second.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // nothing passes: what may wait fills
	if _, err := io.Copy(second, endless{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write to a held link: %v, want os.ErrDeadlineExceeded", err)
	}
	_ = second.SetWriteDeadline(time.Time{})
	w.connect(nil)
	mustWrite(t, second, "y")
}

func TestStalledStreamHoldsItselfOnly(t *testing.T) {
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle})
	w.connect(nil)
	stalled := w.open()
	<-streams
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = io.Copy(stalled, endless{}) })
	for range 20 {
		s := w.open()
		there := <-streams
		data := bytes.Repeat([]byte("12345678"), 1<<16)
		writing.Go(func() {
			_, _ = s.Write(data)
			_ = s.Close()
		})
		if got, err := io.ReadAll(there); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("beside a stalled stream: %d bytes of %d, %v", len(got), len(data), err)
		}
		_ = there.Close()
	}
	_ = stalled.Reset()
	writing.Wait()
}

// TestManyStreamsOverShakyCarriers echoes 200 streams of random sizes while the carrier is cut every few milliseconds.
func TestManyStreamsOverShakyCarriers(t *testing.T) {
	w := newWorld(t, worldOptions{})
	stop := make(chan struct{})
	var driver sync.WaitGroup
	cuts := 0
	driver.Go(func() {
		for {
			pair, served := w.connect(nil)
			timer := time.NewTimer(time.Duration(2+rand.IntN(15)) * time.Millisecond)
			select {
			case <-timer.C:
				cuts++
				if cuts%3 == 0 {
					continue // the next replaces it while it works
				}
				pair.Cut(muxtest.ErrCut)
				<-served
			case <-stop:
				timer.Stop()
				return
			}
		}
	})
	var streams sync.WaitGroup
	for n := range 200 {
		streams.Go(func() {
			if err := echoOne(w, uint64(n), 1+rand.IntN(400_000)); err != nil {
				t.Errorf("stream %d: %v", n, err)
			}
		})
	}
	streams.Wait()
	close(stop)
	driver.Wait()
	t.Logf("%d carriers", cuts)
	if got := w.client.Status().Streams; got != 0 {
		t.Errorf("%d streams left", got)
	}
}

// echoOne writes random bytes to a stream and wants them back.
func echoOne(w *world, seed uint64, size int) error {
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	s, err := w.client.Open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	data := make([]byte, size+8)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i+8 <= len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], r.Uint64())
	}
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		if err == nil {
			err = s.CloseWrite()
		}
		written <- err
	}()
	h := sha256.New()
	n, err := io.Copy(h, s)
	if werr := <-written; werr != nil {
		return fmt.Errorf("write: %w", werr)
	}
	if err != nil {
		return fmt.Errorf("read after %d bytes: %w", n, err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("checksum of %d bytes differs, %d came", len(data), n)
	}
	return nil
}

func TestTooManyStreamsWaiting(t *testing.T) {
	proceed := make(chan struct{})
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: func(ctx context.Context, s *Session) {
		<-proceed
		handle(ctx, s)
	}})
	w.connect(nil)
	var all []*Stream
	for range acceptBacklog {
		all = append(all, w.open())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.client.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opening one more than the peer lets wait: %v, want a deadline", err)
	}
	close(proceed)
	for range all {
		<-streams
	}
	mustWrite(t, w.open(), "x")
}

func TestEndOfLinkIsNoEndOfStream(t *testing.T) {
	w, _, here, there := joined(t)
	mustWrite(t, there, "half of it")
	mustRead(t, here, "half")
	if n := w.server.Drop(w.key, CodeRevoked, "grant withdrawn"); n != 1 {
		t.Errorf("dropped %d links, want 1", n)
	}
	got, err := io.ReadAll(here)
	end, ok := errors.AsType[*LinkError](err)
	if !ok || end.Code != CodeRevoked || !end.Remote || end.Text != "grant withdrawn" || !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after the link's end: %q, %v, want the daemon's reason", got, err)
	}
	wantWriteError(t, here, net.ErrClosed)
	_, err = there.Read(make([]byte, 1))
	if end, ok := errors.AsType[*LinkError](err); !ok || end.Code != CodeRevoked || end.Remote {
		t.Errorf("read at the daemon: %v, want its own reason", err)
	}
}

func TestFinishedStreamOutlivesItsLink(t *testing.T) {
	w, _, here, there := joined(t)
	mustWrite(t, there, "all of it")
	_ = there.Close()
	_ = here.SetReadDeadline(time.Now().Add(10 * time.Second))
	mustRead(t, here, "all")
	for !here.remoteFIN.Load() {
		mustWrite(t, here, "x") // until the end of the stream has come too
	}
	w.server.Drop(w.key, CodeRevoked, "")
	<-w.client.session.Done()
	if got, err := io.ReadAll(here); string(got) != " of it" || err != nil {
		t.Errorf("read the rest: %q, %v", got, err)
	}
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	w, _, here, there := joined(t)
	data := bytes.Repeat([]byte("tail"), 1<<17)
	var closing sync.WaitGroup
	closing.Go(func() {
		_, _ = here.Write(data)
		_ = here.Close()
		_ = w.client.Close("done")
	})
	if got, err := io.ReadAll(there); !bytes.Equal(got, data) || err != nil {
		t.Errorf("read %d bytes of %d, %v", len(got), len(data), err)
	}
	closing.Wait()
	if _, err := w.client.Open(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("open after close: %v, want net.ErrClosed", err)
	}
	if err := w.client.Serve(t.Context(), muxtest.NewPair(nil).A); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve after close: %v, want net.ErrClosed", err)
	}
}

func TestDaemonOpensNothing(t *testing.T) {
	refused := make(chan error, 1)
	w := newWorld(t, worldOptions{handle: func(ctx context.Context, s *Session) {
		st, err := s.Open(ctx)
		if err == nil {
			_, err = st.Read(make([]byte, 1))
		}
		refused <- err
		<-ctx.Done()
	}})
	w.connect(nil)
	w.open()
	if err := <-refused; !errors.Is(err, ErrReset) {
		t.Errorf("a stream that the daemon opens: %v, want ErrReset", err)
	}
}
