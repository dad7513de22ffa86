package mux

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

func TestCredit(t *testing.T) {
	const most, link = 8 << 20, 1 << 20
	c := newCredit()
	c.granted = 2 * most
	told := func() (sum uint64) {
		c.grow(link, most)
		sum = uint64(c.due())
		c.told += sum
		return sum
	}
	if n := told(); n != 2*link-initialStreamWindow {
		t.Errorf("told %d at first, want twice the link's window less what the peer knows", n)
	}
	if n := told(); n != 0 {
		t.Errorf("told %d for nothing", n)
	}
	// The reader keeps up.
	c.received, c.consumed = link-1, link-1
	if n := told(); n != 0 {
		t.Errorf("told %d before half was consumed", n)
	}
	c.received, c.consumed = link, link
	if n := told(); n != link {
		t.Errorf("told %d, want what was consumed", n)
	}
	// It does not: the link's window grows, the stream's stays.
	c.received = c.told
	c.consumed += link
	c.grow(4*link, most)
	if c.size != 2*link {
		t.Errorf("window %d, want it not to grow while the reader lags", c.size)
	}
	c.consumed = c.received
	c.grow(64*link, most)
	if c.size != most {
		t.Errorf("window %d, want the largest", c.size)
	}
	// Never beyond what yamux takes.
	c.granted = c.told + 1
	if n := c.due(); n != 0 {
		t.Errorf("told %d beyond yamux's grant", n)
	}
}

// TestStalledStreamHoldsLittle has nobody read a stream: it takes twice the link's window and not the largest one.
func TestStalledStreamHoldsLittle(t *testing.T) {
	handle, streams := accepting()
	w := newWorld(t, worldOptions{handle: handle})
	w.connect(nil)
	s := w.open()
	mustWrite(t, s, "x")
	peer := <-streams
	mustRead(t, peer, "x")
	if err := s.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(s, endless{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d: %v, want a timeout", n, err)
	}
	if n > 3*DefaultWindowMin {
		t.Errorf("a stalled stream takes %d bytes, want about %d", n, 2*DefaultWindowMin)
	}
	// It goes on, and grows, when its reader does.
	_ = s.SetWriteDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Write(make([]byte, 32<<20))
		done <- err
	}()
	if _, err := io.CopyN(io.Discard, peer, n+(32<<20)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
