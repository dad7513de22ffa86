package mux

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// The frames of yamux, as far as the framer looks at them: version(1) type(1) flags(2) stream(4) length(4), then length
// bytes if the type is data.
const (
	frameHeader = 12

	frameData   = 0
	frameWindow = 1 // length is what the sender may send more

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8

	initialStreamWindow = 256 << 10
)

// framer stands between yamux and the link and sees every frame. It is the io.ReadWriteCloser that yamux works on.
//
// Data does not pass through yamux on its way out: writers append it to the link themselves (writeData), within the
// stream's window, which the framer follows. So yamux sends headers only, these never wait, and nothing in yamux ever
// blocks: its receive loop may answer whatever it likes without waiting for an acknowledgement that only it could read.
// For the same reason streams beyond the backlog are refused here and not by yamux.
//
// It also adds what yamux lacks: a reset, by injecting RST frames in both directions between frames.
type framer struct {
	l            *link
	streamWindow int    // the largest window of a stream
	parity       uint32 // of the ids of streams that the peer opens
	refuse       bool   // the peer may open none

	count atomic.Int32 // open streams

	mu         sync.Mutex // guards what follows; taken before the link's mu
	streams    map[uint32]*Stream
	lastPeer   uint32 // highest id that the peer has opened
	unaccepted int
	inject     []uint32 // streams to reset in the local yamux
	injectAck  []bool   // the stream had not been acknowledged: RST has to carry ACK

	// Owned by yamux's receive loop.
	hdr  [frameHeader]byte
	have int            // bytes of hdr collected
	out  []byte         // bytes of hdr to hand to yamux
	in   []byte         // what the link gave and nobody has taken yet
	want int            // size of the body to wait for, before yamux sees the frame
	to   *Stream        // whose body it is
	part *messageBuffer // its beginning, if it came in pieces
	body []byte         // what is left of the body to hand to yamux: of in or part
	skip int            // bytes of a body to drop
}

func newFramer(l *link, client bool, streamWindow int) *framer {
	f := &framer{l: l, streamWindow: streamWindow, parity: 1, refuse: client, streams: make(map[uint32]*Stream)}
	if client {
		f.parity = 0
	}
	return f
}

// Write takes what yamux sends: one header at a time, never a body.
func (f *framer) Write(p []byte) (int, error) {
	if len(p) != frameHeader || p[0] != 0 || (p[1] == frameData && binary.BigEndian.Uint32(p[8:]) != 0) {
		panic("mux: yamux sends data, which only writeData may") // our own fault: nobody calls its Write
	}
	flags, id := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[4:])
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[id]
	if flags&flagSYN != 0 {
		s = f.register(id)
	}
	if s == nil {
		return len(p), nil // reset, or over on both sides: the peer would not know it either
	}
	h := [frameHeader]byte(p)
	if h[1] == frameWindow && flags&flagRST == 0 {
		length, say := f.grant(s, binary.BigEndian.Uint32(h[8:]), flags == 0)
		if !say {
			return len(p), nil
		}
		binary.BigEndian.PutUint32(h[8:], length)
	}
	if err := f.l.append(h[:], nil, 0); err != nil {
		return 0, err
	}
	if flags&flagFIN != 0 {
		s.localFIN = true
		f.retire(s)
	}
	return len(p), nil
}

// Close is called by yamux when its session ends. If the link has not ended before, yamux has found a fault in the
// frames: a window overrun.
func (f *framer) Close() error {
	f.l.end(&LinkError{Code: CodeProtocol, Text: "stream frames are not what yamux allows"}, true)
	return nil
}

// register enters a new stream. mu is held.
func (f *framer) register(id uint32) *Stream {
	s := newStream(f, id)
	f.streams[id] = s
	f.count.Add(1)
	return s
}

// retire forgets a stream that both sides have ended. mu is held.
func (f *framer) retire(s *Stream) {
	if s.localFIN && s.remoteFIN.Load() {
		f.gone(s, false)
	}
}

// gone forgets a stream. mu is held.
func (f *framer) gone(s *Stream, reset bool) {
	if f.streams[s.id] != s {
		return
	}
	delete(f.streams, s.id)
	f.count.Add(-1)
	s.releaseOpen()
	if s.linger != nil {
		s.linger.Stop()
	}
	if reset {
		s.reset.Store(true)
		close(s.aborted)
	}
}

// clear forgets all streams of a link that has ended.
func (f *framer) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		f.gone(s, false)
	}
}

// sendFrame appends a frame without a body to the link. It never waits; a peer that makes us answer more and more and
// takes nothing ends the link.
func (f *framer) sendFrame(typ byte, flags uint16, id, length uint32) error {
	var h [frameHeader]byte
	putFrame(&h, typ, flags, id, length)
	if f.l.crowded() {
		return protocolError("peer causes frames and acknowledges none")
	}
	return f.l.append(h[:], nil, 0)
}

// resetStream resets a stream on both sides.
func (f *framer) resetStream(s *Stream) {
	f.mu.Lock()
	if f.streams[s.id] != s {
		f.mu.Unlock()
		return
	}
	f.inject = append(f.inject, s.id)
	f.injectAck = append(f.injectAck, !s.established)
	f.gone(s, true)
	var h [frameHeader]byte
	putFrame(&h, frameWindow, flagRST, s.id, 0)
	_ = f.l.append(h[:], nil, 0) // fails when the link has ended, which resets more than this
	f.mu.Unlock()
	f.l.ask() // the answer lets yamux's receive loop see the RST injected for it
}

// accepted takes the stream that yamux has accepted; nil when it is over already.
func (f *framer) accepted(id uint32, ys yamuxStream) *Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unaccepted--
	s := f.streams[id]
	if s != nil {
		s.ys = ys
	}
	return s
}

// opened takes the stream that yamux has opened and ties a slot to it until the peer has acknowledged it.
func (f *framer) opened(id uint32, ys yamuxStream, slots chan struct{}) *Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[id]
	if s == nil { // the peer was quick to reset it
		s = newStream(f, id)
		s.established = true
		s.reset.Store(true)
		close(s.aborted)
	}
	s.ys = ys
	if s.opens = slots; s.established {
		<-slots
	} else {
		s.holdsOpen = true
	}
	return s
}

// writeData appends a frame of data within the window that was waited for, and room that was reserved. more says that
// more of the same Write follows.
func (f *framer) writeData(s *Stream, p []byte, more bool) error {
	var h [frameHeader]byte
	putFrame(&h, frameData, 0, s.id, uint32(len(p)))
	f.mu.Lock()
	if s.reset.Load() || s.localFIN {
		f.mu.Unlock()
		f.l.unreserve(frameHeader + len(p))
		return errCanceled
	}
	s.window -= int64(len(p))
	now, err := f.l.appendData(h[:], p, frameHeader+len(p), more)
	f.mu.Unlock()
	if now {
		f.l.sendNow()
	}
	return err
}

func putFrame(h *[frameHeader]byte, typ byte, flags uint16, id, length uint32) {
	h[0], h[1] = 0, typ
	binary.BigEndian.PutUint16(h[2:], flags)
	binary.BigEndian.PutUint32(h[4:], id)
	binary.BigEndian.PutUint32(h[8:], length)
}
