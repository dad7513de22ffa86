package wsconn_test

import (
	"fmt"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// sizes are the payloads of the benchmarks: a full frame and a keystroke.
var sizes = []int{sbrp.MaxPayload, 64}

// stream measures messages from one end to the other; the bytes of whole frames count.
func stream(b *testing.B, from, to *wsconn.Conn, size int) {
	buf := make([]byte, sbrp.MaxFrame+1)
	f := frame(size, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if n, err := to.Read(buf); err != nil || n == sbrp.HeaderSize {
				return
			}
		}
	}()
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		if err := from.Write(f); err != nil {
			b.Fatal(err)
		}
	}
	if err := from.Write(frame(0, 0)); err != nil { // the end of it
		b.Fatal(err)
	}
	<-done
}

func BenchmarkMessage(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("tls=%v/size=%d/up", secure, size), func(b *testing.B) {
				client, server := pair(b, secure, nil)
				stream(b, client, server, size)
			})
			b.Run(fmt.Sprintf("tls=%v/size=%d/down", secure, size), func(b *testing.B) {
				client, server := pair(b, secure, nil)
				stream(b, server, client, size)
			})
		}
	}
}
