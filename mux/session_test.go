package mux

import (
	"bytes"
	"io"
	"testing"

	"culvert/mux/muxtest"
)

func TestStreamEchoes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.connect(nil)
	s := w.open()
	want := bytes.Repeat([]byte("culvert "), 1<<16)
	go func() {
		_, _ = s.Write(want)
		_ = s.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("echo of %d bytes: got %d, %v", len(want), len(got), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCarriersOfAnySize use a carrier that takes little, and one that takes more than a link makes.
func TestCarriersOfAnySize(t *testing.T) {
	for _, size := range []int{minMessage, 1 << 20} {
		w := newWorld(t, worldOptions{})
		w.serve(muxtest.NewPairOf([32]byte{byte(size >> 12)}, size, nil))
		if err := echoOne(w, 1, 300_000); err != nil {
			t.Errorf("messages of %d bytes: %v", size, err)
		}
	}
}
