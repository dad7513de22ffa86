package endpoint

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"culvert/sbrp"
)

// frame is a Data frame with a payload of n bytes that begins with i.
func frame(i, n int) []byte {
	p := make([]byte, n)
	binary.BigEndian.PutUint64(p, uint64(i))
	return sbrp.AppendFrame(nil, sbrp.FrameData, 1, p)
}

// put reads f into a buffer as the reader does, and queues it.
func put(q *queue, read *buffer, f []byte) (next *buffer, taken, room bool) {
	n := copy(read.b, f)
	p, next := pack(read, n)
	taken, room = q.push(p)
	if !taken {
		p.release()
	}
	return next, taken, room
}

func TestQueueOrderAndCount(t *testing.T) {
	q := newQueue()
	read := newBuffer(readBuffer)
	sizes := []int{28, 400, 600, 3000, 9000, 30_000, 40_000, 65_536}
	out := 0
	take := func() {
		t.Helper()
		p, ok := q.pop()
		if !ok {
			t.Fatal("queue is closed")
		}
		want := sizes[out%len(sizes)]
		if got := int(binary.BigEndian.Uint64(p.payload())); got != out || len(p.payload()) != want {
			t.Fatalf("popped frame %d of %d bytes, want frame %d of %d", got, len(p.payload()), out, want)
		}
		p.release()
		out++
	}
	for i := range 3000 {
		var taken, room bool
		read, taken, room = put(q, read, frame(i, sizes[i%len(sizes)]))
		if !taken || !room {
			t.Fatalf("frame %d was not taken with %d bytes queued", i, q.held())
		}
		if i%3 != 0 {
			take()
		}
	}
	for out < 3000 {
		take()
	}
	if q.held() != 0 || q.bytes != 0 {
		t.Errorf("an empty queue counts %d bytes held, %d queued", q.held(), q.bytes)
	}
}

func TestQueueBounds(t *testing.T) {
	for _, size := range []int{8, 65_536} {
		q := newQueue()
		read := newBuffer(readBuffer)
		n := 0
		for {
			var taken, room bool
			read, taken, room = put(q, read, frame(n, size))
			if !room {
				if taken {
					t.Error("a frame was taken without room")
				}
				break
			}
			n++
		}
		if q.bytes > queueBytes || n > queueFrames {
			t.Errorf("frames of %d bytes: %d bytes in %d frames are queued, want at most %d in %d", size, q.bytes, n, queueBytes, queueFrames)
		}
		if n < queueFrames && q.bytes+size+sbrp.HeaderSize <= queueBytes {
			t.Errorf("frames of %d bytes: refused at %d bytes in %d frames", size, q.bytes, n)
		}
		held := q.held()
		if freed := q.discard(); freed != held || q.held() != 0 {
			t.Errorf("discard freed %d of %d bytes, %d are left", freed, held, q.held())
		}
		if _, taken, room := put(q, read, frame(0, size)); taken || !room {
			t.Errorf("a discarded queue: taken %v, room %v, want it swallowed", taken, room)
		}
		if _, ok := q.pop(); ok {
			t.Error("a discarded queue gave something")
		}
	}
}

// Close lets the consumer have the rest, and wakes one that waits.
func TestQueueClose(t *testing.T) {
	q := newQueue()
	read := newBuffer(readBuffer)
	for i := range 3 {
		read, _, _ = put(q, read, frame(i, 100))
	}
	q.close()
	for i := range 3 {
		if p, ok := q.pop(); !ok || int(binary.BigEndian.Uint64(p.payload())) != i {
			t.Fatalf("frame %d is gone after close", i)
		}
	}
	if _, ok := q.pop(); ok {
		t.Error("an empty closed queue gave something")
	}
	for _, end := range []func(*queue){(*queue).close, func(q *queue) { q.discard() }} {
		q := newQueue()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, ok := q.pop(); ok {
				t.Error("an empty closed queue gave something")
			}
		})
		end(q)
		wg.Wait()
	}
}

// Small frames are copied, large ones handed over; never do two share a buffer.
func TestPack(t *testing.T) {
	read := newBuffer(readBuffer)
	small, next := pack(read, copy(read.b, frame(1, 100)))
	if next != read || small.buf == read {
		t.Error("a small frame took the reader's buffer")
	}
	if small.held() > 512 {
		t.Errorf("a frame of 100 bytes holds %d", small.held())
	}
	f := frame(2, 60_000)
	large, next := pack(read, copy(read.b, f))
	if large.buf != read || next == read {
		t.Error("a large frame was copied")
	}
	copy(next.b, frame(3, 60_000))
	if !bytes.Equal(large.payload(), f[sbrp.HeaderSize:]) {
		t.Error("a queued frame changed with the next one read")
	}
}

// Whoever writes and reads at the same time gets each frame once and in order.
func TestQueueConcurrent(t *testing.T) {
	q := newQueue()
	var wg sync.WaitGroup
	wg.Go(func() {
		read := newBuffer(readBuffer)
		for i := range 20_000 {
			for taken := false; !taken; {
				read, taken, _ = put(q, read, frame(i, 28+i%2000))
			}
		}
		q.close()
	})
	for i := 0; ; i++ {
		p, ok := q.pop()
		if !ok {
			if i != 20_000 {
				t.Errorf("%d frames came, want 20,000", i)
			}
			break
		}
		if got := int(binary.BigEndian.Uint64(p.payload())); got != i {
			t.Fatalf("frame %d came, want %d", got, i)
		}
		p.release()
	}
	wg.Wait()
}
