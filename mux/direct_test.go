package mux

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// readBoth reads a stream to its end by a taker that takes so much of what it is offered, and Read for the rest.
func readBoth(s *Stream, takes func(n int) int) (all []byte, direct int, err error) {
	buf := make([]byte, 96<<10)
	for {
		err := s.WaitRead(func(p []byte) int {
			n := takes(len(p))
			all = append(all, p[:n]...)
			direct += n
			return n
		})
		var n int
		if err == nil {
			n, err = s.Read(buf)
			all = append(all, buf[:n]...)
		}
		if err != nil {
			return all, direct, err
		}
	}
}

// TestTakerAndReadGetEverythingOnce has a taker that takes all, some or nothing, of more than all windows hold.
func TestTakerAndReadGetEverythingOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tests := []struct {
		name  string
		takes func(n int) int
		all   bool // everything goes the short way
		none  bool
	}{
		{"all", func(n int) int { return n }, true, false},
		{"nothing", func(int) int { return 0 }, false, true},
		{"some", func(n int) int {
			if rng.IntN(3) == 0 {
				return rng.IntN(n + 1)
			}
			return n
		}, false, false},
	}
	want := make([]byte, 3*initialStreamWindow+12345)
	for i := range want {
		want[i] = byte(rng.Uint32())
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, here, there := joined(t)
			wrote := make(chan error, 1)
			go func() {
				var err error
				for p := want; len(p) > 0 && err == nil; {
					n := min(len(p), 1+len(p)/7)
					_, err = here.Write(p[:n])
					p = p[n:]
				}
				wrote <- errors.Join(err, here.CloseWrite())
			}()
			got, direct, err := readBoth(there, tt.takes)
			if err != io.EOF || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v, want the %d written and the end", len(got), err, len(want))
			}
			if tt.none && direct != 0 || tt.all && direct < len(want)/2 || !tt.none && direct == 0 {
				t.Errorf("%d bytes of %d went to the taker", direct, len(want))
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTakerGetsFramesWithFlags sends what yamux allows and culvert's own writers do not: data in frames that open and end a
// stream, in pieces of one byte.
func TestTakerGetsFramesWithFlags(t *testing.T) {
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle})
	send, pair := hostileClient(t, w)
	defer pair.A.Close("done")
	for _, b := range frame(frameData, flagSYN, 1, 5, "first") {
		send([]byte{b})
	}
	s := <-streams
	mustRead(t, s, "first")
	go func() {
		for _, f := range [][]byte{frame(frameData, 0, 1, 6, "second"), frame(frameData, flagFIN, 1, 4, "last")} {
			for _, b := range f {
				send([]byte{b})
			}
		}
	}()
	got, _, err := readBoth(s, func(n int) int { return min(n, 3) })
	if string(got) != "secondlast" || err != io.EOF {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestTakerIsNotCalledAfterWaitRead ends the wait in every way; what comes later is for Read.
func TestTakerIsNotCalledAfterWaitRead(t *testing.T) {
	called := func(p []byte) int {
		t.Errorf("taker called with %d bytes", len(p))
		return 0
	}
	t.Run("deadline", func(t *testing.T) {
		_, _, here, there := joined(t)
		_ = there.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := there.WaitRead(called); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("wait: %v", err)
		}
		_ = there.SetReadDeadline(time.Time{})
		mustWrite(t, here, "later")
		mustRead(t, there, "later")
	})
	t.Run("reset", func(t *testing.T) {
		_, _, here, there := joined(t)
		go func() { _ = here.Reset() }()
		if err := there.WaitRead(called); !errors.Is(err, ErrReset) {
			t.Errorf("wait: %v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		_, _, _, there := joined(t)
		go func() { _ = there.Close() }()
		if err := there.WaitRead(called); err == nil {
			t.Error("wait on a closed stream gives no error")
		}
	})
}
