package mux

import (
	"io"
	"log/slog"
	"testing"

	"context"
)

func quiet(w *worldOptions) {
	w.client = func(c *ClientConfig) { c.Logger = slog.New(slog.DiscardHandler) }
	w.server = func(c *ServerConfig) { c.Logger = slog.New(slog.DiscardHandler) }
}

// sink takes all that streams bring.
func sink(ctx context.Context, s *Session) {
	for {
		st, err := s.Accept(ctx)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, st)
			_ = st.Close()
		}()
	}
}

// BenchmarkThroughput sends 64 KiB writes in one stream over a carrier in memory.
func BenchmarkThroughput(b *testing.B) {
	o := worldOptions{handle: sink}
	quiet(&o)
	w := newWorld(b, o)
	w.connect(nil)
	s := w.open()
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.client.Status().Window)/1024, "window-KiB")
}

// BenchmarkRoundTrip echoes one byte.
func BenchmarkRoundTrip(b *testing.B) {
	o := worldOptions{}
	quiet(&o)
	w := newWorld(b, o)
	w.connect(nil)
	roundTrips(b, w.open())
}

func roundTrips(b *testing.B, s *Stream) {
	p := []byte{1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTripBesideBulk does so while another stream sends all that it can.
func BenchmarkRoundTripBesideBulk(b *testing.B) {
	o := worldOptions{}
	quiet(&o)
	w := newWorld(b, o)
	w.connect(nil)
	bulk, s := w.open(), w.open()
	go func() { _, _ = io.Copy(io.Discard, bulk) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 64<<10)
		for {
			if _, err := bulk.Write(p); err != nil {
				return
			}
		}
	}()
	roundTrips(b, s)
	_ = bulk.Reset()
	<-done
}
