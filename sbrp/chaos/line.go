package chaos

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

// lineBytes bounds what waits for one endpoint; more has to wait at the relay.
const lineBytes = 8 << 20

// item is one message that is due at some time. Of two that are due at once the smaller order goes first.
type item struct {
	due   time.Time
	order int64
	msg   []byte
}

// line is what waits on its way to one endpoint. A goroutine of the Relay's delivers it, as long as there is something. All
// methods may be called concurrently.
type line struct {
	spec  *Spec
	write func([]byte)          // may block
	start func(run func()) bool // false: it is over
	done  <-chan struct{}       // closed when it is over
	freed chan struct{}         // bytes has become less
	kick  chan struct{}         // something else may be due first

	mu      sync.Mutex // guards what follows
	random  *rand.Rand
	waiting items
	bytes   int
	running bool
	last    time.Time // when what was added last is due
	count   int64
}

func newLine(s *Spec, nth int, write func([]byte), start func(func()) bool, done <-chan struct{}) *line {
	return &line{
		spec: s, write: write, start: start, done: done, freed: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		random: rand.New(rand.NewPCG(s.seed, ^uint64(nth))),
	}
}

// add has a message wait: for its turn, or until the hold is over if that is not zero. It blocks while too much waits.
func (l *line) add(msg []byte, hold time.Time) {
	for {
		l.mu.Lock()
		if l.bytes <= lineBytes {
			break
		}
		l.mu.Unlock()
		select {
		case <-l.freed:
		case <-l.done:
			return
		}
	}
	defer l.mu.Unlock()
	l.count++
	i := item{due: hold, order: -l.count, msg: msg} // newest first
	if hold.IsZero() {
		i.due, i.order = l.due(len(msg)), l.count
	}
	heap.Push(&l.waiting, i)
	l.bytes += len(msg)
	if l.running {
		signal(l.kick)
		return
	}
	l.running = l.start(l.run)
}

// due is when a message that comes now arrives: never before the one before it. mu is held.
func (l *line) due(size int) time.Time {
	late := l.spec.delay
	if l.spec.jitter > 0 {
		late += time.Duration((2*l.random.Float64() - 1) * float64(l.spec.jitter))
	}
	due := time.Now().Add(late)
	if due.Before(l.last) {
		due = l.last
	}
	if l.spec.rate > 0 {
		due = due.Add(time.Duration(float64(size) / l.spec.rate * float64(time.Second)))
	}
	l.last = due
	return due
}

// run delivers what is due until nothing waits.
func (l *line) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		msg, wait, ok := l.next()
		switch {
		case !ok:
			return
		case wait <= 0:
			l.write(msg)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.kick:
		case <-l.done:
			return
		}
	}
}

// next takes the first message out if it is due, or says for how long to wait; false: there is nothing, and run ends.
func (l *line) next() (msg []byte, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running = false
		return nil, 0, false
	}
	if wait = time.Until(l.waiting[0].due); wait > 0 {
		return nil, wait, true
	}
	i := heap.Pop(&l.waiting).(item)
	l.bytes -= len(i.msg)
	signal(l.freed)
	return i.msg, 0, true
}

// signal wakes who waits on a channel that holds one signal.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}

// items is a heap.
type items []item

func (h items) Len() int      { return len(h) }
func (h items) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h items) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].order < h[j].order
	}
	return h[i].due.Before(h[j].due)
}
func (h *items) Push(x any) { *h = append(*h, x.(item)) }
func (h *items) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
