package mux

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// frame makes one yamux frame.
func frame(typ byte, flags uint16, id, length uint32, body string) []byte {
	var h [frameHeader]byte
	putFrame(&h, typ, flags, id, length)
	return append(h[:], body...)
}

// hostileClient does the handshake by hand and returns how to send stream bytes to the daemon, and the daemon's session.
func hostileClient(t *testing.T, w *world) (send func(p []byte), pair *muxtest.Pair) {
	t.Helper()
	_, sign := testKey(1)
	r, pair := rawHello(t, w, Hello{Key: w.key, Limit: 1 << 30}, sign, nil)
	if r.typ != recWelcome {
		t.Fatalf("answer 0x%02x", r.typ)
	}
	offset := uint64(0)
	return func(p []byte) {
		_ = sendRecord(pair.A, func(b []byte) ([]byte, error) { return append(appendDataHeader(b, offset), p...), nil })
		offset += uint64(len(p))
	}, pair
}

// closeOf reads until the daemon says CLOSE or goes.
func closeOf(pair *muxtest.Pair) (code Code, text string, err error) {
	for {
		msg, m, err := receiveMessage(pair.A)
		if err != nil {
			return 0, "", err
		}
		for len(msg) > 0 {
			r, rest, err := parseRecord(msg)
			if err != nil {
				return 0, "", err
			}
			if r.typ == recClose {
				return r.code, string(r.data), nil
			}
			msg = rest
		}
		m.put()
	}
}

func TestHostileFramesEndTheLink(t *testing.T) {
	open := frame(frameWindow, flagSYN, 1, 0, "")
	join := func(frames ...[]byte) (all []byte) {
		for _, f := range frames {
			all = append(all, f...)
		}
		return all
	}
	tests := []struct {
		name string
		wire []byte
		want string
	}{
		{"version", []byte{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "version 1"},
		{"ping", frame(2, flagSYN, 0, 1, ""), "type 2"},
		{"go away", frame(3, 0, 0, 0, ""), "type 3"},
		{"huge frame", join(open, frame(frameData, 0, 1, maxPeerFrame+1, "")), "stream frame of"},
		{"unknown type", frame(9, 0, 1, 0, ""), "type 9"},
		{"our own parity", frame(frameWindow, flagSYN, 2, 0, ""), "opens stream 2"},
		{"opened twice", join(open, open), "opens stream 1 after 1"},
		{"backwards", join(frame(frameWindow, flagSYN, 5, 0, ""), open), "opens stream 1 after 5"},
		{"acknowledged twice", join(open, frame(frameWindow, flagACK, 1, 0, "")), "acknowledged twice"},
		{"ended twice", join(open, frame(frameWindow, flagFIN, 1, 0, ""), frame(frameWindow, flagFIN, 1, 0, "")), "ended twice"},
		{"ended, then reset and ended", join(open, frame(frameWindow, flagFIN, 1, 0, ""), frame(frameWindow, flagRST|flagFIN, 1, 0, "")), "ended twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			handle, _ := accepting()
			w := newWorld(t, worldOptions{handle: handle})
			send, pair := hostileClient(t, w)
			send(tt.wire)
			if code, text, err := closeOf(pair); err != nil || code != CodeProtocol || !strings.Contains(text, tt.want) {
				t.Errorf("told %v %q, %v, want a breach: %q", code, text, err, tt.want)
			}
		})
	}
}

// TestFramesOfUnknownStreams are dropped with their bodies, in whatever pieces they come.
func TestFramesOfUnknownStreams(t *testing.T) {
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle})
	send, pair := hostileClient(t, w)
	defer pair.A.Close("done")
	wire := frame(frameData, 0, 77, 5, "nobod")
	wire = append(wire, frame(frameWindow, flagRST, 79, 0, "")...)
	wire = append(wire, frame(frameWindow, flagSYN, 1, 0, "")...)
	wire = append(wire, frame(frameData, 0, 1, 5, "hello")...)
	wire = append(wire, frame(frameData, flagSYN, 3, 3, "all")...)
	wire = append(wire, frame(frameData, flagFIN, 3, 1, "!")...)
	for _, b := range wire {
		send([]byte{b})
	}
	mustRead(t, <-streams, "hello")
	s := <-streams
	mustRead(t, s, "all!")
	if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read at the end: %d, %v", n, err)
	}
}

// TestOverfilledWindowEndsTheLink sends more than a stream's window allows.
func TestOverfilledWindowEndsTheLink(t *testing.T) {
	w := newWorld(t, worldOptions{handle: func(ctx context.Context, s *Session) { <-ctx.Done() }})
	send, pair := hostileClient(t, w)
	send(frame(frameWindow, flagSYN, 1, 0, ""))
	for range DefaultStreamWindow/maxPeerFrame + 1 {
		body := strings.Repeat("x", maxPeerFrame)
		wire := frame(frameData, 0, 1, maxPeerFrame, body)
		send(wire[:maxPeerFrame/2])
		send(wire[maxPeerFrame/2:])
	}
	if code, text, err := closeOf(pair); err != nil || code != CodeProtocol {
		t.Errorf("told %v %q, %v, want a breach", code, text, err)
	}
}

// TestFloodOfOpenings refuses streams beyond the backlog, and ends the link when the peer takes none of the refusals.
func TestFloodOfOpenings(t *testing.T) {
	w := newWorld(t, worldOptions{handle: func(ctx context.Context, s *Session) { <-ctx.Done() }})
	send, pair := hostileClient(t, w)
	refused := make(chan int)
	var limit atomic.Uint64 // how far this side may send
	limit.Store(DefaultWindowMin)
	go func() {
		n := 0
		defer func() { refused <- n }()
		for {
			msg, m, err := receiveMessage(pair.A)
			if err != nil {
				return
			}
			n += strings.Count(string(msg), string([]byte{0, frameWindow, 0, flagRST | flagACK}))
			for rest := msg; len(rest) > 0; {
				var r record
				if r, rest, err = parseRecord(rest); err != nil {
					return
				}
				if r.typ == recAck {
					limit.Store(r.limit)
				}
			}
			m.put()
		}
	}()
	id, sent := uint32(1), 0
	for up := true; up && id < 1<<20; {
		var many []byte
		for range 1000 {
			many = append(many, frame(frameWindow, flagSYN, id, 0, "")...)
			id += 2
		}
		send(many)
		sent += len(many)
		links := w.server.Links()
		for len(links) > 0 && uint64(sent+len(many)) > limit.Load() {
			runtime.Gosched() // more than the limit allows would end the link for another reason
			links = w.server.Links()
		}
		up = len(links) > 0
		if up && links[0].Buffered > DefaultWindowMax+2*maxControl {
			t.Fatalf("%d bytes kept for a peer that acknowledges nothing", links[0].Buffered)
		}
	}
	_ = pair.A.Close("done")
	if n := <-refused; n < 1000 {
		t.Errorf("%d refusals came", n)
	}
}

// TestReadEndsInTheMiddleOfAFrame has a deadline and a reset end a Read while the rest of a frame does not come.
func TestReadEndsInTheMiddleOfAFrame(t *testing.T) {
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle})
	send, pair := hostileClient(t, w)
	defer pair.A.Close("done")
	send(append(frame(frameWindow, flagSYN, 1, 0, ""), frame(frameData, 0, 1, 10, "half")...))
	s := <-streams
	_ = s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	wantReadError(t, s, os.ErrDeadlineExceeded)
	_ = s.SetReadDeadline(time.Time{})
	reading := make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 10))
		reading <- err
	}()
	_ = s.Reset()
	if err := <-reading; !errors.Is(err, ErrReset) {
		t.Errorf("read under way: %v, want ErrReset", err)
	}
}
