package wsconn

import "sync"

// bufferSize is what the largest frame (65,549 bytes) needs with its WebSocket header (at most 14 bytes) and the overhead of
// its TLS records (five of them, at most 256 bytes each in theory, about 22 in practice).
const bufferSize = 66 << 10

// buffer is a pooled gathering buffer. It has one owner at a time.
type buffer struct {
	b []byte
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} }}

func borrow() *buffer { return buffers.Get().(*buffer) }

// giveBack returns b to the pool. A buffer that had to grow is left to the collector.
func giveBack(b *buffer) {
	if b == nil || cap(b.b) > 2*bufferSize {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}
