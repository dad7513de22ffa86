package mux

import (
	"bytes"
	"encoding/binary"
	"io"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"culvert/mux/muxtest"
)

// FuzzFrames gives the framer whatever a peer can put into a link's stream, in whatever pieces: what it lets through is the same
// however it was cut, is what yamux takes without a complaint, and stays within what each stream was allowed.
func FuzzFrames(f *testing.F) {
	var wire []byte
	for _, b := range [][]byte{
		frame(frameWindow, flagSYN, 1, 0, ""), frame(frameData, 0, 1, 5, "hello"), frame(frameData, flagSYN, 3, 3, "all"), frame(frameWindow, flagFIN, 3, 0, ""),
		frame(frameWindow, 0, 1, 1000, ""), frame(frameWindow, flagRST, 1, 0, ""), frame(frameData, 0, 1, 4, "late"), frame(frameData, 0, 77, 5, "nobod"),
	} {
		wire = append(wire, b...)
	}
	f.Add(wire, []byte{1, 12, 40}, false)
	f.Add(frame(frameWindow, flagACK, 1, 0, ""), []byte{}, true)
	f.Add(append(frame(frameData, flagACK|flagFIN, 1, 2, "ok"), frame(frameWindow, flagSYN, 2, 0, "")...), []byte{5}, true)
	f.Add(frame(2, flagSYN, 0, 1, ""), []byte{3}, false)
	f.Add(frame(frameData, flagSYN, 1, maxPeerFrame+1, ""), []byte{}, false)
	f.Fuzz(func(t *testing.T, wire, cuts []byte, client bool) {
		if len(wire) > 48<<10 || len(cuts) > 64 {
			return // beyond the link's window
		}
		out, end, open := throughFramer(t, wire, nil, client, nil)
		again, endAgain, openAgain := throughFramer(t, wire, cuts, client, nil)
		if !bytes.Equal(out, again) || *end != *endAgain || open != openAgain {
			t.Fatalf("in one piece %x, %v, %d open; in pieces %x, %v, %d open", out, end, open, again, endAgain, openAgain)
		}
		if open > acceptBacklog+1 {
			t.Errorf("%d streams are open", open)
		}
		checkLetThrough(t, out, client)
		if said := yamuxSays(t, out, client); strings.Contains(said, "[ERR]") || strings.Contains(said, "missing stream") {
			t.Errorf("yamux is given %x and says %s", out, said)
		}
		taken := map[uint32][]byte{}
		rest, endTaken, openTaken := throughFramer(t, wire, cuts, client, taken)
		if *end != *endTaken || open != openTaken {
			t.Fatalf("without takers %v, %d open; with takers %v, %d open", end, open, endTaken, openTaken)
		}
		got := bodies(rest)
		for id, body := range bodies(out) {
			if both := append(taken[id], got[id]...); !bytes.Equal(both, body) {
				t.Fatalf("stream %d: taken and left %x, came %x", id, both, body)
			}
		}
		if said := yamuxSays(t, rest, client); strings.Contains(said, "[ERR]") || strings.Contains(said, "missing stream") {
			t.Errorf("with takers yamux is given %x and says %s", rest, said)
		}
	})
}

// bodies gives the data of each stream.
func bodies(wire []byte) map[uint32][]byte {
	all := map[uint32][]byte{}
	for len(wire) >= frameHeader {
		id, size := binary.BigEndian.Uint32(wire[4:]), int(binary.BigEndian.Uint32(wire[8:]))
		typ := wire[1]
		if wire = wire[frameHeader:]; typ == frameData {
			size = min(size, len(wire))
			all[id] = append(all[id], wire[:size]...)
			wire = wire[size:]
		}
	}
	return all
}

// takeSome has every open stream's data go to taken until a frame has ten bytes or more, of which only half are taken.
func takeSome(fr *framer, taken map[uint32][]byte) {
	fr.mu.Lock()
	defer fr.mu.Unlock()
	for id, s := range fr.streams {
		s.direct.open(func(p []byte) int {
			n := len(p)
			if n >= 10 {
				n /= 2
			}
			taken[id] = append(taken[id], p[:n]...)
			return n
		})
	}
}

// throughFramer sends the bytes as a peer does and returns what yamux would read, why the link ended, and how many streams are open
// then. A client has stream 1 open. Streams have takers that fill taken, if that is not nil.
func throughFramer(t *testing.T, wire, cuts []byte, client bool, taken map[uint32][]byte) (out []byte, end *LinkError, open int) {
	t.Helper()
	l := newLink(linkConfig{
		id: LinkID{1}, log: slog.New(slog.DiscardHandler), budget: NewBudget(0), events: &eventQueue{},
		windowMin: 64 << 10, windowMax: 1 << 20, hold: time.Minute,
	})
	attempt, _, _, err := l.begin()
	if err != nil {
		t.Fatal(err)
	}
	pair := muxtest.NewPair(nil)
	att, err := l.attach(attempt, pair.A, 0, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	fr := newFramer(l, client, 1<<20)
	if client {
		fr.mu.Lock()
		fr.register(1)
		fr.mu.Unlock()
	}
	send := func(add func(b []byte) []byte) {
		if err := sendRecord(pair.B, func(b []byte) ([]byte, error) { return add(b), nil }); err != nil {
			t.Fatal(err)
		}
	}
	for offset := 0; offset < len(wire); {
		n := len(wire) - offset
		if len(cuts) > 0 {
			n = min(n, int(cuts[0])+1)
			cuts = cuts[1:]
		}
		send(func(b []byte) []byte {
			return append(appendDataHeader(b, uint64(offset)), wire[offset:offset+n]...)
		})
		offset += n
	}
	send(func(b []byte) []byte { return appendClose(b, CodeNormal, "all is said") })
	for buf := make([]byte, 4<<10); ; {
		n, err := fr.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			break
		}
		if taken != nil {
			takeSome(fr, taken)
		}
	}
	l.mu.Lock()
	end = l.endErr
	l.mu.Unlock()
	if !end.Remote && end.Code != CodeProtocol {
		t.Errorf("%x ends the link with %v", wire, end)
	}
	l.detach(att, end)
	return out, end, int(fr.count.Load())
}

// checkLetThrough follows the streams of what yamux would read.
func checkLetThrough(t *testing.T, out []byte, client bool) {
	t.Helper()
	got := map[uint32]int{}
	if client {
		got[1] = 0
	}
	for rest := out; len(rest) >= frameHeader; {
		typ, flags := rest[1], binary.BigEndian.Uint16(rest[2:])
		id, size := binary.BigEndian.Uint32(rest[4:]), int(binary.BigEndian.Uint32(rest[8:]))
		if rest = rest[frameHeader:]; typ == frameWindow {
			size = 0
		}
		if _, open := got[id]; flags&flagSYN != 0 && !open {
			got[id] = 0
		} else if !open {
			t.Fatalf("%x has a frame of stream %d, which is not open", out, id)
		}
		if got[id] += size; got[id] > initialStreamWindow || size > len(rest) {
			t.Fatalf("%x has %d bytes of stream %d, %d of the last frame", out, got[id], id, len(rest))
		}
		rest = rest[size:]
		if flags&flagRST != 0 {
			delete(got, id)
		}
	}
}

// recorded is a connection that gives bytes that are there and takes everything.
type recorded struct {
	io.Reader
	io.Writer
	start chan struct{}
}

// Read waits for the start.
func (r recorded) Read(p []byte) (int, error) {
	<-r.start
	return r.Reader.Read(p)
}

// Close does nothing.
func (r recorded) Close() error { return nil }

// yamuxSays has yamux read to the end and returns what it logs.
func yamuxSays(t *testing.T, in []byte, client bool) string {
	t.Helper()
	var said bytes.Buffer
	cfg := yamux.DefaultConfig()
	cfg.EnableKeepAlive, cfg.StreamOpenTimeout, cfg.AcceptBacklog = false, 0, acceptBacklog
	cfg.LogOutput, cfg.Logger = nil, log.New(&said, "", 0)
	conn := recorded{bytes.NewReader(in), io.Discard, make(chan struct{})}
	start := yamux.Server
	if client {
		start = yamux.Client
	}
	s, err := start(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if client {
		if _, err := s.OpenStream(); err != nil {
			t.Fatal(err)
		}
	}
	close(conn.start)
	<-s.CloseChan()
	_ = s.Close() // waits for its loops; closed already
	return said.String()
}
