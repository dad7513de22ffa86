package mux

// A stream's window is what its peer may send ahead of the reader, and so what the receiver holds when the reader stalls.
// yamux would give each stream the largest window at once. Instead, what yamux grants is passed on in parts: enough never
// to be what stops the peer, since no more than the link's window is in flight, and no more than that while the reader
// does not keep up.
//
// yamux grants twice what is ever passed on: it renews its grant when half of it is used up, and so always has enough.

// credit is what one side of a stream has told its peer. The framer's mu guards it.
type credit struct {
	granted  uint64 // by yamux, in all
	told     uint64 // to the peer, in all
	received uint64
	consumed uint64 // by the reader
	size     uint64 // the window
}

func newCredit() credit {
	return credit{granted: initialStreamWindow, told: initialStreamWindow, size: initialStreamWindow}
}

// grow makes the window fit for a link's window, if the reader keeps up.
func (c *credit) grow(link, most int) {
	if c.received-c.consumed <= c.size/4 {
		c.size = min(max(c.size, 2*uint64(link)), max(uint64(most), initialStreamWindow))
	}
}

// due gives what to tell the peer now; 0: nothing yet. Parts are half a window, so that there are few.
func (c *credit) due() uint32 {
	end := min(c.consumed+c.size, c.granted)
	if end < c.told+c.size/2 {
		return 0
	}
	return uint32(end - c.told)
}

// grant passes on what yamux has granted more, as far as it is due: it sets the length in the header of its frame. It
// returns false when there is nothing to say. mu is held.
func (f *framer) grant(s *Stream, more uint32, alone bool) (length uint32, say bool) {
	s.credit.granted += uint64(more)
	s.credit.grow(f.l.currentWindow(), f.streamWindow)
	length = s.credit.due()
	s.credit.told += uint64(length)
	return length, length > 0 || !alone
}

// consumed notes that a stream's reader has taken n bytes, and tells the peer if it is time.
func (f *framer) consumed(s *Stream, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.credit.consumed += uint64(n)
	if s.credit.told-s.credit.consumed > s.credit.size/2 || s.remoteFIN.Load() || f.streams[s.id] != s {
		return
	}
	length, say := f.grant(s, 0, true)
	if !say {
		return
	}
	var h [frameHeader]byte
	putFrame(&h, frameWindow, 0, s.id, length)
	_ = f.l.append(h[:], nil, 0) // fails when the link has ended, which every reader hears
}
