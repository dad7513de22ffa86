package muxtest

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func send(t *testing.T, c *Carrier, p string) error {
	t.Helper()
	buf := make([]byte, Head+len(p), Head+len(p)+Tail)
	copy(buf[Head:], p)
	return c.Send(buf)
}

func wantReceive(t *testing.T, c *Carrier, want string) {
	t.Helper()
	got, err := c.Receive(make([]byte, Head+MaxMessage+Tail))
	if err != nil || string(got) != want {
		t.Fatalf("receive: %q, %v, want %q", got, err, want)
	}
}

func TestCarrierPasses(t *testing.T) {
	p := NewPair(nil)
	if p.A.Transcript() != p.B.Transcript() || p.A.Transcript() == NewPair(nil).A.Transcript() {
		t.Error("transcripts must be equal within a pair, and only there")
	}
	for _, m := range []string{"one", "two"} {
		if err := send(t, p.A, m); err != nil {
			t.Fatal(err)
		}
	}
	wantReceive(t, p.B, "one")
	_ = p.A.Close("bye")
	wantReceive(t, p.B, "two") // it was on its way
	if _, err := p.B.Receive(make([]byte, Head+MaxMessage+Tail)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("receive after close: %v", err)
	}
	if err := send(t, p.B, "x"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
	if p.A.Reason() != "bye" {
		t.Errorf("reason %q", p.A.Reason())
	}
}

func TestCarrierChecksItsUser(t *testing.T) {
	p := NewPair(nil)
	if err := p.A.Send(make([]byte, Head+1)); err == nil {
		t.Error("no room for the tail: sent")
	}
	if err := p.A.Send(make([]byte, Head, 100)); err == nil {
		t.Error("empty message: sent")
	}
	if _, err := p.A.Receive(make([]byte, 100)); err == nil {
		t.Error("small buffer: received")
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPair(func(side, n int, msg []byte) Action {
			switch string(msg) {
			case "drop":
				return Action{Drop: true}
			case "twice":
				return Action{Twice: true}
			case "late":
				return Action{Delay: time.Second}
			case "held":
				return Action{Hold: 1}
			case "pause":
				return Action{Pause: time.Minute}
			case "cut":
				return Action{Cut: true}
			}
			return Action{}
		})
		for _, m := range []string{"drop", "twice", "late", "held", "a", "b"} {
			if err := send(t, p.A, m); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range []string{"twice", "twice", "a", "held", "b", "late"} {
			wantReceive(t, p.B, m)
		}
		_, _, changed := p.B.Path()
		_ = send(t, p.A, "pause")
		<-changed
		if up, _, _ := p.B.Path(); up {
			t.Error("path is up in a pause")
		}
		_ = send(t, p.A, "lost")
		time.Sleep(time.Minute)
		synctest.Wait()
		if up, resumes, _ := p.A.Path(); !up || resumes != 1 {
			t.Errorf("path after a pause: %v, %d", up, resumes)
		}
		_ = send(t, p.A, "back")
		wantReceive(t, p.B, "back")
		if err := send(t, p.A, "cut"); !errors.Is(err, ErrCut) {
			t.Errorf("cut: %v", err)
		}
		if _, err := p.B.Receive(make([]byte, Head+MaxMessage+Tail)); !errors.Is(err, ErrCut) {
			t.Errorf("receive after a cut: %v", err)
		}
	})
}

func TestSendBlocksWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPair(nil)
		n := 0
		done := make(chan error)
		go func() {
			for {
				if err := send(t, p.A, string(make([]byte, MaxMessage))); err != nil {
					done <- err
					return
				}
				n++
			}
		}()
		synctest.Wait()
		if n*MaxMessage < QueueBytes-MaxMessage || n*MaxMessage > QueueBytes+MaxMessage {
			t.Errorf("%d messages before Send blocks", n)
		}
		_ = p.A.Close("enough")
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a blocked Send after Close: %v", err)
		}
	})
}
