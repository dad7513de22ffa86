package relay

import (
	"sync"

	"culvert/sbrp"
)

// chunkSizes are the sizes of pooled buffers in bytes. A queue of keystrokes must not cost a full frame's buffer for each; the
// largest holds any frame and the one byte that shows a message to be too long.
var chunkSizes = [...]int{256, 2 << 10, 16 << 10, sbrp.MaxFrame + 1}

const largestChunk = len(chunkSizes) - 1

// chunk is a pooled buffer with one owner at a time.
type chunk struct {
	b     []byte // full length is the capacity
	n     int    // bytes in use
	class int
}

var chunkPools [len(chunkSizes)]sync.Pool

// newChunk returns a chunk for n bytes, at most sbrp.MaxFrame+1.
func newChunk(n int) *chunk {
	class := 0
	for n > chunkSizes[class] {
		class++
	}
	if c, ok := chunkPools[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{b: make([]byte, chunkSizes[class]), class: class}
}

// readChunk returns a chunk for one message from a peer.
func readChunk() *chunk { return newChunk(chunkSizes[largestChunk]) }

// copyChunk returns a chunk that holds a copy of frame.
func copyChunk(frame []byte) *chunk {
	c := newChunk(len(frame))
	c.n = copy(c.b, frame)
	return c
}

func (c *chunk) bytes() []byte { return c.b[:c.n] }

// cost is what the chunk really occupies.
func (c *chunk) cost() int { return len(c.b) }

func (c *chunk) free() {
	c.n = 0
	chunkPools[c.class].Put(c)
}
