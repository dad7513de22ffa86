package mux

import "encoding/binary"

// Read gives yamux its next bytes. A frame is given when all of it is there: yamux locks the stream while it reads a body,
// and Stream.Read, even one that shall end, would wait on that lock for as long as the rest does not come.
func (f *framer) Read(p []byte) (int, error) {
	for {
		between := f.want == 0 && f.skip == 0 && len(f.body) == 0
		switch {
		case f.want > 0 && len(f.in) > 0:
			f.collect()
			continue
		case f.want == 0 && len(f.out) > 0:
			n := copy(p, f.out)
			f.out = f.out[n:]
			return n, nil
		case f.want == 0 && len(f.body) > 0:
			n := copy(p, f.body)
			f.drop(n)
			return n, nil
		case f.skip > 0 && len(f.in) > 0:
			n := min(f.skip, len(f.in))
			f.in, f.skip = f.in[n:], f.skip-n
			continue
		case between && f.have == 0 && f.injected():
			continue
		case between && len(f.in) > 0:
			n := copy(f.hdr[f.have:], f.in)
			f.in, f.have = f.in[n:], f.have+n
			if f.have == frameHeader {
				f.have = 0
				if err := f.inbound(); err != nil {
					f.l.end(&LinkError{Code: CodeProtocol, Text: err.Error()}, true)
					return 0, err
				}
			}
			continue
		}
		in, err := f.l.next()
		if err != nil {
			return 0, err
		}
		f.in = in
	}
}

// collect takes the body of the frame, or a part of it. One that came in one piece is not copied.
func (f *framer) collect() {
	if f.part == nil && len(f.in) >= f.want {
		f.body, f.in, f.want = f.in[:f.want], f.in[f.want:], 0
		f.deliver()
		return
	}
	if f.part == nil {
		f.part = getMessage(maxPeerFrame)
		f.body = f.part.b[:0]
	}
	n := min(f.want-len(f.body), len(f.in))
	f.body = append(f.body, f.in[:n]...)
	f.in = f.in[n:]
	if len(f.body) == f.want {
		f.want = 0
		f.deliver()
	}
}

// injected puts the next RST for the local yamux in the place of a header that came.
func (f *framer) injected() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inject) == 0 {
		return false
	}
	flags := uint16(flagRST)
	if f.injectAck[0] {
		flags |= flagACK
	}
	putFrame(&f.hdr, frameWindow, flags, f.inject[0], 0)
	f.inject, f.injectAck = f.inject[1:], f.injectAck[1:]
	f.out = f.hdr[:]
	return true
}

// inbound looks at a header that has come: it goes on to yamux, or the frame is dropped.
func (f *framer) inbound() error {
	h := &f.hdr
	typ, flags := h[1], binary.BigEndian.Uint16(h[2:])
	id, length := binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])
	if h[0] != 0 || (typ != frameData && typ != frameWindow) {
		return protocolError("stream frame of version %d, type %d", h[0], typ)
	}
	size := 0
	if typ == frameData {
		if length > maxPeerFrame {
			return protocolError("stream frame of %d bytes, at most %d", length, maxPeerFrame)
		}
		size = int(length)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if flags&flagSYN != 0 {
		if id&1 != f.parity || id <= f.lastPeer {
			return protocolError("peer opens stream %d after %d", id, f.lastPeer)
		}
		f.lastPeer = id
		if f.refuse || f.unaccepted >= acceptBacklog || len(f.streams) >= maxStreams {
			f.skip = size
			return f.sendFrame(frameWindow, flagRST|flagACK, id, 0)
		}
		f.unaccepted++
		f.register(id).established = true
	}
	s := f.streams[id]
	if s == nil {
		f.skip = size // of a stream that was reset here, or is over
		return nil
	}
	if flags&flagACK != 0 {
		if s.established {
			return protocolError("stream %d acknowledged twice", id)
		}
		s.established = true
		s.releaseOpen()
	}
	if s.credit.received += uint64(size); s.credit.received > s.credit.told {
		return protocolError("stream %d has %d bytes, at most %d were asked for", id, s.credit.received, s.credit.told)
	}
	if flags&flagFIN != 0 && s.remoteFIN.Load() { // yamux minds, also where a reset follows
		return protocolError("stream %d ended twice", id)
	}
	if flags&flagRST != 0 {
		f.gone(s, true)
	} else {
		if typ == frameWindow && length > 0 {
			s.window = min(s.window+int64(length), largestWindow)
			signal(s.waiter.ch)
		}
		if flags&flagFIN != 0 {
			s.remoteFIN.Store(true)
			f.retire(s)
		}
	}
	f.out, f.want, f.to = h[:], size, s
	return nil
}
