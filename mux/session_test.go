package mux

import (
	"bytes"
	"io"
	"testing"
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
