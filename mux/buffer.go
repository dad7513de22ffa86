package mux

import "sync"

// chunkSize is the grain of resend buffers: about one message, so that a link with little in flight holds little.
const chunkSize = 64 << 10

type chunk [chunkSize]byte

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

// sendBuffer keeps the bytes [start, end) of a stream. Chunks begin at multiples of chunkSize, come from a pool and go
// back when all their bytes are released; an empty buffer has none. Not safe for concurrent use.
type sendBuffer struct {
	chunks     []*chunk
	start, end uint64
}

// base is the offset of the first byte of the first chunk.
func (s *sendBuffer) base() uint64 { return s.start &^ (chunkSize - 1) }

// missing tells how many chunks must be added before n bytes more fit.
func (s *sendBuffer) missing(n int) int {
	if n == 0 {
		return 0
	}
	need := int((s.end+uint64(n)-1-s.base())/chunkSize) + 1
	return max(0, need-len(s.chunks))
}

// grow adds n chunks.
func (s *sendBuffer) grow(n int) {
	for range n {
		s.chunks = append(s.chunks, chunkPool.Get().(*chunk))
	}
}

// write appends p, for which there is room.
func (s *sendBuffer) write(p []byte) {
	for len(p) > 0 {
		at := s.end - s.base()
		n := copy(s.chunks[at/chunkSize][at%chunkSize:], p)
		s.end += uint64(n)
		p = p[n:]
	}
}

// appendTo appends the n bytes from offset on to b; start <= offset and offset+n <= end.
func (s *sendBuffer) appendTo(b []byte, offset uint64, n int) []byte {
	for n > 0 {
		at := offset - s.base()
		part := s.chunks[at/chunkSize][at%chunkSize:]
		part = part[:min(n, len(part))]
		b = append(b, part...)
		offset += uint64(len(part))
		n -= len(part)
	}
	return b
}

// release forgets what is before offset and tells how many chunks that freed. spare is how many bytes behind the end are
// about to be written: chunks for these are kept.
func (s *sendBuffer) release(offset uint64, spare int) int {
	old := s.base()
	s.start = offset
	free := int((s.base() - old) / chunkSize)
	free = min(free, len(s.chunks))
	for _, c := range s.chunks[:free] {
		chunkPool.Put(c)
	}
	kept := copy(s.chunks, s.chunks[free:])
	clear(s.chunks[kept:])
	s.chunks = s.chunks[:kept]
	if s.start == s.end && spare == 0 {
		free += s.drop()
	}
	return free
}

// drop forgets everything and tells how many chunks that freed.
func (s *sendBuffer) drop() int {
	n := len(s.chunks)
	for _, c := range s.chunks {
		chunkPool.Put(c)
	}
	clear(s.chunks)
	s.chunks = s.chunks[:0]
	s.start = s.end
	return n
}

// messageBuffer is a pooled buffer for one message in the making.
type messageBuffer struct{ b []byte }

// pooledMessage is the size of pooled message buffers: the largest message of SBRP with its head and tail.
const pooledMessage = 66 << 10

var messagePool = sync.Pool{New: func() any { return &messageBuffer{b: make([]byte, pooledMessage)} }}

// getMessage gives a buffer of at least n bytes.
func getMessage(n int) *messageBuffer {
	if n > pooledMessage {
		return &messageBuffer{b: make([]byte, n)}
	}
	return messagePool.Get().(*messageBuffer)
}

// put gives the buffer back.
func (m *messageBuffer) put() {
	if len(m.b) == pooledMessage {
		messagePool.Put(m)
	}
}
