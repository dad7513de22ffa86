package muxtest

import "sync"

// queue is the messages on their way in one direction.
type queue struct {
	mu     sync.Mutex // guards what follows
	ready  *sync.Cond // something came or the queue was closed
	room   *sync.Cond // something went or the queue was closed
	list   [][]byte
	free   [][]byte // buffers to use again
	bytes  int
	closed bool
	freed  bool // senders do not wait any more
}

func (q *queue) init() {
	q.ready, q.room = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
}

// push adds a copy of msg. With wait set it blocks while the queue is full.
func (q *queue) push(msg []byte, wait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && q.bytes >= QueueBytes && !q.closed && !q.freed {
		q.room.Wait()
	}
	if q.closed {
		return
	}
	var b []byte
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1][:0], q.free[:n-1]
	}
	q.list = append(q.list, append(b, msg...))
	q.bytes += len(msg)
	q.ready.Signal()
}

func (q *queue) waitRoom() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= QueueBytes && !q.closed && !q.freed {
		q.room.Wait()
	}
}

// pop copies the next message to b; false: the queue is closed and empty.
func (q *queue) pop(b []byte) (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 {
		if q.closed {
			return 0, false
		}
		q.ready.Wait()
	}
	msg := q.list[0]
	n := copy(b, msg)
	copy(q.list, q.list[1:])
	q.list = q.list[:len(q.list)-1]
	q.free = append(q.free, msg)
	q.bytes -= n
	q.room.Signal()
	return n, true
}

// close ends the queue; with drop set what is in it is lost.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		q.list, q.free, q.bytes = nil, nil, 0
	}
	q.ready.Broadcast()
	q.room.Broadcast()
}

// release frees senders: their own end is closed.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.freed = true
	q.room.Broadcast()
}
